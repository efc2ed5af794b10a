/* SPDX-License-Identifier: Apache-2.0 */
/* Tells whoever asked that something which listings show is other than before. */
#ifndef CORE_STATE_CHANGES_H
#define CORE_STATE_CHANGES_H

#include <sys/queue.h>

#include <uv.h>

#include <berth/inspect.h>

/** Embedded by its owner. */
struct changes {
    /** Runs from a change until it has been told. */
    uv_idle_t turn;
    LIST_HEAD(, berth_watch) watches;
    /** Who is told next. */
    struct berth_watch *next;
};

void changes_init(struct changes *changes, uv_loop_t *loop);
/** Nobody hears of anything any more. Its handle is closed once the loop has come round. */
void changes_finish(struct changes *changes);

/** There was a change; NULL is fine: all are told from the top of the loop, once for as many as came until
 * then. */
void changes_note(struct changes *changes);

/** As of struct berth_inspect. */
struct berth_watch *changes_watch(struct changes *changes, void (*on_change)(void *context), void *context);
void changes_unwatch(struct changes *changes, struct berth_watch *watch);

#endif
