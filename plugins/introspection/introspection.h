/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the handlers of both services. */
#ifndef INTROSPECTION_H
#define INTROSPECTION_H

#include <berth/protobuf.h>
#include <berth/types/introspection.h>

/** What handlers find in `call->instance`: the introspection service, as fetched. */
struct introspection {
    const struct berth_introspection *service;
    void *instance;
};

/** For messages whose strings are borrowed and never NULL. */
static inline char *introspection_text(const char *value)
{
    return (char *)(uintptr_t)(value == NULL ? "" : value);
}

/** Appends a message as a field 1. @return false without memory. */
static inline bool introspection_append(struct berth_wire_buffer *buffer, const ProtobufCMessage *message)
{
    berth_wire_put_head(buffer, 1, protobuf_c_message_get_packed_size(message));
    berth_wire_put_message(buffer, message);
    return !buffer->failed;
}

#endif
