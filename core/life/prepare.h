/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the `prepare` of plugins, which may block, on separate threads, so that libuv's pool stays free. */
#ifndef CORE_LIFE_PREPARE_H
#define CORE_LIFE_PREPARE_H

#include <stdatomic.h>

#include <berth/plugin.h>

#include <core/base/running.h>
#include <core/state/state.h>

struct prepare_pool;

enum prepare_place {
    PREPARE_QUEUED,
    PREPARE_RUNNING,
    PREPARE_ENDED,
};

/** One prepare. The caller fills in the first part and keeps it alive until on_ended. */
struct prepare_job {
    const struct berth_plugin *table;
    const char *uri;
    const struct berth_settings *settings;
    struct folder root, state;
    struct running_plugin *running;
    void *owner;
    /** Both on the loop: it has begun; it has returned, or it was abandoned before it began. */
    void (*on_begun)(struct prepare_job *job);
    void (*on_ended)(struct prepare_job *job);

    /** How it ended. The owner uses or discards `prepared`; NULL if abandoned. */
    enum berth_code code;
    void *prepared;
    uint64_t begun_ns, ended_ns;
    struct berth_error error;

    /** The pool's own. */
    struct berth_prepare view;
    atomic_bool is_cancelled;
    enum prepare_place place;
    bool is_abandoned, is_told, begun_is_told;
    struct prepare_job *next, *next_told;
    struct prepare_pool *pool;
};

/** Starts no thread before there is work. @return NULL if the handle cannot be created. */
struct prepare_pool *prepare_pool_create(uv_loop_t *loop, unsigned threads);
/** At most this many from here on; threads beyond that end once their job has. */
void prepare_pool_limit(struct prepare_pool *pool, unsigned threads);
/** Jobs begin in this order. */
void prepare_submit(struct prepare_pool *pool, struct prepare_job *job);
/**
 * Abandons a job: is_cancelled becomes true, its result will be discarded, and another thread replaces its
 * own, so that a hanging job does not hold up the others. on_ended still comes when it returns.
 */
void prepare_abandon(struct prepare_job *job);
/** Withdraws a job that has not begun; on_ended does not come. @return false if it has begun. */
bool prepare_withdraw(struct prepare_job *job);
/** Only informs the plugin; the result still counts. */
void prepare_cancel(struct prepare_job *job);

/**
 * Ends the idle threads, and calls `on_closed` once the pool's handle is closed.
 * @return false if jobs still run; their threads and the pool are then left alone.
 */
bool prepare_pool_close(struct prepare_pool *pool, void (*on_closed)(void *context), void *context);

#endif
