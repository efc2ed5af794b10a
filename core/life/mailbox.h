/* SPDX-License-Identifier: Apache-2.0 */
/* Work that other threads post to a plugin for the loop's thread. Used by the host and the fake host. */
#ifndef CORE_LIFE_MAILBOX_H
#define CORE_LIFE_MAILBOX_H

#include <pthread.h>
#include <sys/queue.h>

#include <berth/plugin.h>

struct mailbox;

/** All mailboxes of a loop, and the one handle that wakes it for them. Embedded; borrowed by its mailboxes.
 */
struct mailroom {
    uv_async_t async;
    pthread_mutex_t lock;
    TAILQ_HEAD(mailboxes, mailbox) waiting;
    /** Around each function that was posted, with the owner of its mailbox. May be NULL. */
    void (*on_enter)(void *owner);
    void (*on_leave)(void *owner);
};

/** The handle keeps the loop alive until the room is closed. */
void mailroom_init(struct mailroom *room, uv_loop_t *loop);
/** Every mailbox is closed. */
void mailroom_close(struct mailroom *room, uv_close_cb on_closed);

/** @return held once, for the caller. Aborts when out of memory. */
struct berth_mailbox *mailbox_create(struct mailroom *room, void *owner);
/** How many functions wait, and how many others than its host hold it. */
size_t mailbox_count(struct berth_mailbox *mailbox);
/**
 * Refuses posts from here on, and runs what has been accepted, in order, or drops it. Loop thread.
 *
 * @return how many were dropped.
 */
size_t mailbox_close(struct berth_mailbox *mailbox, bool runs);

#endif
