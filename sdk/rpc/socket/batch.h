/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_BATCH_H
#define RPC_SOCKET_BATCH_H

#include <uv.h>

#include <sdk/rpc/message/outflow.h>

/** Maximum size passed to batch_add_frame: one frame of the default size (RFC 9113 4.2) and its header. */
#define BATCH_FRAME_MAX (16384 + 64)

#define BATCH_BYTES_MAX (64 * 1024)
#define BATCH_PIECES_MAX 256
#define BATCH_TOTAL_MAX (256 * 1024)

/** Shorter messages are copied instead of referenced. */
#define BATCH_COPY_MAX 1024

/** The contents of one write: consecutive frames, with references to message bytes between them. */
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
/** Accepts NULL. */
void batch_destroy(struct batch *batch);

/** Is there room for one more frame of any size, and what belongs to it? */
bool batch_has_room(const struct batch *batch);

void batch_add_bytes(struct batch *batch, const void *bytes, size_t length);
/** References bytes of `block`, or copies them if they are few. The batch must have room for both. */
void batch_add_run(struct batch *batch, struct message_block *block, const unsigned char *bytes,
                   size_t length);

/** Drops the first `length` bytes, which have been written. */
void batch_advance(struct batch *batch, size_t length);

/** Empties it. */
void batch_reset(struct batch *batch);

#endif
