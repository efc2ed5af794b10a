/* SPDX-License-Identifier: Apache-2.0 */
/* Reads entries through one LMDB transaction that stays open. */
#include "reader.h"

#include <string.h>

#include "failure.h"
#include "layout.h"

static int renew(struct reader *reader)
{
    int number;

    if (reader->pinned == NULL) {
        number = mdb_txn_begin(reader->environment->lmdb, NULL, MDB_RDONLY, &reader->pinned);
        return number != 0 ? number
                           : mdb_cursor_open(reader->pinned, reader->environment->entries, &reader->cursor);
    }
    number = mdb_txn_renew(reader->pinned);
    return number != 0 ? number : mdb_cursor_renew(reader->pinned, reader->cursor);
}

enum berth_code reader_pin(struct reader *reader, struct berth_error *err)
{
    int number = renew(reader);

    if (number == MDB_MAP_RESIZED) {
        enum berth_code code = environment_follow(reader->environment, err);

        if (code != BERTH_OK)
            return code;
        number = renew(reader);
    }
    if (number != 0)
        return failure_set(err, number, reader->environment->path, "cannot be read");
    reader->file_size = environment_file_size(reader->environment);
    reader->has_failed = false;
    return BERTH_OK;
}

uint64_t reader_id(const struct reader *reader)
{
    return mdb_txn_id(reader->pinned);
}

void reader_unpin(struct reader *reader)
{
    mdb_txn_reset(reader->pinned);
}

enum environment_fate reader_look(const struct reader *reader)
{
    return environment_look(reader->environment, reader->file_size, false);
}

/* LMDB marks a transaction that met damage, and answers MDB_BAD_TXN from then on. */
static enum berth_code fail(struct reader *reader, int number, struct berth_error *err)
{
    reader->has_failed = true;
    return failure_set(err, number, reader->environment->path, "cannot be read");
}

static enum berth_code refuse_entry(const struct reader *reader, const char *bucket,
                                    struct berth_store_bytes key, struct berth_error *err)
{
    char text[LAYOUT_PRINT_MAX];

    return berth_error_set(
        err, BERTH_DATA_LOSS,
        "%s: bucket %s, key \"%s\": the entry is damaged (its checksum does not match); remove it or "
        "restore a backup",
        reader->environment->path, bucket, layout_print_key(key, text));
}

static enum berth_code read_record(const struct reader *reader, const char *bucket,
                                   struct berth_store_bytes key, const MDB_val *name, const MDB_val *data,
                                   struct berth_store_bytes *ret_value, struct berth_error *err)
{
    if (layout_read_record((struct berth_store_bytes){name->mv_data, name->mv_size},
                           (struct berth_store_bytes){data->mv_data, data->mv_size}, ret_value))
        return BERTH_OK;
    return refuse_entry(reader, bucket, key, err);
}

enum berth_code reader_get(struct reader *reader, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    struct layout_name made;
    MDB_val name, data;
    int number;

    layout_make_name(bucket, key, &made);
    name = (MDB_val){made.length, made.bytes};
    number = mdb_get(reader->pinned, reader->environment->entries, &name, &data);
    if (number == MDB_NOTFOUND)
        return BERTH_NOT_FOUND;
    if (number != 0)
        return fail(reader, number, err);
    return read_record(reader, bucket, key, &name, &data, ret_value, err);
}

/* The first entry whose name is not less, or where `is_behind`, greater. */
static int seek(struct reader *reader, struct layout_name *from, bool is_behind, MDB_val *name, MDB_val *data)
{
    int number;

    *name = (MDB_val){from->length, from->bytes};
    number = mdb_cursor_get(reader->cursor, name, data, MDB_SET_RANGE);
    if (number == 0 && is_behind && name->mv_size == from->length &&
        memcmp(name->mv_data, from->bytes, from->length) == 0)
        number = mdb_cursor_get(reader->cursor, name, data, MDB_NEXT);
    return number;
}

/* Where the search has come to: its bucket and key. */
static enum berth_code split(struct reader *reader, int number, const MDB_val *name, const char **ret_bucket,
                             struct berth_store_bytes *ret_key, struct berth_error *err)
{
    if (number == MDB_NOTFOUND)
        return BERTH_NOT_FOUND;
    if (number != 0)
        return fail(reader, number, err);
    if (layout_split_name((struct berth_store_bytes){name->mv_data, name->mv_size}, ret_bucket, ret_key))
        return BERTH_OK;
    return berth_error_set(err, BERTH_DATA_LOSS,
                           "%s: an entry is damaged: its name has no bucket, or is too long",
                           reader->environment->path);
}

enum berth_code reader_next(struct reader *reader, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err)
{
    struct layout_name from;
    MDB_val name, data;
    const char *found;
    struct berth_store_bytes key, value = {NULL, 0};
    enum berth_code code;

    layout_make_name(bucket, after, &from);
    code = split(reader, seek(reader, &from, true, &name, &data), &name, &found, &key, err);
    if (code != BERTH_OK)
        return code;
    if (strcmp(found, bucket) != 0)
        return BERTH_NOT_FOUND;
    code = read_record(reader, bucket, key, &name, &data, &value, err);
    *ret_entry = (struct berth_store_entry){key, value};
    return code;
}

enum berth_code reader_next_bucket(struct reader *reader, const char *after,
                                   char ret_bucket[BERTH_STORE_BUCKET_MAX + 1], struct berth_error *err)
{
    struct layout_name from;
    MDB_val name, data;
    const char *found;
    struct berth_store_bytes key;
    enum berth_code code;

    layout_make_end(after, &from);
    code = split(reader, seek(reader, &from, false, &name, &data), &name, &found, &key, err);
    if (code == BERTH_OK)
        memcpy(ret_bucket, found, strlen(found) + 1);
    return code;
}

void reader_drop(struct reader *reader)
{
    if (reader->cursor != NULL)
        mdb_cursor_close(reader->cursor);
    if (reader->pinned != NULL)
        mdb_txn_abort(reader->pinned);
    reader->cursor = NULL;
    reader->pinned = NULL;
}
