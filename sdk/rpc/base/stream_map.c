/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a connection's streams by their ids. */
#include "stream_map.h"

#include <stdlib.h>
#include <string.h>

void stream_map_init(struct stream_map *map)
{
    *map = (struct stream_map){.bucket_count = STREAM_MAP_FIRST};
    map->buckets = map->first;
}

void stream_map_finish(struct stream_map *map)
{
    if (map->buckets != map->first)
        free(map->buckets);
    stream_map_init(map);
}

/* All ids of one side are odd. */
static struct stream_entry **bucket_of(struct stream_entry **buckets, size_t bucket_count, uint32_t id)
{
    return &buckets[(id >> 1) & (bucket_count - 1)];
}

static void put(struct stream_entry **buckets, size_t bucket_count, struct stream_entry *entry)
{
    struct stream_entry **bucket = bucket_of(buckets, bucket_count, entry->id);

    entry->next = *bucket;
    *bucket = entry;
}

/* Without memory the chains become longer. */
static void grow(struct stream_map *map)
{
    size_t bucket_count = map->bucket_count * 4;
    struct stream_entry **buckets = calloc(bucket_count, sizeof(*buckets));

    if (buckets == NULL)
        return;
    for (size_t i = 0; i < map->bucket_count; i++) {
        while (map->buckets[i] != NULL) {
            struct stream_entry *entry = map->buckets[i];

            map->buckets[i] = entry->next;
            put(buckets, bucket_count, entry);
        }
    }
    if (map->buckets != map->first)
        free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = bucket_count;
}

void stream_map_add(struct stream_map *map, struct stream_entry *entry)
{
    if (map->count >= 2 * map->bucket_count)
        grow(map);
    put(map->buckets, map->bucket_count, entry);
    map->count++;
}

void stream_map_remove(struct stream_map *map, struct stream_entry *entry)
{
    struct stream_entry **place = bucket_of(map->buckets, map->bucket_count, entry->id);

    while (*place != entry)
        place = &(*place)->next;
    *place = entry->next;
    map->count--;
}

struct stream_entry *stream_map_find(const struct stream_map *map, uint32_t id)
{
    struct stream_entry *entry = *bucket_of(map->buckets, map->bucket_count, id);

    while (entry != NULL && entry->id != id)
        entry = entry->next;
    return entry;
}

void stream_map_each(struct stream_map *map, void (*visit)(void *context, struct stream_entry *entry),
                     void *context)
{
    for (size_t i = 0; i < map->bucket_count; i++) {
        struct stream_entry *entry = map->buckets[i];

        while (entry != NULL) {
            struct stream_entry *next = entry->next;

            visit(context, entry);
            entry = next;
        }
    }
}
