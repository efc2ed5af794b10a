/* SPDX-License-Identifier: Apache-2.0 */
/* Events that wait for one subscriber, in order. Whoever adds and drops them keeps and releases them. */
#include "event_queue.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64

/* A power of two, so that a place is found with a mask. */
static bool grow(struct event_queue *queue)
{
    size_t capacity = queue->capacity == 0 ? FIRST_CAPACITY : 2 * queue->capacity;
    const struct berth_event **items = calloc(capacity, sizeof(*items));

    if (items == NULL)
        return false;
    for (size_t i = 0; i < queue->count; i++)
        items[i] = queue->items[(queue->first + i) & (queue->capacity - 1)];
    free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
    queue->first = 0;
    return true;
}

bool event_queue_add(struct event_queue *queue, const struct berth_event *event)
{
    if (queue->count == queue->capacity && !grow(queue))
        return false;
    queue->items[(queue->first + queue->count++) & (queue->capacity - 1)] = event;
    queue->bytes += event->envelope_length;
    return true;
}

const struct berth_event *event_queue_first(const struct event_queue *queue)
{
    return queue->count == 0 ? NULL : queue->items[queue->first];
}

void event_queue_drop(struct event_queue *queue)
{
    queue->bytes -= queue->items[queue->first]->envelope_length;
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    if (--queue->count > 0)
        return;
    free(queue->items);
    *queue = (struct event_queue){0};
}
