/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_OUTFLOW_H
#define RPC_MESSAGE_OUTFLOW_H

#include <sdk/rpc/base/pool.h>

#include "codec.h"

/**
 * One framed message; shared by the outbox it waits in and the writes that it is part of. Its lists are none
 * of <sys/queue.h>, whose tails need a beginning: an outbox is part of a call, which begins as zeros.
 */
struct message_block {
    struct message_block *next;
    /** For who keeps it beside the outbox. */
    struct message_block *next_kept;
    size_t references;
    size_t length;
    unsigned char bytes[];
};

/**
 * @return a block with a reference, holding the prefix and the compressed message; NULL without memory, or if
 * that is not smaller.
 */
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

/** Below this much waiting a stream may send more without piling up. */
#define OUTFLOW_ROOMY_BYTES (64 * 1024)

/** The messages of one call on their way into what takes them. */
struct outflow {
    /** Where its bytes count: the connection's; NULL: nowhere. */
    struct budget *queued;
    struct outbox outbox;
    /** No message follows those in the outbox. */
    bool is_ended;
    /** HTTP/2 has been told that there is nothing to send, and waits until told otherwise. */
    bool is_deferred;
    /** can_send returned false: on_room is due once there is room. */
    bool is_awaited;
    /** How messages are compressed while `compresses`, and by what. */
    enum coding coding;
    struct codec *codec;
    /** Where messages are kept. */
    struct pool *pool;
    bool compresses;
    /** The last byte is leaving: submit the trailers. NULL: the stream ends with the last byte. */
    void (*on_last)(struct outflow *outflow);
    /** There is room again; called from inside HTTP/2, so only take note of it. */
    void (*on_room)(struct outflow *outflow);
};

enum outflow_result {
    OUTFLOW_SENT,
    /** The message is over `max_message`. */
    OUTFLOW_TOO_LARGE,
    /** More than `max_queued` would wait on the connection, and outflow_can_send says no. */
    OUTFLOW_QUEUE_FULL,
    /** The connection's share of what its server may keep for all peers is used up. */
    OUTFLOW_NO_BUDGET,
    OUTFLOW_NO_MEMORY,
};

/**
 * Queues a copy. `max_queued` is there to make senders wait; it never refuses a message that
 * outflow_can_send has room for, so the one reply of a unary call waits however much others have queued.
 */
enum outflow_result outflow_send(struct outflow *outflow, const void *message, size_t length,
                                 uint64_t max_message, uint64_t max_queued);

/** Is there room? A no is remembered. */
bool outflow_can_send(struct outflow *outflow, uint64_t max_queued);

/**
 * Takes `length` bytes, which must be there, off the front, in runs: `on_run` once for each block. Its bytes
 * count somewhere.
 */
void outflow_take(struct outflow *outflow, size_t length,
                  void (*on_run)(void *context, struct message_block *block, const unsigned char *bytes,
                                 size_t length),
                  void *context);

/** Discards whatever has not been sent. */
void outflow_clear(struct outflow *outflow);

#endif
