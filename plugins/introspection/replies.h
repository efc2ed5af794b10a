/* SPDX-License-Identifier: Apache-2.0 */
/* Packed messages one behind the other, each as a field 1: a PluginsResponse, or a queue of a stream's
 * messages. */
#ifndef INTROSPECTION_REPLIES_H
#define INTROSPECTION_REPLIES_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

/** Zero-initialise. */
struct replies {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
    /** Where replies_next goes on. */
    size_t next;
};

/** False where memory is out. */
bool replies_append(struct replies *replies, const ProtobufCMessage *message);
/** The bytes of the next message, without its tag; NULL behind the last. They stay until replies_finish. */
const uint8_t *replies_next(struct replies *replies, size_t *ret_length);
void replies_finish(struct replies *replies);

#endif
