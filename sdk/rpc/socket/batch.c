/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers a connection's outgoing data into one system call. */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

struct batch *batch_create(void)
{
    struct batch *batch = malloc(sizeof(*batch));

    if (batch == NULL)
        return NULL;
    batch->block_count = 0;
    batch_reset(batch);
    return batch;
}

void batch_destroy(struct batch *batch)
{
    if (batch == NULL)
        return;
    batch_reset(batch);
    free(batch);
}

bool batch_has_room(const struct batch *batch)
{
    return batch->total < BATCH_TOTAL_MAX &&
           batch->byte_count + BATCH_FRAME_MAX + BATCH_COPY_MAX <= BATCH_BYTES_MAX &&
           batch->piece_count + 40 <= BATCH_PIECES_MAX;
}

static void add_piece(struct batch *batch, const unsigned char *bytes, size_t length)
{
    uv_buf_t *last = batch->piece_count == 0 ? NULL : &batch->pieces[batch->piece_count - 1];

    batch->total += length;
    if (last != NULL && (unsigned char *)last->base + last->len == bytes) {
        last->len += length;
        return;
    }
    batch->pieces[batch->piece_count++] = uv_buf_init((char *)bytes, (unsigned)length);
}

void batch_add_bytes(struct batch *batch, const void *bytes, size_t length)
{
    unsigned char *place = batch->bytes + batch->byte_count;

    memcpy(place, bytes, length);
    batch->byte_count += length;
    add_piece(batch, place, length);
}

void batch_add_run(struct batch *batch, struct message_block *block, const unsigned char *bytes,
                   size_t length)
{
    if (length <= BATCH_COPY_MAX || batch->piece_count + 2 > BATCH_PIECES_MAX) {
        batch_add_bytes(batch, bytes, length);
        return;
    }
    batch->blocks[batch->block_count++] = message_block_ref(block);
    add_piece(batch, bytes, length);
}

void batch_advance(struct batch *batch, size_t length)
{
    size_t first = 0;

    batch->total -= length;
    while (first < batch->piece_count && length >= batch->pieces[first].len)
        length -= batch->pieces[first++].len;
    memmove(batch->pieces, batch->pieces + first, (batch->piece_count - first) * sizeof(batch->pieces[0]));
    batch->piece_count -= first;
    if (length > 0) {
        batch->pieces[0].base += length;
        batch->pieces[0].len -= length;
    }
}

void batch_reset(struct batch *batch)
{
    for (size_t i = 0; i < batch->block_count; i++)
        message_block_unref(batch->blocks[i]);
    batch->byte_count = 0;
    batch->piece_count = 0;
    batch->block_count = 0;
    batch->total = 0;
}
