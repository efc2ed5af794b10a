/* SPDX-License-Identifier: Apache-2.0 */
/* Notifies watchers that something shown in listings has changed. */
#ifndef CORE_STATE_CHANGES_H
#define CORE_STATE_CHANGES_H

#include <sys/queue.h>

#include <uv.h>

#include <berth/inspect.h>

/** Embedded by its owner. */
struct changes {
    /** Active from a change until all watchers have been notified. */
    uv_idle_t turn;
    LIST_HEAD(, berth_watch) watches;
    /** The watch to notify next. */
    struct berth_watch *next;
};

void changes_init(struct changes *changes, uv_loop_t *loop);
/** Drops all watches and closes the handle, which takes one more turn of the loop. */
void changes_finish(struct changes *changes);

/**
 * Notes a change. Watchers are notified from the top of the loop, once for any number of changes. NULL is
 * ignored.
 */
void changes_note(struct changes *changes);

/** See struct berth_inspect. */
struct berth_watch *changes_watch(struct changes *changes, void (*on_change)(void *context), void *context);
void changes_unwatch(struct changes *changes, struct berth_watch *watch);
/** changes_unwatch with what it needs in one pointer. */
void changes_revoke(void *watch);

#endif
