/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for what lives exactly as long as one call: its headers, path, status. */
#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 1008
#define ALIGNMENT alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *arena, void *first, size_t length)
{
    *arena = (struct arena){.free = first, .left = length / ALIGNMENT * ALIGNMENT};
}

void arena_finish(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->next;
        free(block);
    }
    arena->left = 0;
}

static unsigned char *add_block(struct arena *arena, size_t length)
{
    struct arena_block *block = malloc(sizeof(*block) + length);

    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

void *arena_take(struct arena *arena, size_t length)
{
    size_t rounded = (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    unsigned char *bytes;

    if (rounded > arena->left) {
        bytes = add_block(arena, rounded > BLOCK_SIZE ? rounded : BLOCK_SIZE);
        if (bytes == NULL || rounded > BLOCK_SIZE)
            return bytes;
        arena->free = bytes;
        arena->left = BLOCK_SIZE;
    }
    bytes = arena->free;
    arena->free += rounded;
    arena->left -= rounded;
    return bytes;
}

char *arena_copy(struct arena *arena, const void *bytes, size_t length)
{
    char *copy = arena_take(arena, length + 1);

    if (copy == NULL)
        return NULL;
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}
