/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/** FNV-1a's initial value; mixed with a secret of the process if others choose the bytes. */
#define BERTH_HASH_START UINT64_C(0xcbf29ce484222325)

/** 64-bit FNV-1a. */
static inline uint64_t berth_hash(uint64_t start, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    uint64_t hash = start;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
