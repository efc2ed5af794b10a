/* SPDX-License-Identifier: Apache-2.0 */
/* Events that wait for one subscriber, in order. Whoever adds and drops them keeps and releases them. */
#ifndef EVENTS_EVENT_QUEUE_H
#define EVENTS_EVENT_QUEUE_H

#include <stdbool.h>

#include <berth/types/events.h>

/** A ring. Zero-initialise. */
struct event_queue {
    const struct berth_event **items;
    size_t capacity;
    size_t first;
    size_t count;
    /** Of their envelopes. */
    size_t bytes;
};

/** @return false without memory. */
bool event_queue_add(struct event_queue *queue, const struct berth_event *event);
/** The one that has waited longest; NULL where none waits. */
const struct berth_event *event_queue_first(const struct event_queue *queue);
/** Takes that one out; the last takes the queue's memory with it. */
void event_queue_drop(struct event_queue *queue);

#endif
