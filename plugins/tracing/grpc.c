/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP over gRPC, with libberth-rpc's client. */
#include "transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/rpc/client.h>
#include <berth/wire.h>

#include <opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h>

#define EXPORT_PATH "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define RESPONSE_MAX 65536
#define RETRY_MS_MAX UINT64_C(3600000)

struct grpc {
    struct transport base;
    const struct options *options;
    struct berth_rpc_channel *channel;
    struct delivery delivery;
    bool is_closing;
};

void transport_read_response(const void *response, size_t length, struct delivery *delivery)
{
    Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse *message =
        length > RESPONSE_MAX
            ? NULL
            : opentelemetry__proto__collector__trace__v1__export_trace_service_response__unpack(NULL, length,
                                                                                                response);

    if (message == NULL || message->partial_success == NULL) {
        if (message == NULL)
            snprintf(delivery->reason, sizeof(delivery->reason), "the collector's answer cannot be read");
    } else {
        delivery->rejected = message->partial_success->rejected_spans;
        snprintf(delivery->reason, sizeof(delivery->reason), "the collector says: %.200s",
                 message->partial_success->error_message);
    }
    if (message != NULL)
        opentelemetry__proto__collector__trace__v1__export_trace_service_response__free_unpacked(message,
                                                                                                 NULL);
}

/* The field of a message; an empty message if there is none. */
static struct berth_wire find(struct berth_wire message, uint32_t number)
{
    struct berth_wire_field field;

    while (berth_wire_next(&message, &field))
        if (field.number == number && field.type == BERTH_WIRE_BYTES)
            return berth_wire_of(field.data, field.length);
    return berth_wire_of(NULL, 0);
}

static uint64_t number_of(struct berth_wire message, uint32_t number)
{
    struct berth_wire_field field;
    uint64_t value = 0;

    while (berth_wire_next(&message, &field))
        if (field.number == number && field.type == BERTH_WIRE_VARINT)
            value = field.value;
    return value;
}

/* google.rpc.RetryInfo { Duration retry_delay = 1 } */
static uint64_t read_delay(struct berth_wire info)
{
    struct berth_wire duration = find(info, 1);
    uint64_t seconds = number_of(duration, 1), nanoseconds = number_of(duration, 2);

    if (seconds >= RETRY_MS_MAX / 1000)
        return RETRY_MS_MAX;
    return seconds * 1000 + (nanoseconds < 1000000000 ? (nanoseconds + 999999) / 1000000 : 0);
}

/* Is there a RetryInfo among the details of a google.rpc.Status? */
static bool read_retry_info(const struct berth_metadata *trailers, size_t count, uint64_t *ret_ms)
{
    static const char wanted[] = "/google.rpc.RetryInfo";

    for (size_t i = 0; i < count; i++) {
        struct berth_wire status = berth_wire_of(trailers[i].value, trailers[i].value_length);
        struct berth_wire_field field;

        if (strcmp(trailers[i].key, "grpc-status-details-bin") != 0)
            continue;
        while (berth_wire_next(&status, &field)) {
            struct berth_wire any = berth_wire_of(field.data, field.length), url = find(any, 1);
            size_t length = (size_t)(url.end - url.next);

            if (field.number != 3 || field.type != BERTH_WIRE_BYTES || length < sizeof(wanted) - 1 ||
                memcmp(url.end - (sizeof(wanted) - 1), wanted, sizeof(wanted) - 1) != 0)
                continue;
            *ret_ms = read_delay(find(any, 2));
            return true;
        }
    }
    return false;
}

static bool is_retryable(enum berth_code code, bool has_retry_info)
{
    switch (code) {
    case BERTH_CANCELLED:
    case BERTH_DEADLINE_EXCEEDED:
    case BERTH_ABORTED:
    case BERTH_OUT_OF_RANGE:
    case BERTH_UNAVAILABLE:
    case BERTH_DATA_LOSS:
        return true;
    case BERTH_RESOURCE_EXHAUSTED:
        return has_retry_info;
    default:
        return false;
    }
}

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    struct grpc *grpc = context;

    transport_read_response(message, length, &grpc->delivery);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct grpc *grpc = context;
    struct delivery *delivery = &grpc->delivery;
    bool has_retry_info;

    if (grpc->is_closing)
        return;
    if (code != BERTH_OK) {
        has_retry_info = read_retry_info(trailers, count, &delivery->retry_after_ms);
        delivery->result = is_retryable(code, has_retry_info) ? DELIVERY_RETRY : DELIVERY_REFUSED;
        delivery->rejected = 0;
        snprintf(delivery->reason, sizeof(delivery->reason), "%s: %.200s", berth_code_name(code), message);
    }
    grpc->base.events->on_done(grpc->base.context, delivery);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_message = on_message,
    .on_end = on_end,
};

static enum berth_code send_request(struct transport *transport, const void *request, size_t length,
                                    struct berth_error *err)
{
    struct grpc *grpc = (struct grpc *)transport;
    const struct berth_rpc_call_options what = {
        .size = sizeof(what),
        .path = EXPORT_PATH,
        .timeout_ms = grpc->options->timeout_ms,
        .metadata = grpc->options->headers,
        .metadata_count = grpc->options->header_count,
    };
    struct berth_rpc_call *call;
    enum berth_code code;

    grpc->delivery = (struct delivery){.result = DELIVERY_DONE};
    code = berth_rpc_call_start(grpc->channel, &what, &handlers, grpc, &call, err);
    if (code != BERTH_OK)
        return code;
    if (berth_rpc_call_send(call, request, length) != BERTH_OK)
        berth_rpc_call_fail(call, BERTH_INTERNAL, "the request cannot be sent");
    else
        berth_rpc_call_half_close(call);
    return BERTH_OK;
}

static void on_channel_closed(void *context)
{
    struct grpc *grpc = context;
    const struct transport_events *events = grpc->base.events;
    void *owner = grpc->base.context;

    free(grpc);
    events->on_closed(owner);
}

static void close_grpc(struct transport *transport)
{
    struct grpc *grpc = (struct grpc *)transport;

    grpc->is_closing = true;
    berth_rpc_channel_close(grpc->channel, on_channel_closed, grpc);
}

static const struct transport_ops ops = {.send = send_request, .close = close_grpc};

enum berth_code transport_create_grpc(uv_loop_t *loop, const struct options *options,
                                      const struct transport_events *events, void *context,
                                      struct transport **ret_transport, struct berth_error *err)
{
    const struct berth_rpc_tls_options tls = {
        .size = sizeof(tls),
        .ca_file = options->ca_file,
        .certificate_file = options->certificate_file,
        .key_file = options->key_file,
    };
    const struct berth_rpc_channel_options where = {
        .size = sizeof(where),
        .address = options->endpoint,
        .compress = options->compress,
        .max_recv_message_bytes = RESPONSE_MAX,
        .tls = options->tls ? &tls : NULL,
    };
    struct grpc *grpc = calloc(1, sizeof(*grpc));
    enum berth_code code;

    if (grpc == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the exporter");
    grpc->base = (struct transport){.ops = &ops, .events = events, .context = context};
    grpc->options = options;
    code = berth_rpc_channel_create(loop, &where, &grpc->channel, err);
    if (code != BERTH_OK) {
        free(grpc);
        return code;
    }
    *ret_transport = &grpc->base;
    return BERTH_OK;
}
