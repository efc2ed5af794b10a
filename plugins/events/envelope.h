/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event owned by the exchange, with all its bytes in one piece of memory, shared by all who keep it. Also
 * containerd's rules for which events may be published, with its messages.
 */
#ifndef EVENTS_ENVELOPE_H
#define EVENTS_ENVELOPE_H

#include <stdbool.h>
#include <sys/queue.h>

#include <berth/types/events.h>

struct envelope {
    /** First, so that an event can be kept as its envelope. */
    struct berth_event event;
    /** Waits for delivery. */
    STAILQ_ENTRY(envelope) link;
    uint64_t sequence;
    size_t references;
    /** Memory of the whole envelope. */
    size_t bytes;
    /** Is it counted in kept_bytes? */
    bool is_kept;
};

/** Copies an event that was checked, with one reference; NULL without memory. */
struct envelope *envelope_create(const struct berth_event *event);
void envelope_destroy(struct envelope *envelope);

static inline struct envelope *envelope_of(const struct berth_event *event)
{
    return (struct envelope *)(uintptr_t)event;
}

/** Both return BERTH_OK; BERTH_INVALID_ARGUMENT; BERTH_RESOURCE_EXHAUSTED for more than `max_bytes`. */
enum berth_code envelope_check_published(const struct berth_event *event, size_t max_bytes,
                                         struct berth_error *err);
/** The same for an event with a timestamp. */
enum berth_code envelope_check_forwarded(const struct berth_event *event, size_t max_bytes,
                                         struct berth_error *err);

#endif
