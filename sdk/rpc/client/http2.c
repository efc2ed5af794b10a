/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel's calls over HTTP/2: building, sending and cancelling requests, and handling what the server
 * sends. No callback of nghttp2 calls a handler. A server that is silent while calls wait for it is pinged,
 * but no more often than it allows (gRPC's proposal A8).
 */
#include "client.h"

#include <string.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/http2/http2.h>
#include <sdk/rpc/message/metadata.h>

/* :method, :scheme, :path, :authority, te, content-type, user-agent, grpc-timeout, grpc-accept-encoding,
 * grpc-encoding */
#define PROTOCOL_FIELDS 10

static struct client_connection *from_http2(struct http2 *http2)
{
    return CONTAINER_OF(http2, struct client_connection, http2);
}

#define TOO_MANY "too_many_pings"

static bool has_calls(struct keepalive *keepalive)
{
    return CONTAINER_OF(keepalive, struct client_connection, keepalive)->open_streams > 0;
}

static void init_keepalive(struct client_connection *connection)
{
    const struct berth_rpc_channel_options *limits = &connection->channel->limits;

    connection->keepalive = (struct keepalive){
        .http2 = &connection->http2,
        .time_ms = limits->keepalive_time_ms,
        .timeout_ms = limits->keepalive_timeout_ms,
        .is_wanted = has_calls,
    };
}

/* Does the server say that it was pinged too often? Then later connections ping half as often. */
static void hear_of_pings(struct berth_rpc_channel *channel, const nghttp2_goaway *goaway)
{
    uint32_t *time_ms = &channel->limits.keepalive_time_ms;

    if (goaway->error_code == NGHTTP2_ENHANCE_YOUR_CALM && goaway->opaque_data_len == strlen(TOO_MANY) &&
        memcmp(goaway->opaque_data, TOO_MANY, strlen(TOO_MANY)) == 0)
        *time_ms = *time_ms > UINT32_MAX / 2 ? UINT32_MAX : *time_ms * 2;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user_data)
{
    struct client_connection *connection = from_http2(user_data);
    struct berth_rpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    const char *text = (const char *)value;

    if (call == NULL || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    http_message_strip((const char *)name, name_length, &text, &value_length);
    response_add(&call->response, &call->arena,
                 call->response.has_headers || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0,
                 (const char *)name, name_length, text, value_length,
                 connection->channel->limits.max_header_list_bytes);
    return 0;
}

/* A response of 1xx announces another one (RFC 9110 15.2). */
static void receive_headers(struct berth_rpc_call *call)
{
    if (call->response.http_status >= 100 && call->response.http_status < 200)
        return;
    call->response.has_headers = true;
    replay_finish(&call->replay);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client_connection *connection = from_http2(user_data);
    struct berth_rpc_call *call;

    if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
        client_connection_ready(connection);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        hear_of_pings(connection->channel, &frame->goaway);
        client_connection_leave(connection, "the server accepts no calls (GOAWAY)");
    }
    call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call == NULL || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        receive_headers(call);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        call->is_remote_ended = true;
    client_call_ready(call);
    return 0;
}

static void forget(struct berth_rpc_call *call, uint32_t error)
{
    struct berth_rpc_channel *channel = call->channel;

    call->stream_error = error;
    client_call_forget(call);
    if (!TAILQ_EMPTY(&channel->waiting))
        turn_add(&channel->engine.turn, &channel->task);
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user_data)
{
    struct berth_rpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

    if (call != NULL)
        forget(call, error);
    return 0;
}

/* A request that never left has no stream that could be closed. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct client_connection *connection = from_http2(user_data);
    struct berth_rpc_call *call;

    if (frame->hd.type != NGHTTP2_HEADERS ||
        nghttp2_session_find_stream(session, frame->hd.stream_id) != NULL)
        return 0;
    TAILQ_FOREACH(call, &connection->calls, link)
    if (call->id == frame->hd.stream_id && !call->is_unknown) {
        forget(call, NGHTTP2_REFUSED_STREAM);
        break;
    }
    return 0;
}

/* From here on bytes of the request may leave. */
static int on_before_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client_connection *connection = from_http2(user_data);
    struct berth_rpc_call *call;

    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call != NULL)
        call->batch_number = connection->base.batch_number;
    return 0;
}

/* nghttp2 reports what was wrong to the server only. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client_connection *connection = from_http2(user_data);

    if (frame->hd.type != NGHTTP2_GOAWAY || frame->goaway.error_code == NGHTTP2_NO_ERROR ||
        connection->base.doom != NULL)
        return 0;
    snprintf(connection->goaway_reason, sizeof(connection->goaway_reason),
             "the server violated HTTP/2 (%s%s%.*s)", nghttp2_http2_strerror(frame->goaway.error_code),
             frame->goaway.opaque_data_len > 0 ? ": " : "", (int)frame->goaway.opaque_data_len,
             (const char *)frame->goaway.opaque_data);
    connection->base.doom = connection->goaway_reason;
    return 0;
}

int client_http2_create(struct berth_rpc_channel *channel)
{
    int result = http2_callbacks_create(&channel->callbacks, &channel->option);

    if (result != 0)
        return result;
    nghttp2_session_callbacks_set_on_header_callback(channel->callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(channel->callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(channel->callbacks, on_frame_not_sent);
    nghttp2_session_callbacks_set_on_frame_send_callback(channel->callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_before_frame_send_callback(channel->callbacks, on_before_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(channel->callbacks, on_stream_close);
    return 0;
}

void client_http2_destroy(struct berth_rpc_channel *channel)
{
    http2_callbacks_destroy(channel->callbacks, channel->option);
}

static int start_session(struct client_connection *connection)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, connection->channel->limits.max_header_list_bytes},
    };

    return http2_begin(&connection->http2, nghttp2_session_client_new3, connection->channel->callbacks,
                       connection->channel->option, settings, sizeof(settings) / sizeof(settings[0]));
}

static void on_chunk(struct http2 *http2, void *stream_data, int32_t stream_id, const uint8_t *bytes,
                     size_t length, bool is_last)
{
    if (stream_data == NULL)
        http2_consume(http2, stream_id, length);
    else
        client_call_take(stream_data, bytes, length);
}

static int start(struct client_connection *connection)
{
    connection->http2.connection = &connection->base;
    connection->http2.on_chunk = on_chunk;
    if (start_session(connection) != 0)
        return UV_ENOMEM;
    init_keepalive(connection);
    return connection_start(&connection->base, &http2_protocol, &connection->http2);
}

static void lose(struct client_connection *connection)
{
    keepalive_stop(&connection->keepalive);
}

static bool has_room(const struct client_connection *connection)
{
    return connection->open_streams < nghttp2_session_get_remote_settings(
                                          connection->http2.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

static void put_fields(struct http2_fields *fields, struct berth_rpc_call *call,
                       char timeout[TIMEOUT_TEXT_MAX])
{
    uint64_t now = uv_hrtime();

    http2_put(fields, ":method", "POST");
    http2_put(fields, ":scheme", call->channel->tls == NULL ? "http" : "https");
    http2_put(fields, ":path", call->path);
    http2_put(fields, ":authority", call->channel->authority);
    http2_put(fields, "te", "trailers");
    http2_put(fields, "content-type", "application/grpc");
    http2_put(fields, "user-agent", call->channel->user_agent);
    http2_put(fields, "grpc-accept-encoding", CODING_ACCEPTED);
    if (call->outflow.coding != CODING_IDENTITY)
        http2_put(fields, "grpc-encoding", coding_name(call->outflow.coding));
    if (call->deadline_ns != 0) {
        timeout_format(call->deadline_ns > now ? call->deadline_ns - now : 1, timeout);
        http2_put(fields, "grpc-timeout", timeout);
    }
    http2_put_list(fields, &call->metadata);
}

/* Sends GOAWAY as well; the connection ends with its last call. */
static void retire(struct client_connection *connection)
{
    client_connection_leave(connection, "all stream IDs of the connection are used");
    http2_go_away(&connection->http2, NGHTTP2_NO_ERROR, "");
}

static void submit(struct berth_rpc_call *call, struct client_connection *connection)
{
    struct http2_fields fields = {
        .items =
            berth_arena_take(&call->arena, (PROTOCOL_FIELDS + call->metadata.count) * sizeof(nghttp2_nv))};
    nghttp2_data_provider provider = http2_provider(&call->outflow);
    char timeout[TIMEOUT_TEXT_MAX];
    int32_t id = NGHTTP2_ERR_NOMEM;

    if (fields.items != NULL) {
        put_fields(&fields, call, timeout);
        id = nghttp2_submit_request(connection->http2.session, NULL, fields.items, fields.count, &provider,
                                    call);
    }
    if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) {
        retire(connection);
        return;
    }
    if (id < 0) {
        client_call_end(call, BERTH_UNAVAILABLE, nghttp2_strerror(id));
        return;
    }
    client_call_enter(call, connection, id, connection->base.batch_number + 1);
    keepalive_wake(&connection->keepalive);
    connection_touch(&connection->base);
}

static void wake(struct berth_rpc_call *call)
{
    http2_wake(&call->connection->http2, &call->outflow, call->id);
}

static void reset(struct berth_rpc_call *call)
{
    nghttp2_submit_rst_stream(call->connection->http2.session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
    connection_touch(&call->connection->base);
}

static void give_held(struct berth_rpc_call *call)
{
    client_call_take(call, NULL, 0);
}

static enum berth_code add_metadata(struct berth_rpc_call *call, const struct berth_metadata *item)
{
    return metadata_prepare(&call->metadata, &call->arena, item->key, item->value, item->value_length);
}

static enum berth_code may_send(const struct berth_rpc_call *call, size_t length)
{
    return BERTH_OK;
}

const struct client_protocol client_http2 = {
    .kind = GREETING_HTTP2,
    .start = start,
    .lose = lose,
    .has_room = has_room,
    .submit = submit,
    .wake = wake,
    .reset = reset,
    .give_held = give_held,
    .add_metadata = add_metadata,
    .may_send = may_send,
};
