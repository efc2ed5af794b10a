/* SPDX-License-Identifier: Apache-2.0 */
/* Packed messages one behind the other, each as a field 1: a PluginsResponse, or a queue of a stream's
 * messages. */
#include "replies.h"

#include <stdlib.h>

/* Field 1, with a length in front (protobuf's wire type 2). */
#define TAG 0x0a
#define VARINT_MAX 10

static bool reserve(struct replies *replies, size_t more)
{
    size_t capacity = replies->capacity == 0 ? 4096 : replies->capacity;
    uint8_t *bytes;

    while (capacity - replies->length < more)
        capacity *= 2;
    if (capacity == replies->capacity)
        return true;
    bytes = realloc(replies->bytes, capacity);
    if (bytes == NULL)
        return false;
    replies->bytes = bytes;
    replies->capacity = capacity;
    return true;
}

static void append_varint(struct replies *replies, size_t value)
{
    for (; value >= 0x80; value >>= 7)
        replies->bytes[replies->length++] = (uint8_t)(value | 0x80);
    replies->bytes[replies->length++] = (uint8_t)value;
}

bool replies_append(struct replies *replies, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);

    if (!reserve(replies, 1 + VARINT_MAX + length))
        return false;
    replies->bytes[replies->length++] = TAG;
    append_varint(replies, length);
    replies->length += protobuf_c_message_pack(message, replies->bytes + replies->length);
    return true;
}

const uint8_t *replies_next(struct replies *replies, size_t *ret_length)
{
    const uint8_t *next = replies->bytes + replies->next;
    const uint8_t *cursor = next + 1;
    size_t length = 0;
    unsigned shift = 0;

    if (replies->next == replies->length)
        return NULL;
    do
        length |= (size_t)(*cursor & 0x7f) << shift;
    while (shift += 7, (*cursor++ & 0x80) != 0);
    replies->next += (size_t)(cursor - next) + length;
    *ret_length = length;
    return cursor;
}

void replies_finish(struct replies *replies)
{
    free(replies->bytes);
    *replies = (struct replies){0};
}
