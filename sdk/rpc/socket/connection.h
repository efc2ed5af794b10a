/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_CONNECTION_H
#define RPC_SOCKET_CONNECTION_H

#include <uv.h>

#include <berth/error.h>

#include <sdk/base/deadlines.h>
#include <sdk/rpc/base/ebb.h>
#include <sdk/rpc/base/pool.h>
#include <sdk/rpc/base/turn.h>
#include <sdk/rpc/message/codec.h>

#include "batch.h"

#define ENGINE_READ_BYTES (64 * 1024)
#define ENGINE_SPARES 2

/** Shared by all connections of one server or one channel. */
struct engine {
    uv_loop_t *loop;
    struct turn turn;
    struct deadlines deadlines;
    /** Unused batches: TLS needs one for plain text and one for the records made of it. */
    struct batch *spares[ENGINE_SPARES];
    size_t spare_count;
    struct codec codec;
    struct pool pool;
    struct ebb ebb;
    uint64_t bytes_received;
    uint64_t bytes_sent;
    unsigned open_parts;
    void (*on_closed)(struct engine *engine);
    /**
     * ENGINE_READ_BYTES that every connection reads into; its contents are consumed before the next read.
     * Mapped for the first connection: memory of the heap that others have used would be resident.
     */
    char *read_buffer;
};

void engine_init(struct engine *engine, uv_loop_t *loop);

/** @return an empty batch that is the caller's; NULL without memory. */
struct batch *engine_borrow_batch(struct engine *engine);
void engine_return_batch(struct engine *engine, struct batch *batch);

/** When all that used it is gone. @param on_closed  Called once; then the memory may go. */
void engine_close(struct engine *engine, void (*on_closed)(struct engine *engine));

struct connection;

/** The events of a connection, for the server's or the client's side of it. All from the top level. */
struct connection_events {
    /** Calls may have something to do; called after every piece of input, before and after writing. */
    void (*on_ready)(struct connection *connection);

    /** The connection is lost; end every call here. */
    void (*on_lost)(struct connection *connection, const char *reason);

    /** The handle is closed and the session gone: free the owner. */
    void (*on_closed)(struct connection *connection);
};

/** The protocol of a connection. `session` is the argument of connection_start. All from the top level. */
struct connection_protocol {
    /** Takes all that came; the bytes are borrowed. @return NULL, or why the connection ends. */
    const char *(*feed)(void *session, const uint8_t *bytes, size_t length);

    /** Adds what waits to be written, as much as the batch takes. @return NULL, or why the connection ends.
     */
    const char *(*fill)(void *session, struct batch *batch);

    /**
     * The connection ends, for whatever reason: adds final bytes for the peer, which are sent as far as the
     * socket takes them at once. NULL: nothing.
     */
    void (*leave)(void *session, struct batch *batch);

    /** Is there nothing left to receive or send? Then the connection ends. */
    bool (*is_over)(const void *session);

    /** No more bytes are moved, and every call has been told: frees what the session holds. */
    void (*finish)(void *session);
};

/**
 * A layer between a connection's protocol and its socket, such as TLS; towards the socket it acts as a
 * protocol itself. Embedded as the first member of a larger struct, if there is one.
 */
struct connection_filter {
    /**
     * Stands in front of `protocol` from now on, or of this instead of the one before. `protocol` becomes its
     * own.
     *
     * @return its own session.
     */
    void *(*start)(struct connection_filter *filter, const struct connection_protocol **protocol,
                   void *session);

    /** The connection is gone. NULL: the memory is its owner's. */
    void (*destroy)(struct connection_filter *filter);

    /** The next one towards the socket. */
    struct connection_filter *next;
};

union socket_handle {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_pipe_t pipe;
    uv_tcp_t tcp;
};

/** One socket with one session on it. It is the first member of its owner. */
struct connection {
    union socket_handle socket;
    uv_os_fd_t fd;
    /** Waits for room in the socket after it was full; `blocked_fd` is -1 until then. */
    uv_poll_t blocked;
    int blocked_fd;
    /** Handles that are not closed, and whatever else holds it. */
    unsigned holders;
    struct engine *engine;
    const struct connection_events *events;
    const struct connection_protocol *protocol;
    void *session;
    /** The layers between the protocol and the socket, starting at the protocol; NULL: none. */
    struct connection_filter *filters;
    struct turn_task task;
    /** Its task is being run, and there has been something to do since. */
    bool is_running;
    bool is_touched;

    /** The batch that is being written. */
    struct batch *writing;
    /**
     * The number of the batch begun last, counted from 1, and of the last one of which a byte was written.
     */
    uint64_t batch_number;
    uint64_t written_number;
    struct deadline write_deadline;
    uint32_t write_timeout_ms;

    /** How many bytes are read at a time where the loop is late, and whether that was done in this round. */
    size_t slice_bytes;
    bool has_read_late;

    /** When the last byte came, on the clock of uv_now(). */
    uint64_t heard_ms;

    /** Bytes of messages that wait to be written, over all streams. */
    struct budget queued;

    /** Why the connection ends once the submitted data has been written; NULL: it does not. */
    const char *doom;
    bool is_lost;
};

/**
 * Readies the socket and nothing else; from here on connection_lose must be used.
 *
 * @param type  UV_NAMED_PIPE or UV_TCP.
 */
void connection_init(struct connection *connection, struct engine *engine, uv_handle_type type,
                     const struct connection_events *events);

/** Puts one more filter in front of those that are there, at the socket. Before connection_start. */
void connection_add_filter(struct connection *connection, struct connection_filter *filter);

/**
 * Reads and writes from now on; on a connection that does, another protocol takes over, which only a filter
 * may ask for that passes bytes to the one before.
 *
 * @param session  Belongs to the connection from the call on, whatever it returns.
 * @return 0 or a libuv error.
 */
int connection_start(struct connection *connection, const struct connection_protocol *protocol,
                     void *session);

/** Something beside the socket still uses the memory: on_closed waits for its release. */
void connection_hold(struct connection *connection);
void connection_release(struct connection *connection);

/** Takes nothing off the socket, so that the peer waits; and reads on. */
void connection_pause_reading(struct connection *connection);
void connection_resume_reading(struct connection *connection);

/** Has the peer sent data that was not read? */
bool connection_has_unread(const struct connection *connection);

/** There is something to write or to do: at the end of this turn. */
void connection_touch(struct connection *connection);

/** Ends the connection: on_lost, then on_closed from the loop. Only from the top level; once is enough. */
void connection_lose(struct connection *connection, const char *reason);

/** Writes what can be written at once, without waiting for the end of the turn. */
void connection_write(struct connection *connection);

#endif
