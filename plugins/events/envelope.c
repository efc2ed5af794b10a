/* SPDX-License-Identifier: Apache-2.0 */
/* An event of the exchange's own: one piece of memory with all its bytes, shared by all who keep it. */
#include "envelope.h"

#include <stdlib.h>
#include <string.h>

#include <containerd/types/event.pb-c.h>

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

/* Behind the struct: the three strings, and the packed message, whose last bytes are the value. */
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
