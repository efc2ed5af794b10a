/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_STREAM_MAP_H
#define RPC_BASE_STREAM_MAP_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_MAP_FIRST 8

/** What is found by its id; embedded in what has it. */
struct stream_entry {
    struct stream_entry *next;
    uint32_t id;
};

/** The streams of one connection. */
struct stream_map {
    struct stream_entry **buckets;
    /** A power of two. */
    size_t bucket_count;
    size_t count;
    struct stream_entry *first[STREAM_MAP_FIRST];
};

void stream_map_init(struct stream_map *map);
void stream_map_finish(struct stream_map *map);

/** No entry of the same id is there. */
void stream_map_add(struct stream_map *map, struct stream_entry *entry);
/** The entry is there. */
void stream_map_remove(struct stream_map *map, struct stream_entry *entry);
/** @return NULL where there is none. */
struct stream_entry *stream_map_find(const struct stream_map *map, uint32_t id);

/** Visits every entry; the visitor may remove the one that it is given. */
void stream_map_each(struct stream_map *map, void (*visit)(void *context, struct stream_entry *entry),
                     void *context);

#endif
