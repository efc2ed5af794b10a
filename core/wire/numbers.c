/* SPDX-License-Identifier: Apache-2.0 */
/* Finds what is in flight over a channel by its number. */
#include "numbers.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 16u

/* To have this slot. */
static bool grow(struct numbers *numbers, size_t slot)
{
    size_t capacity = numbers->capacity > 0 ? numbers->capacity : CAPACITY_MIN;
    struct numbers_slot *slots;

    if (slot < numbers->capacity)
        return true;
    if (slot >= NUMBERS_MAX)
        return false;
    while (capacity <= slot)
        capacity *= 2;
    slots = realloc(numbers->slots, capacity * sizeof(*slots));
    if (slots == NULL)
        return false;
    memset(slots + numbers->capacity, 0, (capacity - numbers->capacity) * sizeof(*slots));
    numbers->next = numbers->capacity;
    numbers->slots = slots;
    numbers->capacity = capacity;
    return true;
}

uint32_t numbers_add(struct numbers *numbers, void *item)
{
    struct numbers_slot *slot;

    if (numbers->count == numbers->capacity && !grow(numbers, numbers->capacity))
        return 0;
    while (numbers->slots[numbers->next].item != NULL)
        numbers->next = (numbers->next + 1) & (numbers->capacity - 1);
    slot = &numbers->slots[numbers->next];
    numbers->generation = numbers->generation % (NUMBERS_MAX - 1) + 1;
    *slot =
        (struct numbers_slot){.item = item, .number = numbers->generation << 16 | (uint32_t)numbers->next};
    numbers->count++;
    return slot->number;
}

bool numbers_put(struct numbers *numbers, uint32_t number, void *item)
{
    size_t slot = number & (NUMBERS_MAX - 1);

    if (!grow(numbers, slot))
        return false;
    numbers->slots[slot] = (struct numbers_slot){.item = item, .number = number};
    numbers->count++;
    return true;
}

void numbers_remove(struct numbers *numbers, uint32_t number)
{
    numbers->next = number & (NUMBERS_MAX - 1);
    numbers->slots[numbers->next] = (struct numbers_slot){.item = NULL};
    numbers->count--;
}

void numbers_finish(struct numbers *numbers)
{
    free(numbers->slots);
    *numbers = (struct numbers){.slots = NULL};
}
