/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.berth.store.v1: entries that survive, in named buckets, ordered by key. Whatever the engine (a file, a
 * cluster), a plugin that requires the type reads and changes them through this table.
 *
 *     bucket   a name: 1 to 200 bytes of A-Z a-z 0-9 . _ - and /, as "containers/default". Is there while it
 *              holds an entry; is neither made nor removed.
 *     key      1 byte or more, any bytes; bucket and key together at most BERTH_STORE_NAME_MAX.
 *     value    any bytes, none too; up to the store's max_value.
 *
 * Reading is a snapshot that a callback opens and closes before it returns. Changing is a function of what is
 * there: the store runs it inside a transaction, once more where something else changed first, and says when
 * what it did is durable. Transactions happen one after the other. Everything on the loop's thread.
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

/** A snapshot, or the view of one change. */
struct berth_store_txn;
/** Somebody who hears of others' changes. */
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
 * One change. The caller's memory, usually the head of something larger, from `update` until `done`; so
 * asking for a change never fails for want of memory. Set the two functions, leave the rest alone.
 */
struct berth_store_update {
    /**
     * Reads and writes through `txn`. Comes at least once unless the store gives up before, perhaps several
     * times, each time on what is there then and with nothing of the time before: so it has no effect but
     * through `txn` and on its own results, which it sets anew. It does not ask for further changes. Any code
     * but BERTH_OK refuses: what it wrote is undone. After a function of `txn` failed with anything but
     * BERTH_NOT_FOUND the change fails with that, whatever it returns; only where an entry is damaged
     * (BERTH_DATA_LOSS) it may remove that entry next, and go on.
     */
    enum berth_code (*change)(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err);
    /**
     * Exactly once, from the top level of the loop, never before `update` has returned. BERTH_OK: the change
     * is durable, and every snapshot opened from here on shows it. What `change` said, where it refused: this
     * too is so by what is durable, in the whole cluster, and no longer by a stale view. Else the store's
     * failure, and nothing of the change is or will be there: BERTH_RESOURCE_EXHAUSTED (disk full, over a
     * limit), BERTH_UNAVAILABLE (cluster not reached, the store closes), BERTH_ABORTED (lost against others
     * too often), BERTH_DATA_LOSS; BERTH_UNKNOWN is the one code after which it may have happened. `message`
     * lives until this returns; NULL with BERTH_OK. The update is the caller's again: to be freed or given to
     * the store once more. It cannot be withdrawn: the close of whoever asked waits for its last one.
     */
    void (*done)(struct berth_store_update *update, enum berth_code code, const char *message);
    /** The store's own. */
    void *reserved[6];
};

/** Why an entry is not what it was, without this instance's doing. */
enum berth_store_cause {
    /** Another daemon changed it: every change is told, in its order. */
    BERTH_STORE_OTHER = 0,
    /** After a time without the cluster: what was there last, and what is there now. */
    BERTH_STORE_CAUGHT_UP = 1,
    /** An update of this instance that ended with BERTH_UNKNOWN did happen. */
    BERTH_STORE_OWN = 2,
};

struct berth_store_change {
    uint32_t size;
    enum berth_store_cause cause;
    const char *bucket;
    struct berth_store_bytes key;
    /** Before and after; `data` is NULL where there was or is none, and never for an empty value. */
    struct berth_store_bytes before;
    struct berth_store_bytes after;
};

/** What one store takes. Any takes 64 writes and values of 1 MiB. */
struct berth_store_limits {
    uint32_t size;
    /** In bytes. */
    uint64_t max_value;
    /** Of one change: how many names it may write, and bytes of names and values. */
    uint64_t max_writes;
    uint64_t max_change;
};

struct berth_store {
    uint32_t size;

    /**
     * Opens a snapshot of what this daemon knows to be durable: in a cluster that may be behind others, never
     * behind a `done` of this instance. Whoever needs to know for certain reads in a change. Close it with
     * `end` before the callback that opened it returns to the loop; several may be open.
     * @return BERTH_OK; BERTH_UNAVAILABLE, BERTH_RESOURCE_EXHAUSTED, BERTH_DATA_LOSS.
     */
    enum berth_code (*begin)(void *instance, struct berth_store_txn **ret_txn, struct berth_error *err);
    /** Not for the view of a change, which is the store's. NULL is fine. */
    void (*end)(struct berth_store_txn *txn);

    /**
     * @param ret_value  lives until the snapshot ends; in a change until `change` returns, whatever is
     * written meanwhile. Not aligned.
     * @return BERTH_OK; BERTH_NOT_FOUND, without a sentence; BERTH_INVALID_ARGUMENT for names out of bounds;
     *         BERTH_DATA_LOSS where the entry is damaged.
     */
    enum berth_code (*get)(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err);
    /**
     * The bucket's first entry whose key is greater than `after` in byte order; no bytes: the first of all.
     * In a change it shows what the change wrote. To go on in another callback keep a copy of the last key
     * and open a new snapshot: what is there all the time comes exactly once.
     * @param ret_entry  lives as ret_value does; its key may be the next `after`. With BERTH_DATA_LOSS: its
     * key is that of the damaged entry, which may be the next `after` too; no key where nothing behind it can
     * be read.
     * @return as `get`; BERTH_NOT_FOUND past the last.
     */
    enum berth_code (*next)(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err);
    /** The first bucket after `after` in byte order ("": the first); its name into `ret_bucket`. As `next`.
     */
    enum berth_code (*next_bucket)(struct berth_store_txn *txn, const char *after,
                                   char ret_bucket[BERTH_STORE_BUCKET_MAX + 1], struct berth_error *err);

    /**
     * Only in a change. The bytes are copied; they may be what `get` or `next` gave.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT; BERTH_RESOURCE_EXHAUSTED where the value or the change is
     *         larger than this store takes; BERTH_FAILED_PRECONDITION in a snapshot.
     */
    enum berth_code (*put)(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes value, struct berth_error *err);
    /** Only in a change. BERTH_OK also where there was none. */
    enum berth_code (*remove)(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                              struct berth_error *err);

    /** Asks for a change; see there. From any callback but `change`. They happen in the order they are asked
     * for. */
    void (*update)(void *instance, struct berth_store_update *update);

    /**
     * Tells of what happens without this instance's updates to buckets whose name begins with `prefix` ("":
     * all), from the top level of the loop, in the order of the store, when snapshots show it.
     * @return to be given to `unwatch`, before the close of whoever asked has ended; NULL without memory.
     */
    struct berth_store_watch *(*watch)(void *instance, const char *prefix,
                                       void (*on_change)(void *context,
                                                         const struct berth_store_change *change),
                                       void *context);
    /** Nothing more comes. From anywhere, also inside on_change. NULL is fine. */
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
 * For functions that read through a transaction of their caller, or without one through a snapshot of their
 * own: what to read through.
 *
 * @param given  NULL: begins a snapshot.
 * @return as `begin`; after BERTH_OK berth_store_end_view is to follow.
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

/** Ends the view unless it is the transaction that was given. */
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
