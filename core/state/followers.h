/* SPDX-License-Identifier: Apache-2.0 */
/* Followers of the log: each has the lines that wait for it, within a bound. */
#ifndef CORE_STATE_FOLLOWERS_H
#define CORE_STATE_FOLLOWERS_H

#include <pthread.h>
#include <sys/queue.h>

#include <berth/plugin.h>

#include <core/base/log.h>

/** Embedded by the owner. One at a time in a process. */
struct followers {
    uv_loop_t *loop;
    void (*use_tap)(const struct log_tap *tap, int level);
    struct log_tap tap;
    /** Lines come from any thread. */
    pthread_mutex_t lock;
    LIST_HEAD(, berth_log_follower) all;
    uv_async_t wake;
    bool is_open;
};

/** @param use_tap  gives them the log's lines: log_use_tap. */
void followers_init(struct followers *followers, uv_loop_t *loop,
                    void (*use_tap)(const struct log_tap *tap, int level));
/** Following is no longer possible. Closes its handle, which takes one more turn of the loop. */
void followers_finish(struct followers *followers);

/** As in struct berth_inspect. */
struct berth_log_follower *followers_add(struct followers *followers, const struct berth_log_filter *filter,
                                         void (*on_lines)(void *context), void *context);
/** Has it been added, and not been removed? */
bool followers_has(const struct followers *followers, const struct berth_log_follower *follower);
bool followers_next(struct followers *followers, struct berth_log_follower *follower,
                    struct berth_log_line *ret_line);
void followers_remove(struct followers *followers, struct berth_log_follower *follower);
/** followers_remove with what it needs in one pointer. */
void followers_revoke(void *follower);

#endif
