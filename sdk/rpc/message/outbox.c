/* SPDX-License-Identifier: Apache-2.0 */
/* Framed messages on their way out: copied once when they are sent, and from then on only referred to. */
#include "outbox.h"

#include <string.h>

#include "framing.h"

struct message_block *message_block_create(struct pool *pool, const void *message, uint32_t length)
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

/* Compressed in place, and what was too much of the block is given back. */
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

void outbox_take(struct outbox *outbox, size_t length,
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

void outbox_clear(struct outbox *outbox)
{
    while (outbox->first != NULL)
        drop_first(outbox);
    outbox->length = 0;
}
