/* SPDX-License-Identifier: Apache-2.0 */
/* Runs what blocks: the `prepare` of plugins, on threads of their own, so that libuv's pool stays free. */
#ifndef CORE_LIFE_PREPARE_H
#define CORE_LIFE_PREPARE_H

#include <stdatomic.h>

#include <berth/plugin.h>

#include <core/state/folder.h>

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
    void *owner;
    /** Both on the loop: it runs now; it has returned, or it never ran because it was abandoned before. */
    void (*on_begun)(struct prepare_job *job);
    void (*on_ended)(struct prepare_job *job);

    /** How it ended. `prepared` is the owner's to use or discard; NULL where it was abandoned. */
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

/** Starts no thread before there is work. @return NULL where the loop has no room for the handle. */
struct prepare_pool *prepare_pool_create(uv_loop_t *loop, unsigned threads);
/** Jobs begin in this order. */
void prepare_submit(struct prepare_pool *pool, struct prepare_job *job);
/**
 * Gives a job up: is_cancelled turns true, what it still makes is discarded, and another thread takes its
 * place, so that one that hangs does not keep the others from beginning. on_ended still comes when it
 * returns.
 */
void prepare_abandon(struct prepare_job *job);
/** Takes back a job that has not begun; on_ended does not come. @return false where it has. */
bool prepare_withdraw(struct prepare_job *job);
/** Only says so to the plugin; the result still counts. */
void prepare_cancel(struct prepare_job *job);

/**
 * Ends the idle threads, and calls `on_closed` once the pool's handle is closed.
 * @return false where jobs still run: then their threads, and the pool, are left as they are.
 */
bool prepare_pool_close(struct prepare_pool *pool, void (*on_closed)(void *context), void *context);

#endif
