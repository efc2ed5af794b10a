/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.event.v1.exchange: distributes the daemon's events to subscribers. When publish returns,
 * every subscriber has received the event, so that events keep their order. An event published inside
 * on_event is copied and delivered after the current one. There is no history: a subscription gets the events
 * published after it began. On the loop's thread.
 */
#ifndef BERTH_TYPES_EVENTS_H
#define BERTH_TYPES_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_EXCHANGE_URI "io.containerd.event.v1.exchange"

/** Seconds of an event whose time was never set, with 0 nanoseconds: the year 1, as in containerd. */
#define BERTH_EVENT_NO_TIME INT64_C(-62135596800)

struct berth_subscription;

/** One event: containerd.types.Envelope. Borrowed. */
struct berth_event {
    uint32_t size;
    /** Since 1970, UTC. */
    int64_t seconds;
    int32_t nanoseconds;
    /** An identifier; see <berth/namespace.h>. */
    const char *namespace_name;
    /** "/containers/create": components that are identifiers, each preceded by a slash. */
    const char *topic;
    /** google.protobuf.Any of the event: "containerd.events.ContainerCreate", never NULL, and its bytes. */
    const char *type_url;
    const void *value;
    size_t value_length;
    /**
     * The event as a serialised containerd.types.Envelope, for subscribers that pass it on; serialised once
     * for all of them. NULL in events that are published or forwarded.
     */
    const void *envelope;
    size_t envelope_length;
};

struct berth_exchange {
    uint32_t size;

    /**
     * Sets the event's time and publishes it. Only namespace_name, topic, type_url and value of `event` are
     * read.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT, in containerd's wording, for an invalid namespace, topic or
     *         type; BERTH_RESOURCE_EXHAUSTED without memory, for an event larger than the exchange accepts,
     *         and inside on_event if too many events are waiting.
     */
    enum berth_code (*publish)(void *instance, const struct berth_event *event, struct berth_error *err);

    /**
     * Publishes an event from elsewhere with its own time: in the years 1 to 9999, and not
     * BERTH_EVENT_NO_TIME. Otherwise as `publish`.
     */
    enum berth_code (*forward)(void *instance, const struct berth_event *event, struct berth_error *err);

    /**
     * Subscribes to events that match at least one filter (<berth/filter.h>); none: all. Fields: namespace,
     * topic, event.<field> for types known to the exchange. on_event may publish, subscribe and unsubscribe;
     * what it publishes is delivered once all subscribers have received the current event.
     * @param ret_subscription  to be passed to `unsubscribe` by the caller before its close has completed.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid filter; BERTH_RESOURCE_EXHAUSTED.
     */
    enum berth_code (*subscribe)(void *instance, const char *const *filters, size_t filter_count,
                                 void (*on_event)(void *context, const struct berth_event *event),
                                 void *context, struct berth_subscription **ret_subscription,
                                 struct berth_error *err);
    /** Ends a subscription at once. May be called from anywhere. Accepts NULL. */
    void (*unsubscribe)(void *instance, struct berth_subscription *subscription);

    /**
     * Keeps an event for later without copying it; all who keep it share it.
     * @param event  as passed to on_event, before it returns.
     * @return to be passed to `release` once per call, before the caller's close has completed; NULL if the
     *         exchange's max_kept_bytes would be exceeded.
     */
    const struct berth_event *(*keep)(void *instance, const struct berth_event *event);
    void (*release)(void *instance, const struct berth_event *kept);

    /**
     * Registers a callback for the failure of a subscription: its filters took too much time
     * (<berth/filter.h>), so an event that might have matched was not delivered, and no more will be.
     * Unsubscribe as usual, possibly inside on_failed. Without this call a failed subscription just gets no
     * further events; the exchange logs it.
     * @param on_failed  called once; `message` lives until it returns.
     */
    void (*watch_failure)(void *instance, struct berth_subscription *subscription,
                          void (*on_failed)(void *context, enum berth_code code, const char *message));
};

#ifdef __cplusplus
}
#endif

#endif
