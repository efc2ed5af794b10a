/* SPDX-License-Identifier: Apache-2.0 */
/* Notifies watchers that something shown in listings has changed. */
#include "changes.h"

#include <stdlib.h>

#include <sdk/base/container_of.h>

struct berth_watch {
    LIST_ENTRY(berth_watch) link;
    struct changes *changes;
    void (*on_change)(void *context);
    void *context;
};

/* Watches added during a round are inserted before `next`: they have seen the current state already. */
static void on_turn(uv_idle_t *turn)
{
    struct changes *changes = CONTAINER_OF(turn, struct changes, turn);
    struct berth_watch *watch = LIST_FIRST(&changes->watches);

    uv_idle_stop(turn);
    while (watch != NULL) {
        changes->next = LIST_NEXT(watch, link);
        watch->on_change(watch->context);
        watch = changes->next;
    }
}

void changes_init(struct changes *changes, uv_loop_t *loop)
{
    *changes = (struct changes){0};
    LIST_INIT(&changes->watches);
    uv_idle_init(loop, &changes->turn);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_idle_start(&changes->turn, on_turn);
    uv_idle_stop(&changes->turn);
}

void changes_finish(struct changes *changes)
{
    while (!LIST_EMPTY(&changes->watches))
        changes_unwatch(changes, LIST_FIRST(&changes->watches));
    uv_close((uv_handle_t *)&changes->turn, NULL);
}

void changes_note(struct changes *changes)
{
    if (changes != NULL && !LIST_EMPTY(&changes->watches))
        uv_idle_start(&changes->turn, on_turn);
}

struct berth_watch *changes_watch(struct changes *changes, void (*on_change)(void *context), void *context)
{
    struct berth_watch *watch = malloc(sizeof(*watch));

    if (watch == NULL)
        return NULL;
    watch->changes = changes;
    watch->on_change = on_change;
    watch->context = context;
    LIST_INSERT_HEAD(&changes->watches, watch, link);
    return watch;
}

void changes_unwatch(struct changes *changes, struct berth_watch *watch)
{
    if (watch == NULL)
        return;
    if (changes->next == watch)
        changes->next = LIST_NEXT(watch, link);
    LIST_REMOVE(watch, link);
    free(watch);
}

void changes_revoke(void *context)
{
    struct berth_watch *watch = context;

    changes_unwatch(watch->changes, watch);
}
