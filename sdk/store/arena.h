/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_STORE_ARENA_H
#define BERTH_STORE_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* Zeroed is ready. */
struct store_arena {
    struct arena_chunk *last;
};

struct store_arena_mark {
    struct arena_chunk *last;
    size_t used;
};

/* Aligned for anything; NULL without memory. */
void *store_arena_take(struct store_arena *arena, size_t length);
/* A copy that is never NULL, also of no bytes; NULL without memory. */
void *store_arena_copy(struct store_arena *arena, const void *data, size_t length);
struct store_arena_mark store_arena_mark(const struct store_arena *arena);
/* Gives back all that was taken since. */
void store_arena_rewind(struct store_arena *arena, struct store_arena_mark mark);
/* Gives back all, but keeps a piece for the next time. */
void store_arena_clear(struct store_arena *arena);
void store_arena_finish(struct store_arena *arena);

#endif
