/* SPDX-License-Identifier: Apache-2.0 */
/* One call of Subscribe: sends what the caller reads and keeps, within bounds, what it does not read yet. */
#include "subscriber.h"

#include <stdlib.h>

#include "event_queue.h"

struct subscriber {
    TAILQ_ENTRY(subscriber) link;
    struct events *events;
    struct berth_call *call;
    struct berth_subscription *subscription;
    struct event_queue queue;
    /** How often in a row its server had no memory for its next event. */
    unsigned refusals;
};

/* For ten seconds. */
#define RETRY_MS 100
#define REFUSALS_MAX 100

static const char stopping[] = "the daemon is stopping";

static void drop_first(struct subscriber *subscriber)
{
    struct events *events = subscriber->events;
    const struct berth_event *event = event_queue_first(&subscriber->queue);

    event_queue_drop(&subscriber->queue);
    events->queued_events--;
    events->exchange->release(events->exchange_instance, event);
}

static void destroy(struct subscriber *subscriber)
{
    struct events *events = subscriber->events;

    events->exchange->unsubscribe(events->exchange_instance, subscriber->subscription);
    while (subscriber->queue.count > 0)
        drop_first(subscriber);
    TAILQ_REMOVE(&events->subscribers, subscriber, link);
    events->subscriber_count--;
    free(subscriber);
}

/* Nobody finds it any more, whenever on_end comes. */
static void end(struct subscriber *subscriber, enum berth_code code, const char *message)
{
    struct berth_call *call = subscriber->call;

    call->state = NULL;
    destroy(subscriber);
    berth_call_finish(call, code, message);
}

static void end_slow(struct subscriber *subscriber, const char *limit)
{
    struct berth_error err;

    berth_error_set(&err, BERTH_RESOURCE_EXHAUSTED,
                    "the subscriber does not keep up: it is %zu events (%zu bytes) behind, more than %s lets "
                    "it be; subscribe again for what happens from here on",
                    subscriber->queue.count, subscriber->queue.bytes, limit);
    berth_log(subscriber->events->host, BERTH_LOG_WARN, "subscriber ended peer=%s behind=%zu limit=%s",
              subscriber->call->peer == NULL ? "" : subscriber->call->peer->address, subscriber->queue.count,
              limit);
    end(subscriber, BERTH_RESOURCE_EXHAUSTED, err.message);
}

static struct subscriber *furthest_behind(const struct events *events)
{
    struct subscriber *furthest = TAILQ_FIRST(&events->subscribers);
    struct subscriber *subscriber;

    TAILQ_FOREACH(subscriber, &events->subscribers, link)
    if (subscriber->queue.bytes > furthest->queue.bytes)
        furthest = subscriber;
    return furthest;
}

/* NULL: not too far behind for one more. */
static const char *own_limit(const struct subscriber *subscriber, const struct berth_event *event)
{
    const struct events_config *config = &subscriber->events->config;
    const struct event_queue *queue = &subscriber->queue;

    if (queue->count >= (size_t)config->max_queued_events)
        return "max_queued_events";
    if (queue->count > 0 && queue->bytes + event->envelope_length > (size_t)config->max_queued_bytes)
        return "max_queued_bytes";
    return NULL;
}

static const struct berth_event *try_to_keep(struct events *events, const struct berth_event *event,
                                             const char **ret_limit)
{
    const struct berth_event *kept = NULL;

    *ret_limit = "max_total_queued_events";
    if (events->queued_events < (size_t)events->config.max_total_queued_events) {
        *ret_limit = "max_kept_bytes of the exchange";
        kept = events->exchange->keep(events->exchange_instance, event);
    }
    return kept;
}

/* Where all together are too far behind, the one that is furthest has to go; perhaps this one. */
static const struct berth_event *keep(struct subscriber *subscriber, const struct berth_event *event)
{
    struct events *events = subscriber->events;
    const char *limit;
    const struct berth_event *kept = try_to_keep(events, event, &limit);

    while (kept == NULL) {
        struct subscriber *furthest = furthest_behind(events);

        if (furthest->queue.count == 0)
            furthest = subscriber;
        end_slow(furthest, limit);
        if (furthest == subscriber)
            return NULL;
        kept = try_to_keep(events, event, &limit);
    }
    return kept;
}

static void enqueue(struct subscriber *subscriber, const struct berth_event *event)
{
    struct events *events = subscriber->events;
    const char *limit = own_limit(subscriber, event);
    const struct berth_event *kept;

    if (limit != NULL) {
        end_slow(subscriber, limit);
        return;
    }
    kept = keep(subscriber, event);
    if (kept == NULL)
        return;
    if (event_queue_add(&subscriber->queue, kept)) {
        events->queued_events++;
        return;
    }
    events->exchange->release(events->exchange_instance, kept);
    end_slow(subscriber, "the daemon's memory");
}

static void retry_later(struct events *events);

/* A server that has no memory left, because others do not read, is no fault of this caller. */
static void flush(struct subscriber *subscriber)
{
    const struct berth_event *event;

    while (subscriber->queue.count > 0 && berth_call_can_send(subscriber->call)) {
        event = event_queue_first(&subscriber->queue);
        if (berth_call_send(subscriber->call, event->envelope, event->envelope_length) != BERTH_OK) {
            if (++subscriber->refusals < REFUSALS_MAX)
                retry_later(subscriber->events);
            else
                end_slow(subscriber, "the server's memory, or its largest message,");
            return;
        }
        subscriber->refusals = 0;
        drop_first(subscriber);
    }
}

static void on_retry(uv_timer_t *retry)
{
    struct events *events = retry->data;
    struct subscriber *subscriber = TAILQ_FIRST(&events->subscribers);

    while (subscriber != NULL) {
        struct subscriber *next = TAILQ_NEXT(subscriber, link);

        flush(subscriber);
        subscriber = next;
    }
}

static void retry_later(struct events *events)
{
    if (!uv_is_active((uv_handle_t *)&events->retry))
        uv_timer_start(&events->retry, on_retry, RETRY_MS, 0);
}

static void on_event(void *context, const struct berth_event *event)
{
    struct subscriber *subscriber = context;

    if (subscriber->queue.count == 0 && berth_call_can_send(subscriber->call)) {
        if (berth_call_send(subscriber->call, event->envelope, event->envelope_length) == BERTH_OK)
            return;
        retry_later(subscriber->events);
    }
    enqueue(subscriber, event);
}

/* Never an incomplete stream that ends well. */
static void on_failed(void *context, enum berth_code code, const char *message)
{
    end(context, code, message);
}

void subscriber_on_writable(struct berth_call *call)
{
    if (call->state != NULL)
        flush(call->state);
}

void subscriber_on_end(struct berth_call *call, enum berth_code code)
{
    if (call->state != NULL)
        destroy(call->state);
}

static enum berth_code check_room(const struct events *events, struct berth_error *err)
{
    if (events->is_draining)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s", stopping);
    if (events->subscriber_count >= (size_t)events->config.max_subscribers)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "there are %zu subscribers already, as many as max_subscribers of %s allows",
                               events->subscriber_count, events->host->uri);
    return BERTH_OK;
}

/* As containerd says it, which has no better code for it than UNKNOWN. */
static enum berth_code refuse_filters(enum berth_code code, const struct berth_error *why,
                                      struct berth_error *err)
{
    if (code != BERTH_INVALID_ARGUMENT)
        return berth_error_set(err, code, "%s", why->message);
    return berth_error_set(err, BERTH_UNKNOWN,
                           "subscription error: failed parsing subscription filters: %.1900s", why->message);
}

static enum berth_code create(struct berth_call *call,
                              const Containerd__Services__Events__V1__SubscribeRequest *request,
                              struct berth_error *err)
{
    struct events *events = call->instance;
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
    struct berth_error why;
    enum berth_code code;

    if (subscriber == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a subscriber");
    subscriber->events = events;
    subscriber->call = call;
    code = events->exchange->subscribe(events->exchange_instance, (const char *const *)request->filters,
                                       request->n_filters, on_event, subscriber, &subscriber->subscription,
                                       &why);
    if (code != BERTH_OK) {
        free(subscriber);
        return refuse_filters(code, &why, err);
    }
    if (BERTH_HAS(events->exchange, watch_failure))
        events->exchange->watch_failure(events->exchange_instance, subscriber->subscription, on_failed);
    TAILQ_INSERT_TAIL(&events->subscribers, subscriber, link);
    events->subscriber_count++;
    call->state = subscriber;
    return BERTH_OK;
}

/* The headers leave at once, so that the caller knows from when on it hears everything. */
void subscriber_on_request(struct berth_call *call,
                           const Containerd__Services__Events__V1__SubscribeRequest *request)
{
    struct berth_error err;
    enum berth_code code = check_room(call->instance, &err);

    if (code == BERTH_OK)
        code = create(call, request, &err);
    if (code != BERTH_OK)
        berth_call_finish(call, code, err.message);
    else
        berth_call_send_headers(call);
}

void subscribers_end(struct events *events)
{
    uv_timer_stop(&events->retry);
    while (!TAILQ_EMPTY(&events->subscribers))
        end(TAILQ_FIRST(&events->subscribers), BERTH_UNAVAILABLE, stopping);
}
