/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests to the HTTP/1.1 server are calls of the Connect protocol, and which of them it refuses. */
#include "connect.h"

#include <string.h>

#include "connect_call.h"
#include "cors.h"

static bool may_be_got(const struct connect_settings *settings, const struct berth_method_info *method,
                       const struct berth_route_info *route)
{
    const struct berth_rpc_connect_json *json = settings->json;
    struct berth_error err;
    void *types;
    bool is_got;

    if (method->kind != BERTH_METHOD_UNARY || json == NULL ||
        json->find(json->context, method, route, &types, &err) != BERTH_OK)
        return false;
    is_got = json->has_no_side_effects(types);
    json->release(json->context, types);
    return is_got;
}

static void on_post_preflight(struct berth_http_request *request)
{
    const struct server_connection *connection = request->instance;

    cors_preflight(connection->server->http.connect, request, "POST");
}

static void on_get_preflight(struct berth_http_request *request)
{
    const struct server_connection *connection = request->instance;

    cors_preflight(connection->server->http.connect, request, "GET, POST");
}

#define HANDLER(taken)                                                                                       \
    {                                                                                                        \
        .size = sizeof(struct berth_http), .prefix = "/", .methods = (taken),                                \
        .on_request = connect_call_on_request, .on_writable = connect_call_on_writable,                      \
        .on_end = connect_call_on_end                                                                        \
    }
#define PREFLIGHT_HANDLER(taken, answer)                                                                     \
    {                                                                                                        \
        .size = sizeof(struct berth_http), .prefix = "/", .methods = (taken), .on_request = (answer)         \
    }

static const struct berth_http posts = HANDLER("POST");
static const struct berth_http posts_and_gets = HANDLER("GET POST");
static const struct berth_http post_questions = PREFLIGHT_HANDLER("POST OPTIONS", on_post_preflight);
static const struct berth_http get_questions = PREFLIGHT_HANDLER("GET POST OPTIONS", on_get_preflight);

const struct berth_http *connect_find(struct berth_rpc_server *server, const char *path, const char *method)
{
    const struct connect_settings *settings = server->http.connect;
    struct berth_method_info info;
    struct berth_route_info route;
    bool is_got;

    if (settings == NULL || !connect_call_find_method(server, path, &info, &route))
        return NULL;
    /* Side effects are looked up only if they matter. */
    is_got = strcmp(method, "POST") != 0 && may_be_got(settings, &info, &route);
    if (settings->origin_count > 0 && strcmp(method, "OPTIONS") == 0)
        return is_got ? &get_questions : &post_questions;
    return is_got ? &posts_and_gets : &posts;
}

static bool is_type_taken(const struct http1_reader *reader, bool is_stream)
{
    bool is_json;

    if (!connect_is_get(reader->method))
        return connect_type_parse(http1_field(reader, "content-type"), is_stream, &is_json);
    return reader->left == 0 && !reader->is_chunked && connect_query_codec(reader->query, &is_json);
}

bool connect_refuses(struct berth_rpc_server *server, const struct http1_reader *reader,
                     struct connect_refusal *ret_refusal)
{
    struct berth_method_info method;
    struct berth_route_info route;
    bool is_stream;

    if (strcmp(reader->method, "OPTIONS") == 0 ||
        !connect_call_find_method(server, reader->path, &method, &route))
        return false;
    *ret_refusal = (struct connect_refusal){.status = 505};
    if (method.kind == BERTH_METHOD_BIDI_STREAM) {
        ret_refusal->reason = "a bidirectional method needs HTTP/2, which this server does not speak; "
                              "call it over gRPC";
        return true;
    }
    is_stream = method.kind != BERTH_METHOD_UNARY;
    if (is_type_taken(reader, is_stream))
        return false;
    *ret_refusal = (struct connect_refusal){
        .status = 415,
        .reason = connect_is_get(reader->method)
                      ? "a GET must name its encoding, json or proto, in the query and have no body"
                  : is_stream ? "a stream's content type must be application/connect+json or "
                                "application/connect+proto"
                              : "the content type must be application/json or application/proto",
        .field = {"Accept-Post", connect_types(is_stream)},
    };
    return true;
}
