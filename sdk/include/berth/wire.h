/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages by their fields in protobuf's wire format, for code that passes on messages it need not
 * understand. Reads a message field by field in place, and writes fields one after another.
 *
 *     struct berth_wire wire = berth_wire_of(bytes, length);
 *     struct berth_wire_field field;
 *
 *     while (berth_wire_next(&wire, &field))
 *         if (field.number == 1 && field.type == BERTH_WIRE_BYTES)
 *             …field.data, field.length…
 *     if (!berth_wire_is_whole(&wire))
 *         …not a valid message…
 */
#ifndef BERTH_WIRE_H
#define BERTH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Groups (3 and 4) are treated as corrupt: proto3 has none. */
enum berth_wire_type {
    BERTH_WIRE_VARINT = 0,
    BERTH_WIRE_FIXED64 = 1,
    BERTH_WIRE_BYTES = 2,
    BERTH_WIRE_FIXED32 = 5,
};

/** The unread rest of a message. */
struct berth_wire {
    const uint8_t *next;
    const uint8_t *end;
};

/** One field, borrowed from the message. */
struct berth_wire_field {
    uint32_t number;
    enum berth_wire_type type;
    /** Of a BERTH_WIRE_VARINT. */
    uint64_t value;
    /** The content, without tag and length; never NULL. Strings are not NUL-terminated. */
    const uint8_t *data;
    size_t length;
    /** The field as encoded, including its tag. */
    const uint8_t *whole;
    size_t whole_length;
};

static inline struct berth_wire berth_wire_of(const void *bytes, size_t length)
{
    static const uint8_t nothing[1] = {0};
    struct berth_wire wire;

    wire.next = bytes == NULL ? nothing : (const uint8_t *)bytes;
    wire.end = wire.next + (bytes == NULL ? 0 : length);
    return wire;
}

/** Has everything been read, and was all of it valid fields? */
static inline bool berth_wire_is_whole(const struct berth_wire *wire)
{
    return wire->next == wire->end;
}

static inline bool berth_wire_read_varint(struct berth_wire *wire, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned int shift = 0; shift < 70 && wire->next < wire->end; shift += 7) {
        uint8_t byte = *wire->next++;

        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* Reads the content of a field whose tag has been read. */
static inline bool berth_wire_read_content(struct berth_wire *wire, struct berth_wire_field *field)
{
    uint64_t length = field->type == BERTH_WIRE_FIXED64 ? 8 : 4;

    field->value = 0;
    field->data = wire->next;
    switch (field->type) {
    case BERTH_WIRE_VARINT:
        if (!berth_wire_read_varint(wire, &field->value))
            return false;
        field->length = (size_t)(wire->next - field->data);
        return true;
    case BERTH_WIRE_BYTES:
        if (!berth_wire_read_varint(wire, &length))
            return false;
        break;
    case BERTH_WIRE_FIXED64:
    case BERTH_WIRE_FIXED32:
        break;
    }
    if (length > (uint64_t)(wire->end - wire->next))
        return false;
    field->data = wire->next;
    field->length = (size_t)length;
    wire->next += length;
    return true;
}

/**
 * @return false after the last field, or if the rest is not a valid field; berth_wire_is_whole tells which.
 */
static inline bool berth_wire_next(struct berth_wire *wire, struct berth_wire_field *ret_field)
{
    struct berth_wire ahead = *wire;
    struct berth_wire_field field;
    uint64_t tag;

    if (!berth_wire_read_varint(&ahead, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return false;
    if ((tag & 7) > 2 && (tag & 7) != 5)
        return false;
    field.number = (uint32_t)(tag >> 3);
    field.type = (enum berth_wire_type)(tag & 7);
    if (!berth_wire_read_content(&ahead, &field))
        return false;
    field.whole = wire->next;
    field.whole_length = (size_t)(ahead.next - wire->next);
    *ret_field = field;
    wire->next = ahead.next;
    return true;
}

/** A message being written. Zero-initialise. */
struct berth_wire_buffer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
    /** Memory ran out; nothing more is written. */
    bool failed;
};

/** Frees the bytes; the buffer can be used again. */
static inline void berth_wire_finish(struct berth_wire_buffer *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof(*buffer));
}

/** Makes room for `more` bytes; false without memory. */
static inline bool berth_wire_reserve(struct berth_wire_buffer *buffer, size_t more)
{
    size_t wanted = buffer->length + more;
    size_t doubled = buffer->capacity * 2;
    uint8_t *bytes;

    if (buffer->failed || wanted < more)
        buffer->failed = true;
    else if (wanted > buffer->capacity) {
        bytes = (uint8_t *)realloc(buffer->bytes, wanted > doubled ? wanted : doubled);
        buffer->failed = bytes == NULL;
        if (bytes != NULL) {
            buffer->bytes = bytes;
            buffer->capacity = wanted > doubled ? wanted : doubled;
        }
    }
    return !buffer->failed;
}

/** Appends bytes as they are: whole fields. */
static inline void berth_wire_put(struct berth_wire_buffer *buffer, const void *data, size_t length)
{
    if (length == 0 || !berth_wire_reserve(buffer, length))
        return;
    memcpy(buffer->bytes + buffer->length, data, length);
    buffer->length += length;
}

/** @return how many of `ret_bytes` are used. */
static inline size_t berth_wire_varint(uint64_t value, uint8_t ret_bytes[10])
{
    size_t length = 0;

    for (; value > 0x7f; value >>= 7)
        ret_bytes[length++] = (uint8_t)(value | 0x80);
    ret_bytes[length++] = (uint8_t)value;
    return length;
}

static inline void berth_wire_put_varint(struct berth_wire_buffer *buffer, uint64_t value)
{
    uint8_t bytes[10];

    berth_wire_put(buffer, bytes, berth_wire_varint(value, bytes));
}

/** An integer field; 0 is omitted, as in proto3. */
static inline void berth_wire_put_number(struct berth_wire_buffer *buffer, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    berth_wire_put_varint(buffer, (uint64_t)number << 3 | BERTH_WIRE_VARINT);
    berth_wire_put_varint(buffer, value);
}

/** Tag and length of a string, bytes or message field; the content must follow. */
static inline void berth_wire_put_head(struct berth_wire_buffer *buffer, uint32_t number, size_t length)
{
    berth_wire_put_varint(buffer, (uint64_t)number << 3 | BERTH_WIRE_BYTES);
    berth_wire_put_varint(buffer, length);
}

/** A string, bytes or message field, even if empty. */
static inline void berth_wire_put_bytes(struct berth_wire_buffer *buffer, uint32_t number, const void *data,
                                        size_t length)
{
    berth_wire_put_head(buffer, number, length);
    berth_wire_put(buffer, data, length);
}

/** The encoded size of berth_wire_put_bytes. */
static inline size_t berth_wire_size_of_bytes(uint32_t number, size_t length)
{
    uint8_t bytes[10];

    return berth_wire_varint((uint64_t)number << 3, bytes) + berth_wire_varint(length, bytes) + length;
}

#ifdef __cplusplus
}
#endif

#endif
