/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store as a worker has it. Nothing of a worker runs in a transaction: it reads in pages, each from a
 * snapshot of its own in which all that it read before is compared first, and it changes by one list of
 * writes, before which the same comparison is made inside the real change. So the daemon keeps no state of a
 * worker's view, and a view that is out of date ends with BERTH_ABORTED. A worker sees only the bucket that
 * is named as its plugin's URI and those below it, behind a "/".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <core/wire/reads.h>

#include "asked.h"
#include "kinds.h"

/* One change, from the packet until the store has ended it. */
struct crossing_change {
    struct berth_store_update update;
    struct crossing *crossing;
    /** Of the worker that asked for it; another one is not told. */
    uint64_t worker;
    uint32_t number;
    const struct berth_store *store;
    size_t length;
    uint8_t body[];
};

struct read {
    enum reads_operation operation;
    const char *bucket;
    struct berth_store_bytes key;
};

static const char *prefix_of(const struct crossing *crossing)
{
    return crossing->store_prefix != NULL ? crossing->store_prefix : crossing->plugin->uri;
}

/* The URI of another plugin may begin with this one's. */
static bool is_own(const struct crossing *crossing, const char *bucket)
{
    const char *prefix = prefix_of(crossing);
    size_t length = strlen(prefix);

    return strncmp(bucket, prefix, length) == 0 &&
           (length == 0 || bucket[length] == '\0' || bucket[length] == '/');
}

static enum berth_code refuse_bucket(const struct crossing *crossing, const char *bucket,
                                     struct berth_error *err)
{
    return berth_error_set(
        err, BERTH_PERMISSION_DENIED,
        "bucket \"%.200s\": %s is isolated and may only use the bucket named as its URI, and those whose "
        "names begin with its URI and a \"/\"",
        bucket, crossing->plugin->uri);
}

static bool get_read(struct packet_reader *reader, struct read *read)
{
    read->operation = (enum reads_operation)packet_get_u8(reader);
    read->bucket = packet_get_text(reader);
    read->key.data = packet_get_bytes(reader, &read->key.length);
    if (read->operation > READS_NEXT_BUCKET || strlen(read->bucket) > BERTH_STORE_BUCKET_MAX)
        reader->is_bad = true;
    return !reader->is_bad;
}

/* Behind all names that begin with the prefix and sort before the "/". @return false if no name is longer. */
static bool skip_namesakes(const char *prefix, char ret_after[BERTH_STORE_BUCKET_MAX + 1])
{
    size_t length = strlen(prefix);

    if (length >= BERTH_STORE_BUCKET_MAX)
        return false;
    memcpy(ret_after, prefix, length);
    /* The letter before "/", and then the last one as often as it fits. */
    ret_after[length] = '.';
    memset(ret_after + length + 1, 'z', BERTH_STORE_BUCKET_MAX - length - 1);
    ret_after[BERTH_STORE_BUCKET_MAX] = '\0';
    return true;
}

/*
 * The first of its own buckets after a name. However many others have, they are passed over in two steps: a
 * worker could keep the daemon busy with them otherwise.
 */
static enum berth_code next_own_bucket(const struct crossing *crossing, const struct berth_store *store,
                                       struct berth_store_txn *txn, const char *after,
                                       char ret_bucket[BERTH_STORE_BUCKET_MAX + 1], struct berth_error *err)
{
    const char *prefix = prefix_of(crossing);
    char start[BERTH_STORE_BUCKET_MAX + 1], below[BERTH_STORE_BUCKET_MAX + 1];
    enum berth_code code;

    if (prefix[0] == '\0')
        return store->next_bucket(txn, after, ret_bucket, err);
    snprintf(start, sizeof(start), "%s", after);
    if (strcmp(start, prefix) < 0 && strlen(prefix) <= BERTH_STORE_BUCKET_MAX) {
        struct berth_store_entry entry = {.key = {"", 0}};

        code = store->next(txn, prefix, (struct berth_store_bytes){"", 0}, &entry, err);
        if (code == BERTH_OK || (code == BERTH_DATA_LOSS && entry.key.length > 0)) {
            snprintf(ret_bucket, BERTH_STORE_BUCKET_MAX + 1, "%s", prefix);
            return BERTH_OK;
        }
        if (code != BERTH_NOT_FOUND)
            return code;
    }
    if (!skip_namesakes(prefix, below))
        return berth_error_set(err, BERTH_NOT_FOUND, "there is no bucket after \"%s\"", after);
    code = store->next_bucket(txn, strcmp(start, below) < 0 ? below : start, ret_bucket, err);
    if (code == BERTH_OK && !is_own(crossing, ret_bucket))
        return berth_error_set(err, BERTH_NOT_FOUND, "there is no bucket after \"%s\"", after);
    return code;
}

/* @param bucket  of READS_NEXT_BUCKET: where the name is, which the entry's key borrows. */
static enum berth_code perform(const struct crossing *crossing, const struct berth_store *store,
                               struct berth_store_txn *txn, const struct read *read,
                               struct berth_store_entry *ret_entry, char bucket[BERTH_STORE_BUCKET_MAX + 1],
                               struct berth_error *err)
{
    enum berth_code code;

    *ret_entry = (struct berth_store_entry){{"", 0}, {"", 0}};
    if (read->operation != READS_NEXT_BUCKET && !is_own(crossing, read->bucket))
        return refuse_bucket(crossing, read->bucket, err);
    if (read->operation == READS_GET)
        return store->get(txn, read->bucket, read->key, &ret_entry->value, err);
    if (read->operation == READS_NEXT)
        return store->next(txn, read->bucket, read->key, ret_entry, err);
    code = next_own_bucket(crossing, store, txn, read->bucket, bucket, err);
    if (code == BERTH_OK)
        ret_entry->key = berth_store_text(bucket);
    return code;
}

/* What can be an answer, and is not a failure of the store. */
static bool is_answer(enum berth_code code)
{
    return code == BERTH_OK || code == BERTH_NOT_FOUND || code == BERTH_DATA_LOSS;
}

/*
 * Reads all of the list again.
 * @return BERTH_OK; BERTH_ABORTED if something is different; what the store fails with.
 */
static enum berth_code compare(const struct crossing *crossing, const struct berth_store *store,
                               struct berth_store_txn *txn, struct packet_reader *reader,
                               struct berth_error *err)
{
    uint32_t count = packet_get_count(reader, 1 + 5 + 4 + 8);
    size_t bytes = 0;

    if (count > READS_MAX)
        reader->is_bad = true;
    for (uint32_t i = 0; i < count && !reader->is_bad; i++) {
        char bucket[BERTH_STORE_BUCKET_MAX + 1];
        struct berth_store_entry entry;
        struct read read;
        enum berth_code code;
        uint64_t hash;

        if (!get_read(reader, &read))
            break;
        hash = packet_get_u64(reader);
        code = perform(crossing, store, txn, &read, &entry, bucket, err);
        if (!is_answer(code))
            return code;
        if (code != BERTH_OK)
            entry.value = (struct berth_store_bytes){"", 0};
        bytes += entry.value.length;
        if (bytes > READS_BYTES_MAX)
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                                   "an isolated plugin may read at most %u MiB in one snapshot or change",
                                   READS_BYTES_MAX >> 20);
        if (reads_hash(code, entry.key, entry.value) != hash)
            return berth_error_set(err, BERTH_ABORTED, "bucket \"%s\": changed while it was read",
                                   read.bucket);
    }
    return reader->is_bad ? berth_error_set(err, BERTH_INVALID_ARGUMENT, "malformed list of reads")
                          : BERTH_OK;
}

static void put_entry(struct packet_writer *answer, enum berth_code code, const char *message,
                      const struct berth_store_entry *entry)
{
    packet_put_u8(answer, (uint8_t)code);
    packet_put_text(answer, code == BERTH_DATA_LOSS ? message : "");
    packet_put_bytes(answer, entry->key.data, entry->key.length);
    packet_put_bytes(answer, code == BERTH_OK ? entry->value.data : "",
                     code == BERTH_OK ? entry->value.length : 0);
}

/* One read, and of entries in a row those that follow, too. */
static enum berth_code answer_read(const struct crossing *crossing, const struct berth_store *store,
                                   struct berth_store_txn *txn, struct read *read,
                                   struct packet_writer *answer, struct berth_error *err)
{
    struct packet_writer page = {0};
    enum berth_code code = BERTH_OK;
    uint32_t count = 0;

    do {
        char bucket[BERTH_STORE_BUCKET_MAX + 1];
        struct berth_store_entry entry;

        code = perform(crossing, store, txn, read, &entry, bucket, err);
        if (!is_answer(code))
            break;
        if (entry.value.length > PACKET_MESSAGE_MAX) {
            code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                                   "bucket \"%s\": the value exceeds 16 MiB, the limit of isolated plugins",
                                   read->bucket);
            break;
        }
        put_entry(&page, code, err->message, &entry);
        count++;
        read->key = entry.key;
    } while (read->operation == READS_NEXT && code == BERTH_OK && count < READS_PAGE_ENTRIES &&
             page.length < READS_PAGE_BYTES);
    packet_put_u32(answer, count);
    packet_put_raw(answer, page.bytes, page.length);
    answer->is_bad |= page.is_bad;
    packet_writer_finish(&page);
    return count > 0 ? BERTH_OK : code;
}

enum berth_code asked_store(struct crossing *crossing, struct packet_reader *reader,
                            struct packet_writer *answer, struct berth_error *err)
{
    uint32_t number = packet_get_u32(reader);
    void *instance;
    const struct berth_store *store = used_find(crossing, number, ASK_INTERFACE_STORE, reader, &instance);
    struct berth_store_txn *txn;
    struct read read;
    enum berth_code code;

    if (store == NULL || !get_read(reader, &read))
        return BERTH_INVALID_ARGUMENT;
    code = store->begin(instance, &txn, err);
    if (code != BERTH_OK)
        return code;
    code = compare(crossing, store, txn, reader, err);
    if (code == BERTH_OK)
        code = answer_read(crossing, store, txn, &read, answer, err);
    store->end(txn);
    return code;
}

/* Changes */

static enum berth_code write_all(const struct crossing_change *change, struct berth_store_txn *txn,
                                 struct packet_reader *reader, struct berth_error *err)
{
    uint32_t count = packet_get_count(reader, 5 + 4 + 1 + 4);
    enum berth_code code = BERTH_OK;

    for (uint32_t i = 0; i < count && code == BERTH_OK; i++) {
        const char *bucket = packet_get_text(reader);
        struct berth_store_bytes key, value;
        bool is_removed;

        key.data = packet_get_bytes(reader, &key.length);
        is_removed = packet_get_u8(reader) != 0;
        value.data = packet_get_bytes(reader, &value.length);
        if (reader->is_bad)
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "malformed list of writes");
        if (!is_own(change->crossing, bucket))
            code = refuse_bucket(change->crossing, bucket, err);
        else if (is_removed)
            code = change->store->remove(txn, bucket, key, err);
        else
            code = change->store->put(txn, bucket, key, value, err);
    }
    return code;
}

static enum berth_code on_change(struct berth_store_update *update, struct berth_store_txn *txn,
                                 struct berth_error *err)
{
    struct crossing_change *change = (struct crossing_change *)update;
    struct packet_reader reader = {.at = change->body, .left = change->length};
    enum berth_code code = compare(change->crossing, change->store, txn, &reader, err);

    return code == BERTH_OK ? write_all(change, txn, &reader, err) : code;
}

static void say_end(struct crossing *crossing, uint32_t number, enum berth_code code, const char *message)
{
    struct packet_writer *writer = channel_write(crossing->channel, crossing->number);

    packet_begin(writer, PACKET_STORE_COMMITTED, 0, 0);
    packet_put_u32(writer, number);
    packet_put_u32(writer, (uint32_t)code);
    packet_put_text(writer, message);
    packet_end(writer);
}

static void on_done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct crossing_change *change = (struct crossing_change *)update;
    struct crossing *crossing = change->crossing;

    if (change->worker == crossing->used.worker)
        say_end(crossing, change->number, code, message);
    free(change);
    crossing->changes--;
    if (crossing->on_change_ended != NULL)
        crossing->on_change_ended(crossing);
}

void store_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    uint32_t ref = packet_get_u32(reader), number = packet_get_u32(reader);
    void *instance;
    const struct berth_store *store = used_find(crossing, ref, ASK_INTERFACE_STORE, reader, &instance);
    struct crossing_change *change;

    if (store == NULL || reader->left > READS_CHANGE_MAX + (1u << 20)) {
        channel_break(crossing->channel, "sent a malformed store change");
        return;
    }
    change = crossing->changes < READS_PENDING_MAX ? malloc(sizeof(*change) + reader->left) : NULL;
    if (change == NULL) {
        say_end(crossing, number, BERTH_RESOURCE_EXHAUSTED,
                "an isolated plugin has too many pending store changes");
        return;
    }
    *change = (struct crossing_change){.update = {.change = on_change, .done = on_done},
                                       .crossing = crossing,
                                       .worker = crossing->used.worker,
                                       .number = number,
                                       .store = store,
                                       .length = reader->left};
    memcpy(change->body, reader->at, reader->left);
    crossing->changes++;
    store->update(instance, &change->update);
}
