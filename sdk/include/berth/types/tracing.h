/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.internal.v1.tracing: spans of one's own, below the span that each call has; and the
 * processors of type io.containerd.tracing.processor.v1, which get every span that has ended. Without
 * tracing, and for a call that is not sampled, all of this costs next to nothing.
 *
 *     wants: [io.containerd.internal.v1.tracing]                                   # in plugin.yaml
 *
 *     berth_tracer_open(host, &self->tracer);                                      // in init
 *     struct berth_span *span = berth_span_start(&self->tracer, call->trace, "resize");
 *     berth_span_set_int(span, "image.width", width);
 *     berth_span_event(span, "decoded");
 *     berth_span_end(span);
 *     berth_tracer_close(&self->tracer);                                           // in close
 *
 * On the loop's thread. All strings are copied; bytes that are not valid UTF-8 become "?".
 */
#ifndef BERTH_TYPES_TRACING_H
#define BERTH_TYPES_TRACING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/plugin.h>
#include <berth/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_TRACING_URI "io.containerd.internal.v1.tracing"
#define BERTH_SPAN_PROCESSOR_TYPE "io.containerd.tracing.processor.v1"

/** Limits of one span; what is beyond them is dropped and counted in it, and longer texts are cut. */
#define BERTH_SPAN_ATTRIBUTES_MAX 64
#define BERTH_SPAN_EVENTS_MAX 64
#define BERTH_SPAN_LINKS_MAX 16
/** Attributes of all events and links of a span together. */
#define BERTH_SPAN_DETAILS_MAX 64
#define BERTH_SPAN_TEXT_MAX 1024

/** As OpenTelemetry numbers them. */
enum berth_span_kind {
    BERTH_SPAN_INTERNAL = 1,
    BERTH_SPAN_SERVER = 2,
    BERTH_SPAN_CLIENT = 3,
};

enum berth_span_status {
    BERTH_SPAN_UNSET = 0,
    BERTH_SPAN_OK = 1,
    BERTH_SPAN_ERROR = 2,
};

enum berth_attribute_kind {
    BERTH_ATTRIBUTE_TEXT = 0,
    BERTH_ATTRIBUTE_INT = 1,
    BERTH_ATTRIBUTE_BOOL = 2,
    BERTH_ATTRIBUTE_DOUBLE = 3,
};

/** A key and its value: the member that `kind` names. */
struct berth_attribute {
    const char *key;
    enum berth_attribute_kind kind;
    const char *text;
    int64_t number;
    bool truth;
    double real;
};

struct berth_span;

/** The operations of a span. Use the inline functions below rather than the members. */
struct berth_span_ops {
    uint32_t size;
    void (*set)(struct berth_span *span, const struct berth_attribute *attribute);
    void (*add_event)(struct berth_span *span, const char *name);
    void (*set_status)(struct berth_span *span, enum berth_span_status status, const char *message);
    void (*end)(struct berth_span *span);
    /** Attributes may be NULL where `count` is 0. */
    void (*add_event_with)(struct berth_span *span, const char *name,
                           const struct berth_attribute *attributes, size_t count);
    void (*add_link)(struct berth_span *span, const struct berth_trace *to,
                     const struct berth_attribute *attributes, size_t count);
};

/** A span that is being recorded. Freed when it ends. */
struct berth_span {
    const struct berth_span_ops *ops;
    struct berth_trace trace;
};

/** One plugin's spans, as the tracing plugin knows them. Opaque. */
struct berth_span_source;

/** The interface of io.containerd.internal.v1.tracing. Use the inline functions below. */
struct berth_tracing {
    uint32_t size;
    /**
     * Registers a plugin that makes spans. They carry its URI as their scope. What it leaves open is dropped
     * when it closes its source or is no longer running.
     * @return NULL without memory.
     */
    struct berth_span_source *(*open)(void *instance, const char *uri);
    void (*close)(void *instance, struct berth_span_source *source);
    /**
     * Begins a span.
     * @param parent  NULL: it begins a trace.
     * @return NULL if it is not recorded, because of the sampler or because too many spans are open.
     */
    struct berth_span *(*start)(void *instance, struct berth_span_source *source,
                                const struct berth_trace *parent, const char *name,
                                enum berth_span_kind kind);
};

/** A plugin's access to tracing. Zero: there is none. */
struct berth_tracer {
    const struct berth_tracing *tracing;
    void *instance;
    struct berth_span_source *source;
};

/** In init. Without a tracing plugin that is ready, spans are not recorded. */
static inline void berth_tracer_open(const struct berth_host *host, struct berth_tracer *ret_tracer)
{
    struct berth_ref ref;
    struct berth_error err;

    memset(ret_tracer, 0, sizeof(*ret_tracer));
    if (berth_get(host, BERTH_TRACING_URI, &ref, &err) != BERTH_OK || ref.interface == NULL)
        return;
    ret_tracer->tracing = (const struct berth_tracing *)ref.interface;
    ret_tracer->instance = ref.instance;
    ret_tracer->source = ret_tracer->tracing->open(ref.instance, host->uri);
}

/** In close. Spans that are still open are dropped and must not be used again. */
static inline void berth_tracer_close(struct berth_tracer *tracer)
{
    if (tracer->source != NULL)
        tracer->tracing->close(tracer->instance, tracer->source);
    memset(tracer, 0, sizeof(*tracer));
}

/**
 * Begins a span below a call's (`call->trace`) or below another (berth_span_trace); NULL: one that begins a
 * trace. It is to be ended by the caller with berth_span_end, possibly long after the call.
 *
 * @return NULL if it is not recorded; every function below accepts that.
 */
static inline struct berth_span *berth_span_start(struct berth_tracer *tracer,
                                                  const struct berth_trace *parent, const char *name)
{
    if (tracer->source == NULL)
        return NULL;
    return tracer->tracing->start(tracer->instance, tracer->source, parent, name, BERTH_SPAN_INTERNAL);
}

/** The same of a request to another program. Pass berth_span_trace as `trace` of the outgoing call. */
static inline struct berth_span *berth_span_start_client(struct berth_tracer *tracer,
                                                         const struct berth_trace *parent, const char *name)
{
    if (tracer->source == NULL)
        return NULL;
    return tracer->tracing->start(tracer->instance, tracer->source, parent, name, BERTH_SPAN_CLIENT);
}

/** The span as a parent of others, until it ends; NULL if it is not recorded. */
static inline const struct berth_trace *berth_span_trace(const struct berth_span *span)
{
    return span == NULL ? NULL : &span->trace;
}

static inline struct berth_attribute berth_attribute_of(const char *key, enum berth_attribute_kind kind)
{
    struct berth_attribute attribute;

    memset(&attribute, 0, sizeof(attribute));
    attribute.key = key;
    attribute.kind = kind;
    return attribute;
}

/** Sets an attribute; replaces an earlier value of the key. */
static inline void berth_span_set_attribute(struct berth_span *span, const struct berth_attribute *attribute)
{
    if (span != NULL)
        span->ops->set(span, attribute);
}

/** The same with a text. */
static inline void berth_span_set(struct berth_span *span, const char *key, const char *value)
{
    struct berth_attribute attribute = berth_attribute_of(key, BERTH_ATTRIBUTE_TEXT);

    attribute.text = value;
    berth_span_set_attribute(span, &attribute);
}

static inline void berth_span_set_int(struct berth_span *span, const char *key, int64_t value)
{
    struct berth_attribute attribute = berth_attribute_of(key, BERTH_ATTRIBUTE_INT);

    attribute.number = value;
    berth_span_set_attribute(span, &attribute);
}

static inline void berth_span_set_bool(struct berth_span *span, const char *key, bool value)
{
    struct berth_attribute attribute = berth_attribute_of(key, BERTH_ATTRIBUTE_BOOL);

    attribute.truth = value;
    berth_span_set_attribute(span, &attribute);
}

static inline void berth_span_set_double(struct berth_span *span, const char *key, double value)
{
    struct berth_attribute attribute = berth_attribute_of(key, BERTH_ATTRIBUTE_DOUBLE);

    attribute.real = value;
    berth_span_set_attribute(span, &attribute);
}

/** Something that happened just now. */
static inline void berth_span_event(struct berth_span *span, const char *name)
{
    if (span != NULL)
        span->ops->add_event(span, name);
}

/** The same with attributes. An older tracing plugin records only the name. */
static inline void berth_span_event_with(struct berth_span *span, const char *name,
                                         const struct berth_attribute *attributes, size_t count)
{
    if (span == NULL)
        return;
    if (BERTH_HAS(span->ops, add_event_with))
        span->ops->add_event_with(span, name, attributes, count);
    else
        span->ops->add_event(span, name);
}

/**
 * Relates the span to another that is not above it in its trace, such as each of the calls that a batch
 * answers. `attributes` may be NULL if `count` is 0. `to` may be NULL, as for a call that is not recorded.
 */
static inline void berth_span_link(struct berth_span *span, const struct berth_trace *to,
                                   const struct berth_attribute *attributes, size_t count)
{
    if (span != NULL && to != NULL && BERTH_HAS(span->ops, add_link))
        span->ops->add_link(span, to, attributes, count);
}

/** How it went; `message` counts for BERTH_SPAN_ERROR only and may be NULL. */
static inline void berth_span_set_status(struct berth_span *span, enum berth_span_status status,
                                         const char *message)
{
    if (span != NULL)
        span->ops->set_status(span, status, message);
}

/** Ends the span: it goes to the processors, and must not be used again. */
static inline void berth_span_end(struct berth_span *span)
{
    if (span != NULL)
        span->ops->end(span);
}

struct berth_span_event {
    const char *name;
    uint64_t time_ns;
};

/** Attributes of an event or a link. */
struct berth_span_details {
    const struct berth_attribute *attributes;
    size_t count;
    uint32_t dropped;
};

struct berth_span_link {
    struct berth_trace to;
    struct berth_span_details details;
};

/** A span that has ended. Borrowed. Times are nanoseconds since 1970, UTC. */
struct berth_span_data {
    uint32_t size;
    struct berth_trace trace;
    /** All zero: it began the trace. */
    uint8_t parent_id[8];
    /** Did another program make the parent? */
    bool parent_is_remote;
    /** As received; "" without one. */
    const char *tracestate;
    const char *name;
    enum berth_span_kind kind;
    uint64_t start_ns;
    uint64_t end_ns;
    const struct berth_attribute *attributes;
    size_t attribute_count;
    uint32_t dropped_attributes;
    const struct berth_span_event *events;
    size_t event_count;
    uint32_t dropped_events;
    enum berth_span_status status;
    const char *status_message;
    /** The URI of the plugin that made it. */
    const char *scope;
    /** One for each of `events`, in the same order. */
    const struct berth_span_details *event_details;
    const struct berth_span_link *links;
    size_t link_count;
    uint32_t dropped_links;
};

/** The interface of plugins of type io.containerd.tracing.processor.v1. */
struct berth_span_processor {
    uint32_t size;
    /** Must not block; a processor that has no room drops the span and counts it. */
    void (*on_span)(void *instance, const struct berth_span_data *span);
};

#ifdef __cplusplus
}
#endif

#endif
