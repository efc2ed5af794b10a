/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that are being recorded, and the plugins they belong to. */
#ifndef TRACING_SPAN_H
#define TRACING_SPAN_H

#include <sys/queue.h>

#include <berth/types/tracing.h>

struct span;

LIST_HEAD(span_list, span);

/** A plugin that makes spans. */
struct berth_span_source {
    LIST_ENTRY(berth_span_source) link;
    struct spans *spans;
    /** That the plugin has it. */
    struct berth_holding *holding;
    struct span_list open;
    /** Found among the running plugins, while that is asked. */
    bool is_running;
    char uri[];
};

/** All spans and sources of a tracing plugin. */
struct spans {
    /** Learns who has a source. */
    const struct berth_host *host;
    LIST_HEAD(, berth_span_source) sources;
    /** Memory of ended spans, for new ones. */
    struct span_list kept;
    size_t kept_count, open_count;
    /** Spans that were not recorded because too many were open or memory was out, and those left open. */
    uint64_t refused, abandoned;
    uint64_t random[4];
    void (*on_end)(void *context, const struct berth_span_data *span);
    void *context;
};

/** @return BERTH_OK; an error if the system has no random numbers. */
enum berth_code spans_init(struct spans *spans,
                           void (*on_end)(void *context, const struct berth_span_data *span), void *context,
                           struct berth_error *err);
/** Drops what is open, and frees everything. */
void spans_finish(struct spans *spans);

struct berth_span_source *spans_open(struct spans *spans, const char *uri);
/** Drops its spans. */
void spans_close(struct berth_span_source *source);

/** Random, and not all zero. */
void spans_make_trace_id(struct spans *spans, uint8_t ret_id[16]);
void spans_make_span_id(struct spans *spans, uint8_t ret_id[8]);

struct span_beginning {
    struct berth_trace trace;
    /** NULL: it begins the trace. */
    const struct berth_trace *parent;
    bool parent_is_remote;
    const char *tracestate;
    const char *name;
    enum berth_span_kind kind;
};

/** @return NULL if too many are open, or without memory; counted. */
struct berth_span *spans_begin(struct berth_span_source *source, const struct span_beginning *beginning);

#endif
