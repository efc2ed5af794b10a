/* SPDX-License-Identifier: Apache-2.0 */
/* What the OTEL_* variables say about the export of spans, checked as a whole. */
#ifndef TRACING_OPTIONS_H
#define TRACING_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/call.h>
#include <berth/error.h>

#include "batch.h"

#define OPTIONS_HEADERS_MAX 32

struct options {
    bool is_grpc;
    /** For gRPC an address, for HTTP a URL. */
    char *endpoint;
    /** The same without a password, for logs and listings. */
    char *shown_endpoint;
    bool tls;
    /** NULL: none. */
    const char *ca_file, *certificate_file, *key_file;
    bool compress;
    uint64_t timeout_ms;
    struct berth_metadata headers[OPTIONS_HEADERS_MAX];
    size_t header_count;
    struct resource resource;
    uint64_t schedule_delay_ms, export_timeout_ms, max_queue, max_batch;
};

/**
 * @param version  of the daemon, for the resource.
 * @return BERTH_OK; BERTH_SKIP if nothing is to be exported; BERTH_INVALID_ARGUMENT with the variable.
 */
enum berth_code options_init(struct options *options, const char *version, struct berth_error *err);
void options_finish(struct options *options);

#endif
