/* SPDX-License-Identifier: Apache-2.0 */
/* Entries known to be damaged, until they are written again. */
#include "damage.h"

#include <stdlib.h>
#include <string.h>

#include "failure.h"

struct damage_entry {
    SLIST_ENTRY(damage_entry) others;
    struct layout_name name;
};

static bool is_known(const struct damage *damage, const struct layout_name *name)
{
    const struct damage_entry *entry;

    SLIST_FOREACH(entry, &damage->entries, others)
    if (entry->name.length == name->length && memcmp(entry->name.bytes, name->bytes, name->length) == 0)
        return true;
    return false;
}

bool damage_add(struct damage *damage, const char *bucket, struct berth_store_bytes key)
{
    struct damage_entry *entry;
    struct layout_name name;
    bool was_incomplete = damage->is_incomplete;

    layout_make_name(bucket, key, &name);
    if (is_known(damage, &name))
        return false;
    entry = damage->count < DAMAGE_MAX ? malloc(sizeof(*entry)) : NULL;
    if (entry == NULL) {
        damage->is_incomplete = true;
        return !was_incomplete;
    }
    entry->name = name;
    SLIST_INSERT_HEAD(&damage->entries, entry, others);
    damage->count++;
    return true;
}

/* Writes are ordered as names are. */
static bool writes(const struct berth_store_batch *batch, const struct layout_name *name)
{
    size_t low = 0, high = batch->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct layout_name written;
        size_t shorter;
        int order;

        layout_make_name(batch->writes[middle].bucket, batch->writes[middle].key, &written);
        shorter = written.length < name->length ? written.length : name->length;
        order = memcmp(written.bytes, name->bytes, shorter);
        if (order == 0 && written.length == name->length)
            return true;
        if (order < 0 || (order == 0 && written.length < name->length))
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void remove_entry(struct damage *damage, struct damage_entry *entry)
{
    SLIST_REMOVE(&damage->entries, entry, damage_entry, others);
    free(entry);
    damage->count--;
}

void damage_forget(struct damage *damage, const struct berth_store_batch *batch)
{
    struct damage_entry *next;

    for (struct damage_entry *entry = SLIST_FIRST(&damage->entries); entry != NULL; entry = next) {
        next = SLIST_NEXT(entry, others);
        if (writes(batch, &entry->name))
            remove_entry(damage, entry);
    }
}

bool damage_is_empty(const struct damage *damage)
{
    return damage->count == 0 && !damage->is_incomplete;
}

void damage_describe(const struct damage *damage, const char *path, struct berth_error *err)
{
    const struct damage_entry *entry = SLIST_FIRST(&damage->entries);
    char text[LAYOUT_PRINT_MAX];
    const char *bucket;
    struct berth_store_bytes key;

    if (entry == NULL || !layout_split_name((struct berth_store_bytes){entry->name.bytes, entry->name.length},
                                            &bucket, &key)) {
        berth_error_set(err, BERTH_DATA_LOSS,
                        "%s had more damaged entries than were listed; run "
                        "`berthctl plugins restart io.berth.store.v1.lmdb` to check it again",
                        path);
        return;
    }
    berth_error_set(err, BERTH_DATA_LOSS,
                    "%s: %zu%s damaged %s: bucket %s, key \"%s\"%s; remove %s or restore a backup", path,
                    damage->count, damage->is_incomplete ? " or more" : "",
                    damage->count == 1 ? "entry" : "entries", bucket, layout_print_key(key, text),
                    damage->count == 1 ? "" : " and others", damage->count == 1 ? "it" : "them");
}

void damage_finish(struct damage *damage)
{
    while (!SLIST_EMPTY(&damage->entries))
        remove_entry(damage, SLIST_FIRST(&damage->entries));
}

static void look_at(struct damage *damage, const MDB_val *name, const MDB_val *record)
{
    const struct berth_store_bytes bytes = {name->mv_data, name->mv_size};
    struct berth_store_bytes key, value;
    const char *bucket;

    if (layout_read_record(bytes, (struct berth_store_bytes){record->mv_data, record->mv_size}, &value))
        return;
    if (layout_split_name(bytes, &bucket, &key))
        damage_add(damage, bucket, key);
    else
        damage->is_incomplete = true;
}

enum berth_code damage_scan(struct damage *damage, MDB_txn *txn, MDB_dbi entries, const char *path,
                            bool (*is_cancelled)(void *context), void *context, struct berth_error *err)
{
    MDB_cursor *cursor;
    MDB_val name, record;
    int number = mdb_cursor_open(txn, entries, &cursor);
    bool is_over = false;

    if (number != 0)
        return failure_set(err, number, path, "cannot be read");
    number = mdb_cursor_get(cursor, &name, &record, MDB_FIRST);
    while (number == 0 && !is_over) {
        look_at(damage, &name, &record);
        is_over = is_cancelled != NULL && is_cancelled(context);
        number = mdb_cursor_get(cursor, &name, &record, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (is_over)
        return berth_error_set(err, BERTH_CANCELLED, "the check of %s was cancelled", path);
    return number == MDB_NOTFOUND ? BERTH_OK : failure_set(err, number, path, "cannot be read");
}
