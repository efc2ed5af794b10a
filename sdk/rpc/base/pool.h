/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_POOL_H
#define RPC_BASE_POOL_H

#include <stddef.h>

/**
 * Bytes of the largest piece that is kept, a message of 4 KiB with its framing, and the unit by which sizes
 * differ; each with its header.
 */
#define POOL_PIECE_MAX (4096 + 512)
#define POOL_UNIT 32

/** What a piece that is made smaller may have too much. */
#define POOL_WASTE_MAX 1024

/** Bytes that a pool keeps at most, and how many of them only pieces up to POOL_SMALL_MAX may take. */
#define POOL_KEPT_MAX ((size_t)1024 * 1024)
#define POOL_KEPT_FOR_SMALL ((size_t)256 * 1024)
#define POOL_SMALL_MAX 1024

struct pool_piece;

/** Memory that calls take and give back all the time. All zero is empty. */
struct pool {
    struct pool_piece *kept[POOL_PIECE_MAX / POOL_UNIT + 1];
    size_t kept_bytes;
};

/** Frees what it keeps, and is an empty pool. At its end nothing that was taken may be given back after this.
 */
void pool_finish(struct pool *pool);

/** As malloc; what is small enough comes from what was given back. @return NULL without memory. */
void *pool_take(struct pool *pool, size_t size);
/** As realloc. */
void *pool_resize(struct pool *pool, void *memory, size_t size);
/** Gives back to the pool that it was taken from. Takes NULL. */
void pool_give(void *memory);

/** Pieces of one size that ended, for those that begin. All zero but for `size` and `max` is empty. */
struct spares {
    /** Of a piece; room for a pointer at least. */
    size_t size;
    /** How many are kept. */
    size_t max;
    size_t count;
    void *first;
};

/** @return memory, not cleared; NULL without memory. */
void *spares_take(struct spares *spares);
void spares_give(struct spares *spares, void *piece);
void spares_finish(struct spares *spares);

#endif
