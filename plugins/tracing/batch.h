/* SPDX-License-Identifier: Apache-2.0 */
/* Spans on their way to the collector, encoded: the bounded queue, and requests made of it. */
#ifndef TRACING_BATCH_H
#define TRACING_BATCH_H

#include <sys/queue.h>

#include <berth/types/tracing.h>
#include <berth/wire.h>

/** An encoded opentelemetry.proto.trace.v1.Span, followed by its bytes and its scope. */
struct item {
    STAILQ_ENTRY(item) link;
    size_t length;
    const char *scope;
    uint8_t bytes[];
};

struct queue {
    STAILQ_HEAD(, item) items;
    size_t count, bytes;
    size_t max_count;
};

void queue_init(struct queue *queue, size_t max_count);
void queue_finish(struct queue *queue);
/** @return false if it is full or memory is out. */
bool queue_add(struct queue *queue, const struct berth_span_data *span);

/**
 * Appends each span as a field 1 of a message of its own:
 *
 *     { string scope = 1; bytes span = 2; }
 */
void queue_save(const struct queue *queue, struct berth_wire_buffer *buffer);
/**
 * Adds what queue_save has written.
 * @param ret_full  there was no room for it, or no memory.
 * @return false if it is not a span.
 */
bool queue_load(struct queue *queue, const struct berth_wire_field *field, bool *ret_full);
/** Drops the oldest. */
void queue_drop(struct queue *queue, size_t count);

/** Pairs of texts for a resource. Each key once, which the caller sees to. */
struct resource {
    struct berth_wire_buffer bytes;
};

bool resource_add(struct resource *resource, const char *key, const char *value);

/**
 * Takes up to `max_count` spans from the queue, and no more than collectors accept at once, into one
 * ExportTraceServiceRequest.
 *
 * @param ret_count  the spans taken, also if the request failed for want of memory (`failed` in the buffer).
 */
void queue_take(struct queue *queue, const struct resource *resource, size_t max_count,
                struct berth_wire_buffer *ret_request, size_t *ret_count);

#endif
