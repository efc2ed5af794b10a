/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerd's events services, over gRPC and over ttrpc: accepts events from clients and sends them to
 * subscribers, with limits on what subscribers have not read yet.
 */
#include "events-plugin.h"

#include <stdlib.h>
#include <sys/queue.h>

#include <berth/ending.h>
#include <berth/namespace.h>
#include <berth/types/events.h>
#include <berth/types/metrics.h>

/* Ten seconds in all. */
#define RETRY_MS 100
#define REFUSALS_MAX 100

static const char stopping[] = "the daemon is stopping";

#define FIRST_CAPACITY 64

/* What the handlers of both services find in `call->instance`. */
struct events {
    const struct berth_host *host;
    struct events_config config;
    const struct berth_exchange *exchange;
    void *exchange_instance;
    TAILQ_HEAD(, subscriber) subscribers;
    size_t subscriber_count;
    /** Events queued for all subscribers. */
    size_t queued_events;
    /** Runs while a server has no memory to send events. */
    uv_timer_t retry;
    bool is_draining;
    /** NULL: nobody counts. */
    struct berth_series *subscribers_now, *queued_now, *dropped, *ended;
};

/* Events that wait for one subscriber, in order: a ring. Whoever adds and drops them keeps and releases
 * them. Zero-initialise. */
struct queue {
    const struct berth_event **items;
    size_t capacity;
    size_t first;
    size_t count;
    /* Of their envelopes. */
    size_t bytes;
};

struct subscriber {
    TAILQ_ENTRY(subscriber) link;
    struct events *events;
    struct berth_call *call;
    struct berth_subscription *subscription;
    struct queue queue;
    /** How often in a row its server had no memory for its next event. */
    unsigned refusals;
};

/* A power of two, so that a place is found with a mask. */
static bool grow(struct queue *queue)
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

static bool queue_add(struct queue *queue, const struct berth_event *event)
{
    if (queue->count == queue->capacity && !grow(queue))
        return false;
    queue->items[(queue->first + queue->count++) & (queue->capacity - 1)] = event;
    queue->bytes += event->envelope_length;
    return true;
}

static const struct berth_event *queue_first(const struct queue *queue)
{
    return queue->count == 0 ? NULL : queue->items[queue->first];
}

static void queue_drop(struct queue *queue)
{
    queue->bytes -= queue->items[queue->first]->envelope_length;
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    if (--queue->count > 0)
        return;
    free(queue->items);
    *queue = (struct queue){0};
}

static void drop_first(struct subscriber *subscriber)
{
    struct events *events = subscriber->events;
    const struct berth_event *event = queue_first(&subscriber->queue);

    queue_drop(&subscriber->queue);
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

/* The call no longer refers to it, whenever on_end comes. */
static struct berth_call *detach(struct subscriber *subscriber)
{
    struct berth_call *call = subscriber->call;

    call->state = NULL;
    destroy(subscriber);
    return call;
}

static void end(struct subscriber *subscriber, enum berth_code code, const char *message)
{
    berth_call_finish(detach(subscriber), code, message);
}

static void end_slow(struct subscriber *subscriber, const char *limit)
{
    struct berth_error err;

    berth_error_set(&err, BERTH_RESOURCE_EXHAUSTED,
                    "the subscriber is too slow: it is %zu events (%zu bytes) behind, more than %s allows; "
                    "subscribe again for the events from here on",
                    subscriber->queue.count, subscriber->queue.bytes, limit);
    berth_series_add(subscriber->events->dropped, (double)subscriber->queue.count + 1);
    berth_series_add(subscriber->events->ended, 1);
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

/* The limit that one more event would exceed; NULL: none. */
static const char *own_limit(const struct subscriber *subscriber, const struct berth_event *event)
{
    const struct events_config *config = &subscriber->events->config;
    const struct queue *queue = &subscriber->queue;

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

/* When the total limit is reached, the subscriber furthest behind is ended; perhaps this one. */
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
    if (queue_add(&subscriber->queue, kept)) {
        events->queued_events++;
        return;
    }
    events->exchange->release(events->exchange_instance, kept);
    end_slow(subscriber, "the daemon's memory");
}

static void retry_later(struct events *events);

/* If the server is out of memory because others do not read, this caller is not to blame. */
static void flush(struct subscriber *subscriber)
{
    const struct berth_event *event;

    while (subscriber->queue.count > 0 && berth_call_can_send(subscriber->call)) {
        event = queue_first(&subscriber->queue);
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

/* An incomplete stream must not end with OK. */
static void on_failed(void *context, enum berth_code code, const char *message)
{
    end(context, code, message);
}

static void on_writable(struct berth_call *call)
{
    if (call->state != NULL)
        flush(call->state);
}

static void on_end(struct berth_call *call, enum berth_code code)
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
                               "there are already %zu subscribers, as many as max_subscribers of %s allows",
                               events->subscriber_count, events->host->uri);
    return BERTH_OK;
}

/* containerd's message; it has no better code for it than UNKNOWN. */
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

/* Headers are sent at once, so that the caller knows when its subscription is active. */
static void subscribe(struct berth_call *call,
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

static void end_all(struct events *events)
{
    uv_timer_stop(&events->retry);
    while (!TAILQ_EMPTY(&events->subscribers)) {
        struct berth_call *call = detach(TAILQ_FIRST(&events->subscribers));

        berth_call_end(events->host, call, stopping);
    }
}

static void collect(void *context)
{
    const struct events *events = context;

    berth_series_set(events->subscribers_now, (double)events->subscriber_count);
    berth_series_set(events->queued_now, (double)events->queued_events);
}

static void measure(struct events *events)
{
    const struct berth_host *host = events->host;

    events->subscribers_now =
        berth_metrics_gauge(host, "berth_events_subscribers", "Calls of Subscribe that have not ended.");
    events->queued_now =
        berth_metrics_gauge(host, "berth_events_queued", "Events that wait for subscribers to read.");
    events->dropped =
        berth_metrics_counter(host, "berth_events_dropped_total",
                              "Events that subscribers did not get because they were too slow.");
    events->ended = berth_metrics_counter(host, "berth_events_slow_subscribers_total",
                                          "Subscribers that were disconnected because they were too slow.");
    if (events->queued_now != NULL)
        berth_metrics_collect(host, collect, events);
}

enum berth_code events_init(const struct berth_host *host, void *prepared, void **ret_instance,
                            struct berth_error *err)
{
    struct events *events;
    struct berth_ref ref;
    enum berth_code code = berth_get(host, BERTH_EXCHANGE_URI, &ref, err);

    if (code != BERTH_OK)
        return code;
    events = calloc(1, sizeof(*events));
    if (events == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the events service");
    code = events_config_init(&events->config, host->settings, err);
    if (code != BERTH_OK) {
        free(events);
        return code;
    }
    events->host = host;
    events->exchange = ref.interface;
    events->exchange_instance = ref.instance;
    TAILQ_INIT(&events->subscribers);
    uv_timer_init(host->loop, &events->retry);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_timer_start(&events->retry, on_retry, 0, 0);
    uv_timer_stop(&events->retry);
    events->retry.data = events;
    measure(events);
    *ret_instance = events;
    return BERTH_OK;
}

/* Lower limits apply to later subscribers, and to the next event of each. */
enum berth_code events_reconfigure(const struct berth_host *host, void *instance,
                                   const struct berth_settings *before, struct berth_error *err)
{
    struct events *events = instance;
    struct events_config config;
    enum berth_code code = events_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    events_config_finish(&events->config);
    events->config = config;
    return BERTH_OK;
}

/* Subscriptions do not end by themselves and would hold the daemon until the drain times out. */
enum berth_code events_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct events *events = instance;

    events->is_draining = berth_is_stopping(host);
    end_all(events);
    return BERTH_OK;
}

static void on_closed(uv_handle_t *retry)
{
    struct events *events = retry->data;
    const struct berth_host *host = events->host;

    events_config_finish(&events->config);
    free(events);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code events_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct events *events = instance;

    uv_close((uv_handle_t *)&events->retry, on_closed);
    return BERTH_PENDING;
}

static void answer(struct berth_call *call, enum berth_code code, const struct berth_error *err)
{
    if (code == BERTH_OK)
        berth_call_reply(call, "", 0);
    else
        berth_call_finish(call, code, err->message);
}

static void set_any(struct berth_event *event, const Google__Protobuf__Any *any)
{
    if (any == NULL)
        return;
    event->type_url = any->type_url;
    event->value = any->value.data;
    event->value_length = any->value.len;
}

static void publish(struct berth_call *call, const Containerd__Services__Events__V1__PublishRequest *request)
{
    const struct events *events = call->instance;
    struct berth_event event = {.size = sizeof(event), .topic = request->topic};
    struct berth_error err;
    struct berth_error why;
    enum berth_code code = berth_call_namespace(call, &event.namespace_name, &why);

    set_any(&event, request->event);
    if (code == BERTH_OK)
        code = events->exchange->publish(events->exchange_instance, &event, &err);
    else
        berth_error_set(&err, code, "failed publishing event: %.1900s", why.message);
    answer(call, code, &err);
}

static void forward(struct berth_call *call, const Containerd__Types__Envelope *envelope)
{
    const struct events *events = call->instance;
    struct berth_event event = {.size = sizeof(event), .seconds = BERTH_EVENT_NO_TIME};
    struct berth_error err;

    if (envelope == NULL) {
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "envelope must be set: invalid argument");
        return;
    }
    event.namespace_name = envelope->namespace_;
    event.topic = envelope->topic;
    if (envelope->timestamp != NULL) {
        event.seconds = envelope->timestamp->seconds;
        event.nanoseconds = envelope->timestamp->nanos;
    }
    set_any(&event, envelope->event);
    answer(call, events->exchange->forward(events->exchange_instance, &event, &err), &err);
}

static void forward_grpc(struct berth_call *call,
                         const Containerd__Services__Events__V1__ForwardRequest *request)
{
    forward(call, request->envelope);
}

static void forward_ttrpc(struct berth_call *call,
                          const Containerd__Services__Events__Ttrpc__V1__ForwardRequest *request)
{
    forward(call, request->envelope);
}

const struct containerd_services_events_v1_events_handlers
    events_containerd_services_events_v1_events_handlers = {
        .publish = {.on_message = publish},
        .forward = {.on_message = forward_grpc},
        .subscribe = {.on_message = subscribe, .on_writable = on_writable, .on_end = on_end},
};

const struct containerd_services_events_ttrpc_v1_events_handlers
    events_containerd_services_events_ttrpc_v1_events_handlers = {
        .forward = {.on_message = forward_ttrpc},
};
