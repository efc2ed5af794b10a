/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_HTTP2_CALL_H
#define RPC_SERVER_HTTP2_CALL_H

#include "server.h"

/** One call, from its HEADERS to the end of the HTTP/2 stream. */
struct server_http2_call {
    struct berth_stream base;
    LIST_ENTRY(server_http2_call) link;
    int32_t id;

    bool has_headers;
    bool is_opened;
    bool is_submitted;
    bool is_closed;
    /** The request breaks HTTP; the stream is reset. */
    bool is_malformed;

    struct http_message message;
    struct request request;
    struct metadata_list headers;
    struct metadata_list trailers;
    _Alignas(max_align_t) unsigned char first[1024];
};

struct server_http2_call *http2_call_create(struct server_connection *connection, int32_t id);
/** From the top level, or without a call. */
void http2_call_destroy(struct server_http2_call *self);
/** Does pending work; may destroy the call. From the top level. */
void http2_call_process(struct server_http2_call *self);
/** @param is_last  Nothing follows these bytes. */
void http2_call_take(struct server_http2_call *self, const uint8_t *bytes, size_t length, bool is_last);

/** Of `struct server_protocol`. */
void http2_call_give_held(struct berth_stream *stream);
void http2_call_drop_output(struct berth_stream *stream);
extern const struct berth_stream_ops http2_call_ops;

#endif
