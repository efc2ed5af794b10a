/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of HTTP/2: takes note of what the server does, in nghttp2's callbacks; no handler is
 * called here. */
#include "state.h"

#include <sdk/base/container_of.h>
#include <sdk/rpc/http2/http2.h>

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user_data)
{
    struct client_connection *connection = CONTAINER_OF(user_data, struct client_connection, http2);
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

static void receive_settings(struct client_connection *connection)
{
    if (connection->is_ready)
        return;
    connection->is_ready = true;
    deadlines_stop(&connection->channel->engine.deadlines, &connection->connect_deadline);
    turn_add(&connection->channel->engine.turn, &connection->channel->task);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client_connection *connection = CONTAINER_OF(user_data, struct client_connection, http2);
    struct berth_rpc_call *call;

    if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
        receive_settings(connection);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        client_keepalive_hear(connection->channel, &frame->goaway);
        client_connection_leave(connection, "the server takes no calls (GOAWAY)");
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
    if (channel->waiting.first != NULL)
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
    struct client_connection *connection = CONTAINER_OF(user_data, struct client_connection, http2);

    if (frame->hd.type != NGHTTP2_HEADERS ||
        nghttp2_session_find_stream(session, frame->hd.stream_id) != NULL)
        return 0;
    for (struct berth_rpc_call *call = connection->calls.first; call != NULL; call = call->next)
        if (call->id == frame->hd.stream_id && !call->is_unknown) {
            forget(call, NGHTTP2_REFUSED_STREAM);
            break;
        }
    return 0;
}

/* From here on bytes of the request may leave. */
static int on_before_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client_connection *connection = CONTAINER_OF(user_data, struct client_connection, http2);
    struct berth_rpc_call *call;

    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call != NULL)
        call->batch_number = connection->base.batch_number;
    return 0;
}

/* nghttp2 says what was wrong to the server alone. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client_connection *connection = CONTAINER_OF(user_data, struct client_connection, http2);

    if (frame->hd.type != NGHTTP2_GOAWAY || frame->goaway.error_code == NGHTTP2_NO_ERROR ||
        connection->base.doom != NULL)
        return 0;
    snprintf(connection->goaway_reason, sizeof(connection->goaway_reason),
             "the server broke HTTP/2 (%s%s%.*s)", nghttp2_http2_strerror(frame->goaway.error_code),
             frame->goaway.opaque_data_len > 0 ? ": " : "", (int)frame->goaway.opaque_data_len,
             (const char *)frame->goaway.opaque_data);
    connection->base.doom = connection->goaway_reason;
    return 0;
}

int client_session_create(struct berth_rpc_channel *channel)
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

void client_session_destroy(struct berth_rpc_channel *channel)
{
    http2_callbacks_destroy(channel->callbacks, channel->option);
}

int client_session_start(struct client_connection *connection)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, connection->channel->limits.max_header_list_bytes},
    };
    nghttp2_session *session;
    nghttp2_mem memory = http2_memory(&connection->channel->engine.pool);
    int result = nghttp2_session_client_new3(&session, connection->channel->callbacks, &connection->http2,
                                             connection->channel->option, &memory);

    return result != 0
               ? result
               : http2_begin(&connection->http2, session, settings, sizeof(settings) / sizeof(settings[0]));
}
