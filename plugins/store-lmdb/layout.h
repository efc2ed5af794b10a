/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How entries lie in the file. Pure.
 *
 *     name   bucket, NUL, key. A bucket's name has no byte below '-', so names sort by bucket, then by key.
 *     record CRC-32C of name and value, 4 bytes, little-endian; the value.
 */
#ifndef STORE_LMDB_LAYOUT_H
#define STORE_LMDB_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/types/store.h>

/** The longest name: within the 511 bytes of a key of LMDB. */
#define LAYOUT_NAME_MAX (BERTH_STORE_NAME_MAX + 1)
#define LAYOUT_SUM_SIZE 4

struct layout_name {
    size_t length;
    char bytes[LAYOUT_NAME_MAX];
};

/** Bucket and key within berth_store's bounds; the key may be empty: what stands before all of the bucket. */
void layout_make_name(const char *bucket, struct berth_store_bytes key, struct layout_name *ret_name);
/** A name after every entry of the bucket and before those of the next bucket. */
void layout_make_end(const char *bucket, struct layout_name *ret_name);

/** Takes a name apart; `ret_bucket` borrows from it. false where it is none. */
bool layout_split_name(struct berth_store_bytes name, const char **ret_bucket,
                       struct berth_store_bytes *ret_key);

/** Writes a record of LAYOUT_SUM_SIZE more bytes than the value has. */
void layout_make_record(struct berth_store_bytes name, struct berth_store_bytes value, void *record);
/** The value within a record, borrowed. false where it is not what was written under that name. */
bool layout_read_record(struct berth_store_bytes name, struct berth_store_bytes record,
                        struct berth_store_bytes *ret_value);

/**
 * CRC-32C (RFC 3720, appendix B.4): goes on with `sum`, 0 at first, over further bytes; by the processor's
 * own instruction where it has one.
 */
uint32_t checksum_add(uint32_t sum, const void *bytes, size_t length);
/** The same on any processor. */
uint32_t checksum_add_plainly(uint32_t sum, const void *bytes, size_t length);

/** Room for any key as layout_print_key shows it. */
#define LAYOUT_PRINT_MAX 128
/** A key for a sentence: what does not print as \xNN, and "..." where it is long. */
const char *layout_print_key(struct berth_store_bytes key, char text[LAYOUT_PRINT_MAX]);

#endif
