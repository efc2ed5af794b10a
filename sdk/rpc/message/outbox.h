/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_OUTBOX_H
#define RPC_MESSAGE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec.h"
#include <sdk/rpc/base/pool.h>

/** One framed message; shared by the outbox it waits in and the writes that it is part of. */
struct message_block {
    struct message_block *next;
    /** For who keeps it beside the outbox. */
    struct message_block *next_kept;
    size_t references;
    size_t length;
    unsigned char bytes[];
};

/** @return a block with a reference, holding the prefix and a copy of the message; NULL without memory. */
struct message_block *message_block_create(struct pool *pool, const void *message, uint32_t length);
/** The same of the message's compressed form. @return NULL also where that is no smaller. */
struct message_block *message_block_create_compressed(struct pool *pool, struct codec *codec,
                                                      enum coding coding, const void *message,
                                                      uint32_t length);
struct message_block *message_block_ref(struct message_block *block);
void message_block_unref(struct message_block *block);

/** The messages of one direction of one call that the peer has not taken. All zero is empty. */
struct outbox {
    struct message_block *first;
    struct message_block *last;
    /** How much of `first` is gone. */
    size_t offset;
    /** Bytes left in all. */
    size_t length;
};

/** Takes over the caller's reference. */
void outbox_add(struct outbox *outbox, struct message_block *block);

/** Takes `length` bytes, which must be there, off the front, in runs: `on_run` once for each block. */
void outbox_take(struct outbox *outbox, size_t length,
                 void (*on_run)(void *context, struct message_block *block, const unsigned char *bytes,
                                size_t length),
                 void *context);

void outbox_clear(struct outbox *outbox);

#endif
