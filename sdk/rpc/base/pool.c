/* SPDX-License-Identifier: Apache-2.0 */
/* Reuses freed memory, so that a call in the steady state needs no malloc. */
#include "pool.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_IS_USED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_IS_USED 0
#endif
#endif
#ifndef POOL_IS_USED
#define POOL_IS_USED 1
#endif

struct pool_piece {
    /** Whose it is; while it is kept, the next of its size. */
    union {
        struct pool *pool;
        struct pool_piece *next;
    } link;
    /** With this header, a multiple of POOL_UNIT. */
    size_t size;
    alignas(max_align_t) unsigned char bytes[];
};

static struct pool_piece *piece_of(void *memory)
{
    return (struct pool_piece *)((unsigned char *)memory - offsetof(struct pool_piece, bytes));
}

void pool_finish(struct pool *pool)
{
    for (size_t i = 0; i <= POOL_PIECE_MAX / POOL_UNIT; i++)
        while (pool->kept[i] != NULL) {
            struct pool_piece *piece = pool->kept[i];

            pool->kept[i] = piece->link.next;
            free(piece);
        }
    pool->kept_bytes = 0;
}

void *pool_take(struct pool *pool, size_t size)
{
    size_t whole = (size + sizeof(struct pool_piece) + POOL_UNIT - 1) / POOL_UNIT * POOL_UNIT;
    struct pool_piece *piece = whole <= POOL_PIECE_MAX ? pool->kept[whole / POOL_UNIT] : NULL;

    if (piece != NULL) {
        pool->kept[whole / POOL_UNIT] = piece->link.next;
        pool->kept_bytes -= whole;
    } else {
        piece = whole < size ? NULL : malloc(whole);
        if (piece == NULL)
            return NULL;
        piece->size = whole;
    }
    piece->link.pool = pool;
    return piece->bytes;
}

static bool is_worth_keeping(const struct pool *pool, size_t size)
{
    size_t limit = size <= POOL_SMALL_MAX ? POOL_KEPT_MAX : POOL_KEPT_MAX - POOL_KEPT_FOR_SMALL;

    return POOL_IS_USED && size <= POOL_PIECE_MAX && pool->kept_bytes + size <= limit;
}

void pool_give(void *memory)
{
    struct pool_piece *piece;
    struct pool *pool;

    if (memory == NULL)
        return;
    piece = piece_of(memory);
    pool = piece->link.pool;
    if (!is_worth_keeping(pool, piece->size)) {
        free(piece);
        return;
    }
    piece->link.next = pool->kept[piece->size / POOL_UNIT];
    pool->kept[piece->size / POOL_UNIT] = piece;
    pool->kept_bytes += piece->size;
}

void *pool_resize(struct pool *pool, void *memory, size_t size)
{
    size_t room = memory == NULL ? 0 : piece_of(memory)->size - sizeof(struct pool_piece);
    void *other;

    if (size <= room && room - size < POOL_WASTE_MAX)
        return memory;
    other = pool_take(pool, size);
    if (other == NULL || memory == NULL)
        return other;
    memcpy(other, memory, size < room ? size : room);
    pool_give(memory);
    return other;
}

/* The first bytes of each piece point to the next. */
static void *next_of(const void *piece)
{
    void *next;

    memcpy(&next, piece, sizeof(next));
    return next;
}

void *spares_take(struct spares *spares)
{
    void *piece = spares->first;

    if (piece == NULL)
        return malloc(spares->size);
    spares->first = next_of(piece);
    spares->count--;
    return piece;
}

void spares_give(struct spares *spares, void *piece)
{
    if (spares->count >= spares->max) {
        free(piece);
        return;
    }
    memcpy(piece, &spares->first, sizeof(spares->first));
    spares->first = piece;
    spares->count++;
}

void spares_finish(struct spares *spares)
{
    while (spares->first != NULL) {
        void *piece = spares->first;

        spares->first = next_of(piece);
        free(piece);
    }
    spares->count = 0;
}
