/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_STORE_OVERLAY_H
#define BERTH_STORE_OVERLAY_H

#include <stdbool.h>

#include <bsd/sys/tree.h>

#include <sdk/base/arena.h>

#include "names.h"

struct overlay_undo;

/* What is written under one name; `value.data` is NULL where it is removed. */
struct store_overlay_entry {
    RB_ENTRY(store_overlay_entry) node;
    struct store_name name;
    struct berth_store_bytes value;
    /* Of the change that is running; NULL where it has not written here. */
    struct overlay_undo *undo;
};

RB_HEAD(store_overlay_tree, store_overlay_entry);

/* Names written, and the bytes of them and their values. */
struct store_overlay_size {
    uint64_t count;
    uint64_t bytes;
};

/* The writes of a batch, in order, over what is committed. Zeroed is ready. */
struct store_overlay {
    struct store_overlay_tree tree;
    struct berth_arena arena;
    struct store_overlay_size all;
    /* Of the change that is running. */
    struct store_overlay_size own;
    struct overlay_undo *undo;
    struct berth_arena mark;
};

/* One change begins; what it writes is kept or undone as a whole. */
void store_overlay_begin(struct store_overlay *overlay);
void store_overlay_keep(struct store_overlay *overlay);
void store_overlay_undo(struct store_overlay *overlay);

/* Copies name and value; data NULL removes. What stood there before stays in memory until the change is kept
 * or undone. False without memory, and then nothing has changed. */
bool store_overlay_write(struct store_overlay *overlay, const struct store_name *name,
                         struct berth_store_bytes value);

/* NULL where nothing was written. */
struct store_overlay_entry *store_overlay_find(struct store_overlay *overlay, const struct store_name *name);
/* The first after the name that was written to, removed ones too; NULL past the last. */
struct store_overlay_entry *store_overlay_next(struct store_overlay *overlay, const struct store_name *after);
/* The first of any bucket after this one; NULL past the last. */
struct store_overlay_entry *store_overlay_next_bucket(struct store_overlay *overlay, const char *after);
struct store_overlay_entry *store_overlay_first(struct store_overlay *overlay);
struct store_overlay_entry *store_overlay_following(struct store_overlay_entry *entry);

/* Forgets all. */
void store_overlay_clear(struct store_overlay *overlay);
void store_overlay_finish(struct store_overlay *overlay);

#endif
