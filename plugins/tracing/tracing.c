/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span for each call, named and described as OpenTelemetry's conventions for RPC have it, and the interface
 * for plugins' own. A call that is not sampled gets its place in the trace, and nothing is recorded.
 */
#include "tracing-plugin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <berth/address.h>
#include <berth/types/metrics.h>
#include <berth/types/tracing.h>
#include <berth/wire.h>

#include "environment.h"
#include "sampler.h"
#include "span.h"

#define PROCESSORS_MAX 8
#define MINUTE_NS UINT64_C(60000000000)

/* OTEL_SEMCONV_STABILITY_OPT_IN. */
enum conventions {
    CONVENTIONS_NEW = 1,
    CONVENTIONS_OLD = 2,
    CONVENTIONS_BOTH = 3,
};

struct tracing {
    const struct berth_host *host;
    struct sampler sampler;
    enum conventions conventions;
    struct spans spans;
    /* The spans of calls. */
    struct berth_span_source *calls;
    struct berth_watch *watch;
    const struct berth_span_processor *processors[PROCESSORS_MAX];
    void *processor_instances[PROCESSORS_MAX];
    size_t processor_count;
    struct berth_series *invalid_headers;
    /* A plugin whose close has not ended may still make spans: they go nowhere, and the memory stays. */
    bool is_abandoned;
    /* What callers sent and could not be used, and when that was last logged. */
    struct {
        uint64_t parents, states, baggage, logged, logged_ns;
    } bad;
};

static void on_span(void *context, const struct berth_span_data *span)
{
    const struct tracing *self = context;

    for (size_t i = 0; i < self->processor_count; i++)
        self->processors[i]->on_span(self->processor_instances[i], span);
}

static void log_bad(struct tracing *self, bool is_last)
{
    uint64_t total = self->bad.parents + self->bad.states + self->bad.baggage + self->spans.refused +
                     self->spans.abandoned;
    uint64_t now = uv_hrtime();

    if (total == self->bad.logged ||
        (!is_last && self->bad.logged > 0 && now - self->bad.logged_ns < MINUTE_NS))
        return;
    self->bad.logged = total;
    self->bad.logged_ns = now;
    berth_log(
        self->host, BERTH_LOG_WARN,
        "ignored invalid trace headers or dropped spans since the start traceparent=%" PRIu64
        " tracestate=%" PRIu64 " baggage=%" PRIu64 " spans_refused=%" PRIu64 " spans_left_open=%" PRIu64,
        self->bad.parents, self->bad.states, self->bad.baggage, self->spans.refused, self->spans.abandoned);
}

static void count_bad(struct tracing *self, uint64_t *counter)
{
    ++*counter;
    berth_series_add(self->invalid_headers, 1);
    log_bad(self, false);
}

/* Baggage is carried on by outgoing calls as far as it is valid; here it is only counted if it is not. */
static void check_baggage(struct tracing *self, const struct berth_call *call)
{
    char text[BERTH_TRACE_BAGGAGE_MAX + 1];
    enum berth_code code;

    if (berth_call_metadata(call, BERTH_TRACE_BAGGAGE) == NULL)
        return;
    code = berth_trace_baggage(call->metadata, call->metadata_count, text);
    if (code != BERTH_OK && code != BERTH_NOT_FOUND)
        count_bad(self, &self->bad.baggage);
}

static struct berth_span *begin(struct tracing *self, struct berth_call *call,
                                const struct berth_trace *trace, const struct berth_trace *parent)
{
    char state[BERTH_TRACE_STATE_MAX + 1];
    enum berth_code code = BERTH_NOT_FOUND;

    if (parent != NULL)
        code = berth_trace_state(call->metadata, call->metadata_count, state);
    if (code != BERTH_OK && code != BERTH_NOT_FOUND)
        count_bad(self, &self->bad.states);
    return spans_begin(self->calls, &(struct span_beginning){
                                        .trace = *trace,
                                        .parent = parent,
                                        .parent_is_remote = parent != NULL,
                                        .tracestate = code == BERTH_OK ? state : "",
                                        .name = call->path + 1,
                                        .kind = BERTH_SPAN_SERVER,
                                    });
}

static enum berth_code on_start(void *context, struct berth_call *call, void **ret_state,
                                struct berth_error *err)
{
    struct tracing *self = context;
    struct berth_trace received, trace = {.flags = 0};
    const struct berth_trace *parent = NULL;
    enum berth_code code = berth_trace_received(call->metadata, call->metadata_count, &received);

    if (code == BERTH_OK) {
        parent = &received;
        trace = received;
    } else {
        if (code != BERTH_NOT_FOUND)
            count_bad(self, &self->bad.parents);
        spans_make_trace_id(&self->spans, trace.trace_id);
    }
    if (call->metadata_count > 0)
        check_baggage(self, call);
    spans_make_span_id(&self->spans, trace.span_id);
    trace.flags &= (uint8_t)~BERTH_TRACE_SAMPLED;
    if (sampler_decide(&self->sampler, parent, trace.trace_id))
        trace.flags |= BERTH_TRACE_SAMPLED;
    berth_call_set_trace(call, &trace);
    *ret_state = berth_trace_is_sampled(&trace) ? begin(self, call, &trace, parent) : NULL;
    return BERTH_OK;
}

/* The codes that are the server's fault (OpenTelemetry, Semantic Conventions for gRPC). */
static bool is_failure(enum berth_code code)
{
    return code == BERTH_UNKNOWN || code == BERTH_DEADLINE_EXCEEDED || code == BERTH_UNIMPLEMENTED ||
           code == BERTH_INTERNAL || code == BERTH_UNAVAILABLE || code == BERTH_DATA_LOSS;
}

static const char *system_of(const struct berth_call *call)
{
    if (strcmp(call->transport, "ttrpc") == 0)
        return "ttrpc";
    return strcmp(call->transport, "http") == 0 ? "connectrpc" : "grpc";
}

/* ttrpc's instrumentation knows the old names only. */
static void describe(const struct tracing *self, struct berth_span *span, const struct berth_call *call,
                     enum berth_code code)
{
    bool is_ttrpc = strcmp(call->transport, "ttrpc") == 0;

    if (is_ttrpc || (self->conventions & CONVENTIONS_OLD) != 0) {
        berth_span_set(span, "rpc.system", system_of(call));
        berth_span_set(span, "rpc.service", call->service);
        berth_span_set(span, "rpc.method", call->method);
        berth_span_set_int(span, "rpc.grpc.status_code", (int64_t)code);
    }
    if (!is_ttrpc && (self->conventions & CONVENTIONS_NEW) != 0) {
        berth_span_set(span, "rpc.system.name", system_of(call));
        berth_span_set(span, "rpc.method", call->path + 1);
        berth_span_set(span, "rpc.response.status_code", berth_code_name(code));
    }
}

static void describe_peer(struct berth_span *span, const struct berth_call *call)
{
    const char *colon = strrchr(call->peer->address, ':');
    char host[BERTH_HOST_MAX];

    if (strncmp(call->peer->address, "unix:", 5) == 0) {
        berth_span_set(span, "network.transport", "unix");
        if (call->peer->pid > 0)
            berth_span_set_int(span, "process.pid", call->peer->pid);
    } else if (strcmp(call->transport, "tcp") == 0 && colon != NULL) {
        berth_span_set(span, "network.transport", "tcp");
        snprintf(host, sizeof(host), "%.*s", (int)(colon - call->peer->address), call->peer->address);
        berth_span_set(span, "network.peer.address", host);
        berth_span_set_int(span, "network.peer.port", strtol(colon + 1, NULL, 10));
    }
}

static void on_finish(void *context, struct berth_call *call, void *state, enum berth_code code,
                      const char *message)
{
    struct berth_span *span = state;

    if (span == NULL)
        return;
    describe(context, span, call, code);
    describe_peer(span, call);
    if (is_failure(code)) {
        berth_span_set(span, "error.type", berth_code_name(code));
        berth_span_set_status(span, BERTH_SPAN_ERROR, message);
    }
    berth_span_end(span);
}

static const struct berth_interceptor interceptor = {
    .size = sizeof(interceptor),
    .name = "tracing",
    .on_start = on_start,
    .on_finish = on_finish,
};

static void revoke_source(void *context)
{
    spans_close(context);
}

static struct berth_span_source *open_source(void *instance, const char *uri)
{
    struct tracing *self = instance;
    struct berth_span_source *source = spans_open(&self->spans, uri);

    if (source != NULL)
        source->holding =
            berth_note_revocable(self->host, "a tracer", __builtin_return_address(0), revoke_source, source);
    return source;
}

static void close_source(void *instance, struct berth_span_source *source)
{
    struct tracing *self = instance;

    spans_close(source);
    log_bad(self, false);
}

static struct berth_span *start_span(void *instance, struct berth_span_source *source,
                                     const struct berth_trace *parent, const char *name,
                                     enum berth_span_kind kind)
{
    struct tracing *self = instance;
    struct berth_trace trace = {.flags = 0};
    struct berth_span *span;

    if (parent != NULL)
        trace = *parent;
    else
        spans_make_trace_id(&self->spans, trace.trace_id);
    if (!sampler_decide(&self->sampler, parent, trace.trace_id))
        return NULL;
    trace.flags |= BERTH_TRACE_SAMPLED;
    spans_make_span_id(&self->spans, trace.span_id);
    span = spans_begin(
        source, &(struct span_beginning){.trace = trace, .parent = parent, .name = name, .kind = kind});
    if (span == NULL)
        log_bad(self, false);
    return span;
}

const struct berth_tracing tracing_interface = {
    .size = sizeof(tracing_interface),
    .open = open_source,
    .close = close_source,
    .start = start_span,
};

/* Code of a plugin that has failed, or whose close has not ended, may still run; what a failed init leaves
 * open is revoked. */
static bool note_running(void *context, const struct berth_plugin_info *info)
{
    const struct tracing *self = context;
    struct berth_span_source *source;
    bool may_run = (info->state >= BERTH_STATE_PREPARING && info->state <= BERTH_STATE_DRAINING) ||
                   info->state == BERTH_STATE_TIMED_OUT || info->state == BERTH_STATE_FAILED;

    if (info->uri == NULL || !may_run)
        return true;
    LIST_FOREACH(source, &self->spans.sources, link)
    if (strcmp(source->uri, info->uri) == 0)
        source->is_running = true;
    return true;
}

/* What a plugin leaves open when it goes is dropped. */
static void on_change(void *context)
{
    struct tracing *self = context;
    struct berth_span_source *source, *next;

    LIST_FOREACH(source, &self->spans.sources, link)
    source->is_running = source == self->calls;
    self->host->inspect->each(self->host->inspect, note_running, self);
    for (source = LIST_FIRST(&self->spans.sources); source != NULL; source = next) {
        next = LIST_NEXT(source, link);
        if (!source->is_running)
            spans_close(source);
    }
    log_bad(self, false);
}

static bool add_processor(void *context, const struct berth_ref *ref)
{
    struct tracing *self = context;

    if (ref->interface != NULL && self->processor_count < PROCESSORS_MAX) {
        self->processors[self->processor_count] = ref->interface;
        self->processor_instances[self->processor_count++] = ref->instance;
    }
    return true;
}

/* Both are on unless the variable says otherwise, and others are not supported. */
static enum berth_code check_propagators(struct berth_error *err)
{
    const char *text = environment_text("OTEL_PROPAGATORS");
    unsigned known = 0;

    if (text == NULL)
        return BERTH_OK;
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, ",");

        if (length == 12 && strncmp(at, "tracecontext", length) == 0)
            known |= 1;
        else if (length == 7 && strncmp(at, "baggage", length) == 0)
            known |= 2;
        else
            known |= 4;
        at += length + (at[length] == ',');
    }
    if (known == 3)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "OTEL_PROPAGATORS: \"%.200s\" is not supported (remove it, or use "
                           "tracecontext,baggage)",
                           text);
}

static enum conventions read_conventions(void)
{
    const char *text = environment_text("OTEL_SEMCONV_STABILITY_OPT_IN");

    if (text != NULL && strstr(text, "rpc/dup") != NULL)
        return CONVENTIONS_BOTH;
    return text != NULL && strstr(text, "rpc/old") != NULL ? CONVENTIONS_OLD : CONVENTIONS_NEW;
}

static bool note_stuck(void *context, const struct berth_plugin_info *info)
{
    struct tracing *self = context;
    const struct berth_span_source *source;

    if (info->uri == NULL || info->state != BERTH_STATE_TIMED_OUT)
        return true;
    LIST_FOREACH(source, &self->spans.sources, link)
    self->is_abandoned = self->is_abandoned || strcmp(source->uri, info->uri) == 0;
    return true;
}

enum berth_code tracing_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct tracing *self = instance;

    if (self->watch != NULL)
        host->inspect->unwatch(host->inspect, self->watch);
    host->inspect->each(host->inspect, note_stuck, self);
    if (self->is_abandoned) {
        self->processor_count = 0;
        self->sampler = (struct sampler){.follows_parent = false};
        return BERTH_OK;
    }
    spans_finish(&self->spans);
    log_bad(self, true);
    free(self);
    return BERTH_OK;
}

static enum berth_code configure(struct tracing *self, struct berth_error *err)
{
    enum berth_code code = sampler_init(&self->sampler, err);

    if (code == BERTH_OK)
        code = check_propagators(err);
    if (code == BERTH_OK)
        code = spans_init(&self->spans, on_span, self, err);
    if (code == BERTH_OK)
        code = berth_each(self->host, BERTH_SPAN_PROCESSOR_TYPE, add_processor, self, err);
    self->conventions = read_conventions();
    self->invalid_headers = berth_metrics_counter(self->host, "tracing_invalid_headers_total",
                                                  "Trace headers of callers that could not be used.");
    return code;
}

enum berth_code tracing_init(const struct berth_host *host, void *prepared, void **ret_instance,
                             struct berth_error *err)
{
    struct tracing *self = calloc(1, sizeof(*self));
    enum berth_code code;

    if (self == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for tracing");
    self->host = self->spans.host = host;
    code = configure(self, err);
    if (code == BERTH_OK) {
        self->calls = spans_open(&self->spans, host->uri);
        self->watch = host->inspect->watch(host->inspect, on_change, self);
        if (self->calls == NULL || self->watch == NULL)
            code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for tracing");
    }
    if (code == BERTH_OK)
        code = berth_intercept(host, &interceptor, self, err);
    if (code == BERTH_OK)
        *ret_instance = self;
    else
        tracing_close(host, self, &(struct berth_error){""});
    return code;
}

/*
 * What is logged counts from the daemon's start. The state, in protobuf's wire format:
 *
 *     State { uint64 parents = 1; uint64 states = 2; uint64 baggage = 3; uint64 logged = 4; uint64 refused =
 * 5; uint64 abandoned = 6; }
 */
#define STATE_VERSION 1u

enum berth_code tracing_save_state(const struct berth_host *host, void *instance,
                                   const struct berth_state_writer *writer, struct berth_error *err)
{
    const struct tracing *self = instance;
    const uint64_t numbers[] = {self->bad.parents, self->bad.states,    self->bad.baggage,
                                self->bad.logged,  self->spans.refused, self->spans.abandoned};
    struct berth_wire_buffer buffer = {0};
    enum berth_code code;

    for (uint32_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        berth_wire_put_number(&buffer, i + 1, numbers[i]);
    code = buffer.failed
               ? berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the state of tracing")
               : writer->write(writer, buffer.bytes, buffer.length, err);
    berth_wire_finish(&buffer);
    return code;
}

enum berth_code tracing_load_state(const struct berth_host *host, void *instance, uint32_t version,
                                   const void *bytes, size_t length, struct berth_error *err)
{
    struct tracing *self = instance;
    uint64_t *const numbers[] = {&self->bad.parents, &self->bad.states,    &self->bad.baggage,
                                 &self->bad.logged,  &self->spans.refused, &self->spans.abandoned};
    struct berth_wire wire = berth_wire_of(bytes, length);
    struct berth_wire_field field;

    if (version != STATE_VERSION)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "state of version %u; expected %u", version,
                               STATE_VERSION);
    while (berth_wire_next(&wire, &field)) {
        if (field.number > sizeof(numbers) / sizeof(numbers[0]) || field.type != BERTH_WIRE_VARINT)
            return berth_error_set(err, BERTH_DATA_LOSS, "the state of tracing is damaged");
        *numbers[field.number - 1] += field.value;
    }
    return berth_wire_is_whole(&wire)
               ? BERTH_OK
               : berth_error_set(err, BERTH_DATA_LOSS, "the state of tracing is damaged");
}
