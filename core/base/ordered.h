/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of items that is worked on by several threads, with the same outcome as by one: what an item gives
 * is taken up on the caller's thread, in the order of the list.
 */
#ifndef CORE_BASE_ORDERED_H
#define CORE_BASE_ORDERED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct ordered {
    size_t count;
    /** Does what depends on this item alone. On any thread, each item once. */
    void (*work)(void *context, size_t item);
    /** Takes up what came of it: on the caller's thread, each item once, the first one first. */
    void (*take)(void *context, size_t item);
    void *context;
    /** Once it is set, no further item is begun. May be NULL. */
    const atomic_bool *is_cancelled;
};

/** Items that may have been worked on and not yet been taken up; what they hold in memory is to be bounded.
 */
#define ORDERED_AHEAD_MAX 64

/**
 * Returns once all is taken up, and all threads that it started have ended. It starts as many as this process
 * has processors for, at most three, and none for few items. They block all signals
 * but those of faults.
 *
 * @return how many items were taken up: `count`, unless it was cancelled; no other item was worked on.
 */
size_t ordered_run(const struct ordered *list);

#endif
