/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For authors of stores: what every io.berth.store.v1 has in common, so that an engine is what it alone
 * knows. A static library; link it into the module.
 *
 * The engine reads committed entries and commits batches of writes, one batch at a time, however it can. The
 * library does the rest of <berth/types/store.h> on top: it checks names and sizes, runs changes one after
 * the other against committed entries and what the changes before them wrote, joins all that wait into one
 * batch (group commit), undoes refused changes, runs them again on a conflict, completes them in order, and
 * tells watchers. On the loop's thread, but for what an engine does inside `commit` on a thread of its own.
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
 * The library's part of one store. An engine's instance begins with a pointer to it, see berth_store_core.
 */
struct berth_store_core;

/** One write of a batch. Lives until the batch's berth_store_committed. */
struct berth_store_write {
    const char *bucket;
    struct berth_store_bytes key;
    /** `data` is NULL where the entry is removed, and never for an empty value. */
    struct berth_store_bytes value;
};

/** Writes that become true together: ordered by bucket and key, each name once. */
struct berth_store_batch {
    const struct berth_store_write *writes;
    /**
     * None: changes refused, or only read; they ask whether the state they saw is still the committed one.
     */
    size_t count;
    /** Of all names and values. */
    uint64_t bytes;
    /** How many changes it joins. */
    size_t changes;
};

/** What an engine can do. Static; `self` is what berth_store_core_create was given. */
struct berth_store_engine {
    uint32_t size;

    /**
     * Begins and ends a bracket: between them `get` and `next` answer from one state. Brackets nest: only the
     * outermost pair reaches the engine. Both may be NULL.
     */
    enum berth_code (*begin)(void *self, struct berth_error *err);
    void (*end)(void *self);

    /**
     * As of struct berth_store, on what is committed; names are in bounds. The state moves only when the
     * engine calls berth_store_committed or berth_store_core_tell, just before, and never within a bracket:
     * what a commit wrote is not to be seen before it has ended, nor what another daemon did while one is on
     * its way. `next` that answers BERTH_DATA_LOSS sets `ret_entry->key` where one entry is damaged and what
     * is behind it can be read.
     */
    enum berth_code (*get)(void *self, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err);
    enum berth_code (*next)(void *self, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err);
    enum berth_code (*next_bucket)(void *self, const char *after, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                   struct berth_error *err);

    /**
     * Makes the batch durable and visible, all of it or nothing; without writes it only confirms. Exactly one
     * berth_store_committed follows, from the top level of the loop, never before this returns; until then no
     * other commit comes.
     */
    void (*commit)(void *self, const struct berth_store_batch *batch);
};

/**
 * @param loop    the instance's.
 * @param self    handed to the engine's functions.
 * @param limits  copied.
 * @return NULL without memory.
 */
struct berth_store_core *berth_store_core_create(uv_loop_t *loop, const struct berth_store_engine *engine,
                                                 void *self, const struct berth_store_limits *limits);

/**
 * Takes no more updates: those that wait, and those that still come, end with BERTH_UNAVAILABLE; the batch on
 * its way is waited for. `on_closed` comes from the top level of the loop, after the last `done`, when the
 * core is gone.
 */
void berth_store_core_close(struct berth_store_core *core, void (*on_closed)(void *self));

/**
 * How a commit ended. From the top level of the loop.
 *
 * @param code  BERTH_OK: `get` shows it. BERTH_ABORTED: the state that the batch was made on is no longer the
 *              committed one, which `get` shows now, and the batch certainly did not and will not happen: the
 *              changes run again. BERTH_UNKNOWN: it may have happened; where the engine learns that it did,
 * it tells so with cause BERTH_STORE_OWN. Anything else fails the changes with `message`, and nothing of the
 * batch happened; BERTH_RESOURCE_EXHAUSTED for several changes makes each run again alone.
 */
void berth_store_committed(struct berth_store_core *core, enum berth_code code, const char *message);

/** Tells the watchers what happened without this instance; `get` shows it. Not within a bracket, nor during a
 * commit. */
void berth_store_core_tell(struct berth_store_core *core, const struct berth_store_change *change);

/** Changes that wait or are on their way. */
size_t berth_store_core_waiting(const struct berth_store_core *core);

/** How many kinds of trouble a store can have at once. */
#define BERTH_STORE_TROUBLES 4

struct berth_store_trouble {
    /** BERTH_OK: there is none. */
    enum berth_code code;
    char message[BERTH_ERROR_MAX];
};

/**
 * What operators see of a store (berth_report): the trouble of the lowest kind that is set, until that is
 * cleared. The kinds are the engine's. A commit that succeeds is no reason to clear one: on a full disk small
 * ones do. It is over when a change of ordinary size would succeed; an engine finds out by trying one.
 * Caller's memory; zero it, then set the host.
 */
struct berth_store_health {
    const struct berth_host *host;
    struct berth_store_trouble troubles[BERTH_STORE_TROUBLES];
};

/** @param kind  below BERTH_STORE_TROUBLES. The same code and message again report nothing. */
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
 * so:
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
