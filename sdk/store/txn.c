/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, and the view of a change: committed entries overlaid with the batch's writes. */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum berth_code store_bracket_open(struct berth_store_core *core, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    if (core->brackets == 0 && core->engine->begin != NULL)
        code = core->engine->begin(core->self, err);
    if (code == BERTH_OK)
        core->brackets++;
    return code;
}

void store_bracket_close(struct berth_store_core *core)
{
    if (--core->brackets == 0 && core->engine->end != NULL)
        core->engine->end(core->self);
}

/* An open one would keep everybody's view of the store where it is, and with that all changes from success.
 */
void store_snapshots_close(struct berth_store_core *core)
{
    struct berth_store_txn *txn;

    while ((txn = LIST_FIRST(&core->snapshots)) != NULL) {
        LIST_REMOVE(txn, link);
        LIST_INSERT_HEAD(&core->closed, txn, link);
        txn->is_closed = true;
        store_bracket_close(core);
        berth_report_misuse(core->host, "left a snapshot of the store open; closed", txn->caller);
    }
}

void store_snapshots_finish(struct berth_store_core *core)
{
    struct berth_store_txn *txn;

    while ((txn = LIST_FIRST(&core->closed)) != NULL) {
        LIST_REMOVE(txn, link);
        free(txn);
    }
}

/* Most snapshots are ended long before. */
static void on_turn_end(uv_prepare_t *turn_end)
{
    uv_prepare_stop(turn_end);
    store_snapshots_close(turn_end->data);
}

void store_snapshots_init(struct berth_store_core *core, uv_loop_t *loop)
{
    uv_prepare_init(loop, &core->turn_end);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_prepare_start(&core->turn_end, on_turn_end);
    uv_prepare_stop(&core->turn_end);
    uv_unref((uv_handle_t *)&core->turn_end);
    core->turn_end.data = core;
}

enum berth_code berth_store_core_begin(void *instance, struct berth_store_txn **ret_txn,
                                       struct berth_error *err)
{
    struct berth_store_core *core = *(struct berth_store_core **)instance;
    struct berth_store_txn *txn = calloc(1, sizeof(*txn));
    enum berth_code code;

    if (txn == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a snapshot of the store");
    code = store_bracket_open(core, err);
    if (code != BERTH_OK) {
        free(txn);
        return code;
    }
    txn->core = core;
    txn->caller = __builtin_return_address(0);
    LIST_INSERT_HEAD(&core->snapshots, txn, link);
    if (core->host != NULL && !uv_is_closing((uv_handle_t *)&core->turn_end))
        uv_prepare_start(&core->turn_end, on_turn_end);
    *ret_txn = txn;
    return BERTH_OK;
}

void berth_store_core_end(struct berth_store_txn *txn)
{
    if (txn == NULL)
        return;
    LIST_REMOVE(txn, link);
    if (!txn->is_closed)
        store_bracket_close(txn->core);
    free(txn);
}

/* A view that failed keeps failing with the same reason. */
static enum berth_code check_view(struct berth_store_txn *txn, struct berth_error *err)
{
    if (txn->is_closed)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "the snapshot was not ended by the callback that opened it, and is closed");
    return txn->failure == BERTH_OK ? BERTH_OK
                                    : berth_error_set(err, txn->failure, "%s", txn->core->sentence.message);
}

/* A change that met a damaged entry may continue only by removing that entry. */
static void keep_damaged(struct berth_store_txn *txn, const struct store_name *name)
{
    struct store_damaged *damaged = &txn->core->damaged;

    if (!txn->is_change || txn->failure != BERTH_OK || name->key.length == 0 ||
        name->key.length > sizeof(damaged->key))
        return;
    snprintf(damaged->bucket, sizeof(damaged->bucket), "%s", name->bucket);
    memcpy(damaged->key, name->key.data, name->key.length);
    damaged->key_length = name->key.length;
}

static void pardon(struct berth_store_txn *txn, const struct store_name *name)
{
    struct store_damaged *damaged = &txn->core->damaged;
    const struct store_name there = {damaged->bucket, {damaged->key, damaged->key_length}};

    if (txn->failure != BERTH_DATA_LOSS || damaged->key_length == 0 || store_name_compare(&there, name) != 0)
        return;
    txn->failure = BERTH_OK;
    damaged->key_length = 0;
}

static enum berth_code settle(struct berth_store_txn *txn, enum berth_code code, struct berth_error *err)
{
    if (!txn->is_change || code == BERTH_OK || code == BERTH_NOT_FOUND || txn->failure != BERTH_OK)
        return code;
    txn->failure = code;
    return berth_error_set(&txn->core->sentence, code, "%s", err->message);
}

static struct berth_error *sentence_of(struct berth_store_txn *txn, struct berth_error *err)
{
    return err != NULL ? err : &txn->core->unheard;
}

static const struct store_overlay_entry *find_written(struct berth_store_txn *txn,
                                                      const struct store_name *name)
{
    return txn->is_change ? store_overlay_find(&txn->core->overlay, name) : NULL;
}

static enum berth_code read_value(struct berth_store_txn *txn, const struct store_name *name,
                                  struct berth_store_bytes *ret_value, struct berth_error *err)
{
    struct berth_store_core *core = txn->core;
    const struct store_overlay_entry *written;
    struct berth_store_bytes value = {0};
    enum berth_code code = store_name_check(name, err);

    if (code != BERTH_OK)
        return code;
    written = find_written(txn, name);
    if (written != NULL)
        value = written->value;
    else
        code = core->engine->get(core->self, name->bucket, name->key, &value, err);
    if (code == BERTH_DATA_LOSS)
        keep_damaged(txn, name);
    if (code != BERTH_OK)
        return code;
    if (written != NULL && value.data == NULL)
        return BERTH_NOT_FOUND;
    *ret_value = value.data != NULL ? value : berth_store_text("");
    return BERTH_OK;
}

enum berth_code berth_store_core_get(struct berth_store_txn *txn, const char *bucket,
                                     struct berth_store_bytes key, struct berth_store_bytes *ret_value,
                                     struct berth_error *err)
{
    struct store_name name = {bucket, key};
    enum berth_code code = check_view(txn, err);

    err = sentence_of(txn, err);
    if (code == BERTH_OK)
        code = settle(txn, read_value(txn, &name, ret_value, err), err);
    return code;
}

/*
 * The bucket's first committed entry after the name that the batch did not write to. For a corrupt entry only
 * the key is set.
 */
static enum berth_code next_committed(struct berth_store_txn *txn, struct store_name after,
                                      struct berth_store_entry *ret_entry, struct berth_error *err)
{
    struct berth_store_core *core = txn->core;
    struct berth_store_entry entry;
    enum berth_code code;

    do {
        entry = (struct berth_store_entry){0};
        code = core->engine->next(core->self, after.bucket, after.key, &entry, err);
        after.key = entry.key;
    } while (entry.key.length > 0 && find_written(txn, &after) != NULL);
    *ret_entry = entry;
    return code;
}

static const struct store_overlay_entry *next_written(struct berth_store_txn *txn,
                                                      const struct store_name *after)
{
    struct store_overlay_entry *entry =
        txn->is_change ? store_overlay_next(&txn->core->overlay, after) : NULL;

    while (entry != NULL && entry->value.data == NULL)
        entry = store_overlay_following(entry);
    return entry != NULL && strcmp(entry->name.bucket, after->bucket) == 0 ? entry : NULL;
}

static enum berth_code read_next(struct berth_store_txn *txn, const struct store_name *after,
                                 struct berth_store_entry *ret_entry, struct berth_error *err)
{
    const struct store_overlay_entry *written = next_written(txn, after);
    struct berth_store_entry entry = {0};
    enum berth_code code = next_committed(txn, *after, &entry, err);

    if (written != NULL &&
        (code == BERTH_NOT_FOUND ||
         (entry.key.length > 0 && store_bytes_compare(written->name.key, entry.key) < 0))) {
        entry = (struct berth_store_entry){written->name.key, written->value};
        code = BERTH_OK;
    }
    if (code == BERTH_OK && entry.value.data == NULL)
        entry.value = berth_store_text("");
    if (code == BERTH_OK || code == BERTH_DATA_LOSS)
        *ret_entry = entry;
    return code;
}

enum berth_code berth_store_core_next(struct berth_store_txn *txn, const char *bucket,
                                      struct berth_store_bytes after, struct berth_store_entry *ret_entry,
                                      struct berth_error *err)
{
    struct store_name name = {bucket, after};
    enum berth_code code = check_view(txn, err);

    if (code != BERTH_OK) {
        *ret_entry = (struct berth_store_entry){0};
        return code;
    }
    err = sentence_of(txn, err);
    code = store_name_check_after(&name, err);
    if (code == BERTH_OK)
        code = read_next(txn, &name, ret_entry, err);
    if (code == BERTH_DATA_LOSS)
        keep_damaged(txn, &(struct store_name){bucket, ret_entry->key});
    return settle(txn, code, err);
}

/* The lesser of the two: the committed entry, or the batch's. */
static enum berth_code candidate_after(struct berth_store_txn *txn, char bucket[BERTH_STORE_BUCKET_MAX + 1],
                                       struct berth_error *err)
{
    struct berth_store_core *core = txn->core;
    const struct store_overlay_entry *written =
        txn->is_change ? store_overlay_next_bucket(&core->overlay, bucket) : NULL;
    char committed[BERTH_STORE_BUCKET_MAX + 1];
    enum berth_code code = core->engine->next_bucket(core->self, bucket, committed, err);

    if (code != BERTH_OK && (code != BERTH_NOT_FOUND || written == NULL))
        return code;
    if (written != NULL && (code == BERTH_NOT_FOUND || strcmp(written->name.bucket, committed) < 0))
        memcpy(bucket, written->name.bucket, strlen(written->name.bucket) + 1);
    else
        memcpy(bucket, committed, sizeof(committed));
    return BERTH_OK;
}

static enum berth_code read_next_bucket(struct berth_store_txn *txn, const char *after,
                                        char ret_bucket[BERTH_STORE_BUCKET_MAX + 1], struct berth_error *err)
{
    char bucket[BERTH_STORE_BUCKET_MAX + 1] = "";
    struct berth_store_entry entry;
    enum berth_code code = after[0] == '\0' ? BERTH_OK : store_name_check_bucket(after, err);

    if (code != BERTH_OK)
        return code;
    memcpy(bucket, after, strlen(after));
    do {
        code = candidate_after(txn, bucket, err);
        if (code != BERTH_OK)
            return code;
        code = read_next(txn, &(struct store_name){.bucket = bucket}, &entry, err);
        if (code == BERTH_DATA_LOSS && entry.key.length > 0)
            code = BERTH_OK;
    } while (code == BERTH_NOT_FOUND);
    if (code == BERTH_OK)
        memcpy(ret_bucket, bucket, sizeof(bucket));
    return code;
}

enum berth_code berth_store_core_next_bucket(struct berth_store_txn *txn, const char *after,
                                             char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                             struct berth_error *err)
{
    enum berth_code code = check_view(txn, err);

    err = sentence_of(txn, err);
    if (code == BERTH_OK)
        code = settle(txn, read_next_bucket(txn, after, ret_bucket, err), err);
    return code;
}

static enum berth_code check_size(const struct berth_store_core *core, const struct store_name *name,
                                  struct berth_error *err)
{
    const struct store_overlay_size *own = &core->overlay.own;

    if (own->count > core->limits.max_writes)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "bucket \"%s\": the change writes more than %llu names, the limit of this "
                               "store; split it",
                               name->bucket, (unsigned long long)core->limits.max_writes);
    if (own->bytes > core->limits.max_change)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "bucket \"%s\": the change writes more than %llu bytes, the limit of this "
                               "store; split it",
                               name->bucket, (unsigned long long)core->limits.max_change);
    return BERTH_OK;
}

static enum berth_code write_value(struct berth_store_txn *txn, const struct store_name *name,
                                   struct berth_store_bytes value, struct berth_error *err)
{
    struct berth_store_core *core = txn->core;
    enum berth_code code = store_name_check(name, err);

    if (code != BERTH_OK)
        return code;
    if (!txn->is_change)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "bucket \"%s\": a snapshot is read-only; write in an update", name->bucket);
    if (value.length > core->limits.max_value)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "bucket \"%s\": the value has %zu bytes; the limit of this store is %llu",
                               name->bucket, value.length, (unsigned long long)core->limits.max_value);
    if (!store_overlay_write(&core->overlay, name, value))
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "bucket \"%s\": no memory for a write",
                               name->bucket);
    return check_size(core, name, err);
}

static enum berth_code write_or_fail(struct berth_store_txn *txn, const struct store_name *name,
                                     struct berth_store_bytes value, struct berth_error *err)
{
    enum berth_code code = check_view(txn, err);

    err = sentence_of(txn, err);
    if (code == BERTH_OK)
        code = settle(txn, write_value(txn, name, value, err), err);
    return code;
}

enum berth_code berth_store_core_put(struct berth_store_txn *txn, const char *bucket,
                                     struct berth_store_bytes key, struct berth_store_bytes value,
                                     struct berth_error *err)
{
    if (value.length == 0)
        value = berth_store_text("");
    return write_or_fail(txn, &(struct store_name){bucket, key}, value, err);
}

enum berth_code berth_store_core_remove(struct berth_store_txn *txn, const char *bucket,
                                        struct berth_store_bytes key, struct berth_error *err)
{
    const struct store_name name = {bucket, key};

    pardon(txn, &name);
    return write_or_fail(txn, &name, (struct berth_store_bytes){0}, err);
}
