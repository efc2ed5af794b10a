/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TTRPC_WIRE_H
#define RPC_TTRPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sdk/rpc/base/buffer.h>

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5,
};

/** One field, which lies where the message lies. */
struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t varint;
    struct span bytes;
    /** With its tag; of a group all of it. */
    struct span whole;
};

/** Takes a field off the front of what is not empty. @return NULL, or what is wrong with it. */
const char *wire_read_field(struct span *rest, struct wire_field *ret_field);

bool wire_is_bytes(const struct wire_field *field, uint32_t number);
bool wire_is_varint(const struct wire_field *field, uint32_t number);

size_t wire_varint_size(uint64_t value);
/** Of a field of bytes. All numbers of fields that are written here are below 16: a tag is one byte. */
size_t wire_bytes_size(size_t length);

/** Each writes, and returns the place behind it. */
unsigned char *wire_write_varint(unsigned char *place, uint64_t value);
unsigned char *wire_write_tag(unsigned char *place, uint32_t number, enum wire_type type);
unsigned char *wire_write_length(unsigned char *place, uint32_t number, size_t length);
unsigned char *wire_write_raw(unsigned char *place, const void *bytes, size_t length);
unsigned char *wire_write_bytes(unsigned char *place, uint32_t number, const void *bytes, size_t length);

#endif
