/* SPDX-License-Identifier: Apache-2.0 */
/* Maps names to numbers by open addressing: at most half of the slots are used, none is ever freed. */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/hash.h>

#include <sdk/base/memory.h>

uint64_t name_table_hash(const char *name)
{
    return berth_hash(BERTH_HASH_START, name, strlen(name));
}

void name_table_init(struct name_table *table, size_t name_count)
{
    size_t slot_count = 16;

    while (slot_count / 2 < name_count)
        slot_count *= 2;
    table->slot_count = slot_count;
    table->slots = memory_allocate(slot_count, sizeof(*table->slots));
}

void name_table_finish(struct name_table *table)
{
    free(table->slots);
    *table = (struct name_table){0};
}

/* The slot of the name, or the free one where it would go. */
static struct name_table_slot *slot_of(const struct name_table *table, const char *name, uint64_t hash)
{
    size_t mask = table->slot_count - 1;
    size_t i = (hash ^ hash >> 32) & mask;

    while (table->slots[i].name != NULL &&
           (table->slots[i].hash != hash || strcmp(table->slots[i].name, name) != 0))
        i = (i + 1) & mask;
    return &table->slots[i];
}

size_t name_table_add(struct name_table *table, const char *name, size_t value)
{
    uint64_t hash = name_table_hash(name);
    struct name_table_slot *slot = slot_of(table, name, hash);

    if (slot->name == NULL)
        *slot = (struct name_table_slot){.name = name, .hash = hash, .value = value};
    return slot->value;
}

size_t name_table_find_hashed(const struct name_table *table, const char *name, uint64_t hash)
{
    const struct name_table_slot *slot = slot_of(table, name, hash);

    return slot->name == NULL ? NAME_TABLE_NONE : slot->value;
}

size_t name_table_find(const struct name_table *table, const char *name)
{
    return name_table_find_hashed(table, name, name_table_hash(name));
}
