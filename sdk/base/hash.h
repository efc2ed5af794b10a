/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/** What FNV-1a starts with; mixed with a secret of the process where others choose the bytes. */
#define BERTH_HASH_START UINT64_C(0xcbf29ce484222325)

/** FNV-1a, 64 bits. */
static inline uint64_t berth_hash(uint64_t start, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    uint64_t hash = start;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
