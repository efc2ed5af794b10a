/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_CONNECTION_H
#define RPC_CONNECTION_H

#include <nghttp2/nghttp2.h>
#include <uv.h>

#include <berth/error.h>

#include "engine.h"

struct connection;

/** What happens on a connection, for the server's or the client's side of it. All from the top level. */
struct connection_events {
    /** Streams may have something to do; called after every piece of input, before and after writing. */
    void (*on_ready)(struct connection *connection);

    /** Bytes of a message, borrowed. `stream_data` is the stream's, NULL where it has none. */
    void (*on_chunk)(struct connection *connection, void *stream_data, int32_t stream_id,
                     const uint8_t *bytes, size_t length);

    /** No byte moves any more; end every call here. */
    void (*on_lost)(struct connection *connection, const char *reason);

    /** The handle is closed and the session gone: free the owner. */
    void (*on_closed)(struct connection *connection);
};

/**
 * One socket with one HTTP/2 session on it. It is the first member of its owner, and the `user_data` of the
 * session's callbacks.
 */
struct connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
    } socket;
    uv_os_fd_t fd;
    /** Waits for room in the socket where it was full; `blocked_fd` is -1 until then. */
    uv_poll_t blocked;
    int blocked_fd;
    unsigned open_handles;
    struct engine *engine;
    nghttp2_session *session;
    const struct connection_events *events;
    struct turn_task task;

    /** The batch that is being written. */
    struct batch *writing;
    /** The batch that is being filled. */
    struct batch *filling;
    struct deadline write_deadline;
    uint32_t write_timeout_ms;

    /** Frames that may wait to be written; more than that a peer can only cause on purpose. 0: no bound. */
    size_t max_queued_frames;

    /** Bytes of messages that wait to be written, over all streams. */
    uint64_t queued_bytes;

    /** A DATA chunk that HTTP/2 just came upon. */
    void *chunk_stream;
    const uint8_t *chunk;
    size_t chunk_length;
    int32_t chunk_stream_id;

    /** Why the connection ends once what is submitted has been written; NULL: it does not. */
    const char *doom;
    bool is_lost;
};

/** Readies the socket and nothing else; from here on connection_close must be used. */
void connection_init(struct connection *connection, struct engine *engine,
                     const struct connection_events *events);

/** Sets those of nghttp2's callbacks that connections of both sides have in common. */
void connection_set_callbacks(nghttp2_session_callbacks *callbacks);

/** Reads and writes from now on. `session` is set. @return 0 or a libuv error. */
int connection_start(struct connection *connection);

/** There is something to write or to do: at the end of this turn. */
void connection_touch(struct connection *connection);

/** Ends the connection: on_lost, then on_closed from the loop. Only from the top level; once is enough. */
void connection_lose(struct connection *connection, const char *reason);

/** Writes what can be written at once, without waiting for the end of the turn. */
void connection_write(struct connection *connection);

/** Tells the peer that `length` bytes of a stream are used up, so that it may send as many more. */
void connection_consume(struct connection *connection, int32_t stream_id, size_t length);

#endif
