/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_HTTP2_H
#define RPC_HTTP2_HTTP2_H

#include <nghttp2/nghttp2.h>

#include <sdk/rpc/message/metadata.h>
#include <sdk/rpc/message/outflow.h>
#include <sdk/rpc/socket/connection.h>

#include "framer.h"

/** An HTTP/2 session on a connection; the `user_data` of the session's callbacks. */
struct http2 {
    struct connection *connection;
    nghttp2_session *session;

    /** Bytes of a message, borrowed; from the top level. `stream_data` is the stream's, NULL if it has
     * none. `is_last`: nothing follows them on the stream; some peers say so only later. */
    void (*on_chunk)(struct http2 *http2, void *stream_data, int32_t stream_id, const uint8_t *bytes,
                     size_t length, bool is_last);

    /** Input passes through it; NULL: unchanged. The next three belong to it. */
    struct framer *framer;

    /** The framer has dropped this many frames; from the top level. */
    void (*on_dropped)(struct http2 *http2, uint64_t frames);

    /** The next frame is DATA or HEADERS for a stream that the client has ended; from the top level. */
    void (*on_late)(struct http2 *http2, int32_t stream_id, enum framer_end end);

    /** The input ends inside a frame that began in it; from the top level. */
    void (*on_unfinished)(struct http2 *http2);

    /** The peer violated HTTP/2 and no GOAWAY says so: the connection ends. May be NULL. */
    void (*on_broken)(struct http2 *http2, const char *reason);

    /** Frames that may wait to be written; more than that a peer can only cause on purpose. 0: no bound. */
    size_t max_queued_frames;

    /** The last result of framer_unfinished. */
    uint64_t unfinished;

    /** The batch that is being filled. */
    struct batch *filling;

    /** A DATA chunk that nghttp2 just came upon. */
    void *chunk_stream;
    const uint8_t *chunk;
    size_t chunk_length;
    bool chunk_is_last;
    /** Of the DATA frame that is coming in. */
    size_t frame_left;
    int32_t chunk_stream_id;
};

/** Its session is a `struct http2` of which all members down to `max_queued_frames` are set. */
extern const struct connection_protocol http2_protocol;

/**
 * The data source to hand to nghttp2 with the headers: it pulls the outflow's messages at the pace of the
 * peer's windows.
 */
nghttp2_data_provider http2_provider(struct outflow *outflow);
/** There is more to send on a stream, which HTTP/2 may wait for. */
void http2_wake(struct http2 *http2, struct outflow *outflow, int32_t stream_id);

/** nghttp2_session_client_new3 or nghttp2_session_server_new3. */
typedef int http2_session_new(nghttp2_session **ret_session, const nghttp2_session_callbacks *callbacks,
                              void *user_data, const nghttp2_option *option, nghttp2_mem *memory);

/**
 * Makes the session of a `struct http2` whose connection is set, with memory from the engine's pool: sends
 * the settings and opens the connection's window.
 *
 * @return 0 or nghttp2's error.
 */
int http2_begin(struct http2 *http2, http2_session_new *create, const nghttp2_session_callbacks *callbacks,
                const nghttp2_option *option, const nghttp2_settings_entry *settings, size_t count);

/** Takes no more streams of the peer's; those that it began go on. @param debug  Says why, or "". */
void http2_go_away(struct http2 *http2, uint32_t code, const char *debug);

/** Header fields on their way to nghttp2, which copies them as `flags` have it. */
struct http2_fields {
    nghttp2_nv *items;
    size_t count;
    uint8_t flags;
};

/** There is room for it. */
void http2_put(struct http2_fields *fields, const char *name, const char *value);
void http2_put_list(struct http2_fields *fields, const struct metadata_list *list);

/** Tells the peer that `length` bytes of a stream have been consumed, so that it may send as many more. */
void http2_consume(struct http2 *http2, int32_t stream_id, size_t length);

/*
 * Bytes a peer may send before we have used them, on one stream and on a whole connection: large messages
 * crawl at the 64 KiB that RFC 9113 6.9.2 starts with.
 */
#define HTTP2_STREAM_WINDOW (1024 * 1024)
#define HTTP2_CONNECTION_WINDOW (4 * 1024 * 1024)

/**
 * Makes callbacks and options with what servers and clients have in common; each side adds its own.
 *
 * @return 0, or nghttp2's error, and then there is nothing to destroy.
 */
int http2_callbacks_create(nghttp2_session_callbacks **ret_callbacks, nghttp2_option **ret_option);
/** One more object of the same options, which nghttp2_option_del destroys. @return 0 or nghttp2's error. */
int http2_option_create(nghttp2_option **ret_option);
void http2_callbacks_destroy(nghttp2_session_callbacks *callbacks, nghttp2_option *option);

/**
 * Asks a silent peer whether it is still there, and loses the connection where it does not answer. Embedded
 * beside the connection, by whichever side wants to know.
 */
struct keepalive {
    struct http2 *http2;
    /** After how long a silence; 0: never. */
    uint32_t time_ms;
    /** How long any byte of an answer may take. */
    uint32_t timeout_ms;
    /** Is there a reason to ask? Where not it rests until keepalive_start. NULL: always. */
    bool (*is_wanted)(struct keepalive *keepalive);

    /** On the clock of uv_now(). */
    uint64_t started_ms;
    uint64_t pinged_ms;
    bool is_asking;
    struct deadline deadline;
};

/** Waits for silence from now on; does nothing where it does already. The first four members are set. */
void keepalive_start(struct keepalive *keepalive);
/** There is a reason to ask again: the silence until now counts. */
void keepalive_wake(struct keepalive *keepalive);
/** Before the connection goes. */
void keepalive_stop(struct keepalive *keepalive);

#endif
