/* SPDX-License-Identifier: Apache-2.0 */
/* Checks events by containerd's rules, and copies each with all its bytes into one piece of memory. */
#include "envelope.h"

#include <stdlib.h>
#include <string.h>

#include <berth/namespace.h>
#include <berth/utf8.h>
#include <containerd/types/event.pb-c.h>

/* How much of a topic and its components a message shows, so that the reason is not cut off. */
#define SHOWN_TOPIC 640
#define SHOWN_COMPONENT 320

/* The years 1 to 9999 (google.protobuf.Timestamp). */
#define FIRST_SECOND BERTH_EVENT_NO_TIME
#define LAST_SECOND INT64_C(253402300799)

static enum berth_code check_component(const char *component, struct berth_error *err)
{
    char quoted[SHOWN_COMPONENT];
    struct berth_error why;
    enum berth_code code = berth_identifier_check(component, &why);

    if (code == BERTH_OK)
        return BERTH_OK;
    berth_identifier_quote(component, quoted, sizeof(quoted));
    return berth_error_set(err, code, "failed validation on component %s: %.900s", quoted, why.message);
}

/* A component that is too long is refused as such, even though only its beginning is copied. */
static enum berth_code check_components(const char *topic, struct berth_error *err)
{
    char component[4 * BERTH_IDENTIFIER_MAX];
    enum berth_code code = BERTH_OK;

    for (const char *slash = topic; code == BERTH_OK && slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t length = strcspn(slash + 1, "/");

        snprintf(component, sizeof(component), "%.*s",
                 (int)(length < sizeof(component) ? length : sizeof(component)), slash + 1);
        code = check_component(component, err);
    }
    return code;
}

static enum berth_code check_shape(const char *topic, struct berth_error *err)
{
    if (*topic == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "must not be empty: invalid argument");
    if (*topic != '/')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "must start with '/': invalid argument");
    if (topic[1] == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "must have at least one component: invalid argument");
    return check_components(topic, err);
}

static enum berth_code check_topic(const char *topic, struct berth_error *err)
{
    char quoted[SHOWN_TOPIC];
    struct berth_error why;
    enum berth_code code = check_shape(topic == NULL ? "" : topic, &why);

    if (code == BERTH_OK)
        return BERTH_OK;
    berth_identifier_quote(topic == NULL ? "" : topic, quoted, sizeof(quoted));
    return berth_error_set(err, code, "envelope topic %s: %.1300s", quoted, why.message);
}

static enum berth_code check_event(const struct berth_event *event, struct berth_error *err)
{
    char quoted[SHOWN_TOPIC];

    if (event->type_url == NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "envelope event: must be set: invalid argument");
    if (berth_utf8_is_valid(event->type_url, strlen(event->type_url)))
        return BERTH_OK;
    berth_identifier_quote(event->type_url, quoted, sizeof(quoted));
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "envelope event type %s: must be UTF-8: invalid argument", quoted);
}

static enum berth_code check_size(const struct berth_event *event, size_t max_bytes, struct berth_error *err)
{
    size_t strings = strlen(event->topic) + strlen(event->type_url);

    if (strings <= max_bytes && event->value_length <= max_bytes - strings)
        return BERTH_OK;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                           "the event has %zu bytes, more than max_event_bytes (%zu) of the exchange",
                           strings + event->value_length, max_bytes);
}

static enum berth_code check_common(const struct berth_event *event, size_t max_bytes, const char *where_from,
                                    struct berth_error *err)
{
    const char *name = event->namespace_name == NULL ? "" : event->namespace_name;
    struct berth_error why;
    enum berth_code code = berth_identifier_check(name, &why);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "%s: %.1900s", where_from, why.message);
    code = check_topic(event->topic, err);
    if (code == BERTH_OK)
        code = check_event(event, err);
    return code == BERTH_OK ? check_size(event, max_bytes, err) : code;
}

static enum berth_code check_time(const struct berth_event *event, struct berth_error *err)
{
    if (event->seconds == BERTH_EVENT_NO_TIME && event->nanoseconds == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "timestamp must be set on forwarded event: invalid argument");
    if (event->seconds < FIRST_SECOND || event->seconds > LAST_SECOND)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "timestamp %lld s: must be in the years 1 to 9999: invalid argument",
                               (long long)event->seconds);
    if (event->nanoseconds < 0 || event->nanoseconds > 999999999)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "timestamp %d ns: must be less than a second: invalid argument",
                               (int)event->nanoseconds);
    return BERTH_OK;
}

enum berth_code envelope_check_published(const struct berth_event *event, size_t max_bytes,
                                         struct berth_error *err)
{
    return check_common(event, max_bytes, "failed publishing event: namespace validation", err);
}

enum berth_code envelope_check_forwarded(const struct berth_event *event, size_t max_bytes,
                                         struct berth_error *err)
{
    enum berth_code code = check_common(event, max_bytes, "event envelope has invalid namespace", err);

    return code == BERTH_OK ? check_time(event, err) : code;
}

static char *text(const char *value)
{
    return (char *)(uintptr_t)value;
}

static char *place_text(char **place, const char *value)
{
    size_t size = strlen(value) + 1;
    char *placed = memcpy(*place, value, size);

    *place += size;
    return placed;
}

/* After the struct come the three strings and the packed message, whose last bytes are the value. */
static void fill(struct envelope *envelope, const struct berth_event *from,
                 const Containerd__Types__Envelope *message)
{
    char *place = (char *)(envelope + 1);
    struct berth_event *event = &envelope->event;

    event->size = sizeof(*event);
    event->seconds = from->seconds;
    event->nanoseconds = from->nanoseconds;
    event->namespace_name = place_text(&place, from->namespace_name);
    event->topic = place_text(&place, from->topic);
    event->type_url = place_text(&place, from->type_url);
    event->envelope = place;
    event->envelope_length = containerd__types__envelope__pack(message, (uint8_t *)place);
    event->value = place + event->envelope_length - from->value_length;
    event->value_length = from->value_length;
}

static struct envelope *make(const struct berth_event *event, const Containerd__Types__Envelope *message)
{
    size_t strings = strlen(event->namespace_name) + strlen(event->topic) + strlen(event->type_url) + 3;
    size_t bytes = sizeof(struct envelope) + strings + containerd__types__envelope__get_packed_size(message);
    struct envelope *envelope = malloc(bytes);

    if (envelope == NULL)
        return NULL;
    *envelope = (struct envelope){.references = 1, .bytes = bytes};
    fill(envelope, event, message);
    return envelope;
}

struct envelope *envelope_create(const struct berth_event *event)
{
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    Containerd__Types__Envelope message = CONTAINERD__TYPES__ENVELOPE__INIT;

    timestamp.seconds = event->seconds;
    timestamp.nanos = event->nanoseconds;
    any.type_url = text(event->type_url);
    any.value = (ProtobufCBinaryData){event->value_length, (uint8_t *)(uintptr_t)event->value};
    message.timestamp = &timestamp;
    message.namespace_ = text(event->namespace_name);
    message.topic = text(event->topic);
    message.event = &any;
    return make(event, &message);
}

void envelope_destroy(struct envelope *envelope)
{
    free(envelope);
}
