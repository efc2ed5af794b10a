/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_HTTP2_H
#define RPC_HTTP2_HTTP2_H

#include <nghttp2/nghttp2.h>

#include <sdk/rpc/socket/connection.h>
#include "framer.h"

/** An HTTP/2 session on a connection; the `user_data` of the session's callbacks. */
struct http2 {
    struct connection *connection;
    nghttp2_session *session;

    /** Bytes of a message, borrowed; from the top level. `stream_data` is the stream's, NULL where it has
     * none. `is_last`: nothing follows them on the stream; some peers say so only later. */
    void (*on_chunk)(struct http2 *http2, void *stream_data, int32_t stream_id, const uint8_t *bytes,
                     size_t length, bool is_last);

    /** What comes passes through it; NULL: as it is. The next three go with it. */
    struct framer *framer;

    /** The framer has dropped so many frames; from the top level. */
    void (*on_dropped)(struct http2 *http2, uint64_t frames);

    /** What comes next is DATA or HEADERS for a stream that the client has ended; from the top level. */
    void (*on_late)(struct http2 *http2, int32_t stream_id, enum framer_end end);

    /** What came ends inside a frame that began with it; from the top level. */
    void (*on_unfinished)(struct http2 *http2);

    /** The peer breaks HTTP/2 beyond what a GOAWAY would answer: the connection ends. NULL: nobody asks. */
    void (*on_broken)(struct http2 *http2, const char *reason);

    /** Frames that may wait to be written; more than that a peer can only cause on purpose. 0: no bound. */
    size_t max_queued_frames;

    /** As framer_unfinished said last. */
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

/** Sets those of nghttp2's callbacks that sessions of both sides have in common. */
void http2_set_callbacks(nghttp2_session_callbacks *callbacks);

/** Tells the peer that `length` bytes of a stream are used up, so that it may send as many more. */
void http2_consume(struct http2 *http2, int32_t stream_id, size_t length);

#endif
