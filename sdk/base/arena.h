/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct berth_arena_block;

/**
 * Small pieces of memory that are freed together and never move. Zero-initialised is an empty arena; a copy
 * of the struct is a mark to rewind to.
 */
struct berth_arena {
    unsigned char *free;
    size_t left;
    struct berth_arena_block *blocks;
};

/**
 * `first` is the caller's memory, used until it is full; it must outlive the arena and be aligned for any
 * type.
 */
void berth_arena_init(struct berth_arena *arena, void *first, size_t length);
void berth_arena_finish(struct berth_arena *arena);

/** @return memory aligned for any type, not cleared; NULL without memory. */
void *berth_arena_take(struct berth_arena *arena, size_t length);

/** @return a NUL-terminated copy; NULL without memory. */
char *berth_arena_copy(struct berth_arena *arena, const void *bytes, size_t length);

/** Moves everything allocated from `from` to `arena`; no address changes. `from` is empty afterwards. */
void berth_arena_adopt(struct berth_arena *arena, struct berth_arena *from);

/** Frees everything allocated since `mark` was copied from the arena. */
void berth_arena_rewind(struct berth_arena *arena, struct berth_arena mark);
/** Frees everything, but keeps a block for reuse. Not for an arena with the caller's memory. */
void berth_arena_clear(struct berth_arena *arena);

#endif
