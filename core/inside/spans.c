/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of the plugin: the daemon records them, and this process has their places in the trace. */
#include <stdlib.h>
#include <string.h>

#include <berth/types/tracing.h>

#include "table.h"

/* As many as an event or a link keeps, and one more, so that the daemon notices. */
#define ATTRIBUTES_MAX (BERTH_SPAN_DETAILS_MAX + 1)

struct berth_span_source {
    struct used_interface *used;
    LIST_HEAD(, own_span) open;
};

struct own_span {
    struct berth_span public;
    LIST_ENTRY(own_span) link;
    struct inside *inside;
    uint32_t number;
};

static struct packet_writer *begin(struct berth_span *span, enum span_part what)
{
    struct own_span *own = CONTAINER_OF(span, struct own_span, public);
    struct packet_writer *writer = table_begin(own->inside, PACKET_SPAN);

    packet_put_u32(writer, own->number);
    packet_put_u8(writer, (uint8_t)what);
    return writer;
}

/* The daemon notes the time when it reads this. */
static void send_now(struct berth_span *span, struct packet_writer *writer)
{
    packet_end(writer);
    channel_flush(&CONTAINER_OF(span, struct own_span, public)->inside->process->channel);
}

/* The daemon keeps no more of a text. */
static void put_short(struct packet_writer *writer, const char *text)
{
    char shortened[BERTH_SPAN_TEXT_MAX + 2];

    snprintf(shortened, sizeof(shortened), "%s", text != NULL ? text : "");
    packet_put_text(writer, shortened);
}

static void put_attribute(struct packet_writer *writer, const struct berth_attribute *attribute)
{
    uint64_t bits = (uint64_t)attribute->number;

    put_short(writer, attribute->key);
    packet_put_u8(writer, (uint8_t)attribute->kind);
    if (attribute->kind == BERTH_ATTRIBUTE_TEXT) {
        put_short(writer, attribute->text);
        return;
    }
    if (attribute->kind == BERTH_ATTRIBUTE_BOOL)
        bits = attribute->truth;
    else if (attribute->kind == BERTH_ATTRIBUTE_DOUBLE)
        memcpy(&bits, &attribute->real, sizeof(bits));
    packet_put_u64(writer, bits);
}

static void put_attributes(struct packet_writer *writer, const struct berth_attribute *attributes,
                           size_t count)
{
    if (attributes == NULL)
        count = 0;
    if (count > ATTRIBUTES_MAX)
        count = ATTRIBUTES_MAX;
    packet_put_u32(writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        put_attribute(writer, &attributes[i]);
}

static void set(struct berth_span *span, const struct berth_attribute *attribute)
{
    struct packet_writer *writer;

    if (attribute->key == NULL || (unsigned)attribute->kind > BERTH_ATTRIBUTE_DOUBLE)
        return;
    writer = begin(span, SPAN_SET);
    put_attribute(writer, attribute);
    packet_end(writer);
}

static void add_event_with(struct berth_span *span, const char *name,
                           const struct berth_attribute *attributes, size_t count)
{
    struct packet_writer *writer = begin(span, SPAN_EVENT);

    put_short(writer, name);
    put_attributes(writer, attributes, count);
    send_now(span, writer);
}

static void add_event(struct berth_span *span, const char *name)
{
    add_event_with(span, name, NULL, 0);
}

static void add_link(struct berth_span *span, const struct berth_trace *to,
                     const struct berth_attribute *attributes, size_t count)
{
    struct packet_writer *writer = begin(span, SPAN_LINK);

    packet_put_bytes(writer, to, sizeof(*to));
    put_attributes(writer, attributes, count);
    packet_end(writer);
}

static void set_status(struct berth_span *span, enum berth_span_status status, const char *message)
{
    struct packet_writer *writer;

    if ((unsigned)status > BERTH_SPAN_ERROR)
        return;
    writer = begin(span, SPAN_STATUS);
    packet_put_u8(writer, (uint8_t)status);
    packet_put_optional(writer, message);
    packet_end(writer);
}

static void end(struct berth_span *span)
{
    struct own_span *own = CONTAINER_OF(span, struct own_span, public);

    send_now(span, begin(span, SPAN_END));
    LIST_REMOVE(own, link);
    free(own);
}

static const struct berth_span_ops operations = {.size = sizeof(operations),
                                                 .set = set,
                                                 .add_event = add_event,
                                                 .set_status = set_status,
                                                 .end = end,
                                                 .add_event_with = add_event_with,
                                                 .add_link = add_link};

static struct berth_span_source *open_source(void *instance, const char *uri)
{
    struct berth_span_source *source = calloc(1, sizeof(*source));

    if (source != NULL)
        source->used = instance;
    return source;
}

static void close_source(void *instance, struct berth_span_source *source)
{
    struct own_span *own;

    /* Dropped: the daemon does so too, once the plugin is closed. */
    while ((own = LIST_FIRST(&source->open)) != NULL) {
        LIST_REMOVE(own, link);
        free(own);
    }
    free(source);
}

static struct berth_span *start(void *instance, struct berth_span_source *source,
                                const struct berth_trace *parent, const char *name, enum berth_span_kind kind)
{
    struct used_interface *used = instance;
    struct inside *inside = table_on_loop(&used->inside->table, "start (tracing)", NULL);
    struct packet_writer *writer;
    struct packet_reader answer;
    struct berth_error error;
    struct own_span *own;
    const void *trace;
    size_t length;

    if (inside == NULL || kind < BERTH_SPAN_INTERNAL || kind > BERTH_SPAN_CLIENT)
        return NULL;
    writer = table_begin_question(inside, ASK_SPAN);
    packet_put_u32(writer, used->number);
    packet_put_bytes(writer, parent, parent != NULL ? sizeof(*parent) : 0);
    packet_put_u8(writer, (uint8_t)kind);
    put_short(writer, name);
    if (table_ask(inside, &answer, &error) != BERTH_OK)
        return NULL;
    own = calloc(1, sizeof(*own));
    if (own == NULL)
        return NULL;
    own->number = packet_get_u32(&answer);
    trace = packet_get_bytes(&answer, &length);
    if (answer.is_bad || length != sizeof(own->public.trace)) {
        free(own);
        return NULL;
    }
    memcpy(&own->public.trace, trace, length);
    own->public.ops = &operations;
    own->inside = inside;
    LIST_INSERT_HEAD(&source->open, own, link);
    return &own->public;
}

const struct berth_tracing used_tracing = {
    .size = sizeof(used_tracing),
    .open = open_source,
    .close = close_source,
    .start = start,
};
