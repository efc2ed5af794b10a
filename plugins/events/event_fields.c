/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of an event for filters: its namespace, its topic, and the fields of its message. */
#include "event_fields.h"

#include <string.h>

#include <berth/events/v1/plugins.pb-c.h>
#include <berth/filter.h>
#include <berth/protobuf.h>
#include <containerd/events/container.pb-c.h>
#include <containerd/events/content.pb-c.h>
#include <containerd/events/image.pb-c.h>
#include <containerd/events/namespace.pb-c.h>
#include <containerd/events/sandbox.pb-c.h>
#include <containerd/events/snapshot.pb-c.h>
#include <containerd/events/task.pb-c.h>
#include <google/protobuf/any.pb-c.h>

/* The types of events whose fields filters can ask for. */
static const char any_prefix[] = "type.googleapis.com/";

static const ProtobufCMessageDescriptor *const event_types[] = {
    &berth__events__v1__plugin_exited__descriptor,
    &berth__events__v1__plugin_restarted__descriptor,
    &containerd__events__container_create__descriptor,
    &containerd__events__container_delete__descriptor,
    &containerd__events__container_update__descriptor,
    &containerd__events__content_create__descriptor,
    &containerd__events__content_delete__descriptor,
    &containerd__events__namespace_create__descriptor,
    &containerd__events__namespace_delete__descriptor,
    &containerd__events__namespace_update__descriptor,
    &containerd__events__sandbox_create__descriptor,
    &containerd__events__sandbox_exit__descriptor,
    &containerd__events__sandbox_start__descriptor,
    &containerd__events__snapshot_commit__descriptor,
    &containerd__events__snapshot_prepare__descriptor,
    &containerd__events__snapshot_remove__descriptor,
    &containerd__events__task_checkpointed__descriptor,
    &containerd__events__task_create__descriptor,
    &containerd__events__task_delete__descriptor,
    &containerd__events__task_exec_added__descriptor,
    &containerd__events__task_exec_started__descriptor,
    &containerd__events__task_exit__descriptor,
    &containerd__events__task_oom__descriptor,
    &containerd__events__task_paused__descriptor,
    &containerd__events__task_resumed__descriptor,
    &containerd__events__task_start__descriptor,
    &containerd__services__images__v1__image_create__descriptor,
    &containerd__services__images__v1__image_delete__descriptor,
    &containerd__services__images__v1__image_update__descriptor,
};

/* The type "containerd.events.TaskExit", also behind "type.googleapis.com/"; NULL: not known. */
static const ProtobufCMessageDescriptor *find_type(const char *type_url)
{
    size_t prefix_length = sizeof(any_prefix) - 1;
    const char *name =
        strncmp(type_url, any_prefix, prefix_length) == 0 ? type_url + prefix_length : type_url;

    for (size_t i = 0; i < sizeof(event_types) / sizeof(event_types[0]); i++)
        if (strcmp(event_types[i]->name, name) == 0)
            return event_types[i];
    return NULL;
}

static const void *member(const ProtobufCMessage *message, size_t offset)
{
    return (const char *)message + offset;
}

/* As in containerd, an empty string counts as absent. */
static bool find_text(const char *text, const char **ret_value)
{
    if (text == NULL || *text == '\0')
        return false;
    *ret_value = text;
    return true;
}

/* Joined with dots; 0 if longer than any filter. */
static size_t join(const char *const *names, size_t count, char ret_key[BERTH_FILTER_MAX_BYTES])
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);

        if (length >= BERTH_FILTER_MAX_BYTES - used)
            return 0;
        if (i > 0)
            ret_key[used++] = '.';
        memcpy(ret_key + used, names[i], length);
        used += length;
    }
    return used;
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

/* Of duplicate names the last counts. Sorted, as a thousand subscribers may each look up a thousand labels.
 */
static const struct berth_wire_map *read_labels(struct event_fields *fields, const ProtobufCMessage *message,
                                                const ProtobufCFieldDescriptor *field)
{
    size_t count = *(const size_t *)member(message, field->quantifier_offset);
    ProtobufCMessage *const *entries = *(ProtobufCMessage *const *const *)member(message, field->offset);

    if (fields->labels_of == entries)
        return &fields->labels;
    fields->labels.count = 0;
    for (size_t i = 0; i < count; i++) {
        const char *key = text_of_entry(entries[i], "key");
        const char *value = text_of_entry(entries[i], "value");

        berth_wire_map_set(&fields->labels, key, strlen(key), value, strlen(value));
    }
    berth_wire_map_settle(&fields->labels);
    fields->labels_of = entries;
    return &fields->labels;
}

/* A label's name may contain dots, at which the filter split it. */
static bool find_label(struct event_fields *fields, const ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field, const char *const *names, size_t count,
                       const char **ret_value)
{
    char key[BERTH_FILTER_MAX_BYTES];
    size_t length = join(names, count, key);
    const struct berth_wire_entry *label =
        length > 0 ? berth_wire_map_find(read_labels(fields, message, field), key, length) : NULL;

    if (label == NULL)
        return false;
    *ret_value = (const char *)label->value;
    return true;
}

static bool find_in(struct event_fields *fields, const ProtobufCMessage *message, const char *const *names,
                    size_t count, const char **ret_value);

static bool find_below(struct event_fields *fields, const ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field, const char *const *names, size_t count,
                       const char **ret_value)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return strcmp(field->name, "labels") == 0 &&
               find_label(fields, message, field, names, count, ret_value);
    return field->descriptor != &google__protobuf__any__descriptor &&
           find_in(fields, *(ProtobufCMessage *const *)member(message, field->offset), names, count,
                   ret_value);
}

/* As in containerd, filters can refer to strings, booleans, messages and labels, but not to numbers and
 * times. */
static bool find_in(struct event_fields *fields, const ProtobufCMessage *message, const char *const *names,
                    size_t count, const char **ret_value)
{
    const ProtobufCFieldDescriptor *field =
        message == NULL || count == 0
            ? NULL
            : protobuf_c_message_descriptor_get_field_by_name(message->descriptor, names[0]);

    if (field == NULL)
        return false;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return find_below(fields, message, field, names + 1, count - 1, ret_value);
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
    type = find_type(event->type_url);
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
    return find_in(fields, message_of(fields), path + 1, count - 1, ret_value);
}

void event_fields_finish(struct event_fields *fields)
{
    berth_wire_map_finish(&fields->labels);
    if (fields->message != NULL)
        protobuf_c_message_free_unpacked(fields->message, NULL);
}
