/* SPDX-License-Identifier: Apache-2.0 */
/* Hands out pieces of growing blocks, so thousands of small nodes cost a handful of allocations. */
#include "arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARENA_ALIGNMENT = 8,
    ARENA_FIRST_BLOCK = 1024,
    ARENA_LARGEST_BLOCK = 64 * 1024,
};

struct config_arena_block {
    struct config_arena_block *next;
    size_t used;
    size_t size;
    char bytes[];
};

static_assert(sizeof(struct config_arena_block) % ARENA_ALIGNMENT == 0, "what is handed out is aligned");

static size_t next_block_size(const struct config_arena *arena, size_t bytes)
{
    size_t size = arena->blocks == NULL ? ARENA_FIRST_BLOCK : arena->blocks->size * 2;

    if (size > ARENA_LARGEST_BLOCK)
        size = ARENA_LARGEST_BLOCK;
    return bytes > size ? bytes : size;
}

static void add_block(struct config_arena *arena, size_t bytes)
{
    size_t size = next_block_size(arena, bytes);
    struct config_arena_block *block = calloc(1, sizeof(*block) + size);

    if (block == NULL)
        abort();
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
}

void *config_arena_allocate(struct config_arena *arena, size_t bytes)
{
    size_t rounded = (bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    void *piece;

    if (rounded < bytes)
        abort();
    if (arena->blocks == NULL || arena->blocks->size - arena->blocks->used < rounded)
        add_block(arena, rounded);
    piece = arena->blocks->bytes + arena->blocks->used;
    arena->blocks->used += rounded;
    return piece;
}

char *config_arena_copy(struct config_arena *arena, const char *text, size_t length)
{
    char *copy = config_arena_allocate(arena, length + 1);

    memcpy(copy, text, length);
    return copy;
}

void config_arena_take(struct config_arena *arena, struct config_arena *from)
{
    struct config_arena_block **end = &from->blocks;

    while (*end != NULL)
        end = &(*end)->next;
    *end = arena->blocks;
    arena->blocks = from->blocks;
    from->blocks = NULL;
}

void config_arena_finish(struct config_arena *arena)
{
    while (arena->blocks != NULL) {
        struct config_arena_block *next = arena->blocks->next;

        free(arena->blocks);
        arena->blocks = next;
    }
}
