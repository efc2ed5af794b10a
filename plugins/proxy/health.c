/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the server answer? Asks grpc.health.v1 again and again: rarely while it does, with a growing pause
 * while it does not. A server without that service is healthy if it says so.
 */
#include <stdio.h>
#include <string.h>

#include <berth/wire.h>

#include "proxy.h"

#define RETRY_FIRST_MS 50
#define RETRY_LAST_MS 3000
#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)
#define NANOSECONDS_PER_MICROSECOND 1000.0

static void on_timer(uv_timer_t *timer);

static uint64_t milliseconds(int64_t nanoseconds)
{
    return ((uint64_t)nanoseconds + NANOSECONDS_PER_MILLISECOND - 1) / NANOSECONDS_PER_MILLISECOND;
}

static void sleep_for(struct proxy *proxy, uint64_t pause_ms)
{
    if (!proxy->is_closing)
        uv_timer_start(&proxy->timer, on_timer, pause_ms, 0);
}

/* The status of a HealthCheckResponse: field 1, 2 is NOT_SERVING. */
static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    struct berth_wire wire = berth_wire_of(message, length);
    struct berth_wire_field field;
    struct proxy *proxy = context;

    while (berth_wire_next(&wire, &field))
        if (field.number == 1 && field.type == BERTH_WIRE_VARINT)
            proxy->is_not_serving = field.value == 2;
}

static bool means_dead(enum berth_code code)
{
    return code == BERTH_UNAVAILABLE || code == BERTH_DEADLINE_EXCEEDED || code == BERTH_UNKNOWN ||
           code == BERTH_INTERNAL;
}

static void show_latency(const struct proxy *proxy)
{
    double latency_ns = (double)(uv_hrtime() - proxy->probe_start_ns);
    char text[32];

    berth_series_set(proxy->latency, latency_ns / 1e9);
    snprintf(text, sizeof(text), "%.0fus", latency_ns / NANOSECONDS_PER_MICROSECOND);
    berth_add_export(proxy->host, "latency", text);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct proxy *proxy = context;
    char reason[REASON_MAX];

    proxy->probe = NULL;
    if (proxy->is_closing)
        return;
    berth_enter(proxy->host, "the answer to a health check");
    if (means_dead(code)) {
        snprintf(reason, sizeof(reason), "%s", message);
        if (!proxy->is_program_down)
            proxy->take_state(proxy, reason);
        sleep_for(proxy, proxy->retry_ms);
        proxy->retry_ms = proxy->retry_ms * 2 < RETRY_LAST_MS ? proxy->retry_ms * 2 : RETRY_LAST_MS;
    } else {
        proxy->retry_ms = RETRY_FIRST_MS;
        show_latency(proxy);
        proxy->take_state(proxy, NULL);
        sleep_for(proxy, milliseconds(proxy->config.check_interval));
    }
    berth_leave(proxy->host);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers), .on_message = on_message, .on_end = on_end};

static void on_timer(uv_timer_t *timer)
{
    struct proxy *proxy = timer->data;
    const struct berth_rpc_call_options options = {
        .size = sizeof(options),
        .path = "/grpc.health.v1.Health/Check",
        .timeout_ms = milliseconds(proxy->config.check_timeout),
        .kind = BERTH_METHOD_UNARY,
    };
    struct berth_error err;

    if (proxy->probe != NULL || proxy->is_closing)
        return;
    if (!proxy->is_connected)
        proxy->reconnect(proxy);
    proxy->is_not_serving = false;
    proxy->probe_start_ns = uv_hrtime();
    if (berth_rpc_call_start(proxy->channel, &options, &handlers, proxy, &proxy->probe, &err) != BERTH_OK) {
        proxy->probe = NULL;
        sleep_for(proxy, RETRY_LAST_MS);
        return;
    }
    berth_rpc_call_send(proxy->probe, NULL, 0);
    berth_rpc_call_half_close(proxy->probe);
}

void health_start(struct proxy *proxy)
{
    proxy->retry_ms = RETRY_FIRST_MS;
    sleep_for(proxy, 0);
}

void health_restart(struct proxy *proxy)
{
    proxy->retry_ms = RETRY_FIRST_MS;
    if (proxy->probe == NULL)
        sleep_for(proxy, RETRY_FIRST_MS);
}

void health_hurry(struct proxy *proxy)
{
    if (proxy->probe == NULL && !proxy->is_closing && uv_timer_get_due_in(&proxy->timer) > proxy->retry_ms)
        sleep_for(proxy, proxy->retry_ms);
}
