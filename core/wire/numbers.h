/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers for what is in flight over a channel, such as calls. The low half of a number is a slot, the high
 * half counts how often slots were taken, so that a late packet finds nobody. No number is 0.
 */
#ifndef CORE_WIRE_NUMBERS_H
#define CORE_WIRE_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** As many can be in flight at once. */
#define NUMBERS_MAX 65536u

/** Zero-initialise. */
struct numbers {
    struct numbers_slot {
        /** NULL: it is free. */
        void *item;
        uint32_t number;
    } * slots;
    /** `next` is where to look first for a free one. */
    size_t capacity, next;
    /** How many are in flight. */
    size_t count;
    uint32_t generation;
};

/**
 * For what this side begins.
 * @return the number that finds the item until numbers_remove; 0 if there are NUMBERS_MAX, or no memory.
 */
uint32_t numbers_add(struct numbers *numbers, void *item);
/** For what the other side begins, with its number, whose slot is free. @return false without memory. */
bool numbers_put(struct numbers *numbers, uint32_t number, void *item);
/** One that it finds. */
void numbers_remove(struct numbers *numbers, uint32_t number);
/** What is in flight is no longer found; it is the caller's. */
void numbers_finish(struct numbers *numbers);

/** @return NULL: nothing in flight has this number. */
static inline void *numbers_find(const struct numbers *numbers, uint32_t number)
{
    size_t slot = number & (NUMBERS_MAX - 1);

    return slot < numbers->capacity && numbers->slots[slot].number == number ? numbers->slots[slot].item
                                                                             : NULL;
}

/** Is the slot of this number free? */
static inline bool numbers_is_free(const struct numbers *numbers, uint32_t number)
{
    size_t slot = number & (NUMBERS_MAX - 1);

    return slot >= numbers->capacity || numbers->slots[slot].item == NULL;
}

/** For a walk over all, in which others may come and go. @param slot  below `capacity`. @return may be NULL.
 */
static inline void *numbers_at(const struct numbers *numbers, size_t slot)
{
    return numbers->slots[slot].item;
}

#endif
