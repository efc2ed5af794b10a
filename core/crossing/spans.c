/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans that a worker makes: they are spans of the daemon's tracing plugin, which samples them, and hands
 * them to its processors once they end. Those of one worker are bounded, as all plugins share one limit.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/types/tracing.h>

#include "asked.h"
#include "kinds.h"

/* A key, a kind and a value. */
#define LEAST_ATTRIBUTE 10
/* More in one event or link the daemon drops, and counts. */
#define ATTRIBUTES_MAX (BERTH_SPAN_DETAILS_MAX + 1)

struct crossing_spans {
    const struct berth_tracing *tracing;
    void *instance;
    struct berth_span_source *source;
    /* By the low half of their numbers; NULL: free. */
    struct berth_span *spans[ASK_SPANS_MAX];
    uint32_t numbers[ASK_SPANS_MAX];
    uint32_t generation, next;
    size_t open;
};

static struct berth_span **find(struct crossing *crossing, uint32_t number)
{
    struct crossing_spans *spans = crossing->spans;
    size_t slot = number % ASK_SPANS_MAX;

    return spans != NULL && spans->spans[slot] != NULL && spans->numbers[slot] == number ? &spans->spans[slot]
                                                                                         : NULL;
}

/* Its source is opened with its first span. */
static struct crossing_spans *open_source(struct crossing *crossing, const struct berth_tracing *tracing,
                                          void *instance)
{
    struct crossing_spans *spans = crossing->spans;

    if (spans != NULL || crossing->makes_no_spans)
        return spans;
    spans = calloc(1, sizeof(*spans));
    if (spans == NULL)
        return NULL;
    spans->tracing = tracing;
    spans->instance = instance;
    spans->source = tracing->open(instance, crossing->plugin->uri);
    if (spans->source == NULL) {
        free(spans);
        return NULL;
    }
    crossing->spans = spans;
    return spans;
}

void spans_end(struct crossing *crossing)
{
    struct crossing_spans *spans = crossing->spans;

    if (spans == NULL)
        return;
    crossing->spans = NULL;
    /* Drops those that are open. */
    spans->tracing->close(spans->instance, spans->source);
    free(spans);
}

void spans_stop(struct crossing *crossing)
{
    spans_end(crossing);
    crossing->makes_no_spans = true;
}

static const struct berth_trace *get_trace(struct packet_reader *reader, struct berth_trace *trace)
{
    size_t length;
    const void *bytes = packet_get_bytes(reader, &length);

    if (length != 0 && length != sizeof(*trace))
        reader->is_bad = true;
    if (length != sizeof(*trace))
        return NULL;
    memcpy(trace, bytes, sizeof(*trace));
    return trace;
}

static uint32_t keep(struct crossing_spans *spans, struct berth_span *span)
{
    while (spans->spans[spans->next] != NULL)
        spans->next = (spans->next + 1) % ASK_SPANS_MAX;
    /* Never 0: that is of none. */
    spans->generation = spans->generation % 0xffffu + 1;
    spans->spans[spans->next] = span;
    spans->numbers[spans->next] = spans->generation * ASK_SPANS_MAX + spans->next;
    spans->open++;
    return spans->numbers[spans->next];
}

enum berth_code asked_span(struct crossing *crossing, struct packet_reader *reader,
                           struct packet_writer *answer, struct berth_error *err)
{
    uint32_t number = packet_get_u32(reader);
    struct berth_trace trace;
    const struct berth_trace *parent = get_trace(reader, &trace);
    uint8_t kind = packet_get_u8(reader);
    const char *name = packet_get_text(reader);
    void *instance;
    const struct berth_tracing *tracing =
        used_find(crossing, number, ASK_INTERFACE_TRACING, reader, &instance);
    struct crossing_spans *spans;
    struct berth_span *span;

    if (kind < BERTH_SPAN_INTERNAL || kind > BERTH_SPAN_CLIENT)
        reader->is_bad = true;
    if (reader->is_bad)
        return BERTH_INVALID_ARGUMENT;
    spans = open_source(crossing, tracing, instance);
    span = spans != NULL && spans->open < ASK_SPANS_MAX
               ? tracing->start(instance, spans->source, parent, name, (enum berth_span_kind)kind)
               : NULL;
    if (span == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "the span is not recorded");
    packet_put_u32(answer, keep(spans, span));
    packet_put_bytes(answer, &span->trace, sizeof(span->trace));
    return BERTH_OK;
}

static double get_double(struct packet_reader *reader)
{
    uint64_t bits = packet_get_u64(reader);
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static struct berth_attribute get_attribute(struct packet_reader *reader)
{
    struct berth_attribute attribute = {.key = packet_get_text(reader)};
    uint8_t kind = packet_get_u8(reader);

    attribute.kind = (enum berth_attribute_kind)kind;
    switch (kind) {
    case BERTH_ATTRIBUTE_TEXT:
        attribute.text = packet_get_text(reader);
        break;
    case BERTH_ATTRIBUTE_INT:
        attribute.number = (int64_t)packet_get_u64(reader);
        break;
    case BERTH_ATTRIBUTE_BOOL:
        attribute.truth = packet_get_u64(reader) != 0;
        break;
    case BERTH_ATTRIBUTE_DOUBLE:
        attribute.real = get_double(reader);
        break;
    default:
        reader->is_bad = true;
    }
    return attribute;
}

static size_t get_attributes(struct packet_reader *reader, struct berth_attribute *attributes)
{
    uint32_t count = packet_get_count(reader, LEAST_ATTRIBUTE);

    if (count > ATTRIBUTES_MAX)
        reader->is_bad = true;
    for (uint32_t i = 0; i < count && !reader->is_bad; i++)
        attributes[i] = get_attribute(reader);
    return reader->is_bad ? 0 : count;
}

static void end_span(struct crossing *crossing, struct berth_span **slot)
{
    struct berth_span *span = *slot;

    *slot = NULL;
    crossing->spans->open--;
    berth_span_end(span);
}

/* One that is not open is one that the plugin could not know to be closed. */
void spans_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    struct berth_attribute attributes[ATTRIBUTES_MAX];
    struct berth_span **slot = find(crossing, packet_get_u32(reader));
    struct berth_span *span = slot != NULL ? *slot : NULL;
    uint8_t what = packet_get_u8(reader);
    const struct berth_trace *to;
    struct berth_trace trace;
    const char *text;
    size_t count;
    uint8_t status;

    switch (what) {
    case SPAN_SET:
        attributes[0] = get_attribute(reader);
        if (!reader->is_bad)
            berth_span_set_attribute(span, &attributes[0]);
        break;
    case SPAN_EVENT:
        text = packet_get_text(reader);
        count = get_attributes(reader, attributes);
        if (!reader->is_bad)
            berth_span_event_with(span, text, attributes, count);
        break;
    case SPAN_LINK:
        to = get_trace(reader, &trace);
        count = get_attributes(reader, attributes);
        if (!reader->is_bad)
            berth_span_link(span, to, attributes, count);
        break;
    case SPAN_STATUS:
        status = packet_get_u8(reader);
        text = packet_get_optional(reader);
        if (status > BERTH_SPAN_ERROR)
            reader->is_bad = true;
        if (!reader->is_bad)
            berth_span_set_status(span, (enum berth_span_status)status, text);
        break;
    case SPAN_END:
        if (!reader->is_bad && slot != NULL)
            end_span(crossing, slot);
        break;
    default:
        reader->is_bad = true;
    }
    if (reader->is_bad)
        channel_break(crossing->channel, "sent a part of a span that cannot be read");
}
