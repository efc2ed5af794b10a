/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ETCD_LAYOUT_H
#define STORE_ETCD_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include <berth/types/store.h>

/*
 * How the store lies in etcd, where PREFIX is the configured one:
 *
 *     PREFIX/head                 the id of the last batch; its mod_revision is what every batch compares
 *     PREFIX/data/BUCKET,KEY      an entry; a comma sorts before whatever a bucket's name may have in it, so
 *                                 etcd's order is that of buckets and keys
 *     PREFIX/nodes/ID             a daemon that is there, under its lease
 */
#define LAYOUT_PREFIX_MAX 124
#define LAYOUT_KEY_MAX (LAYOUT_PREFIX_MAX + BERTH_STORE_NAME_MAX + 8)
#define LAYOUT_ID_MAX 64

/* "BUCKET,KEY". */
struct layout_name {
    size_t length;
    unsigned char bytes[BERTH_STORE_NAME_MAX + 2];
};

struct layout_key {
    size_t length;
    unsigned char bytes[LAYOUT_KEY_MAX];
};

struct layout {
    /* All keys are at or after the first and before the second. */
    struct layout_key begin;
    struct layout_key end;
    struct layout_key head;
};

enum layout_kind {
    LAYOUT_HEAD,
    LAYOUT_ENTRY,
    LAYOUT_NODE,
    /* Not a key of the store. */
    LAYOUT_FOREIGN,
};

/* `prefix` is at most LAYOUT_PREFIX_MAX bytes, without a slash at its end. */
void layout_init(struct layout *layout, const char *prefix);

/* The bucket's name is within bounds; a key that does not fit is cut. */
void layout_name(struct layout_name *name, const char *bucket, struct berth_store_bytes key);
/* Where the bucket ends in a name. */
size_t layout_bucket_length(const void *name, size_t length);

void layout_entry_key(const struct layout *layout, const struct layout_name *name,
                      struct layout_key *ret_key);
void layout_node_key(const struct layout *layout, const char *id, struct layout_key *ret_key);

/* The kind of a key; for LAYOUT_ENTRY also its name, within the bounds of <berth/types/store.h>. */
enum layout_kind layout_parse(const struct layout *layout, const void *key, size_t length,
                              struct layout_name *ret_name);

static inline ProtobufCBinaryData layout_bytes(const struct layout_key *key)
{
    return (ProtobufCBinaryData){.len = key->length, .data = (uint8_t *)key->bytes};
}

#endif
