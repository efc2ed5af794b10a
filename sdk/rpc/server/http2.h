/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_HTTP2_H
#define RPC_SERVER_HTTP2_H

#include "server.h"

/** One call, from its HEADERS to the end of the HTTP/2 stream. */
struct berth_stream {
    struct server_connection *connection;
    LIST_ENTRY(berth_stream) link;
    TAILQ_ENTRY(berth_stream) ready;
    struct berth_call *call;
    int32_t id;

    bool is_ready;
    bool has_headers;
    bool is_opened;
    bool is_remote_ended;
    bool is_half_close_told;
    bool is_writable_due;
    bool is_submitted;
    bool is_ended;
    bool is_closed;
    /** The request breaks HTTP; the stream is reset. */
    bool is_malformed;

    struct http_message message;
    struct request request;
    struct inbox inbox;
    struct outflow outflow;
    /** As server_refuse_message returned it last; empty: the message was sent. */
    char *refusal;
    struct deadline deadline;
    struct metadata_list headers;
    struct metadata_list trailers;
    struct berth_arena arena;
    _Alignas(max_align_t) unsigned char first[1024];
};

struct berth_stream *server_stream_create(struct server_connection *connection, int32_t id);
/** From the top level, or without a call. */
void server_stream_destroy(struct berth_stream *stream);
/** Queues it for server_stream_process. */
void server_stream_ready(struct berth_stream *stream);
/** Does what is due; may destroy it. From the top level. */
void server_stream_process(struct berth_stream *stream);
/** @param is_last  Nothing follows these bytes. */
void server_stream_take(struct berth_stream *stream, const uint8_t *bytes, size_t length, bool is_last);
/** Ends the call on both sides. */
void server_stream_abort(struct berth_stream *stream, enum berth_code code, const char *message);

#endif
