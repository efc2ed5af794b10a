/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For authors of stores: everything that stores of the type io.berth.store.v1 have in common, so that an
 * engine contains only what is specific to it. A static library; link it into the module.
 *
 * The engine reads committed entries and commits batches of writes, one batch at a time. The library
 * implements the rest of <berth/types/store.h>: it checks names and sizes, runs changes one after another on
 * the committed entries and the writes of the changes before them, joins all waiting changes into one batch
 * (group commit), undoes aborted changes, reruns changes after a conflict, completes them in order, and
 * notifies watchers. On the loop's thread, except what an engine does inside `commit` on its own thread.
 */
#ifndef BERTH_STORE_ENGINE_H
#define BERTH_STORE_ENGINE_H

#include <uv.h>

#include <berth/plugin.h>
#include <berth/types/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The library's part of one store. An engine's instance begins with a pointer to it; see
 * berth_store_interface.
 */
struct berth_store_core;

/** One write of a batch. Lives until the batch's berth_store_committed. */
struct berth_store_write {
    const char *bucket;
    struct berth_store_bytes key;
    /** `data` is NULL if the entry is removed, and never for an empty value. */
    struct berth_store_bytes value;
};

/** Writes committed together: ordered by bucket and key, each name once. */
struct berth_store_batch {
    const struct berth_store_write *writes;
    /**
     * 0: only changes that aborted or did not write. They ask whether the state they read is still current.
     */
    size_t count;
    /** Of all names and values. */
    uint64_t bytes;
    /** Number of changes in the batch. */
    size_t changes;
};

/** The operations of an engine. Static; `self` is what berth_store_core_create was given. */
struct berth_store_engine {
    uint32_t size;

    /**
     * Begin and end a bracket, within which `get` and `next` read from one state. Brackets nest, but only the
     * outermost pair reaches the engine. Both may be NULL.
     */
    enum berth_code (*begin)(void *self, struct berth_error *err);
    void (*end)(void *self);

    /**
     * As in struct berth_store, on committed entries; names are within bounds. The state may change only just
     * before the engine calls berth_store_committed or berth_store_core_tell, and never within a bracket: the
     * writes of a commit, and those of another daemon during a commit, must not be visible before it has
     * ended. If `next` returns BERTH_DATA_LOSS, it sets `ret_entry->key` if one entry is corrupt and those
     * after it can be read.
     */
    enum berth_code (*get)(void *self, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err);
    enum berth_code (*next)(void *self, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err);
    enum berth_code (*next_bucket)(void *self, const char *after, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                   struct berth_error *err);

    /**
     * Makes the batch durable and visible, all of it or nothing; without writes it only confirms the state.
     * Exactly one berth_store_committed must follow, from the top level of the loop, never before this
     * returns. Until then there is no other commit.
     */
    void (*commit)(void *self, const struct berth_store_batch *batch);
};

/**
 * Creates the core.
 *
 * @param loop    the instance's.
 * @param self    passed to the engine's functions.
 * @param limits  copied.
 * @return NULL without memory.
 */
struct berth_store_core *berth_store_core_create(uv_loop_t *loop, const struct berth_store_engine *engine,
                                                 void *self, const struct berth_store_limits *limits);

/**
 * Has the store's commits counted and timed (<berth/types/metrics.h>), if the plugin lists
 * `wants: [io.berth.metrics.v1]` and the daemon has a registry. During init.
 */
void berth_store_core_measure(struct berth_store_core *core, const struct berth_host *host);

/**
 * From here on a snapshot that its user has not ended when the loop's turn ends is closed, and the host is
 * told whose code opened it. Without that, it stays open, and all changes fail once another was committed.
 */
void berth_store_core_watch_snapshots(struct berth_store_core *core, const struct berth_host *host);

/**
 * Stops accepting updates: waiting and further ones end with BERTH_UNAVAILABLE, but the batch in flight is
 * waited for. `on_closed` is called from the top level of the loop, after the last `done`, when the core has
 * been freed.
 */
void berth_store_core_close(struct berth_store_core *core, void (*on_closed)(void *self));

/**
 * Reports the result of a commit. From the top level of the loop.
 *
 * @param code  BERTH_OK: `get` sees the writes. BERTH_ABORTED: the committed state, as `get` now sees it, is
 *              no longer the one that the batch was based on, and the batch certainly did not and will not
 *              happen; the changes run again. BERTH_UNKNOWN: it may have happened; if the engine finds out
 *              that it did, it reports that with the cause BERTH_STORE_OWN. Anything else fails the changes
 *              with `message`, and nothing of the batch happened; after BERTH_RESOURCE_EXHAUSTED for several
 *              changes, each runs again alone.
 */
void berth_store_committed(struct berth_store_core *core, enum berth_code code, const char *message);

/**
 * Tells the watchers about changes by others; `get` must already see them. Not within a bracket, nor during a
 * commit.
 */
void berth_store_core_tell(struct berth_store_core *core, const struct berth_store_change *change);

/** Number of changes waiting or in flight. */
size_t berth_store_core_waiting(const struct berth_store_core *core);

/** Maximum number of kinds of trouble at once. */
#define BERTH_STORE_TROUBLES 4

struct berth_store_trouble {
    /** BERTH_OK: none. */
    enum berth_code code;
    char message[BERTH_ERROR_MAX];
};

/**
 * A store's condition for operators (berth_report): the lowest kind of trouble that is set, until it is
 * cleared. The engine defines the kinds. A successful commit is not enough to clear one: on a full disk small
 * commits succeed. Clear it when a change of ordinary size would succeed, which the engine finds out by
 * trying. Caller's memory; zero it, then set the host.
 */
struct berth_store_health {
    const struct berth_host *host;
    struct berth_store_trouble troubles[BERTH_STORE_TROUBLES];
};

/** @param kind  below BERTH_STORE_TROUBLES. Setting the same code and message again reports nothing. */
void berth_store_health_set(struct berth_store_health *health, unsigned kind, enum berth_code code,
                            const char *message);
void berth_store_health_clear(struct berth_store_health *health, unsigned kind);
static inline bool berth_store_health_has(const struct berth_store_health *health, unsigned kind)
{
    return health->troubles[kind].code != BERTH_OK;
}

/**
 * The table of every store of this library. Its functions take as `instance` a pointer to an object whose
 * first member is the `struct berth_store_core *`. A plugin that names its table in plugin.yaml defines it
 * like this:
 *
 *     const struct berth_store example_interface = BERTH_STORE_INTERFACE;
 */
extern const struct berth_store berth_store_interface;

enum berth_code berth_store_core_begin(void *instance, struct berth_store_txn **ret_txn,
                                       struct berth_error *err);
void berth_store_core_end(struct berth_store_txn *txn);
enum berth_code berth_store_core_get(struct berth_store_txn *txn, const char *bucket,
                                     struct berth_store_bytes key, struct berth_store_bytes *ret_value,
                                     struct berth_error *err);
enum berth_code berth_store_core_next(struct berth_store_txn *txn, const char *bucket,
                                      struct berth_store_bytes after, struct berth_store_entry *ret_entry,
                                      struct berth_error *err);
enum berth_code berth_store_core_next_bucket(struct berth_store_txn *txn, const char *after,
                                             char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                             struct berth_error *err);
enum berth_code berth_store_core_put(struct berth_store_txn *txn, const char *bucket,
                                     struct berth_store_bytes key, struct berth_store_bytes value,
                                     struct berth_error *err);
enum berth_code berth_store_core_remove(struct berth_store_txn *txn, const char *bucket,
                                        struct berth_store_bytes key, struct berth_error *err);
void berth_store_core_update(void *instance, struct berth_store_update *update);
struct berth_store_watch *berth_store_core_watch(void *instance, const char *prefix,
                                                 void (*on_change)(void *context,
                                                                   const struct berth_store_change *change),
                                                 void *context);
void berth_store_core_unwatch(void *instance, struct berth_store_watch *watch);
const struct berth_store_limits *berth_store_core_limits(void *instance);

#define BERTH_STORE_INTERFACE                                                                                \
    {                                                                                                        \
        sizeof(struct berth_store), berth_store_core_begin, berth_store_core_end, berth_store_core_get,      \
            berth_store_core_next, berth_store_core_next_bucket, berth_store_core_put,                       \
            berth_store_core_remove, berth_store_core_update, berth_store_core_watch,                        \
            berth_store_core_unwatch, berth_store_core_limits,                                               \
    }

#ifdef __cplusplus
}
#endif

#endif
