/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_STORE_QUEUE_H
#define BERTH_STORE_QUEUE_H

#include <stdbool.h>

#include <berth/types/store.h>

/* The store's state of an update, in the update's own memory. */
enum store_update_slot {
    STORE_UPDATE_NEXT = 0,
    STORE_UPDATE_MESSAGE = 1,
    STORE_UPDATE_CODE = 2,
    STORE_UPDATE_ATTEMPTS = 3,
    STORE_UPDATE_TRAITS = 4,
};

enum store_update_trait {
    /* Was too large together with others. */
    STORE_UPDATE_ALONE = 1,
    /* Its view failed, which decides its result whatever is committed. */
    STORE_UPDATE_FAILED = 2,
    STORE_UPDATE_WROTE = 4,
};

/*
 * Updates in the order requested, linked through their own memory, so that queueing never fails.
 * Zero-initialised: empty.
 */
struct store_queue {
    struct berth_store_update *first;
    struct berth_store_update *last;
    size_t count;
};

static inline uintptr_t store_update_get(const struct berth_store_update *update, enum store_update_slot slot)
{
    return (uintptr_t)update->reserved[slot];
}

static inline void store_update_set(struct berth_store_update *update, enum store_update_slot slot,
                                    uintptr_t value)
{
    update->reserved[slot] = (void *)value;
}

static inline bool store_update_is(const struct berth_store_update *update, enum store_update_trait trait)
{
    return (store_update_get(update, STORE_UPDATE_TRAITS) & trait) != 0;
}

static inline void store_update_mark(struct berth_store_update *update, enum store_update_trait trait,
                                     bool is_so)
{
    uintptr_t others = store_update_get(update, STORE_UPDATE_TRAITS) & ~(uintptr_t)trait;

    store_update_set(update, STORE_UPDATE_TRAITS, is_so ? others | trait : others);
}

/* Appends an update unchanged. */
static inline void store_queue_append(struct store_queue *queue, struct berth_store_update *update)
{
    update->reserved[STORE_UPDATE_NEXT] = NULL;
    if (queue->last == NULL)
        queue->first = update;
    else
        queue->last->reserved[STORE_UPDATE_NEXT] = update;
    queue->last = update;
    queue->count++;
}

/* Adds an update that has not run yet. */
static inline void store_queue_add(struct store_queue *queue, struct berth_store_update *update)
{
    store_update_set(update, STORE_UPDATE_ATTEMPTS, 0);
    store_update_set(update, STORE_UPDATE_TRAITS, 0);
    store_queue_append(queue, update);
}

/* NULL if it is empty. */
static inline struct berth_store_update *store_queue_take(struct store_queue *queue)
{
    struct berth_store_update *update = queue->first;

    if (update == NULL)
        return NULL;
    queue->first = update->reserved[STORE_UPDATE_NEXT];
    if (queue->first == NULL)
        queue->last = NULL;
    queue->count--;
    return update;
}

/* Moves all of `front` to the front of `queue`; `front` is empty afterwards. */
static inline void store_queue_put_back(struct store_queue *queue, struct store_queue *front)
{
    if (front->first == NULL)
        return;
    front->last->reserved[STORE_UPDATE_NEXT] = queue->first;
    queue->first = front->first;
    if (queue->last == NULL)
        queue->last = front->last;
    queue->count += front->count;
    *front = (struct store_queue){0};
}

#endif
