/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_BUFFER_H
#define RPC_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes, borrowed. */
struct span {
    const unsigned char *bytes;
    size_t length;
};

/** Bytes in use, and their limit. */
struct budget {
    uint64_t used;
    uint64_t limit;
    /** The total budget that this is part of; NULL: none. */
    struct budget *parent;
    /** How often a part of this was refused memory because this was full. */
    uint64_t refusals;
    /** The last refusal was due to the parent. */
    bool is_parent_full;

    /** Of a parent: the peak since use was last low. */
    uint64_t height;
    /**
     * Of a parent: called when parts release bytes and at most a quarter of a peak of at least `height_min`
     * is in use; may be NULL.
     */
    void (*on_fallen)(struct budget *budget);
    uint64_t height_min;
    void *watcher;
};

/**
 * Charges the budget and its parent. A budget never gets more of the parent than is left for the others, so
 * that modest users are served even if others are greedy.
 *
 * @return false if that is too much; nothing was charged.
 */
bool budget_take(struct budget *budget, uint64_t bytes);
void budget_give(struct budget *budget, uint64_t bytes);

/** Zero-initialised is an empty buffer. */
struct buffer {
    unsigned char *bytes;
    size_t length;
    size_t capacity;
};

/**
 * Makes room for `more` bytes after `length`. Grows to at least twice its size, but not beyond `largest` if
 * that suffices.
 *
 * @param budget  Charged by capacity; NULL: none.
 * @return false without memory or budget; the buffer is unchanged.
 */
bool buffer_reserve(struct buffer *buffer, size_t more, size_t largest, struct budget *budget);

/** @return false without memory or budget; nothing was added. */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t length, struct budget *budget);

void buffer_finish(struct buffer *buffer, struct budget *budget);

#endif
