/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store of the daemon as an engine of the store library, which runs changes here, in the worker. What is
 * read is kept for as long as a bracket lasts, so that it stays what it was, and is sent along with each
 * further question and with the writes: the daemon compares it with what is there.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/store_engine.h>

#include <core/wire/reads.h>
#include <sdk/base/arena.h>
#include <sdk/base/memory.h>

#include "table.h"

/* One thing that was read. */
struct read {
    struct read *next;
    enum reads_operation operation;
    const char *bucket;
    struct berth_store_bytes key;
    enum berth_code code;
    const char *message;
    struct berth_store_entry entry;
    /* The plugin has seen it: it must still be so. */
    bool is_used;
};

/* The instance that the plugin has. */
struct used_store {
    struct berth_store_core *core;
    struct used_interface *used;
    struct berth_arena arena;
    struct read *reads;
    uint32_t used_count, commits;
    size_t used_bytes;
    struct used_store *next;
};

static void put_bytes(struct packet_writer *writer, struct berth_store_bytes bytes)
{
    packet_put_bytes(writer, bytes.data, bytes.length);
}

static void put_reads(const struct used_store *store, struct packet_writer *writer)
{
    packet_put_u32(writer, store->used_count);
    for (const struct read *read = store->reads; read != NULL; read = read->next) {
        if (!read->is_used)
            continue;
        packet_put_u8(writer, (uint8_t)read->operation);
        packet_put_text(writer, read->bucket);
        put_bytes(writer, read->key);
        packet_put_u64(writer, reads_hash(read->code, read->entry.key, read->entry.value));
    }
}

/* What was read in this bracket, or came with it. */
static struct read *find(const struct used_store *store, enum reads_operation operation, const char *bucket,
                         struct berth_store_bytes key)
{
    for (struct read *read = store->reads; read != NULL; read = read->next)
        if (read->operation == operation && read->key.length == key.length &&
            (key.length == 0 || memcmp(read->key.data, key.data, key.length) == 0) &&
            strcmp(read->bucket, bucket) == 0)
            return read;
    return NULL;
}

static struct berth_store_bytes keep_bytes(struct used_store *store, struct berth_store_bytes bytes)
{
    void *copy = berth_arena_copy(&store->arena, bytes.length > 0 ? bytes.data : "", bytes.length);

    return (struct berth_store_bytes){memory_or_abort(copy), bytes.length};
}

/* @return false if the answer cannot be read. */
static bool keep_answer(struct used_store *store, struct packet_reader *answer,
                        enum reads_operation operation, const char *bucket, struct berth_store_bytes key)
{
    uint32_t count = packet_get_count(answer, 1 + 5 + 4 + 4);

    bucket = memory_or_abort(berth_arena_copy(&store->arena, bucket, strlen(bucket) + 1));
    key = keep_bytes(store, key);
    for (uint32_t i = 0; i < count; i++) {
        struct read *read = memory_or_abort(berth_arena_take(&store->arena, sizeof(*read)));
        enum berth_code code = (enum berth_code)packet_get_u8(answer);
        const char *message = packet_get_text(answer);
        struct berth_store_entry entry;

        entry.key.data = packet_get_bytes(answer, &entry.key.length);
        entry.value.data = packet_get_bytes(answer, &entry.value.length);
        if (answer->is_bad)
            return false;
        *read = (struct read){
            .next = store->reads,
            .operation = operation,
            .bucket = bucket,
            .key = key,
            .code = code,
            .message = memory_or_abort(berth_arena_copy(&store->arena, message, strlen(message) + 1)),
            .entry = {keep_bytes(store, entry.key), keep_bytes(store, entry.value)},
        };
        store->reads = read;
        key = read->entry.key;
    }
    return count > 0;
}

static enum berth_code use(struct used_store *store, struct read *read, struct berth_error *err)
{
    if (!read->is_used) {
        if (store->used_count == READS_MAX || read->entry.value.length > READS_BYTES_MAX - store->used_bytes)
            return berth_error_set(
                err, BERTH_RESOURCE_EXHAUSTED,
                "an isolated plugin may read at most %u entries and %u MiB in one snapshot or change",
                READS_MAX, READS_BYTES_MAX >> 20);
        read->is_used = true;
        store->used_count++;
        store->used_bytes += read->entry.value.length;
    }
    if (read->code == BERTH_DATA_LOSS)
        return berth_error_set(err, BERTH_DATA_LOSS, "%s", read->message);
    return read->code;
}

static enum berth_code read_one(struct used_store *store, enum reads_operation operation, const char *bucket,
                                struct berth_store_bytes key, struct read **ret_read, struct berth_error *err)
{
    struct inside *inside = store->used->inside;
    struct read *read = find(store, operation, bucket, key);
    struct packet_reader answer;
    struct packet_writer *writer;
    enum berth_code code;

    if (read == NULL) {
        writer = table_begin_question(inside, ASK_STORE);
        packet_put_u32(writer, store->used->number);
        packet_put_u8(writer, (uint8_t)operation);
        packet_put_text(writer, bucket);
        put_bytes(writer, key);
        put_reads(store, writer);
        code = table_ask(inside, &answer, err);
        if (code != BERTH_OK)
            return code;
        if (!keep_answer(store, &answer, operation, bucket, key))
            return berth_error_set(err, BERTH_INTERNAL, "malformed answer from the daemon");
        read = find(store, operation, bucket, key);
    }
    *ret_read = read;
    return use(store, read, err);
}

/* The engine */

static enum berth_code engine_begin(void *self, struct berth_error *err)
{
    struct used_store *store = self;

    berth_arena_clear(&store->arena);
    store->reads = NULL;
    store->used_count = 0;
    store->used_bytes = 0;
    return BERTH_OK;
}

static enum berth_code engine_get(void *self, const char *bucket, struct berth_store_bytes key,
                                  struct berth_store_bytes *ret_value, struct berth_error *err)
{
    struct read *read;
    enum berth_code code = read_one(self, READS_GET, bucket, key, &read, err);

    if (code == BERTH_OK)
        *ret_value = read->entry.value;
    return code;
}

static enum berth_code say_unreadable(struct berth_error *err)
{
    return berth_error_set(err, BERTH_INTERNAL, "malformed answer from the daemon");
}

/* What follows lies behind, or whoever goes through all would never end. */
static bool is_behind(struct berth_store_bytes next, struct berth_store_bytes after)
{
    size_t common = next.length < after.length ? next.length : after.length;
    int order = common > 0 ? memcmp(next.data, after.data, common) : 0;

    return order > 0 || (order == 0 && next.length > after.length);
}

static enum berth_code engine_next(void *self, const char *bucket, struct berth_store_bytes after,
                                   struct berth_store_entry *ret_entry, struct berth_error *err)
{
    struct read *read = NULL;
    enum berth_code code = read_one(self, READS_NEXT, bucket, after, &read, err);

    /* The store as a whole may be damaged, too. */
    if (read == NULL || (code != BERTH_OK && code != BERTH_DATA_LOSS))
        return code;
    if ((code == BERTH_OK || read->entry.key.length > 0) && !is_behind(read->entry.key, after))
        return say_unreadable(err);
    *ret_entry = read->entry;
    return code;
}

static enum berth_code engine_next_bucket(void *self, const char *after,
                                          char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                          struct berth_error *err)
{
    struct read *read;
    enum berth_code code =
        read_one(self, READS_NEXT_BUCKET, after, (struct berth_store_bytes){"", 0}, &read, err);

    if (code != BERTH_OK)
        return code;
    if (read->entry.key.length > BERTH_STORE_BUCKET_MAX ||
        memchr(read->entry.key.data, '\0', read->entry.key.length) != NULL ||
        !is_behind(read->entry.key, berth_store_text(after)))
        return say_unreadable(err);
    memcpy(ret_bucket, read->entry.key.data, read->entry.key.length);
    ret_bucket[read->entry.key.length] = '\0';
    return BERTH_OK;
}

static void engine_commit(void *self, const struct berth_store_batch *batch)
{
    struct used_store *store = self;
    struct packet_writer *writer = table_begin(store->used->inside, PACKET_STORE_COMMIT);

    packet_put_u32(writer, store->used->number);
    packet_put_u32(writer, ++store->commits);
    put_reads(store, writer);
    packet_put_u32(writer, (uint32_t)batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        const struct berth_store_write *write = &batch->writes[i];

        packet_put_text(writer, write->bucket);
        put_bytes(writer, write->key);
        packet_put_u8(writer, write->value.data == NULL);
        put_bytes(writer, write->value);
    }
    packet_end(writer);
}

static const struct berth_store_engine engine = {
    .size = sizeof(engine),
    .begin = engine_begin,
    .get = engine_get,
    .next = engine_next,
    .next_bucket = engine_next_bucket,
    .commit = engine_commit,
};

void store_take_committed(struct inside *inside, const struct packet *packet, struct packet_reader *reader)
{
    uint32_t number = packet_get_u32(reader), code = packet_get_u32(reader);
    const char *message = packet_get_text(reader);

    for (struct used_store *store = inside->stores; store != NULL && !reader->is_bad; store = store->next)
        if (store->commits == number && code <= BERTH_UNAUTHENTICATED) {
            berth_store_committed(store->core, (enum berth_code)code, message);
            return;
        }
    channel_break(&inside->process->channel, "ended an unknown store change");
}

/* The table: the library's, without what cannot cross. */

static struct berth_store_watch *refuse_watch(void *instance, const char *prefix,
                                              void (*on_change)(void *context,
                                                                const struct berth_store_change *change),
                                              void *context)
{
    const struct used_store *store = instance;

    log_say(store->used->inside, BERTH_LOG_WARN, "an isolated plugin cannot watch a store");
    return NULL;
}

const struct berth_store used_store = {
    .size = sizeof(used_store),
    .begin = berth_store_core_begin,
    .end = berth_store_core_end,
    .get = berth_store_core_get,
    .next = berth_store_core_next,
    .next_bucket = berth_store_core_next_bucket,
    .put = berth_store_core_put,
    .remove = berth_store_core_remove,
    .update = berth_store_core_update,
    .watch = refuse_watch,
    .unwatch = berth_store_core_unwatch,
    .limits = berth_store_core_limits,
};

void *store_create(struct used_interface *used, struct packet_reader *reader)
{
    struct berth_store_limits limits = {.size = sizeof(limits)};
    struct used_store *store;

    limits.max_value = packet_get_u64(reader);
    limits.max_writes = packet_get_u64(reader);
    limits.max_change = packet_get_u64(reader);
    if (reader->is_bad)
        return NULL;
    store = memory_allocate(1, sizeof(*store));
    store->used = used;
    store->core = memory_or_abort(berth_store_core_create(used->inside->table.loop, &engine, store, &limits));
    berth_store_core_watch_snapshots(store->core, &used->inside->table);
    store->next = used->inside->stores;
    used->inside->stores = store;
    return store;
}
