/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_SPARES_H
#define RPC_BASE_SPARES_H

#include <stddef.h>

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
