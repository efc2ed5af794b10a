/* SPDX-License-Identifier: Apache-2.0 */
/* Protocol Buffers' wire format, field by field: nothing is copied, and no length is believed. */
#include "wire.h"

#include <string.h>

/* How deep groups of an unknown field may be nested; nobody writes any. */
#define GROUP_DEPTH_MAX 16

static const char cut_short[] = "unexpected EOF";
static const char invalid[] = "cannot parse invalid wire-format data";

static const char *read_varint(struct span *rest, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte;

        if (rest->length == 0)
            return cut_short;
        byte = *rest->bytes++;
        rest->length--;
        if (shift == 63 && byte > 1)
            return invalid;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return NULL;
        }
    }
    return invalid;
}

static const char *read_bytes(struct span *rest, uint64_t length, struct span *ret_bytes)
{
    if (length > rest->length)
        return cut_short;
    *ret_bytes = (struct span){rest->bytes, (size_t)length};
    rest->bytes += length;
    rest->length -= (size_t)length;
    return NULL;
}

static const char *read_tag(struct span *rest, struct wire_field *ret_field)
{
    uint64_t tag = 0;
    const char *wrong = read_varint(rest, &tag);

    if (wrong != NULL)
        return wrong;
    if (tag > UINT32_MAX || tag >> 3 == 0)
        return invalid;
    ret_field->number = (uint32_t)(tag >> 3);
    ret_field->type = (enum wire_type)(tag & 7);
    return NULL;
}

/* Reads a field's value, but of a group only its beginning. */
static const char *read_value(struct span *rest, struct wire_field *field)
{
    const char *wrong;

    switch (field->type) {
    case WIRE_VARINT:
        return read_varint(rest, &field->varint);
    case WIRE_FIXED64:
        return read_bytes(rest, 8, &field->bytes);
    case WIRE_BYTES:
        wrong = read_varint(rest, &field->varint);
        return wrong != NULL ? wrong : read_bytes(rest, field->varint, &field->bytes);
    case WIRE_FIXED32:
        return read_bytes(rest, 4, &field->bytes);
    case WIRE_GROUP:
    case WIRE_GROUP_END:
        return NULL;
    }
    return invalid;
}

static const char *skip_group(struct span *rest, uint32_t number)
{
    uint32_t open[GROUP_DEPTH_MAX] = {number};
    size_t depth = 1;

    while (depth > 0) {
        struct wire_field field = {0};
        const char *wrong = read_tag(rest, &field);

        if (wrong == NULL)
            wrong = read_value(rest, &field);
        if (wrong != NULL)
            return wrong;
        if (field.type == WIRE_GROUP && depth == GROUP_DEPTH_MAX)
            return invalid;
        if (field.type == WIRE_GROUP)
            open[depth++] = field.number;
        else if (field.type == WIRE_GROUP_END && open[--depth] != field.number)
            return invalid;
    }
    return NULL;
}

const char *wire_read_field(struct span *rest, struct wire_field *ret_field)
{
    const unsigned char *begin = rest->bytes;
    const char *wrong;

    *ret_field = (struct wire_field){0};
    wrong = read_tag(rest, ret_field);
    if (wrong == NULL)
        wrong = ret_field->type == WIRE_GROUP_END ? invalid : read_value(rest, ret_field);
    if (wrong == NULL && ret_field->type == WIRE_GROUP)
        wrong = skip_group(rest, ret_field->number);
    ret_field->whole = (struct span){begin, (size_t)(rest->bytes - begin)};
    return wrong;
}

bool wire_is_bytes(const struct wire_field *field, uint32_t number)
{
    return field->number == number && field->type == WIRE_BYTES;
}

bool wire_is_varint(const struct wire_field *field, uint32_t number)
{
    return field->number == number && field->type == WIRE_VARINT;
}

size_t wire_varint_size(uint64_t value)
{
    size_t size = 1;

    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

size_t wire_bytes_size(size_t length)
{
    return 1 + wire_varint_size(length) + length;
}

unsigned char *wire_write_varint(unsigned char *place, uint64_t value)
{
    while (value >= 0x80) {
        *place++ = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    *place++ = (unsigned char)value;
    return place;
}

unsigned char *wire_write_tag(unsigned char *place, uint32_t number, enum wire_type type)
{
    *place++ = (unsigned char)(number << 3 | (uint32_t)type);
    return place;
}

unsigned char *wire_write_length(unsigned char *place, uint32_t number, size_t length)
{
    return wire_write_varint(wire_write_tag(place, number, WIRE_BYTES), length);
}

unsigned char *wire_write_raw(unsigned char *place, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(place, bytes, length);
    return place + length;
}

unsigned char *wire_write_bytes(unsigned char *place, uint32_t number, const void *bytes, size_t length)
{
    return wire_write_raw(wire_write_length(place, number, length), bytes, length);
}
