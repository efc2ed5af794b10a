/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outgoing framed messages: copied once when they are sent, and referenced from then on; and when the sender
 * must wait.
 */
#include "outflow.h"

#include <string.h>

#include "inbox.h"

/* Holds the prefix and a copy of the message. */
static struct message_block *block_create(struct pool *pool, const void *message, uint32_t length)
{
    struct message_block *block = pool_take(pool, sizeof(*block) + FRAMING_PREFIX + length);

    if (block == NULL)
        return NULL;
    *block = (struct message_block){.references = 1, .length = FRAMING_PREFIX + (size_t)length};
    framing_write_prefix(block->bytes, false, length);
    if (length > 0)
        memcpy(block->bytes + FRAMING_PREFIX, message, length);
    return block;
}

/* Compressed in place; the unused part of the block is returned. */
struct message_block *message_block_create_compressed(struct pool *pool, struct codec *codec,
                                                      enum coding coding, const void *message,
                                                      uint32_t length)
{
    struct message_block *block;
    struct message_block *smaller;
    size_t used;

    if (length <= CODEC_NEVER_SMALLER)
        return NULL;
    block = pool_take(pool, sizeof(*block) + FRAMING_PREFIX + length - 1);
    if (block == NULL)
        return NULL;
    used = codec_compress(codec, coding, message, length, block->bytes + FRAMING_PREFIX, length - 1);
    if (used == 0) {
        pool_give(block);
        return NULL;
    }
    *block = (struct message_block){.references = 1, .length = FRAMING_PREFIX + used};
    framing_write_prefix(block->bytes, true, (uint32_t)used);
    smaller = pool_resize(pool, block, sizeof(*block) + block->length);
    return smaller != NULL ? smaller : block;
}

struct message_block *message_block_ref(struct message_block *block)
{
    block->references++;
    return block;
}

void message_block_unref(struct message_block *block)
{
    if (--block->references == 0)
        pool_give(block);
}

void outbox_add(struct outbox *outbox, struct message_block *block)
{
    if (outbox->last == NULL)
        outbox->first = block;
    else
        outbox->last->next = block;
    outbox->last = block;
    outbox->length += block->length;
}

static void drop_first(struct outbox *outbox)
{
    struct message_block *block = outbox->first;

    outbox->first = block->next;
    if (outbox->first == NULL)
        outbox->last = NULL;
    outbox->offset = 0;
    message_block_unref(block);
}

static void take(struct outbox *outbox, size_t length,
                 void (*on_run)(void *context, struct message_block *block, const unsigned char *bytes,
                                size_t length),
                 void *context)
{
    outbox->length -= length;
    while (length > 0) {
        struct message_block *block = outbox->first;
        size_t run = block->length - outbox->offset < length ? block->length - outbox->offset : length;

        on_run(context, block, block->bytes + outbox->offset, run);
        outbox->offset += run;
        length -= run;
        if (outbox->offset == block->length)
            drop_first(outbox);
    }
}

static void note_room(struct outflow *outflow)
{
    if (!outflow->is_awaited || outflow->outbox.length >= OUTFLOW_ROOMY_BYTES)
        return;
    outflow->is_awaited = false;
    outflow->on_room(outflow);
}

void outflow_take(struct outflow *outflow, size_t length,
                  void (*on_run)(void *context, struct message_block *block, const unsigned char *bytes,
                                 size_t length),
                  void *context)
{
    take(&outflow->outbox, length, on_run, context);
    budget_give(outflow->queued, length);
    note_room(outflow);
}

static struct message_block *make_block(const struct outflow *outflow, const void *message, uint32_t length)
{
    struct message_block *block = NULL;

    if (outflow->compresses && outflow->coding != CODING_IDENTITY)
        block =
            message_block_create_compressed(outflow->pool, outflow->codec, outflow->coding, message, length);
    return block != NULL ? block : block_create(outflow->pool, message, length);
}

static bool is_roomy(const struct outflow *outflow, uint64_t max_queued)
{
    const struct budget *queued = outflow->queued;

    return outflow->outbox.length < OUTFLOW_ROOMY_BYTES &&
           (queued == NULL || outflow->outbox.length == 0 || queued->used < max_queued / 2);
}

enum outflow_result outflow_send(struct outflow *outflow, const void *message, size_t length,
                                 uint64_t max_message, uint64_t max_queued)
{
    struct budget *queued = outflow->queued;
    struct message_block *block;

    if (length > max_message || length > UINT32_MAX)
        return OUTFLOW_TOO_LARGE;
    if (queued != NULL && !is_roomy(outflow, max_queued) && queued->used + length > max_queued)
        return OUTFLOW_QUEUE_FULL;
    block = make_block(outflow, message, (uint32_t)length);
    if (block == NULL)
        return OUTFLOW_NO_MEMORY;
    if (queued != NULL && !budget_take(queued, block->length)) {
        message_block_unref(block);
        return OUTFLOW_NO_BUDGET;
    }
    outbox_add(&outflow->outbox, block);
    return OUTFLOW_SENT;
}

bool outflow_can_send(struct outflow *outflow, uint64_t max_queued)
{
    bool can_send = is_roomy(outflow, max_queued);

    if (!can_send)
        outflow->is_awaited = true;
    return can_send;
}

void outflow_clear(struct outflow *outflow)
{
    struct outbox *outbox = &outflow->outbox;

    if (outflow->queued != NULL)
        budget_give(outflow->queued, outbox->length);
    while (outbox->first != NULL)
        drop_first(outbox);
    outbox->length = 0;
}
