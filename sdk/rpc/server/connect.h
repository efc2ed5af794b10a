/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_CONNECT_H
#define RPC_SERVER_CONNECT_H

#include <sdk/rpc/connect/request.h>

#include "http1.h"

/** @return the handler of the method at this path, whose `instance` is to be the connection; NULL if none may
 * be called over HTTP there. */
const struct berth_http *connect_find(struct berth_rpc_server *server, const char *path, const char *method);

/** Why a request is refused as soon as its head is there. */
struct connect_refusal {
    unsigned status;
    const char *reason;
    /** To go with it; its name is NULL without one. */
    struct berth_http_header field;
};

/** A request for which connect_find found a handler that takes its method. @return Is it refused? */
bool connect_refuses(struct berth_rpc_server *server, const struct http1_reader *reader,
                     struct connect_refusal *ret_refusal);

/** Ends the call of a request whose response is not complete. From the top level. */
void connect_end(struct berth_http_request *request, enum berth_code code, const char *reason);

/** Of `struct server_protocol`, for HTTP/1.1. */
#define CONNECT_CALL_SIZE sizeof(struct server_connect_call)
void connect_give_held(struct berth_stream *stream);
void connect_drop_output(struct berth_stream *stream);
extern const struct berth_stream_ops connect_ops;

/** One call, from its whole request to the last byte of its response. */
struct server_connect_call {
    struct berth_stream base;
    struct berth_http_request *http;
    /** As long as the router. */
    const char *path;
    struct connect_request request;
    bool is_json;
    /** Of JSON, once a message was read or written. */
    void *types;
    bool is_stream;
    bool has_begun;
    /** Of a stream: its head named how messages are compressed. */
    bool tells_coding;
    /** Of a unary request. */
    bool came_compressed;
    struct metadata_list headers;
    struct metadata_list trailers;
    /** What both have, as header fields. */
    size_t metadata_bytes;
    /** A unary reply that waits for the call's end, or output that waits for room. */
    unsigned char *kept;
    size_t kept_length;
    uint64_t kept_charge;
    bool has_reply;
    /** The response ends with what is kept. */
    bool is_ending;
    _Alignas(max_align_t) unsigned char first[1024];
};

#endif
