/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_CONNECT_CALL_H
#define RPC_SERVER_CONNECT_CALL_H

#include <sdk/rpc/connect/request.h>

#include "server.h"

/** Before the names of a unary response's trailers, which are among its header fields. */
#define CONNECT_TRAILER_PREFIX "trailer-"

/** One call, from its whole request to the last byte of its response. */
struct server_connect_call {
    struct berth_stream base;
    struct berth_http_request *http;
    /** Lives as long as the router. */
    const char *path;
    struct connect_request request;
    bool is_json;
    /** Types for JSON, once a message was read or written. */
    void *types;
    bool is_stream;
    bool has_begun;
    /** Stream: its head named a coding for messages. */
    bool tells_coding;
    /** Of a unary request. */
    bool came_compressed;
    struct metadata_list headers;
    struct metadata_list trailers;
    /** Metadata of the response, as header fields. */
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

static inline struct berth_rpc_server *connect_call_server(const struct server_connect_call *self)
{
    return self->base.connection->server;
}

static inline const struct connect_settings *connect_call_settings(const struct server_connect_call *self)
{
    return connect_call_server(self)->http.connect;
}

/** The method at this path, and its route, where the router can tell. */
bool connect_call_find_method(const struct berth_rpc_server *server, const char *path,
                              struct berth_method_info *ret_method, struct berth_route_info *ret_route);

/** Of the handler of requests; their `instance` is the connection, their `state` the call. */
void connect_call_on_request(struct berth_http_request *request);
void connect_call_on_writable(struct berth_http_request *request);
void connect_call_on_end(struct berth_http_request *request);

/** Ends the call of a request whose response is not complete. From the top level. */
void connect_call_end(struct berth_http_request *request, enum berth_code code, const char *reason);

/** Of `struct server_protocol`, for HTTP/1.1. */
void connect_call_give_held(struct berth_stream *stream);
void connect_call_drop_output(struct berth_stream *stream);
extern const struct berth_stream_ops connect_call_ops;

#endif
