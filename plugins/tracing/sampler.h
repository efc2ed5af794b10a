/* SPDX-License-Identifier: Apache-2.0 */
/* Which spans are recorded: OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. */
#ifndef TRACING_SAMPLER_H
#define TRACING_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/trace.h>

struct sampler {
    /** Below a parent its sampled flag decides. */
    bool follows_parent;
    /** Otherwise a trace is recorded whose ID, as a number, is below it; of 2^63. */
    uint64_t bound;
};

/** @return BERTH_OK; BERTH_INVALID_ARGUMENT, with the variable. */
enum berth_code sampler_init(struct sampler *sampler, struct berth_error *err);

/** @param parent  NULL: the span begins the trace. */
bool sampler_decide(const struct sampler *sampler, const struct berth_trace *parent,
                    const uint8_t trace_id[16]);

#endif
