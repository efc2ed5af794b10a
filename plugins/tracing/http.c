/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP over HTTP with binary protobuf (OTLP/HTTP). */
#include "transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/fetch.h>

/* Room for the headers of this file besides the operator's. */
#define HEADERS_MAX (OPTIONS_HEADERS_MAX + 1)

#define HEADER(key, value)                                                                                   \
    (struct berth_metadata)                                                                                  \
    {                                                                                                        \
        key, value, sizeof(value) - 1                                                                        \
    }

struct http {
    struct transport base;
    uv_loop_t *loop;
    const struct options *options;
    /* NULL until the first request: libcurl and what it brings are larger than the daemon. */
    struct berth_fetch *fetch;
};

/* 429 and the three of gateways may pass (OTLP/HTTP Response, Retryable Response Codes). */
static bool is_retryable(unsigned status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static void on_done(void *context, const struct berth_fetch_result *result)
{
    struct http *http = context;
    struct delivery delivery = {.result = DELIVERY_DONE, .retry_after_ms = result->retry_after_ms};

    if (result->status == 0) {
        delivery.result = DELIVERY_RETRY;
        snprintf(delivery.reason, sizeof(delivery.reason), "%.250s", result->error);
    } else if (result->status >= 200 && result->status < 300) {
        transport_read_response(result->body, result->length, &delivery);
    } else {
        delivery.result = is_retryable(result->status) ? DELIVERY_RETRY : DELIVERY_REFUSED;
        snprintf(delivery.reason, sizeof(delivery.reason), "the collector answered with HTTP status %u",
                 result->status);
    }
    http->base.events->on_done(http->base.context, &delivery);
}

static enum berth_code create_fetch(struct http *http, struct berth_error *err)
{
    const struct options *options = http->options;
    struct berth_metadata headers[HEADERS_MAX] = {HEADER("content-type", "application/x-protobuf")};
    struct berth_fetch_options where = {
        .size = sizeof(where),
        .url = options->endpoint,
        .headers = headers,
        .header_count = 1,
        .ca_file = options->ca_file,
        .certificate_file = options->certificate_file,
        .key_file = options->key_file,
        .timeout_ms = options->timeout_ms,
        .compress = options->compress,
    };

    for (size_t i = 0; i < options->header_count; i++)
        headers[where.header_count++] = options->headers[i];
    return berth_fetch_create(http->loop, &where, &http->fetch, err);
}

static enum berth_code send_request(struct transport *transport, const void *request, size_t length,
                                    struct berth_error *err)
{
    struct http *http = (struct http *)transport;
    enum berth_code code = http->fetch == NULL ? create_fetch(http, err) : BERTH_OK;

    return code == BERTH_OK ? berth_fetch_post(http->fetch, request, length, on_done, http, err) : code;
}

static void on_closed(void *context)
{
    struct http *http = context;
    const struct transport_events *events = http->base.events;
    void *owner = http->base.context;

    free(http);
    events->on_closed(owner);
}

static void close_http(struct transport *transport)
{
    struct http *http = (struct http *)transport;

    if (http->fetch != NULL)
        berth_fetch_close(http->fetch, on_closed, http);
    else
        on_closed(http);
}

static const struct transport_ops ops = {.send = send_request, .close = close_http};

enum berth_code transport_create_http(uv_loop_t *loop, const struct options *options,
                                      const struct transport_events *events, void *context,
                                      struct transport **ret_transport, struct berth_error *err)
{
    struct http *http = calloc(1, sizeof(*http));

    if (http == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the exporter");
    http->base = (struct transport){.ops = &ops, .events = events, .context = context};
    http->loop = loop;
    http->options = options;
    *ret_transport = &http->base;
    return BERTH_OK;
}
