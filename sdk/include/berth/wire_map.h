/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map<string, …> fields of messages in wire format: read in place, changed, and written in the order of
 * their keys. Changes are collected; berth_wire_map_settle applies them, and then entries are unique and
 * sorted.
 */
#ifndef BERTH_WIRE_MAP_H
#define BERTH_WIRE_MAP_H

#include <berth/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Borrowed from the message that was read. `value` is NULL in an entry that removes. */
struct berth_wire_entry {
    const uint8_t *key;
    size_t key_length;
    const uint8_t *value;
    size_t value_length;
    /** Position; of entries with the same key the last one wins. */
    size_t place;
};

/** Zero-initialise. */
struct berth_wire_map {
    struct berth_wire_entry *entries;
    size_t count;
    size_t capacity;
    bool failed;
};

static inline void berth_wire_map_finish(struct berth_wire_map *map)
{
    free(map->entries);
    memset(map, 0, sizeof(*map));
}

/** Sets an entry, or removes it if `value` is NULL. Borrows both. */
static inline void berth_wire_map_set(struct berth_wire_map *map, const void *key, size_t key_length,
                                      const void *value, size_t value_length)
{
    struct berth_wire_entry *entries = map->entries;
    size_t capacity = map->capacity == 0 ? 8 : map->capacity * 2;

    if (map->count == map->capacity && !map->failed) {
        entries = (struct berth_wire_entry *)realloc(map->entries, capacity * sizeof(*entries));
        map->failed = entries == NULL;
    }
    if (map->failed)
        return;
    if (map->count == map->capacity)
        map->capacity = capacity;
    map->entries = entries;
    entries[map->count].key = (const uint8_t *)key;
    entries[map->count].key_length = key_length;
    entries[map->count].value = (const uint8_t *)value;
    entries[map->count].value_length = value_length;
    entries[map->count].place = map->count;
    map->count++;
}

/** Adds one field of the map; false if it is not a valid entry. */
static inline bool berth_wire_map_read(struct berth_wire_map *map, const struct berth_wire_field *field)
{
    struct berth_wire wire = berth_wire_of(field->data, field->length);
    struct berth_wire_field key, value, part;

    memset(&key, 0, sizeof(key));
    memset(&value, 0, sizeof(value));
    key.data = value.data = field->data;
    while (berth_wire_next(&wire, &part)) {
        if (part.number == 1 && part.type == BERTH_WIRE_BYTES)
            key = part;
        else if (part.number == 2 && part.type == BERTH_WIRE_BYTES)
            value = part;
    }
    berth_wire_map_set(map, key.data, key.length, value.data, value.length);
    return berth_wire_is_whole(&wire);
}

static inline int berth_wire_compare_keys(const struct berth_wire_entry *a, const struct berth_wire_entry *b)
{
    size_t shared = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = shared == 0 ? 0 : memcmp(a->key, b->key, shared);

    return order != 0 ? order : (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

static inline int berth_wire_compare_entries(const void *a, const void *b)
{
    const struct berth_wire_entry *one = (const struct berth_wire_entry *)a;
    const struct berth_wire_entry *other = (const struct berth_wire_entry *)b;
    int order = berth_wire_compare_keys(one, other);

    return order != 0 ? order : (one->place > other->place) - (one->place < other->place);
}

/** Sorts by key and keeps the last entry of each key, unless that removes it. */
static inline void berth_wire_map_settle(struct berth_wire_map *map)
{
    size_t kept = 0;

    if (map->count > 0)
        qsort(map->entries, map->count, sizeof(*map->entries), berth_wire_compare_entries);
    for (size_t i = 0; i < map->count; i++) {
        bool is_last =
            i + 1 == map->count || berth_wire_compare_keys(&map->entries[i], &map->entries[i + 1]) != 0;

        if (!is_last || map->entries[i].value == NULL)
            continue;
        map->entries[kept] = map->entries[i];
        map->entries[kept].place = kept;
        kept++;
    }
    map->count = kept;
}

/** In a settled map; NULL if there is none. */
static inline const struct berth_wire_entry *berth_wire_map_find(const struct berth_wire_map *map,
                                                                 const void *key, size_t key_length)
{
    struct berth_wire_entry wanted;
    size_t low = 0;
    size_t high = map->count;

    memset(&wanted, 0, sizeof(wanted));
    wanted.key = (const uint8_t *)key;
    wanted.key_length = key_length;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = berth_wire_compare_keys(&map->entries[middle], &wanted);

        if (order == 0)
            return &map->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/** Copies one key's entry from a settled map; removes it if that map has none. */
static inline void berth_wire_map_take(struct berth_wire_map *map, const struct berth_wire_map *from,
                                       const void *key, size_t key_length)
{
    const struct berth_wire_entry *entry = berth_wire_map_find(from, key, key_length);

    berth_wire_map_set(map, key, key_length, entry == NULL ? NULL : entry->value,
                       entry == NULL ? 0 : entry->value_length);
}

/** Copies all entries of another map. */
static inline void berth_wire_map_take_all(struct berth_wire_map *map, const struct berth_wire_map *from)
{
    for (size_t i = 0; i < from->count; i++)
        berth_wire_map_set(map, from->entries[i].key, from->entries[i].key_length, from->entries[i].value,
                           from->entries[i].value_length);
}

/** Writes a settled map as field `number`. */
static inline void berth_wire_map_put(const struct berth_wire_map *map, struct berth_wire_buffer *buffer,
                                      uint32_t number)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct berth_wire_entry *entry = &map->entries[i];

        berth_wire_put_head(buffer, number,
                            berth_wire_size_of_bytes(1, entry->key_length) +
                                berth_wire_size_of_bytes(2, entry->value_length));
        berth_wire_put_bytes(buffer, 1, entry->key, entry->key_length);
        berth_wire_put_bytes(buffer, 2, entry->value, entry->value_length);
    }
}

#ifdef __cplusplus
}
#endif

#endif
