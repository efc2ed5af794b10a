/* SPDX-License-Identifier: Apache-2.0 */
/* Names to numbers: a hash table of a size that is known ahead. */
#ifndef CORE_BASE_NAMES_H
#define CORE_BASE_NAMES_H

#include <stddef.h>
#include <stdint.h>

/** Not there. */
#define NAME_TABLE_NONE SIZE_MAX

struct name_table_slot {
    /** Borrowed; NULL where the slot is free. */
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

/** Adds a name that is not there yet. @return the value that stands there now, the older one where it was. */
size_t name_table_add(struct name_table *table, const char *name, size_t value);
/** @return the value, or NAME_TABLE_NONE. */
size_t name_table_find(const struct name_table *table, const char *name);

/** The same for who looks one name up in several tables. */
uint64_t name_table_hash(const char *name);
size_t name_table_find_hashed(const struct name_table *table, const char *name, uint64_t hash);

#endif
