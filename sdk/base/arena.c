/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is allocated in small pieces and freed all at once, or back to a mark. */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Each block is twice as large as the one before it, up to a bound. */
#define FIRST_BLOCK ((size_t)1008)
#define LARGEST_BLOCK ((size_t)16384)
#define ALIGNMENT alignof(max_align_t)

struct berth_arena_block {
    struct berth_arena_block *next;
    size_t size;
    alignas(max_align_t) unsigned char bytes[];
};

void berth_arena_init(struct berth_arena *arena, void *first, size_t length)
{
    *arena = (struct berth_arena){.free = first, .left = length / ALIGNMENT * ALIGNMENT};
}

static void free_until(struct berth_arena *arena, const struct berth_arena_block *last)
{
    while (arena->blocks != last) {
        struct berth_arena_block *block = arena->blocks;

        arena->blocks = block->next;
        free(block);
    }
}

void berth_arena_finish(struct berth_arena *arena)
{
    free_until(arena, NULL);
    arena->left = 0;
}

static struct berth_arena_block *add_block(struct berth_arena *arena, size_t size)
{
    struct berth_arena_block *block = size > SIZE_MAX - sizeof(*block) ? NULL : malloc(sizeof(*block) + size);

    if (block == NULL)
        return NULL;
    *block = (struct berth_arena_block){.next = arena->blocks, .size = size};
    arena->blocks = block;
    return block;
}

static size_t next_size(const struct berth_arena *arena)
{
    if (arena->blocks == NULL)
        return FIRST_BLOCK;
    return arena->blocks->size < LARGEST_BLOCK / 2 ? arena->blocks->size * 2 : LARGEST_BLOCK;
}

static size_t round_up(size_t length)
{
    return (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* A piece larger than a block gets a block of its own, and the rest of the block before stays in use. */
static void *take_from_new_block(struct berth_arena *arena, size_t length)
{
    size_t rounded = round_up(length);
    size_t size = next_size(arena);
    struct berth_arena_block *block =
        rounded < length ? NULL : add_block(arena, rounded > size ? rounded : size);

    if (block == NULL)
        return NULL;
    if (rounded <= size) {
        arena->free = block->bytes + rounded;
        arena->left = size - rounded;
    }
    return block->bytes;
}

void *berth_arena_take(struct berth_arena *arena, size_t length)
{
    unsigned char *bytes = arena->free;

    /* Rounding up cannot overflow once it is known to be no more than what is left. */
    if (length > arena->left || round_up(length) > arena->left)
        return take_from_new_block(arena, length);
    arena->free += round_up(length);
    arena->left -= round_up(length);
    return bytes;
}

char *berth_arena_copy(struct berth_arena *arena, const void *bytes, size_t length)
{
    char *copy;

    /* Bytes need no alignment: they are packed at the end of what is left. */
    if (length < arena->left) {
        arena->left -= length + 1;
        copy = (char *)arena->free + arena->left;
    } else if ((copy = berth_arena_take(arena, length + 1)) == NULL) {
        return NULL;
    }
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

void berth_arena_adopt(struct berth_arena *arena, struct berth_arena *from)
{
    struct berth_arena_block **end = &from->blocks;

    while (*end != NULL)
        end = &(*end)->next;
    *end = arena->blocks;
    arena->blocks = from->blocks;
    *from = (struct berth_arena){0};
}

void berth_arena_rewind(struct berth_arena *arena, struct berth_arena mark)
{
    free_until(arena, mark.blocks);
    *arena = mark;
}

/* The newest block of no unusual size is the largest of those. */
void berth_arena_clear(struct berth_arena *arena)
{
    struct berth_arena_block *kept;

    while (arena->blocks != NULL && arena->blocks->size > LARGEST_BLOCK)
        free_until(arena, arena->blocks->next);
    kept = arena->blocks;
    if (kept != NULL) {
        arena->blocks = kept->next;
        kept->next = NULL;
    }
    free_until(arena, NULL);
    *arena = (struct berth_arena){.blocks = kept};
    if (kept != NULL) {
        arena->free = kept->bytes;
        arena->left = kept->size;
    }
}
