/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of an event for filters: its namespace, its topic, and the fields of its message. */
#ifndef EVENTS_EVENT_FIELDS_H
#define EVENTS_EVENT_FIELDS_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include <berth/types/events.h>
#include <berth/wire_map.h>

/** Set `event`, the rest to zero; the message is unpacked once, when a filter first needs it. */
struct event_fields {
    const struct berth_event *event;
    ProtobufCMessage *message;
    bool is_unpacked;
    /** The sorted labels once one has been looked up, and the message they belong to. */
    struct berth_wire_map labels;
    const void *labels_of;
};

/** A berth_filter_field. @param context  a struct event_fields. */
bool event_fields_find(void *context, const char *const *path, size_t count, const char **ret_value);
void event_fields_finish(struct event_fields *fields);

#endif
