/* SPDX-License-Identifier: Apache-2.0 */
/* How requests reach the collector: one at a time, over gRPC or HTTP. */
#ifndef TRACING_TRANSPORT_H
#define TRACING_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <berth/call.h>
#include <berth/error.h>

#include "options.h"

/** How a request ended (OTLP, "Failures" and "Partial Success"). */
struct delivery {
    enum {
        DELIVERY_DONE,
        DELIVERY_RETRY,
        DELIVERY_REFUSED,
    } result;
    /** How long the collector asks to be left alone; 0: it did not say. */
    uint64_t retry_after_ms;
    /** Of those delivered, spans that the collector did not take. */
    int64_t rejected;
    /** Why, unless everything was taken. */
    char reason[256];
};

struct transport_events {
    void (*on_done)(void *context, const struct delivery *delivery);
    void (*on_closed)(void *context);
};

struct transport {
    const struct transport_ops *ops;
    const struct transport_events *events;
    void *context;
};

struct transport_ops {
    /** Borrows the request until on_done, which follows from the loop unless this fails. */
    enum berth_code (*send)(struct transport *transport, const void *request, size_t length,
                            struct berth_error *err);
    /**
     * Cancels what is in flight, without on_done, and frees the transport before on_closed, which may come
     * before this returns.
     */
    void (*close)(struct transport *transport);
};

enum berth_code transport_create_grpc(uv_loop_t *loop, const struct options *options,
                                      const struct transport_events *events, void *context,
                                      struct transport **ret_transport, struct berth_error *err);

enum berth_code transport_create_http(uv_loop_t *loop, const struct options *options,
                                      const struct transport_events *events, void *context,
                                      struct transport **ret_transport, struct berth_error *err);

/** Reads an ExportTraceServiceResponse into a delivery that is done. What cannot be read says nothing. */
void transport_read_response(const void *response, size_t length, struct delivery *delivery);

#endif
