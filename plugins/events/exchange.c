/* SPDX-License-Identifier: Apache-2.0 */
/* Delivers every event to all subscribers, one event after the other. */
#include "events-plugin.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include <berth/filter.h>
#include <berth/types/events.h>
#include <berth/types/metrics.h>

#include "envelope.h"
#include "event_fields.h"
#include "processes.h"

struct berth_subscription {
    TAILQ_ENTRY(berth_subscription) link;
    struct exchange *exchange;
    /** NULL where everything is let through. */
    struct berth_filter *filter;
    void (*on_event)(void *context, const struct berth_event *event);
    /** NULL unless asked for. */
    void (*on_failed)(void *context, enum berth_code code, const char *message);
    void *context;
    /** Sequence number of the last event published before it began. */
    uint64_t began_after;
    struct berth_holding *holding;
    bool is_over;
    /** Its filters failed; it receives no further events. */
    bool has_failed;
};

struct exchange {
    const struct berth_host *host;
    struct exchange_config config;
    TAILQ_HEAD(, berth_subscription) subscriptions;
    uint64_t sequence;
    size_t kept_bytes;
    /** Published during the delivery of another event. */
    STAILQ_HEAD(, envelope) waiting;
    bool is_telling;
    /** A subscription ended during delivery. */
    bool has_left;
    /** NULL: nobody counts. */
    struct berth_series *published, *kept;
    /** NULL: nobody watches. */
    struct processes *processes;
};

static void collect(void *context)
{
    const struct exchange *exchange = context;

    berth_series_set(exchange->kept, (double)exchange->kept_bytes);
}

static void measure(struct exchange *exchange)
{
    const struct berth_host *host = exchange->host;

    exchange->published = berth_metrics_counter(host, "berth_events_published_total",
                                                "Events that were published or forwarded.");
    exchange->kept = berth_metrics_gauge(host, "berth_events_kept_bytes",
                                         "Size of the events that subscribers have not passed on yet.");
    if (exchange->kept != NULL)
        berth_metrics_collect(host, collect, exchange);
}

static void subscription_destroy(struct exchange *exchange, struct berth_subscription *subscription)
{
    TAILQ_REMOVE(&exchange->subscriptions, subscription, link);
    berth_end_holding(exchange->host, subscription->holding);
    berth_filter_destroy(subscription->filter);
    free(subscription);
}

enum berth_code exchange_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct exchange *exchange = instance;

    processes_destroy(exchange->processes);
    while (!TAILQ_EMPTY(&exchange->subscriptions))
        subscription_destroy(exchange, TAILQ_FIRST(&exchange->subscriptions));
    exchange_config_finish(&exchange->config);
    free(exchange);
    return BERTH_OK;
}

/* Lower limits apply to what is published from here on. */
enum berth_code exchange_reconfigure(const struct berth_host *host, void *instance,
                                     const struct berth_settings *before, struct berth_error *err)
{
    struct exchange *exchange = instance;
    struct exchange_config config;
    enum berth_code code = exchange_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    exchange_config_finish(&exchange->config);
    exchange->config = config;
    return BERTH_OK;
}

static bool count_kept(struct exchange *exchange, struct envelope *envelope)
{
    size_t limit = (size_t)exchange->config.max_kept_bytes;

    if (envelope->is_kept)
        return true;
    if (exchange->kept_bytes >= limit || envelope->bytes > limit - exchange->kept_bytes)
        return false;
    exchange->kept_bytes += envelope->bytes;
    envelope->is_kept = true;
    return true;
}

static void unref(struct exchange *exchange, struct envelope *envelope)
{
    if (--envelope->references > 0)
        return;
    if (envelope->is_kept)
        exchange->kept_bytes -= envelope->bytes;
    envelope_destroy(envelope);
}

static const struct berth_event *keep(void *instance, const struct berth_event *event)
{
    struct envelope *envelope = envelope_of(event);

    if (!count_kept(instance, envelope))
        return NULL;
    envelope->references++;
    return event;
}

static void release(void *instance, const struct berth_event *kept)
{
    unref(instance, envelope_of(kept));
}

static void fail(const struct exchange *exchange, struct berth_subscription *subscription,
                 enum berth_code code, const char *message)
{
    subscription->has_failed = true;
    berth_log(exchange->host, BERTH_LOG_WARN, "subscription failed: %s", message);
    if (subscription->on_failed != NULL)
        subscription->on_failed(subscription->context, code, message);
}

/* Not for subscriptions that began, within an on_event, after it was published. */
static bool is_for(const struct exchange *exchange, struct berth_subscription *subscription,
                   const struct envelope *envelope, struct event_fields *fields)
{
    bool matches = true;
    struct berth_error err;
    enum berth_code code;

    if (subscription->is_over || subscription->has_failed || envelope->sequence <= subscription->began_after)
        return false;
    if (subscription->filter == NULL)
        return true;
    code = berth_filter_match(subscription->filter, event_fields_find, fields, &matches, &err);
    if (code != BERTH_OK)
        fail(exchange, subscription, code, err.message);
    return code == BERTH_OK && matches;
}

static void tell(struct exchange *exchange, struct envelope *envelope)
{
    struct event_fields fields = {.event = &envelope->event};
    struct berth_subscription *subscription;

    TAILQ_FOREACH(subscription, &exchange->subscriptions, link)
    if (is_for(exchange, subscription, envelope, &fields))
        subscription->on_event(subscription->context, &envelope->event);
    event_fields_finish(&fields);
    unref(exchange, envelope);
}

static void sweep(struct exchange *exchange)
{
    struct berth_subscription *subscription = TAILQ_FIRST(&exchange->subscriptions);

    while (subscription != NULL) {
        struct berth_subscription *next = TAILQ_NEXT(subscription, link);

        if (subscription->is_over)
            subscription_destroy(exchange, subscription);
        subscription = next;
    }
    exchange->has_left = false;
}

/* Delivers the event, and then those published meanwhile, in order. */
static void tell_in_turn(struct exchange *exchange, struct envelope *envelope)
{
    exchange->is_telling = true;
    tell(exchange, envelope);
    while (!STAILQ_EMPTY(&exchange->waiting)) {
        envelope = STAILQ_FIRST(&exchange->waiting);
        STAILQ_REMOVE_HEAD(&exchange->waiting, link);
        tell(exchange, envelope);
    }
    exchange->is_telling = false;
    if (exchange->has_left)
        sweep(exchange);
}

/* Bounded, for an on_event that publishes several events for each. */
static enum berth_code wait_for_turn(struct exchange *exchange, struct envelope *envelope,
                                     struct berth_error *err)
{
    if (!count_kept(exchange, envelope)) {
        unref(exchange, envelope);
        return berth_error_set(
            err, BERTH_RESOURCE_EXHAUSTED,
            "event published during the delivery of another, and %zu bytes are waiting already; raise the "
            "exchange's max_kept_bytes",
            exchange->kept_bytes);
    }
    STAILQ_INSERT_TAIL(&exchange->waiting, envelope, link);
    return BERTH_OK;
}

static enum berth_code accept_event(struct exchange *exchange, const struct berth_event *event,
                                    struct berth_error *err)
{
    struct envelope *envelope;

    exchange->sequence++;
    berth_series_add(exchange->published, 1);
    if (TAILQ_EMPTY(&exchange->subscriptions))
        return BERTH_OK;
    envelope = envelope_create(event);
    if (envelope == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for an event");
    envelope->sequence = exchange->sequence;
    if (exchange->is_telling)
        return wait_for_turn(exchange, envelope, err);
    tell_in_turn(exchange, envelope);
    return BERTH_OK;
}

static enum berth_code publish(void *instance, const struct berth_event *event, struct berth_error *err)
{
    struct exchange *exchange = instance;
    enum berth_code code = envelope_check_published(event, (size_t)exchange->config.max_event_bytes, err);
    struct berth_event stamped;
    struct timespec now;

    if (code != BERTH_OK)
        return code;
    clock_gettime(CLOCK_REALTIME, &now);
    stamped = (struct berth_event){
        .size = sizeof(stamped),
        .seconds = now.tv_sec,
        .nanoseconds = (int32_t)now.tv_nsec,
        .namespace_name = event->namespace_name,
        .topic = event->topic,
        .type_url = event->type_url,
        .value = event->value,
        .value_length = event->value_length,
    };
    return accept_event(exchange, &stamped, err);
}

static enum berth_code forward(void *instance, const struct berth_event *event, struct berth_error *err)
{
    struct exchange *exchange = instance;
    enum berth_code code = envelope_check_forwarded(event, (size_t)exchange->config.max_event_bytes, err);

    return code == BERTH_OK ? accept_event(exchange, event, err) : code;
}

static void unsubscribe(void *instance, struct berth_subscription *subscription)
{
    struct exchange *exchange = instance;

    if (subscription == NULL)
        return;
    subscription->is_over = true;
    if (exchange->is_telling)
        exchange->has_left = true;
    else
        subscription_destroy(exchange, subscription);
}

static void revoke_subscription(void *context)
{
    struct berth_subscription *subscription = context;

    unsubscribe(subscription->exchange, subscription);
}

static enum berth_code subscribe(void *instance, const char *const *filters, size_t filter_count,
                                 void (*on_event)(void *context, const struct berth_event *event),
                                 void *context, struct berth_subscription **ret_subscription,
                                 struct berth_error *err)
{
    struct exchange *exchange = instance;
    struct berth_subscription *subscription = calloc(1, sizeof(*subscription));
    enum berth_code code = BERTH_OK;

    if (subscription == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a subscription");
    if (filter_count > 0)
        code = berth_filter_create(filters, filter_count, &subscription->filter, err);
    if (code != BERTH_OK) {
        free(subscription);
        return code;
    }
    subscription->exchange = exchange;
    subscription->on_event = on_event;
    subscription->context = context;
    subscription->began_after = exchange->sequence;
    subscription->holding =
        berth_note_revocable(exchange->host, "a subscription to events", (const void *)(uintptr_t)on_event,
                             revoke_subscription, subscription);
    TAILQ_INSERT_TAIL(&exchange->subscriptions, subscription, link);
    *ret_subscription = subscription;
    return BERTH_OK;
}

static void watch_failure(void *instance, struct berth_subscription *subscription,
                          void (*on_failed)(void *context, enum berth_code code, const char *message))
{
    subscription->on_failed = on_failed;
}

const struct berth_exchange exchange_interface = {
    .size = sizeof(exchange_interface),
    .publish = publish,
    .forward = forward,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .keep = keep,
    .release = release,
    .watch_failure = watch_failure,
};

enum berth_code exchange_init(const struct berth_host *host, void *prepared, void **ret_instance,
                              struct berth_error *err)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    enum berth_code code;

    if (exchange == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the event exchange");
    code = exchange_config_init(&exchange->config, host->settings, err);
    if (code != BERTH_OK) {
        free(exchange);
        return code;
    }
    exchange->host = host;
    TAILQ_INIT(&exchange->subscriptions);
    STAILQ_INIT(&exchange->waiting);
    measure(exchange);
    exchange->processes = processes_create(host, &exchange_interface, exchange);
    *ret_instance = exchange;
    return BERTH_OK;
}
