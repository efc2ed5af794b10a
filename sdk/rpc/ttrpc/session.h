/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TTRPC_SESSION_H
#define RPC_TTRPC_SESSION_H

#include <sys/queue.h>

#include <sdk/rpc/message/inbox.h>
#include <sdk/rpc/message/outflow.h>
#include <sdk/rpc/socket/connection.h>

#include "frame.h"

/**
 * How many messages, and how many bytes of them, may wait for a paused call before its connection is not
 * read.
 */
#define TTRPC_HELD_MESSAGES_MAX 64
#define TTRPC_HELD_BYTES_MAX (4u << 20)

/** How long that may last before the paused call is ended. */
#define TTRPC_STALL_MS 1000

#define TTRPC_FIRST_BUCKETS 8

struct ttrpc_session;

LIST_HEAD(ttrpc_bucket, ttrpc_stream);

/** One call on a session; embedded in the call. */
struct ttrpc_stream {
    uint32_t id;
    LIST_ENTRY(ttrpc_stream) link;
    struct ttrpc_session *session;
    struct inbox *inbox;
    TAILQ_ENTRY(ttrpc_stream) due;
    /** It has data to write. */
    bool is_due;
    /** Messages waiting in the inbox. */
    unsigned held;
    /** More are waiting than allowed. */
    bool is_full;
    /** It has accepted a message since the last check. */
    bool has_progressed;
};

/** Callbacks of a server or client. All from the top level. */
struct ttrpc_side {
    /** A whole frame. */
    void (*on_frame)(struct ttrpc_session *session, const struct ttrpc_frame *frame);

    /** A skipped frame: too large, or without room for it. */
    void (*on_skipped)(struct ttrpc_session *session, const struct ttrpc_frame *frame, enum ttrpc_read why);

    /**
     * Writes the stream's next frame, for which there is room. @return false if it has no further one; it may
     * have been freed then.
     */
    bool (*put)(struct ttrpc_stream *stream, struct batch *batch);

    /** The stream was full for too long: end it. */
    void (*on_stalled)(struct ttrpc_stream *stream);

    /** Frees the owner. */
    void (*destroy)(struct ttrpc_session *session);
};

/** ttrpc on a connection, for either side; the first member of its owner. */
struct ttrpc_session {
    struct connection *connection;
    const struct ttrpc_side *side;
    struct ttrpc_reader reader;
    /** The streams by their IDs, in a power of two of buckets, and their number. */
    struct ttrpc_bucket *buckets;
    size_t bucket_count;
    size_t stream_count;
    struct ttrpc_bucket first_buckets[TTRPC_FIRST_BUCKETS];
    TAILQ_HEAD(, ttrpc_stream) due;
    /** Responses for unknown streams, and how much of them has been written. */
    struct buffer answers;
    size_t answers_offset;
    /** Time from a frame's first byte to its last; 0: unlimited. */
    uint32_t frame_timeout_ms;
    struct deadline frame_deadline;
    struct deadline stall_deadline;
    size_t full_count;
    /** The connection ends with its last stream. */
    bool is_leaving;
    /** Even if the peer has begun a frame. */
    bool drops_partial;
};

/** Its session is a `struct ttrpc_session`. */
extern const struct connection_protocol ttrpc_protocol;

void ttrpc_session_init(struct ttrpc_session *session, struct connection *connection,
                        const struct ttrpc_side *side, struct budget *budget, uint32_t frame_timeout_ms);
/** No more bytes are read or written. */
void ttrpc_session_lose(struct ttrpc_session *session);

/** Answers a frame that belongs to no stream. */
void ttrpc_session_refuse(struct ttrpc_session *session, uint32_t id, enum berth_code code,
                          const char *message);

struct ttrpc_stream *ttrpc_session_find(const struct ttrpc_session *session, uint32_t id);
void ttrpc_session_each(struct ttrpc_session *session, void (*visit)(struct ttrpc_stream *stream));

/** `stream->inbox` must be set. */
void ttrpc_stream_join(struct ttrpc_stream *stream, struct ttrpc_session *session, uint32_t id);
/** No-op if it never joined. */
void ttrpc_stream_leave(struct ttrpc_stream *stream);
/** There is data to write. */
void ttrpc_stream_due(struct ttrpc_stream *stream);

/** Gives a message to `deliver`, or holds it while the inbox is paused. @return FRAMING_MORE or
 * FRAMING_NO_ROOM.
 */
enum framing_state ttrpc_stream_give(struct ttrpc_stream *stream, struct span message, inbox_deliver deliver,
                                     void *context);
/** Delivers what is held, as long as the inbox is not paused; also after the stream has left. */
void ttrpc_stream_give_held(struct ttrpc_stream *stream, inbox_deliver deliver, void *context);

/** Writes a frame's header. */
void ttrpc_put_header(struct batch *batch, uint32_t length, const struct ttrpc_stream *stream,
                      enum ttrpc_type type, unsigned flags);
/** How long the first message of an outflow is, which has one. */
uint32_t ttrpc_message_length(const struct outflow *outflow);
/** Writes it, and takes it away. */
void ttrpc_put_message(struct batch *batch, struct outflow *outflow);
/** Writes it in a frame of Data. */
void ttrpc_put_data(struct batch *batch, const struct ttrpc_stream *stream, struct outflow *outflow);

#endif
