/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BUFFER_H
#define RPC_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes of one connection's peers that are held at one time, and how many may be. */
struct budget {
    uint64_t used;
    uint64_t limit;
};

/** All zero is an empty buffer. */
struct buffer {
    unsigned char *bytes;
    size_t length;
    size_t capacity;
};

/**
 * Makes room for `more` bytes behind `length`. Grows to at least twice its size, but not beyond `largest`
 * where that suffices.
 *
 * @param budget  Charged by capacity; NULL: none.
 * @return false without memory or budget; the buffer is as it was.
 */
bool buffer_reserve(struct buffer *buffer, size_t more, size_t largest, struct budget *budget);

/** @return false without memory or budget; nothing was added. */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t length, struct budget *budget);

void buffer_finish(struct buffer *buffer, struct budget *budget);

#endif
