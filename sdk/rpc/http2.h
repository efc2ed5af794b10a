/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_H
#define RPC_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "connection.h"

/** An HTTP/2 session on a connection; the `user_data` of the session's callbacks. */
struct http2 {
    struct connection *connection;
    nghttp2_session *session;

    /** Bytes of a message, borrowed; from the top level. `stream_data` is the stream's, NULL where it has
     * none. `is_last`: nothing follows them on the stream; some peers say so only later. */
    void (*on_chunk)(struct http2 *http2, void *stream_data, int32_t stream_id, const uint8_t *bytes,
                     size_t length, bool is_last);

    /** Frames that may wait to be written; more than that a peer can only cause on purpose. 0: no bound. */
    size_t max_queued_frames;

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

/** Its session is a `struct http2` whose first three members are set. */
extern const struct connection_protocol http2_protocol;

/** Sets those of nghttp2's callbacks that sessions of both sides have in common. */
void http2_set_callbacks(nghttp2_session_callbacks *callbacks);

/** Tells the peer that `length` bytes of a stream are used up, so that it may send as many more. */
void http2_consume(struct http2 *http2, int32_t stream_id, size_t length);

#endif
