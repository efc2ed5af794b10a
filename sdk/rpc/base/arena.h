/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_ARENA_H
#define RPC_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

/** Small pieces that go together. They never move. */
struct arena {
    unsigned char *free;
    size_t left;
    struct arena_block *blocks;
};

/** `first` is the caller's memory, used until it is full; it outlives the arena and is aligned for anything.
 */
void arena_init(struct arena *arena, void *first, size_t length);
void arena_finish(struct arena *arena);

/** @return memory aligned for anything, not cleared; NULL without memory. */
void *arena_take(struct arena *arena, size_t length);

/** @return a copy with a NUL behind it; NULL without memory. */
char *arena_copy(struct arena *arena, const void *bytes, size_t length);

#endif
