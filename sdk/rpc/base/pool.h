/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_POOL_H
#define RPC_BASE_POOL_H

#include <stddef.h>

/**
 * Size of the largest piece that is kept (a message of 4 KiB with its framing), and the unit of sizes; both
 * include the header.
 */
#define POOL_PIECE_MAX (4096 + 512)
#define POOL_UNIT 32

/** How much too large a reused piece may be. */
#define POOL_WASTE_MAX 1024

/** Maximum bytes that a pool keeps, and how many of them only pieces up to POOL_SMALL_MAX may use. */
#define POOL_KEPT_MAX ((size_t)1024 * 1024)
#define POOL_KEPT_FOR_SMALL ((size_t)256 * 1024)
#define POOL_SMALL_MAX 1024

struct pool_piece;

/** Reuses memory that calls allocate and free all the time. Zero-initialised: empty. */
struct pool {
    struct pool_piece *kept[POOL_PIECE_MAX / POOL_UNIT + 1];
    size_t kept_bytes;
};

/**
 * Frees what it keeps; the pool is then empty. At its end, nothing allocated from it may be freed afterwards.
 */
void pool_finish(struct pool *pool);

/** As malloc; small pieces are reused. @return NULL without memory. */
void *pool_take(struct pool *pool, size_t size);
/** As realloc. */
void *pool_resize(struct pool *pool, void *memory, size_t size);
/** Frees to the pool it was allocated from. Accepts NULL. */
void pool_give(void *memory);

/** Reuses pieces of one size. Zero-initialised except `size` and `max`: empty. */
struct spares {
    /** Of a piece; at least the size of a pointer. */
    size_t size;
    /** Number of pieces kept. */
    size_t max;
    size_t count;
    void *first;
};

/** @return memory, not cleared; NULL without memory. */
void *spares_take(struct spares *spares);
void spares_give(struct spares *spares, void *piece);
void spares_finish(struct spares *spares);

#endif
