/* SPDX-License-Identifier: Apache-2.0 */
/* The arena of sdk/base for callers that bound what they ask for: memory is cleared, and running out of it
 * aborts. */
#ifndef CONFIG_TREE_ARENA_H
#define CONFIG_TREE_ARENA_H

#include <stdlib.h>
#include <string.h>

#include <sdk/base/arena.h>

/** Never NULL, not even for no bytes. */
static inline void *config_arena_allocate(struct berth_arena *arena, size_t bytes)
{
    size_t length = bytes == 0 ? 1 : bytes;
    void *piece = berth_arena_take(arena, length);

    if (piece == NULL)
        abort();
    return memset(piece, 0, length);
}

/** A NUL-terminated copy of `length` bytes. */
static inline char *config_arena_copy(struct berth_arena *arena, const char *text, size_t length)
{
    char *copy = berth_arena_copy(arena, text, length);

    if (copy == NULL)
        abort();
    return copy;
}

#endif
