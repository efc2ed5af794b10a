/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is taken piece by piece and given back at once, or back to a mark. */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)16384)

struct arena_chunk {
    struct arena_chunk *previous;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char bytes[];
};

static struct arena_chunk *add_chunk(struct store_arena *arena, size_t length)
{
    size_t size = length > CHUNK_BYTES ? length : CHUNK_BYTES;
    struct arena_chunk *chunk =
        size > SIZE_MAX - sizeof(struct arena_chunk) ? NULL : malloc(sizeof(*chunk) + size);

    if (chunk == NULL)
        return NULL;
    chunk->previous = arena->last;
    chunk->size = size;
    chunk->used = 0;
    arena->last = chunk;
    return chunk;
}

void *store_arena_take(struct store_arena *arena, size_t length)
{
    size_t aligned = (length + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    struct arena_chunk *chunk = arena->last;
    void *piece;

    if (aligned < length)
        return NULL;
    if (chunk == NULL || chunk->size - chunk->used < aligned)
        chunk = add_chunk(arena, aligned);
    if (chunk == NULL)
        return NULL;
    piece = chunk->bytes + chunk->used;
    chunk->used += aligned;
    return piece;
}

void *store_arena_copy(struct store_arena *arena, const void *data, size_t length)
{
    void *copy = store_arena_take(arena, length == 0 ? 1 : length);

    if (copy != NULL && length > 0)
        memcpy(copy, data, length);
    return copy;
}

struct store_arena_mark store_arena_mark(const struct store_arena *arena)
{
    return (struct store_arena_mark){arena->last, arena->last == NULL ? 0 : arena->last->used};
}

static void remove_last(struct store_arena *arena)
{
    struct arena_chunk *chunk = arena->last;

    arena->last = chunk->previous;
    free(chunk);
}

void store_arena_rewind(struct store_arena *arena, struct store_arena_mark mark)
{
    while (arena->last != mark.last)
        remove_last(arena);
    if (arena->last != NULL)
        arena->last->used = mark.used;
}

void store_arena_clear(struct store_arena *arena)
{
    while (arena->last != NULL && (arena->last->previous != NULL || arena->last->size > CHUNK_BYTES))
        remove_last(arena);
    if (arena->last != NULL)
        arena->last->used = 0;
}

void store_arena_finish(struct store_arena *arena)
{
    while (arena->last != NULL)
        remove_last(arena);
}
