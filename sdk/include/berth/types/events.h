/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.event.v1.exchange: what happens in this daemon, told to all who listen. Every subscriber has
 * been told when publish returns, so that events keep their order; except inside on_event, where the event is
 * copied and told after the running one. No history: a subscription hears what was published after it began.
 * On the loop's thread.
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

/** The seconds of an event whose time was never set, without nanoseconds: the year 1, as in containerd. */
#define BERTH_EVENT_NO_TIME INT64_C(-62135596800)

struct berth_subscription;

/** One event: containerd.types.Envelope. Borrowed. */
struct berth_event {
    uint32_t size;
    /** Since 1970, UTC. */
    int64_t seconds;
    int32_t nanoseconds;
    /** An identifier, see <berth/namespace.h>. */
    const char *namespace_name;
    /** "/containers/create": components that are identifiers, each after a slash. */
    const char *topic;
    /** google.protobuf.Any of the event: "containerd.events.ContainerCreate", never NULL, and its bytes. */
    const char *type_url;
    const void *value;
    size_t value_length;
    /**
     * The whole as a serialised containerd.types.Envelope, for those who pass it on: made once for all. NULL
     * where somebody hands an event in.
     */
    const void *envelope;
    size_t envelope_length;
};

struct berth_exchange {
    uint32_t size;

    /**
     * Stamps an event with the time and tells it: only namespace_name, topic, type_url and value of `event`
     * are read.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a namespace, topic or type that is none, with containerd's
     *         sentence; BERTH_RESOURCE_EXHAUSTED without memory, for an event that is larger than the
     *         exchange takes, and inside on_event where too much waits already.
     */
    enum berth_code (*publish)(void *instance, const struct berth_event *event, struct berth_error *err);

    /**
     * Tells an event of somebody else as it is, with its own time: in the years 1 to 9999, and not
     * BERTH_EVENT_NO_TIME. As `publish`.
     */
    enum berth_code (*forward)(void *instance, const struct berth_event *event, struct berth_error *err);

    /**
     * From here on `on_event` is told every event that one of the filters lets through (<berth/filter.h>;
     * none: all). Fields: namespace, topic, event.<field> for types that the exchange knows. It may publish,
     * subscribe and unsubscribe from inside on_event; what it publishes there is told after the running event
     * has been told to all.
     * @param ret_subscription  to be given to `unsubscribe` before the close of whoever asked has ended.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a filter that is none; BERTH_RESOURCE_EXHAUSTED.
     */
    enum berth_code (*subscribe)(void *instance, const char *const *filters, size_t filter_count,
                                 void (*on_event)(void *context, const struct berth_event *event),
                                 void *context, struct berth_subscription **ret_subscription,
                                 struct berth_error *err);
    /** Nothing more comes. From anywhere. NULL is fine. */
    void (*unsubscribe)(void *instance, struct berth_subscription *subscription);

    /**
     * Keeps an event for later without copying it: all who keep it share it.
     * @param event  what on_event was given, before it returns.
     * @return to be given to `release`, each time it was kept, before the close of whoever asked has ended;
     *         NULL where everything kept is more than the exchange's max_kept_bytes.
     */
    const struct berth_event *(*keep)(void *instance, const struct berth_event *event);
    void (*release)(void *instance, const struct berth_event *kept);

    /**
     * Asks to be told, once, that a subscription has failed: its filters cost too much (<berth/filter.h>), so
     * an event that they might have let through was not told, and no more come. Unsubscribe as usual, also
     * from inside on_failed. Whoever does not ask hears nothing more; the exchange logs it.
     * @param on_failed  `message` lives until it returns.
     */
    void (*watch_failure)(void *instance, struct berth_subscription *subscription,
                          void (*on_failed)(void *context, enum berth_code code, const char *message));
};

#ifdef __cplusplus
}
#endif

#endif
