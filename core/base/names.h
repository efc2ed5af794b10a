/* SPDX-License-Identifier: Apache-2.0 */
/* Maps names to numbers: a hash table whose size is known in advance. */
#ifndef CORE_BASE_NAMES_H
#define CORE_BASE_NAMES_H

#include <stddef.h>
#include <stdint.h>

/** Not found. */
#define NAME_TABLE_NONE SIZE_MAX

struct name_table_slot {
    /** Borrowed; NULL if the slot is free. */
    const char *name;
    uint64_t hash;
    size_t value;
};

struct name_table {
    struct name_table_slot *slots;
    size_t slot_count;
};

/** Room for `name_count` names; aborts when memory is out. */
void name_table_init(struct name_table *table, size_t name_count);
void name_table_finish(struct name_table *table);

/** Adds a name unless it is there. @return its value: the older one if it was there. */
size_t name_table_add(struct name_table *table, const char *name, size_t value);
/** @return the value, or NAME_TABLE_NONE. */
size_t name_table_find(const struct name_table *table, const char *name);

/** The same for looking up one name in several tables. */
uint64_t name_table_hash(const char *name);
size_t name_table_find_hashed(const struct name_table *table, const char *name, uint64_t hash);

#endif
