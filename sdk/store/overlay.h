/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_STORE_OVERLAY_H
#define BERTH_STORE_OVERLAY_H

#include <stdbool.h>

#include <bsd/sys/tree.h>

#include <sdk/base/arena.h>

#include "names.h"

struct overlay_undo;

/* A write under one name; `value.data` is NULL if it removes the entry. */
struct store_overlay_entry {
    RB_ENTRY(store_overlay_entry) node;
    struct store_name name;
    struct berth_store_bytes value;
    /* By the running change; NULL if it has not written here. */
    struct overlay_undo *undo;
};

RB_HEAD(store_overlay_tree, store_overlay_entry);

/* Number of names written, and bytes of names and values. */
struct store_overlay_size {
    uint64_t count;
    uint64_t bytes;
};

/* The writes of a batch, sorted, on top of the committed entries. Zero-initialised: ready. */
struct store_overlay {
    struct store_overlay_tree tree;
    struct berth_arena arena;
    struct store_overlay_size all;
    /* By the running change. */
    struct store_overlay_size own;
    struct overlay_undo *undo;
    struct berth_arena mark;
};

/* Begins a change; its writes are kept or undone as a whole. */
void store_overlay_begin(struct store_overlay *overlay);
void store_overlay_keep(struct store_overlay *overlay);
void store_overlay_undo(struct store_overlay *overlay);

/*
 * Copies name and value; data NULL removes. An earlier write stays in memory until the change is kept or
 * undone. False without memory, and then nothing has changed.
 */
bool store_overlay_write(struct store_overlay *overlay, const struct store_name *name,
                         struct berth_store_bytes value);

/* NULL if nothing was written. */
struct store_overlay_entry *store_overlay_find(struct store_overlay *overlay, const struct store_name *name);
/* The first written name after this one, including removals; NULL past the last. */
struct store_overlay_entry *store_overlay_next(struct store_overlay *overlay, const struct store_name *after);
/* The first of any bucket after this one; NULL past the last. */
struct store_overlay_entry *store_overlay_next_bucket(struct store_overlay *overlay, const char *after);
struct store_overlay_entry *store_overlay_first(struct store_overlay *overlay);
struct store_overlay_entry *store_overlay_following(struct store_overlay_entry *entry);

/* Frees everything. */
void store_overlay_clear(struct store_overlay *overlay);
void store_overlay_finish(struct store_overlay *overlay);

#endif
