/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_ENGINE_H
#define RPC_SOCKET_ENGINE_H

#include "batch.h"
#include <sdk/rpc/message/codec.h>
#include <sdk/rpc/base/deadlines.h>
#include <sdk/rpc/base/ebb.h>
#include <sdk/rpc/base/pool.h>
#include <sdk/rpc/base/turn.h>

#define ENGINE_READ_BYTES (64 * 1024)
#define ENGINE_SPARES 2

/** What all connections of one server or one channel share. */
struct engine {
    uv_loop_t *loop;
    struct turn turn;
    struct deadlines deadlines;
    /** Batches that nobody uses: TLS takes one for what it seals and one for what comes of it. */
    struct batch *spares[ENGINE_SPARES];
    size_t spare_count;
    struct codec codec;
    struct pool pool;
    struct ebb ebb;
    uint64_t bytes_received;
    uint64_t bytes_sent;
    unsigned open_parts;
    void (*on_closed)(struct engine *engine);
    /** Where every connection reads to; what it holds is used up before the next read. */
    char read_buffer[ENGINE_READ_BYTES];
};

void engine_init(struct engine *engine, uv_loop_t *loop);

/** @return an empty batch that is the caller's; NULL without memory. */
struct batch *engine_borrow_batch(struct engine *engine);
void engine_return_batch(struct engine *engine, struct batch *batch);

/** When all that used it is gone. @param on_closed  Called once; then the memory may go. */
void engine_close(struct engine *engine, void (*on_closed)(struct engine *engine));

#endif
