/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_OUTFLOW_H
#define RPC_HTTP2_OUTFLOW_H

#include "http2.h"
#include <sdk/rpc/message/outbox.h>

/** Below this much waiting a stream may send more without piling up. */
#define OUTFLOW_ROOMY_BYTES (64 * 1024)

/** One stream's messages on their way into HTTP/2, or whatever takes them. */
struct outflow {
    struct http2 *http2;
    /** Where its bytes count, if there is no `http2`; NULL: nowhere. */
    struct connection *connection;
    struct outbox outbox;
    /** Nothing follows what is in the outbox. */
    bool is_ended;
    /** HTTP/2 has been told that there is nothing to send and waits to be told otherwise. */
    bool is_deferred;
    /** Somebody was told not to send and wants to hear when he may. */
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

/** What to hand to nghttp2 with the headers. */
nghttp2_data_provider outflow_provider(struct outflow *outflow);

/** Sets the callback of nghttp2 that goes with it. */
void outflow_set_callbacks(nghttp2_session_callbacks *callbacks);

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

/** Takes `length` bytes, which must be there, off the front, as outbox_take does. Has a connection. */
void outflow_take(struct outflow *outflow, size_t length,
                  void (*on_run)(void *context, struct message_block *block, const unsigned char *bytes,
                                 size_t length),
                  void *context);

/** Wakes the stream where HTTP/2 waits for it. */
void outflow_wake(struct outflow *outflow, int32_t stream_id);

/** Forgets what has not left. */
void outflow_clear(struct outflow *outflow);

#endif
