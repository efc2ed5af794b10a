/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer that is charged to a budget. */
#include "buffer.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_SMALLEST 1024

/* Like dynamic thresholds for the queues of a switch (Choudhury and Hahne 1998). */
bool budget_take(struct budget *budget, uint64_t bytes)
{
    struct budget *parent = budget->parent;
    uint64_t wanted = budget->used + bytes;

    budget->is_parent_full = wanted <= budget->limit;
    if (wanted > budget->limit)
        return false;
    if (parent != NULL && wanted + bytes > parent->limit - parent->used) {
        parent->refusals++;
        return false;
    }
    if (parent != NULL) {
        parent->used += bytes;
        if (parent->used > parent->height)
            parent->height = parent->used;
    }
    budget->used = wanted;
    return true;
}

void budget_give(struct budget *budget, uint64_t bytes)
{
    struct budget *parent = budget->parent;

    budget->used -= bytes;
    if (parent == NULL)
        return;
    parent->used -= bytes;
    if (parent->used <= parent->height / 4 && parent->on_fallen != NULL &&
        parent->height >= parent->height_min)
        parent->on_fallen(parent);
}

bool buffer_reserve(struct buffer *buffer, size_t more, size_t largest, struct budget *budget)
{
    size_t needed = buffer->length + more;
    size_t capacity = buffer->capacity * 2 > BUFFER_SMALLEST ? buffer->capacity * 2 : BUFFER_SMALLEST;
    unsigned char *bytes;

    if (needed <= buffer->capacity)
        return true;
    if (capacity > largest)
        capacity = largest;
    if (capacity < needed)
        capacity = needed;
    if (budget != NULL && !budget_take(budget, capacity - buffer->capacity))
        return false;
    bytes = realloc(buffer->bytes, capacity);
    if (bytes == NULL) {
        if (budget != NULL)
            budget_give(budget, capacity - buffer->capacity);
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

bool buffer_append(struct buffer *buffer, const void *bytes, size_t length, struct budget *budget)
{
    if (!buffer_reserve(buffer, length, SIZE_MAX, budget))
        return false;
    if (length > 0)
        memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return true;
}

void buffer_finish(struct buffer *buffer, struct budget *budget)
{
    if (budget != NULL)
        budget_give(budget, buffer->capacity);
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
