/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct berth_arena_block;

/** Small pieces of memory that are given back together. They never move. All zero is an empty arena; a copy
 * of the struct is a mark to go back to. */
struct berth_arena {
    unsigned char *free;
    size_t left;
    struct berth_arena_block *blocks;
};

/** `first` is the caller's memory, used until it is full; it outlives the arena and is aligned for anything.
 */
void berth_arena_init(struct berth_arena *arena, void *first, size_t length);
void berth_arena_finish(struct berth_arena *arena);

/** @return memory aligned for anything, not cleared; NULL without memory. */
void *berth_arena_take(struct berth_arena *arena, size_t length);

/** @return a copy with a NUL behind it; NULL without memory. */
char *berth_arena_copy(struct berth_arena *arena, const void *bytes, size_t length);

/** Moves everything taken from `from` to `arena`; no address changes. `from` is empty then. */
void berth_arena_adopt(struct berth_arena *arena, struct berth_arena *from);

/** Gives back all that was taken since `mark` was copied from the arena. */
void berth_arena_rewind(struct berth_arena *arena, struct berth_arena mark);
/** Gives back everything, but keeps a block for the next time. Not for an arena with memory of the caller's.
 */
void berth_arena_clear(struct berth_arena *arena);

#endif
