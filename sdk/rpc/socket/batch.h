/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_BATCH_H
#define RPC_SOCKET_BATCH_H

#include <uv.h>

#include <sdk/rpc/message/outflow.h>

/** The most that batch_add_frame is ever given: one frame of the default size (RFC 9113 4.2) and its header.
 */
#define BATCH_FRAME_MAX (16384 + 64)

#define BATCH_BYTES_MAX (64 * 1024)
#define BATCH_PIECES_MAX 256
#define BATCH_TOTAL_MAX (256 * 1024)

/** Messages shorter than this are copied rather than referred to. */
#define BATCH_COPY_MAX 1024

/** What one write sends: frames in a row, and message bytes between them that stay where they are. */
struct batch {
    size_t byte_count;
    size_t piece_count;
    size_t block_count;
    size_t total;
    uv_buf_t pieces[BATCH_PIECES_MAX];
    struct message_block *blocks[BATCH_PIECES_MAX];
    unsigned char bytes[BATCH_BYTES_MAX];
};

/** @return an empty batch; NULL without memory. */
struct batch *batch_create(void);
/** Takes NULL. */
void batch_destroy(struct batch *batch);

/** Can it take one more frame of any size, and what belongs to it? */
bool batch_has_room(const struct batch *batch);

void batch_add_bytes(struct batch *batch, const void *bytes, size_t length);
/** Refers to bytes of `block`, or copies them where they are few. The batch has room for both. */
void batch_add_run(struct batch *batch, struct message_block *block, const unsigned char *bytes,
                   size_t length);

/** Drops the first `length` bytes, which are written. */
void batch_advance(struct batch *batch, size_t length);

/** Empties it. */
void batch_reset(struct batch *batch);

#endif
