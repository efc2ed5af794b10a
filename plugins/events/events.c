/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's events services, over gRPC and over ttrpc: events come in from callers, and go out to them. */
#include "events.h"

#include <stdlib.h>

#include <berth/namespace.h>

#include "subscriber.h"

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
    events->retry.data = events;
    *ret_instance = events;
    return BERTH_OK;
}

/* Subscriptions have no end of their own and would keep the daemon for as long as a drain may take. */
enum berth_code events_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct events *events = instance;

    events->is_draining = true;
    subscribers_end(events);
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
        .subscribe = {.on_message = subscriber_on_request,
                      .on_writable = subscriber_on_writable,
                      .on_end = subscriber_on_end},
};

const struct containerd_services_events_ttrpc_v1_events_handlers
    events_containerd_services_events_ttrpc_v1_events_handlers = {
        .forward = {.on_message = forward_ttrpc},
};
