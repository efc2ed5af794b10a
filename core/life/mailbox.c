/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From any thread to the loop's. Each mailbox has its own lock, so that plugins do not wait for each other;
 * the room's lock is taken inside it, only when an empty mailbox gets its first letter. A mailbox needs its
 * room until it is closed, and is then in no list: whoever still holds it finds it closed.
 */
#include "mailbox.h"

#include <stdlib.h>

#include <sdk/base/container_of.h>

/* Letters of one mailbox in a row, and of all in one turn of the loop, so that other events have theirs. */
#define BURST 32
#define TURN 256

struct letter {
    STAILQ_ENTRY(letter) link;
    void (*function)(void *data);
    void *data;
};

struct mailbox {
    struct berth_mailbox public;
    struct mailroom *room;
    void *owner;
    pthread_mutex_t lock;
    /** From here on under `lock`. */
    size_t references;
    bool is_closed;
    /** In the room's list, or in the hands of the loop's thread, which looks again before it lets go. */
    bool is_waiting;
    STAILQ_HEAD(, letter) letters;
    size_t count;
    TAILQ_ENTRY(mailbox) link;
};

static struct mailbox *of_public(struct berth_mailbox *public)
{
    return CONTAINER_OF(public, struct mailbox, public);
}

static void hold(struct berth_mailbox *public)
{
    struct mailbox *mailbox = of_public(public);

    pthread_mutex_lock(&mailbox->lock);
    mailbox->references++;
    pthread_mutex_unlock(&mailbox->lock);
}

static void release(struct berth_mailbox *public)
{
    struct mailbox *mailbox = of_public(public);
    bool is_last;

    pthread_mutex_lock(&mailbox->lock);
    is_last = --mailbox->references == 0;
    pthread_mutex_unlock(&mailbox->lock);
    if (!is_last)
        return;
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

/* With the mailbox locked, and not closed. */
static void join(struct mailbox *mailbox)
{
    struct mailroom *room = mailbox->room;

    mailbox->is_waiting = true;
    pthread_mutex_lock(&room->lock);
    TAILQ_INSERT_TAIL(&room->waiting, mailbox, link);
    pthread_mutex_unlock(&room->lock);
    uv_async_send(&room->async);
}

static enum berth_code put(struct mailbox *mailbox, struct letter *letter)
{
    if (mailbox->is_closed)
        return BERTH_UNAVAILABLE;
    if (mailbox->count == BERTH_POSTS_MAX)
        return BERTH_RESOURCE_EXHAUSTED;
    STAILQ_INSERT_TAIL(&mailbox->letters, letter, link);
    mailbox->count++;
    if (!mailbox->is_waiting)
        join(mailbox);
    return BERTH_OK;
}

static enum berth_code post(struct berth_mailbox *public, void (*function)(void *data), void *data)
{
    struct mailbox *mailbox = of_public(public);
    struct letter *letter;
    enum berth_code code;

    if (function == NULL)
        return BERTH_INVALID_ARGUMENT;
    letter = malloc(sizeof(*letter));
    if (letter == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    *letter = (struct letter){.function = function, .data = data};
    pthread_mutex_lock(&mailbox->lock);
    code = put(mailbox, letter);
    pthread_mutex_unlock(&mailbox->lock);
    if (code != BERTH_OK)
        free(letter);
    return code;
}

static struct letter *take(struct mailbox *mailbox)
{
    struct letter *letter;

    pthread_mutex_lock(&mailbox->lock);
    letter = STAILQ_FIRST(&mailbox->letters);
    if (letter != NULL) {
        STAILQ_REMOVE_HEAD(&mailbox->letters, link);
        mailbox->count--;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return letter;
}

static void run(const struct mailbox *mailbox, struct letter *letter)
{
    const struct mailroom *room = mailbox->room;

    if (room->on_enter != NULL)
        room->on_enter(mailbox->owner);
    letter->function(letter->data);
    if (room->on_leave != NULL)
        room->on_leave(mailbox->owner);
    free(letter);
}

/*
 * Runs some of those that are there. The rest waits behind the other mailboxes. What arrives meanwhile waits
 * for the next turn, so a function may post itself to continue without holding up the loop.
 */
static size_t empty(struct mailbox *mailbox)
{
    struct letter *letter;
    size_t ran = 0, most;

    pthread_mutex_lock(&mailbox->lock);
    most = mailbox->count < BURST ? mailbox->count : BURST;
    pthread_mutex_unlock(&mailbox->lock);
    while (ran < most && (letter = take(mailbox)) != NULL) {
        run(mailbox, letter);
        ran++;
    }
    pthread_mutex_lock(&mailbox->lock);
    mailbox->is_waiting = false;
    if (mailbox->count > 0)
        join(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
    return ran;
}

static struct mailbox *next(struct mailroom *room)
{
    struct mailbox *mailbox;

    pthread_mutex_lock(&room->lock);
    mailbox = TAILQ_FIRST(&room->waiting);
    if (mailbox != NULL)
        TAILQ_REMOVE(&room->waiting, mailbox, link);
    pthread_mutex_unlock(&room->lock);
    return mailbox;
}

/* The mailboxes that wait now, each once: one that has letters again is last, and has the loop called again.
 */
static void on_letters(uv_async_t *async)
{
    struct mailroom *room = CONTAINER_OF(async, struct mailroom, async);
    const struct mailbox *last;
    struct mailbox *mailbox;
    size_t ran = 0;

    pthread_mutex_lock(&room->lock);
    last = TAILQ_LAST(&room->waiting, mailboxes);
    pthread_mutex_unlock(&room->lock);
    while (ran < TURN && (mailbox = next(room)) != NULL) {
        bool is_last = mailbox == last;

        ran += empty(mailbox);
        if (is_last)
            break;
    }
    if (ran >= TURN)
        uv_async_send(async);
}

void mailroom_init(struct mailroom *room, uv_loop_t *loop)
{
    TAILQ_INIT(&room->waiting);
    if (pthread_mutex_init(&room->lock, NULL) != 0 || uv_async_init(loop, &room->async, on_letters) != 0)
        abort();
}

void mailroom_close(struct mailroom *room, uv_close_cb on_closed)
{
    uv_close((uv_handle_t *)&room->async, on_closed);
}

struct berth_mailbox *mailbox_create(struct mailroom *room, void *owner)
{
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));

    if (mailbox == NULL || pthread_mutex_init(&mailbox->lock, NULL) != 0)
        abort();
    mailbox->public = (struct berth_mailbox){
        .size = sizeof(mailbox->public), .post = post, .hold = hold, .release = release};
    mailbox->room = room;
    mailbox->owner = owner;
    mailbox->references = 1;
    STAILQ_INIT(&mailbox->letters);
    return &mailbox->public;
}

size_t mailbox_count(struct berth_mailbox *public)
{
    struct mailbox *mailbox = of_public(public);
    size_t count;

    pthread_mutex_lock(&mailbox->lock);
    count = mailbox->count + mailbox->references - 1;
    pthread_mutex_unlock(&mailbox->lock);
    return count;
}

size_t mailbox_close(struct berth_mailbox *public, bool runs)
{
    struct mailbox *mailbox = of_public(public), *other;
    struct letter *letter;
    size_t dropped = 0;

    pthread_mutex_lock(&mailbox->lock);
    mailbox->is_closed = true;
    pthread_mutex_unlock(&mailbox->lock);
    pthread_mutex_lock(&mailbox->room->lock);
    TAILQ_FOREACH(other, &mailbox->room->waiting, link)
    if (other == mailbox) {
        TAILQ_REMOVE(&mailbox->room->waiting, mailbox, link);
        break;
    }
    pthread_mutex_unlock(&mailbox->room->lock);
    while ((letter = take(mailbox)) != NULL) {
        if (runs)
            run(mailbox, letter);
        else
            dropped++, free(letter);
    }
    return dropped;
}
