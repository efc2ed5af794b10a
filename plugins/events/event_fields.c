/* SPDX-License-Identifier: Apache-2.0 */
/* What a filter can ask of an event: its namespace, its topic, and the fields of its message. */
#include "event_fields.h"

#include <string.h>

#include <berth/protobuf.h>
#include <google/protobuf/any.pb-c.h>

#include "event_types.h"

static const void *member(const ProtobufCMessage *message, size_t offset)
{
    return (const char *)message + offset;
}

/* As to containerd, an empty text is none. */
static bool find_text(const char *text, const char **ret_value)
{
    if (text == NULL || *text == '\0')
        return false;
    *ret_value = text;
    return true;
}

/* Is `key` what the names come to with dots between them? */
static bool is_joined(const char *key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);

        if ((i > 0 && *key++ != '.') || strncmp(key, names[i], length) != 0)
            return false;
        key += length;
    }
    return *key == '\0';
}

static const char *text_of_entry(const ProtobufCMessage *entry, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(entry->descriptor, name);
    const char *text = NULL;

    if (field != NULL && field->type == PROTOBUF_C_TYPE_STRING && field->label != PROTOBUF_C_LABEL_REPEATED)
        text = *(char *const *)member(entry, field->offset);
    return text == NULL ? "" : text;
}

/* A label's name may have dots, which the filter took for the ends of names. The last of several counts. */
static bool find_label(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       const char *const *names, size_t count, const char **ret_value)
{
    size_t entry_count = *(const size_t *)member(message, field->quantifier_offset);
    ProtobufCMessage *const *entries = *(ProtobufCMessage *const *const *)member(message, field->offset);

    while (entry_count-- > 0) {
        if (!is_joined(text_of_entry(entries[entry_count], "key"), names, count))
            continue;
        *ret_value = text_of_entry(entries[entry_count], "value");
        return true;
    }
    return false;
}

static bool find_in(const ProtobufCMessage *message, const char *const *names, size_t count,
                    const char **ret_value);

static bool find_below(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       const char *const *names, size_t count, const char **ret_value)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return strcmp(field->name, "labels") == 0 && find_label(message, field, names, count, ret_value);
    return field->descriptor != &google__protobuf__any__descriptor &&
           find_in(*(ProtobufCMessage *const *)member(message, field->offset), names, count, ret_value);
}

/* Texts, truths, messages and labels can be asked for; numbers and times cannot, as in containerd. */
static bool find_in(const ProtobufCMessage *message, const char *const *names, size_t count,
                    const char **ret_value)
{
    const ProtobufCFieldDescriptor *field =
        message == NULL || count == 0
            ? NULL
            : protobuf_c_message_descriptor_get_field_by_name(message->descriptor, names[0]);

    if (field == NULL)
        return false;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return find_below(message, field, names + 1, count - 1, ret_value);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return false;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return find_text(*(char *const *)member(message, field->offset), ret_value);
    if (field->type != PROTOBUF_C_TYPE_BOOL)
        return false;
    *ret_value = *(const protobuf_c_boolean *)member(message, field->offset) ? "true" : "false";
    return true;
}

static const ProtobufCMessage *message_of(struct event_fields *fields)
{
    const struct berth_event *event = fields->event;
    const ProtobufCMessageDescriptor *type;

    if (fields->is_unpacked)
        return fields->message;
    fields->is_unpacked = true;
    type = event_types_find(event->type_url);
    if (type != NULL)
        fields->message = berth_unpack_within(type, event->value, event->value_length,
                                              4 * event->value_length + BERTH_UNPACK_SLACK);
    return fields->message;
}

bool event_fields_find(void *context, const char *const *path, size_t count, const char **ret_value)
{
    struct event_fields *fields = context;

    if (strcmp(path[0], "namespace") == 0)
        return find_text(fields->event->namespace_name, ret_value);
    if (strcmp(path[0], "topic") == 0)
        return find_text(fields->event->topic, ret_value);
    if (strcmp(path[0], "event") != 0)
        return false;
    return find_in(message_of(fields), path + 1, count - 1, ret_value);
}

void event_fields_finish(struct event_fields *fields)
{
    if (fields->message != NULL)
        protobuf_c_message_free_unpacked(fields->message, NULL);
}
