/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One span from its beginning to its end. Its texts stand one behind another in one block, and what refers to
 * them are offsets, because the block moves as it grows. Ended spans are kept with their blocks, so that a
 * call that is recorded allocates nothing either.
 */
#include "span.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <berth/utf8.h>

#define OPEN_MAX 16384
#define KEPT_MAX 256
/* A block that has grown beyond this is not kept. */
#define KEPT_TEXT_MAX 4096
#define KEY_MAX 256
/* A block this large is mostly texts that others have replaced. */
#define TEXTS_MAX ((size_t)512 << 10)

struct attribute {
    uint32_t key, text;
    enum berth_attribute_kind kind;
    union {
        int64_t number;
        bool truth;
        double real;
    };
};

/* A part of a span's `details`. */
struct details {
    uint32_t first, count, dropped;
};

struct event {
    uint32_t name;
    uint64_t after_ns;
    struct details details;
};

struct link {
    struct berth_trace to;
    struct details details;
};

struct span {
    struct berth_span public;
    LIST_ENTRY(span) link;
    struct berth_span_source *source;
    uint8_t parent_id[8];
    bool parent_is_remote;
    enum berth_span_kind kind;
    enum berth_span_status status;
    uint32_t name, tracestate, status_message;
    uint64_t start_ns, start_monotonic_ns;
    uint32_t attribute_count, dropped_attributes, event_count, dropped_events;
    uint32_t link_count, dropped_links, detail_count;
    struct attribute attributes[BERTH_SPAN_ATTRIBUTES_MAX];
    struct event events[BERTH_SPAN_EVENTS_MAX];
    struct link links[BERTH_SPAN_LINKS_MAX];
    /** Attributes of events and links. */
    struct attribute details[BERTH_SPAN_DETAILS_MAX];
    char *texts;
    size_t texts_length, texts_size;
};

static_assert(TEXTS_MAX / 2 >
                  (BERTH_SPAN_ATTRIBUTES_MAX + BERTH_SPAN_EVENTS_MAX + BERTH_SPAN_DETAILS_MAX + 3) *
                      (KEY_MAX + BERTH_SPAN_TEXT_MAX + 2),
              "without what was replaced, half of the block is free");

static void move_text(struct span *span, const char *before, uint32_t *offset)
{
    size_t size = strlen(before + *offset) + 1;

    if (*offset == 0)
        return;
    memcpy(span->texts + span->texts_length, before + *offset, size);
    *offset = (uint32_t)span->texts_length;
    span->texts_length += size;
}

static void move_attributes(struct span *span, const char *before, struct attribute *attributes,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        move_text(span, before, &attributes[i].key);
        move_text(span, before, &attributes[i].text);
    }
}

/* Leaves out the texts that others have replaced: a span may be open for days. */
static bool compact(struct span *span)
{
    char *before = span->texts, *texts = malloc(TEXTS_MAX);

    if (texts == NULL)
        return false;
    texts[0] = '\0';
    span->texts = texts;
    span->texts_length = 1;
    span->texts_size = TEXTS_MAX;
    move_text(span, before, &span->name);
    move_text(span, before, &span->tracestate);
    move_text(span, before, &span->status_message);
    move_attributes(span, before, span->attributes, span->attribute_count);
    move_attributes(span, before, span->details, span->detail_count);
    for (uint32_t i = 0; i < span->event_count; i++)
        move_text(span, before, &span->events[i].name);
    free(before);
    return true;
}

/* Offset 0 is "", which also stands for a text that memory was short of. */
static uint32_t add_text(struct span *span, const char *text, size_t max)
{
    size_t length = text == NULL ? 0 : strnlen(text, max), at;

    if (length == 0 || (span->texts_length + length + 1 > TEXTS_MAX && !compact(span)))
        return 0;
    at = span->texts_length;
    if (at + length + 1 > span->texts_size) {
        size_t size = 2 * (at + length + 1);
        char *texts = realloc(span->texts, size);

        if (texts == NULL)
            return 0;
        span->texts = texts;
        span->texts_size = size;
    }
    for (size_t i = 0; i < length;) {
        size_t bytes = berth_utf8_character(text + i, length - i);

        /* What was cut in the middle of a character is shorter. */
        if (bytes == 0 && length == max && i + 4 > length)
            break;
        if (bytes == 0)
            span->texts[span->texts_length++] = '?';
        else
            memcpy(span->texts + span->texts_length, text + i, bytes);
        span->texts_length += bytes;
        i += bytes > 0 ? bytes : 1;
    }
    span->texts[span->texts_length++] = '\0';
    return (uint32_t)at;
}

static struct attribute *find_attribute(struct span *span, const char *key)
{
    for (uint32_t i = 0; i < span->attribute_count; i++)
        if (strcmp(span->texts + span->attributes[i].key, key) == 0)
            return &span->attributes[i];
    return NULL;
}

static void set_value(struct span *span, struct attribute *attribute, const struct berth_attribute *given)
{
    attribute->kind = given->kind;
    switch (given->kind) {
    case BERTH_ATTRIBUTE_TEXT:
        attribute->text = add_text(span, given->text, BERTH_SPAN_TEXT_MAX);
        break;
    case BERTH_ATTRIBUTE_INT:
        attribute->number = given->number;
        break;
    case BERTH_ATTRIBUTE_BOOL:
        attribute->truth = given->truth;
        break;
    case BERTH_ATTRIBUTE_DOUBLE:
        attribute->real = given->real;
        break;
    }
}

/* @return false if it is dropped. */
static bool add_attribute(struct span *span, struct attribute *attribute, const struct berth_attribute *given)
{
    /* Without its text for now: adding texts may move them. */
    *attribute = (struct attribute){.key = 0};
    attribute->key = add_text(span, given->key, KEY_MAX);
    return attribute->key != 0;
}

static void op_set(struct berth_span *public, const struct berth_attribute *given)
{
    struct span *span = (struct span *)public;
    struct attribute *attribute = find_attribute(span, given->key);

    if (attribute == NULL && span->attribute_count == BERTH_SPAN_ATTRIBUTES_MAX) {
        span->dropped_attributes++;
        return;
    }
    if (attribute == NULL) {
        attribute = &span->attributes[span->attribute_count];
        if (!add_attribute(span, attribute, given)) {
            span->dropped_attributes++;
            return;
        }
        span->attribute_count++;
    }
    set_value(span, attribute, given);
}

/* If a key is repeated, the last value counts. */
static bool has_later(const struct berth_attribute *given, size_t i, size_t count)
{
    for (size_t k = i + 1; k < count; k++)
        if (strcmp(given[i].key, given[k].key) == 0)
            return true;
    return false;
}

static struct details add_details(struct span *span, const struct berth_attribute *given, size_t count)
{
    struct details details = {.first = span->detail_count};

    for (size_t i = 0; i < count; i++) {
        struct attribute *attribute = &span->details[span->detail_count];

        /* There are few attributes, so a linear search is cheap. */
        if (details.count < BERTH_SPAN_DETAILS_MAX && has_later(given, i, count))
            continue;
        if (span->detail_count == BERTH_SPAN_DETAILS_MAX || !add_attribute(span, attribute, &given[i])) {
            details.dropped++;
            continue;
        }
        span->detail_count++;
        details.count++;
        set_value(span, attribute, &given[i]);
    }
    return details;
}

static uint64_t age_of(const struct span *span)
{
    return uv_hrtime() - span->start_monotonic_ns;
}

static void op_add_event_with(struct berth_span *public, const char *name,
                              const struct berth_attribute *attributes, size_t count)
{
    struct span *span = (struct span *)public;
    struct event *event = &span->events[span->event_count];

    if (span->event_count == BERTH_SPAN_EVENTS_MAX) {
        span->dropped_events++;
        return;
    }
    event->name = add_text(span, name, BERTH_SPAN_TEXT_MAX);
    event->after_ns = age_of(span);
    span->event_count++;
    event->details = add_details(span, attributes, count);
}

static void op_add_event(struct berth_span *public, const char *name)
{
    op_add_event_with(public, name, NULL, 0);
}

static void op_add_link(struct berth_span *public, const struct berth_trace *to,
                        const struct berth_attribute *attributes, size_t count)
{
    struct span *span = (struct span *)public;
    struct link *link = &span->links[span->link_count];

    if (span->link_count == BERTH_SPAN_LINKS_MAX) {
        span->dropped_links++;
        return;
    }
    link->to = *to;
    link->details = add_details(span, attributes, count);
    span->link_count++;
}

static void op_set_status(struct berth_span *public, enum berth_span_status status, const char *message)
{
    struct span *span = (struct span *)public;

    span->status = status;
    span->status_message = status == BERTH_SPAN_ERROR ? add_text(span, message, BERTH_SPAN_TEXT_MAX) : 0;
}

static void free_span(struct span *span)
{
    free(span->texts);
    free(span);
}

static void ignore_attribute(struct berth_span *public, const struct berth_attribute *attribute)
{
}

static void ignore_event(struct berth_span *public, const char *name)
{
}

static void ignore_event_with(struct berth_span *public, const char *name,
                              const struct berth_attribute *attributes, size_t count)
{
}

static void ignore_link(struct berth_span *public, const struct berth_trace *to,
                        const struct berth_attribute *attributes, size_t count)
{
}

static void ignore_status(struct berth_span *public, enum berth_span_status status, const char *message)
{
}

static void ignore_end(struct berth_span *public)
{
}

/* Of a span that has ended or was dropped, until its memory is another's. */
static const struct berth_span_ops ended_ops = {
    .size = sizeof(ended_ops),
    .set = ignore_attribute,
    .add_event = ignore_event,
    .set_status = ignore_status,
    .end = ignore_end,
    .add_event_with = ignore_event_with,
    .add_link = ignore_link,
};

/* Its memory waits for the next one, up to a limit. */
static void put_away(struct span *span)
{
    struct spans *spans = span->source->spans;

    LIST_REMOVE(span, link);
    spans->open_count--;
    span->public.ops = &ended_ops;
    if (spans->kept_count == KEPT_MAX || span->texts_size > KEPT_TEXT_MAX) {
        free_span(span);
        return;
    }
    LIST_INSERT_HEAD(&spans->kept, span, link);
    spans->kept_count++;
}

static void show_attributes(const struct span *span, const struct attribute *attributes, uint32_t count,
                            struct berth_attribute *ret_attributes)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct attribute *from = &attributes[i];
        struct berth_attribute *to = &ret_attributes[i];

        *to = (struct berth_attribute){.key = span->texts + from->key, .kind = from->kind};
        switch (from->kind) {
        case BERTH_ATTRIBUTE_TEXT:
            to->text = span->texts + from->text;
            break;
        case BERTH_ATTRIBUTE_INT:
            to->number = from->number;
            break;
        case BERTH_ATTRIBUTE_BOOL:
            to->truth = from->truth;
            break;
        case BERTH_ATTRIBUTE_DOUBLE:
            to->real = from->real;
            break;
        }
    }
}

static struct berth_span_details show_details(const struct details *details,
                                              const struct berth_attribute *all)
{
    return (struct berth_span_details){
        .attributes = all + details->first, .count = details->count, .dropped = details->dropped};
}

static void tell_end(const struct span *span)
{
    const struct spans *spans = span->source->spans;
    struct berth_attribute attributes[BERTH_SPAN_ATTRIBUTES_MAX], details[BERTH_SPAN_DETAILS_MAX];
    struct berth_span_event events[BERTH_SPAN_EVENTS_MAX];
    struct berth_span_details event_details[BERTH_SPAN_EVENTS_MAX];
    struct berth_span_link links[BERTH_SPAN_LINKS_MAX];
    struct berth_span_data data = {
        .size = sizeof(data),
        .trace = span->public.trace,
        .parent_is_remote = span->parent_is_remote,
        .tracestate = span->texts + span->tracestate,
        .name = span->texts + span->name,
        .kind = span->kind,
        .start_ns = span->start_ns,
        .end_ns = span->start_ns + age_of(span),
        .attributes = attributes,
        .attribute_count = span->attribute_count,
        .dropped_attributes = span->dropped_attributes,
        .events = events,
        .event_count = span->event_count,
        .dropped_events = span->dropped_events,
        .status = span->status,
        .status_message = span->texts + span->status_message,
        .scope = span->source->uri,
        .event_details = event_details,
        .links = links,
        .link_count = span->link_count,
        .dropped_links = span->dropped_links,
    };

    memcpy(data.parent_id, span->parent_id, sizeof(data.parent_id));
    show_attributes(span, span->attributes, span->attribute_count, attributes);
    show_attributes(span, span->details, span->detail_count, details);
    for (uint32_t i = 0; i < span->event_count; i++) {
        events[i] = (struct berth_span_event){span->texts + span->events[i].name,
                                              span->start_ns + span->events[i].after_ns};
        event_details[i] = show_details(&span->events[i].details, details);
    }
    for (uint32_t i = 0; i < span->link_count; i++)
        links[i] =
            (struct berth_span_link){span->links[i].to, show_details(&span->links[i].details, details)};
    spans->on_end(spans->context, &data);
}

static void op_end(struct berth_span *public)
{
    struct span *span = (struct span *)public;

    tell_end(span);
    put_away(span);
}

static const struct berth_span_ops span_ops = {
    .size = sizeof(span_ops),
    .set = op_set,
    .add_event = op_add_event,
    .set_status = op_set_status,
    .end = op_end,
    .add_event_with = op_add_event_with,
    .add_link = op_add_link,
};

/* Everything but its texts is zero. */
static struct span *take_span(struct spans *spans)
{
    struct span *span = LIST_FIRST(&spans->kept);

    if (span != NULL) {
        char *texts = span->texts;
        size_t size = span->texts_size;

        LIST_REMOVE(span, link);
        spans->kept_count--;
        memset(span, 0, offsetof(struct span, attributes));
        span->texts = texts;
        span->texts_size = size;
        span->texts_length = 1;
        return span;
    }
    span = calloc(1, sizeof(*span));
    if (span == NULL)
        return NULL;
    span->texts_size = 512;
    span->texts_length = 1;
    span->texts = calloc(1, span->texts_size);
    if (span->texts == NULL) {
        free(span);
        return NULL;
    }
    return span;
}

struct berth_span *spans_begin(struct berth_span_source *source, const struct span_beginning *beginning)
{
    struct spans *spans = source->spans;
    struct span *span = spans->open_count < OPEN_MAX ? take_span(spans) : NULL;
    struct timespec now;

    if (span == NULL) {
        spans->refused++;
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    span->public = (struct berth_span){.ops = &span_ops, .trace = beginning->trace};
    span->source = source;
    if (beginning->parent != NULL)
        memcpy(span->parent_id, beginning->parent->span_id, sizeof(span->parent_id));
    span->parent_is_remote = beginning->parent_is_remote;
    span->kind = beginning->kind;
    span->name = add_text(span, beginning->name, BERTH_SPAN_TEXT_MAX);
    span->tracestate = add_text(span, beginning->tracestate, BERTH_TRACE_STATE_MAX);
    span->start_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    span->start_monotonic_ns = uv_hrtime();
    LIST_INSERT_HEAD(&source->open, span, link);
    spans->open_count++;
    return &span->public;
}

struct berth_span_source *spans_open(struct spans *spans, const char *uri)
{
    size_t size = strlen(uri) + 1;
    struct berth_span_source *source = malloc(sizeof(*source) + size);

    if (source == NULL)
        return NULL;
    source->spans = spans;
    source->holding = NULL;
    LIST_INIT(&source->open);
    memcpy(source->uri, uri, size);
    LIST_INSERT_HEAD(&spans->sources, source, link);
    return source;
}

void spans_close(struct berth_span_source *source)
{
    if (source == NULL)
        return;
    while (!LIST_EMPTY(&source->open)) {
        source->spans->abandoned++;
        put_away(LIST_FIRST(&source->open));
    }
    berth_end_holding(source->spans->host, source->holding);
    LIST_REMOVE(source, link);
    free(source);
}

enum berth_code spans_init(struct spans *spans,
                           void (*on_end)(void *context, const struct berth_span_data *span), void *context,
                           struct berth_error *err)
{
    int result = uv_random(NULL, NULL, spans->random, sizeof(spans->random), 0, NULL);

    if (result != 0)
        return berth_error_set(err, BERTH_INTERNAL, "cannot read random numbers: %s", uv_strerror(result));
    spans->random[0] |= 1;
    LIST_INIT(&spans->sources);
    LIST_INIT(&spans->kept);
    spans->on_end = on_end;
    spans->context = context;
    return BERTH_OK;
}

void spans_finish(struct spans *spans)
{
    while (!LIST_EMPTY(&spans->sources))
        spans_close(LIST_FIRST(&spans->sources));
    while (!LIST_EMPTY(&spans->kept)) {
        struct span *span = LIST_FIRST(&spans->kept);

        LIST_REMOVE(span, link);
        free_span(span);
    }
}

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

/* xoshiro256**: IDs need to be spread, not secret. */
static uint64_t next_random(struct spans *spans)
{
    uint64_t *s = spans->random;
    uint64_t result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

void spans_make_span_id(struct spans *spans, uint8_t ret_id[8])
{
    uint64_t id = next_random(spans);

    id += id == 0;
    memcpy(ret_id, &id, sizeof(id));
}

void spans_make_trace_id(struct spans *spans, uint8_t ret_id[16])
{
    spans_make_span_id(spans, ret_id);
    spans_make_span_id(spans, ret_id + 8);
}
