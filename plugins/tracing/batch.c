/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encodes each span once, when it ends, so that what waits is small and has a size. A request is
 *
 *     ExportTraceServiceRequest { ResourceSpans resource_spans = 1 }
 *     ResourceSpans { Resource resource = 1; ScopeSpans scope_spans = 2 }
 *     ScopeSpans { InstrumentationScope scope = 1; Span spans = 2 }
 *
 * and only the heads of these are written around the spans.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>
#include <opentelemetry/proto/common/v1/common.pb-c.h>
#include <opentelemetry/proto/trace/v1/trace.pb-c.h>

#define QUEUE_BYTES_MAX ((size_t)16 << 20)
/* Receivers accept 4 MiB by default. */
#define REQUEST_BYTES_MAX ((size_t)3 << 20)

/* Bytes of a plugin's name. */
#define SCOPE_MAX 512

/* W3C's flags are the low byte. */
#define FLAG_IS_REMOTE_KNOWN 0x100u
#define FLAG_IS_REMOTE 0x200u

void queue_init(struct queue *queue, size_t max_count)
{
    STAILQ_INIT(&queue->items);
    queue->count = queue->bytes = 0;
    queue->max_count = max_count;
}

static void drop_first(struct queue *queue)
{
    struct item *item = STAILQ_FIRST(&queue->items);

    STAILQ_REMOVE_HEAD(&queue->items, link);
    queue->count--;
    queue->bytes -= item->length;
    free(item);
}

void queue_finish(struct queue *queue)
{
    while (!STAILQ_EMPTY(&queue->items))
        drop_first(queue);
}

/* What one attribute is made of. */
struct pair {
    Opentelemetry__Proto__Common__V1__KeyValue pair;
    Opentelemetry__Proto__Common__V1__AnyValue value;
};

static void fill_pair(struct pair *pair, const struct berth_attribute *from)
{
    opentelemetry__proto__common__v1__key_value__init(&pair->pair);
    opentelemetry__proto__common__v1__any_value__init(&pair->value);
    pair->pair.key = (char *)from->key;
    pair->pair.value = &pair->value;
    switch (from->kind) {
    case BERTH_ATTRIBUTE_TEXT:
        pair->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        pair->value.string_value = (char *)from->text;
        break;
    case BERTH_ATTRIBUTE_INT:
        pair->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE;
        pair->value.int_value = from->number;
        break;
    case BERTH_ATTRIBUTE_BOOL:
        pair->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE;
        pair->value.bool_value = from->truth;
        break;
    case BERTH_ATTRIBUTE_DOUBLE:
        pair->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE;
        pair->value.double_value = from->real;
        break;
    }
}

/* Attributes of events and links. */
struct details {
    struct pair pairs[BERTH_SPAN_DETAILS_MAX];
    Opentelemetry__Proto__Common__V1__KeyValue *list[BERTH_SPAN_DETAILS_MAX];
    size_t count;
};

/* Everything that the message of a span points to. */
struct message {
    Opentelemetry__Proto__Trace__V1__Span span;
    Opentelemetry__Proto__Trace__V1__Status status;
    struct pair pairs[BERTH_SPAN_ATTRIBUTES_MAX];
    Opentelemetry__Proto__Common__V1__KeyValue *attributes[BERTH_SPAN_ATTRIBUTES_MAX];
    Opentelemetry__Proto__Trace__V1__Span__Event events[BERTH_SPAN_EVENTS_MAX];
    Opentelemetry__Proto__Trace__V1__Span__Event *event_list[BERTH_SPAN_EVENTS_MAX];
    Opentelemetry__Proto__Trace__V1__Span__Link links[BERTH_SPAN_LINKS_MAX];
    Opentelemetry__Proto__Trace__V1__Span__Link *link_list[BERTH_SPAN_LINKS_MAX];
    struct details details;
};

/* @return the number of attributes. */
static size_t add_details(struct details *details, const struct berth_span_details *from,
                          Opentelemetry__Proto__Common__V1__KeyValue ***ret_list)
{
    size_t first = details->count;

    for (size_t i = 0; i < from->count && details->count < BERTH_SPAN_DETAILS_MAX; i++) {
        fill_pair(&details->pairs[details->count], &from->attributes[i]);
        details->list[details->count] = &details->pairs[details->count].pair;
        details->count++;
    }
    *ret_list = details->list + first;
    return details->count - first;
}

static void fill_event(struct message *message, const struct berth_span_data *data, size_t i)
{
    Opentelemetry__Proto__Trace__V1__Span__Event *event = &message->events[i];

    opentelemetry__proto__trace__v1__span__event__init(event);
    event->time_unix_nano = data->events[i].time_ns;
    event->name = (char *)data->events[i].name;
    if (!BERTH_HAS(data, event_details))
        return;
    event->n_attributes = add_details(&message->details, &data->event_details[i], &event->attributes);
    event->dropped_attributes_count = data->event_details[i].dropped;
}

static void fill_link(struct message *message, const struct berth_span_link *from, size_t i)
{
    Opentelemetry__Proto__Trace__V1__Span__Link *link = &message->links[i];

    opentelemetry__proto__trace__v1__span__link__init(link);
    link->trace_id = (ProtobufCBinaryData){sizeof(from->to.trace_id), (uint8_t *)from->to.trace_id};
    link->span_id = (ProtobufCBinaryData){sizeof(from->to.span_id), (uint8_t *)from->to.span_id};
    link->flags = from->to.flags;
    link->n_attributes = add_details(&message->details, &from->details, &link->attributes);
    link->dropped_attributes_count = from->details.dropped;
}

static void fill_lists(struct message *message, const struct berth_span_data *data)
{
    Opentelemetry__Proto__Trace__V1__Span *span = &message->span;

    message->details.count = 0;
    for (size_t i = 0; i < data->attribute_count && i < BERTH_SPAN_ATTRIBUTES_MAX; i++) {
        fill_pair(&message->pairs[i], &data->attributes[i]);
        message->attributes[i] = &message->pairs[i].pair;
        span->n_attributes++;
    }
    for (size_t i = 0; i < data->event_count && i < BERTH_SPAN_EVENTS_MAX; i++) {
        fill_event(message, data, i);
        message->event_list[i] = &message->events[i];
        span->n_events++;
    }
    for (size_t i = 0; BERTH_HAS(data, links) && i < data->link_count && i < BERTH_SPAN_LINKS_MAX; i++) {
        fill_link(message, &data->links[i], i);
        message->link_list[i] = &message->links[i];
        span->n_links++;
    }
    span->attributes = message->attributes;
    span->events = message->event_list;
    span->links = message->link_list;
    span->dropped_attributes_count = data->dropped_attributes;
    span->dropped_events_count = data->dropped_events;
    span->dropped_links_count = BERTH_HAS(data, dropped_links) ? data->dropped_links : 0;
}

static void fill(struct message *message, const struct berth_span_data *data)
{
    static const uint8_t nobody[sizeof(data->parent_id)];
    Opentelemetry__Proto__Trace__V1__Span *span = &message->span;
    bool has_parent = memcmp(data->parent_id, nobody, sizeof(nobody)) != 0;

    opentelemetry__proto__trace__v1__span__init(span);
    span->trace_id = (ProtobufCBinaryData){sizeof(data->trace.trace_id), (uint8_t *)data->trace.trace_id};
    span->span_id = (ProtobufCBinaryData){sizeof(data->trace.span_id), (uint8_t *)data->trace.span_id};
    if (has_parent)
        span->parent_span_id = (ProtobufCBinaryData){sizeof(data->parent_id), (uint8_t *)data->parent_id};
    span->trace_state = (char *)data->tracestate;
    span->name = (char *)data->name;
    span->kind = (Opentelemetry__Proto__Trace__V1__Span__SpanKind)data->kind;
    span->start_time_unix_nano = data->start_ns;
    span->end_time_unix_nano = data->end_ns;
    span->flags = data->trace.flags | FLAG_IS_REMOTE_KNOWN | (data->parent_is_remote ? FLAG_IS_REMOTE : 0);
    if (data->status != BERTH_SPAN_UNSET) {
        opentelemetry__proto__trace__v1__status__init(&message->status);
        message->status.code = (Opentelemetry__Proto__Trace__V1__Status__StatusCode)data->status;
        message->status.message = (char *)data->status_message;
        span->status = &message->status;
    }
    fill_lists(message, data);
}

bool queue_add(struct queue *queue, const struct berth_span_data *data)
{
    struct message message;
    size_t length, scope_size = strlen(data->scope) + 1;
    struct item *item;

    if (queue->count >= queue->max_count || queue->bytes >= QUEUE_BYTES_MAX)
        return false;
    fill(&message, data);
    length = opentelemetry__proto__trace__v1__span__get_packed_size(&message.span);
    item = malloc(sizeof(*item) + length + scope_size);
    if (item == NULL)
        return false;
    item->length = opentelemetry__proto__trace__v1__span__pack(&message.span, item->bytes);
    item->scope = memcpy(item->bytes + length, data->scope, scope_size);
    STAILQ_INSERT_TAIL(&queue->items, item, link);
    queue->count++;
    queue->bytes += item->length;
    return true;
}

void queue_save(const struct queue *queue, struct berth_wire_buffer *buffer)
{
    const struct item *item;

    STAILQ_FOREACH(item, &queue->items, link)
    {
        size_t scope = strlen(item->scope);

        berth_wire_put_head(buffer, 1,
                            berth_wire_size_of_bytes(1, scope) + berth_wire_size_of_bytes(2, item->length));
        berth_wire_put_bytes(buffer, 1, item->scope, scope);
        berth_wire_put_bytes(buffer, 2, item->bytes, item->length);
    }
}

static bool is_span(const struct berth_wire_field *field)
{
    Opentelemetry__Proto__Trace__V1__Span *span =
        opentelemetry__proto__trace__v1__span__unpack(NULL, field->length, field->data);

    opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
    return span != NULL;
}

bool queue_load(struct queue *queue, const struct berth_wire_field *from, bool *ret_full)
{
    struct berth_wire wire = berth_wire_of(from->data, from->length);
    struct berth_wire_field scope, span;
    struct item *item = NULL;

    if (from->type != BERTH_WIRE_BYTES || !berth_wire_next(&wire, &scope) || scope.number != 1 ||
        scope.type != BERTH_WIRE_BYTES || scope.length > SCOPE_MAX ||
        !berth_utf8_is_valid((const char *)scope.data, scope.length) ||
        memchr(scope.data, '\0', scope.length) != NULL || !berth_wire_next(&wire, &span) ||
        span.number != 2 || span.type != BERTH_WIRE_BYTES || !berth_wire_is_whole(&wire) || !is_span(&span))
        return false;
    if (queue->count < queue->max_count && queue->bytes < QUEUE_BYTES_MAX)
        item = malloc(sizeof(*item) + span.length + scope.length + 1);
    *ret_full = item == NULL;
    if (item == NULL)
        return true;
    item->length = span.length;
    memcpy(item->bytes, span.data, span.length);
    memcpy(item->bytes + span.length, scope.data, scope.length);
    item->bytes[span.length + scope.length] = '\0';
    item->scope = (const char *)item->bytes + span.length;
    STAILQ_INSERT_TAIL(&queue->items, item, link);
    queue->count++;
    queue->bytes += item->length;
    return true;
}

void queue_drop(struct queue *queue, size_t count)
{
    while (count-- > 0 && !STAILQ_EMPTY(&queue->items))
        drop_first(queue);
}

bool resource_add(struct resource *resource, const char *key, const char *value)
{
    struct pair pair;
    uint8_t bytes[16384];

    fill_pair(&pair, &(struct berth_attribute){.key = key, .kind = BERTH_ATTRIBUTE_TEXT, .text = value});
    if (opentelemetry__proto__common__v1__key_value__get_packed_size(&pair.pair) > sizeof(bytes))
        return false;
    berth_wire_put_bytes(&resource->bytes, 1, bytes,
                         opentelemetry__proto__common__v1__key_value__pack(&pair.pair, bytes));
    return !resource->bytes.failed;
}

/* The spans of one scope among the first `count` items, which are then without it. */
static void write_scope(struct berth_wire_buffer *into, struct item **items, size_t count, size_t first)
{
    const char *scope = items[first]->scope;
    size_t name = berth_wire_size_of_bytes(1, strlen(scope)), length = berth_wire_size_of_bytes(1, name);

    for (size_t i = first; i < count; i++)
        if (items[i] != NULL && strcmp(items[i]->scope, scope) == 0)
            length += berth_wire_size_of_bytes(2, items[i]->length);
    berth_wire_put_head(into, 2, length);
    berth_wire_put_head(into, 1, name);
    berth_wire_put_bytes(into, 1, scope, strlen(scope));
    for (size_t i = first; i < count; i++) {
        if (items[i] == NULL || strcmp(items[i]->scope, scope) != 0)
            continue;
        berth_wire_put_bytes(into, 2, items[i]->bytes, items[i]->length);
        items[i] = NULL;
    }
}

void queue_take(struct queue *queue, const struct resource *resource, size_t max_count,
                struct berth_wire_buffer *ret_request, size_t *ret_count)
{
    struct berth_wire_buffer spans = {0};
    struct item **items = calloc(max_count, sizeof(*items)), *item;
    size_t count = 0, bytes = 0;

    STAILQ_FOREACH(item, &queue->items, link)
    {
        bytes += item->length;
        if (count == max_count || (count > 0 && bytes > REQUEST_BYTES_MAX))
            break;
        if (items != NULL)
            items[count] = item;
        count++;
    }
    berth_wire_put_bytes(&spans, 1, resource->bytes.bytes, resource->bytes.length);
    for (size_t i = 0; items != NULL && i < count; i++)
        if (items[i] != NULL)
            write_scope(&spans, items, count, i);
    memset(ret_request, 0, sizeof(*ret_request));
    berth_wire_put_bytes(ret_request, 1, spans.bytes, spans.length);
    ret_request->failed = ret_request->failed || spans.failed || items == NULL;
    berth_wire_finish(&spans);
    free(items);
    for (size_t i = 0; i < count; i++)
        drop_first(queue);
    *ret_count = count;
}
