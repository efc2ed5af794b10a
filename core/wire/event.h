/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event in a packet, as both sides write and read it. What is read is borrowed from the packet; whether
 * all of it was there, the reader says.
 */
#ifndef CORE_WIRE_EVENT_H
#define CORE_WIRE_EVENT_H

#include <berth/types/events.h>

#include "packet.h"

/** When it happened; events that are published have the time of the exchange. */
static inline void event_put_time(struct packet_writer *writer, const struct berth_event *event)
{
    packet_put_u64(writer, (uint64_t)event->seconds);
    packet_put_u32(writer, (uint32_t)event->nanoseconds);
}

static inline void event_get_time(struct packet_reader *reader, struct berth_event *event)
{
    event->seconds = (int64_t)packet_get_u64(reader);
    event->nanoseconds = (int32_t)packet_get_u32(reader);
}

/** Where it belongs, and its message; not the envelope, which only subscribers get. */
static inline void event_put_content(struct packet_writer *writer, const struct berth_event *event)
{
    packet_put_text(writer, event->namespace_name);
    packet_put_text(writer, event->topic);
    packet_put_text(writer, event->type_url);
    packet_put_bytes(writer, event->value, event->value_length);
}

static inline void event_get_content(struct packet_reader *reader, struct berth_event *event)
{
    event->namespace_name = packet_get_text(reader);
    event->topic = packet_get_text(reader);
    event->type_url = packet_get_text(reader);
    event->value = packet_get_bytes(reader, &event->value_length);
}

#endif
