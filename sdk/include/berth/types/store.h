/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.berth.store.v1: persistent entries in named buckets, ordered by key. A plugin that requires the type
 * reads and changes them through this table, whatever the engine (a file, a cluster).
 *
 *     bucket   a name: 1 to 200 bytes of A-Z a-z 0-9 . _ - and /, such as "containers/default". Exists while
 *              it has entries; cannot be created or removed.
 *     key      1 byte or more, any bytes; bucket and key together at most BERTH_STORE_NAME_MAX.
 *     value    any bytes, possibly none; up to the store's max_value.
 *
 * Reads use a snapshot, which a callback opens and closes before it returns. A change is a function of the
 * current entries: the store runs it in a transaction, reruns it if something else was committed first, and
 * reports when it is durable. Transactions are serialised. Everything on the loop's thread.
 */
#ifndef BERTH_TYPES_STORE_H
#define BERTH_TYPES_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_STORE_TYPE "io.berth.store.v1"

#define BERTH_STORE_BUCKET_MAX 200
#define BERTH_STORE_NAME_MAX 480

/** A snapshot, or the view of a change. */
struct berth_store_txn;
/** A registration for changes by others. */
struct berth_store_watch;

/** Borrowed bytes. */
struct berth_store_bytes {
    const void *data;
    size_t length;
};

struct berth_store_entry {
    struct berth_store_bytes key;
    struct berth_store_bytes value;
};

/**
 * One change. Memory of the caller's, usually the first member of a larger struct, from `update` until
 * `done`; so requesting a change never fails for lack of memory. Set the two functions and leave the rest
 * alone.
 */
struct berth_store_update {
    /**
     * Reads and writes through `txn`. Called at least once unless the store gives up first, possibly several
     * times, each time on the current entries and without the writes of earlier runs. So it must have no
     * effects other than through `txn` and on its own results, which it sets anew. It must not request
     * further changes.
     *
     * Any code but BERTH_OK aborts the change and undoes its writes. If a function of `txn` fails with
     * anything but BERTH_NOT_FOUND, the change fails with that code, whatever `change` returns; the one
     * exception is a corrupt entry (BERTH_DATA_LOSS), which `change` may remove next, and continue.
     */
    enum berth_code (*change)(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err);
    /**
     * Called exactly once, from the top level of the loop, never before `update` has returned.
     *
     * BERTH_OK: the change is durable, and every snapshot opened from here on contains it. If `change`
     * returned an error: that error, based on what is durable in the whole cluster and not on a stale view.
     * Otherwise the store failed, and nothing of the change happened or will happen: BERTH_RESOURCE_EXHAUSTED
     * (disk full, over a limit), BERTH_UNAVAILABLE (cluster unreachable, the store is closing), BERTH_ABORTED
     * (lost to concurrent changes too often), BERTH_DATA_LOSS. Only after BERTH_UNKNOWN it may have happened.
     *
     * `message` lives until this returns; NULL with BERTH_OK. The update is the caller's again, to be freed
     * or passed to the store once more. It cannot be cancelled: the caller's close waits for its last one.
     */
    void (*done)(struct berth_store_update *update, enum berth_code code, const char *message);
    /** For the store. */
    void *reserved[6];
};

/** Why an entry changed without this instance's update. */
enum berth_store_cause {
    /** Another daemon changed it; every change is reported, in order. */
    BERTH_STORE_OTHER = 0,
    /** After a time without the cluster: the last known value, and the current one. */
    BERTH_STORE_CAUGHT_UP = 1,
    /** An update of this instance that ended with BERTH_UNKNOWN turned out to have happened. */
    BERTH_STORE_OWN = 2,
};

struct berth_store_change {
    uint32_t size;
    enum berth_store_cause cause;
    const char *bucket;
    struct berth_store_bytes key;
    /** Before and after; `data` is NULL if there was or is no entry, and never for an empty value. */
    struct berth_store_bytes before;
    struct berth_store_bytes after;
};

/** Limits of a store. Every store accepts 64 writes and values of 1 MiB. */
struct berth_store_limits {
    uint32_t size;
    /** In bytes. */
    uint64_t max_value;
    /** Of one change: maximum number of entries written, and bytes of their names and values. */
    uint64_t max_writes;
    uint64_t max_change;
};

struct berth_store {
    uint32_t size;

    /**
     * Opens a snapshot of what this daemon knows to be durable. In a cluster it may lag behind others, but
     * never behind a `done` of this instance; to be certain, read in a change. Close it with `end` before the
     * callback that opened it returns to the loop: one that is still open then is closed, and its user named
     * in the log. Several may be open.
     * @return BERTH_OK; BERTH_UNAVAILABLE, BERTH_RESOURCE_EXHAUSTED, BERTH_DATA_LOSS.
     */
    enum berth_code (*begin)(void *instance, struct berth_store_txn **ret_txn, struct berth_error *err);
    /** Closes a snapshot, but not the view of a change, which the store closes. Accepts NULL. */
    void (*end)(struct berth_store_txn *txn);

    /**
     * @param ret_value  lives until the snapshot ends; in a change until `change` returns, regardless of
     *                   later writes. Not aligned.
     * @return BERTH_OK; BERTH_NOT_FOUND, without a message; BERTH_INVALID_ARGUMENT for names out of bounds;
     *         BERTH_DATA_LOSS if the entry is corrupt. In an isolated plugin also BERTH_ABORTED, if what the
     *         snapshot has read has changed; BERTH_PERMISSION_DENIED for a bucket that is not its own;
     *         BERTH_RESOURCE_EXHAUSTED past what it may read; and what `begin` returns.
     */
    enum berth_code (*get)(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err);
    /**
     * Finds the bucket's first entry whose key is greater than `after` in byte order; empty: the first of
     * all. In a change it includes the change's own writes. To continue in another callback, copy the last
     * key and open a new snapshot: entries that exist throughout are visited exactly once.
     * @param ret_entry  lives as ret_value does; its key may be the next `after`. With BERTH_DATA_LOSS its
     *                   key is that of the corrupt entry, which may be the next `after` too; empty if nothing
     *                   after it can be read.
     * @return as `get`; BERTH_NOT_FOUND after the last.
     */
    enum berth_code (*next)(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err);
    /**
     * Finds the first bucket after `after` in byte order ("": the first) and copies its name to `ret_bucket`.
     * Otherwise as `next`.
     */
    enum berth_code (*next_bucket)(struct berth_store_txn *txn, const char *after,
                                   char ret_bucket[BERTH_STORE_BUCKET_MAX + 1], struct berth_error *err);

    /**
     * Only in a change. The bytes are copied; they may be results of `get` or `next`.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT; BERTH_RESOURCE_EXHAUSTED if the value or the change exceeds
     *         the store's limits; BERTH_FAILED_PRECONDITION in a snapshot.
     */
    enum berth_code (*put)(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes value, struct berth_error *err);
    /** Only in a change. BERTH_OK even if there is no such entry. */
    enum berth_code (*remove)(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                              struct berth_error *err);

    /**
     * Requests a change; see struct berth_store_update. From any callback but `change`. Changes are made in
     * the order of the requests.
     */
    void (*update)(void *instance, struct berth_store_update *update);

    /**
     * Reports changes that this instance did not make, to buckets whose name begins with `prefix` ("": all):
     * from the top level of the loop, in the store's order, once snapshots contain them.
     * @return to be passed to `unwatch` by the caller before its close has completed; NULL without memory.
     */
    struct berth_store_watch *(*watch)(void *instance, const char *prefix,
                                       void (*on_change)(void *context,
                                                         const struct berth_store_change *change),
                                       void *context);
    /** Ends a watch at once. May be called from anywhere, including on_change. Accepts NULL. */
    void (*unwatch)(void *instance, struct berth_store_watch *watch);

    /** Lives as long as the instance. */
    const struct berth_store_limits *(*limits)(void *instance);
};

/** The bytes of a string, without its NUL. */
static inline struct berth_store_bytes berth_store_text(const char *text)
{
    struct berth_store_bytes bytes = {text, 0};

    while (text[bytes.length] != '\0')
        bytes.length++;
    return bytes;
}

/**
 * For functions that read through their caller's transaction, or through their own snapshot if there is none.
 *
 * @param given  NULL: opens a snapshot.
 * @return as `begin`; after BERTH_OK berth_store_end_view must follow.
 */
static inline enum berth_code berth_store_begin_view(const struct berth_store *store, void *instance,
                                                     struct berth_store_txn *given,
                                                     struct berth_store_txn **ret_view,
                                                     struct berth_error *err)
{
    if (given == NULL)
        return store->begin(instance, ret_view, err);
    *ret_view = given;
    return BERTH_OK;
}

/** Ends the view unless it is the transaction `given`. */
static inline void berth_store_end_view(const struct berth_store *store, struct berth_store_txn *given,
                                        struct berth_store_txn *view)
{
    if (given == NULL)
        store->end(view);
}

#ifdef __cplusplus
}
#endif

#endif
