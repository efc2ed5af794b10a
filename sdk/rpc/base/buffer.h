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
    /** That of all, which this is a part of; NULL: none. */
    struct budget *parent;
    /** How often a part of this was refused because of this. */
    uint64_t refusals;
    /** The last refusal was for want of the parent's. */
    bool is_parent_full;

    /** Of a parent: the most that was used since it was last low. */
    uint64_t height;
    /** Of a parent: called when parts give back and no more than a quarter of a height of at least
     * `height_min` is in use; NULL: nobody cares. */
    void (*on_fallen)(struct budget *budget);
    uint64_t height_min;
    void *watcher;
};

/**
 * Takes from the budget and from its parent. No budget has more of the parent than is left for the
 * others, so that modest users are served however many greedy ones there are.
 *
 * @return false where that is too much; nothing was taken.
 */
bool budget_take(struct budget *budget, uint64_t bytes);
void budget_give(struct budget *budget, uint64_t bytes);

/** All zero is an empty buffer. */
struct buffer {
    unsigned char *bytes;
    size_t length;
    size_t capacity;
};

/**
 * Makes room for `more` bytes behind `length`. Grows to at least twice its size, but not beyond `largest`
 * where that suffices.
 *
 * @param budget  Charged by capacity; NULL: none.
 * @return false without memory or budget; the buffer is as it was.
 */
bool buffer_reserve(struct buffer *buffer, size_t more, size_t largest, struct budget *budget);

/** @return false without memory or budget; nothing was added. */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t length, struct budget *budget);

void buffer_finish(struct buffer *buffer, struct budget *budget);

#endif
