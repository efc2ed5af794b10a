/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker has read of a store, as both sides write it down: what was asked, and a hash of the answer.
 * The daemon reads the same again before it believes that the worker's view is still the present one.
 */
#ifndef CORE_WIRE_READS_H
#define CORE_WIRE_READS_H

#include <berth/types/store.h>

#include <sdk/base/hash.h>

/** Of one snapshot or change of a worker: how many, and the bytes of the entries that they found. */
#define READS_MAX 1024u
#define READS_BYTES_MAX (16u << 20)
/** Entries and bytes that one answer has at most, but always one entry. */
#define READS_PAGE_ENTRIES 64u
#define READS_PAGE_BYTES (256u << 10)
/** Bytes that one change of a worker may write. */
#define READS_CHANGE_MAX (8u << 20)
/** Changes of one plugin that the store has not ended, those of earlier workers included. */
#define READS_PENDING_MAX 4u

enum reads_operation {
    /** The value of a key. */
    READS_GET,
    /** The first entry after a key. */
    READS_NEXT,
    /** The first bucket after a name; it is the key of the answer. */
    READS_NEXT_BUCKET,
};

/** Key and value are empty where they do not belong to the answer. */
static inline uint64_t reads_hash(enum berth_code code, struct berth_store_bytes key,
                                  struct berth_store_bytes value)
{
    const uint64_t head[] = {(uint64_t)code, key.length};
    uint64_t hash = berth_hash(BERTH_HASH_START, head, sizeof(head));

    hash = berth_hash(hash, key.data, key.length);
    return berth_hash(hash, value.data, value.length);
}

#endif
