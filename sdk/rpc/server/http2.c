/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of HTTP/2: records a client's frames in nghttp2's callbacks, enforces limits, and asks
 * the client to leave. No callback of nghttp2 calls a handler; the queued streams are processed at the top
 * level.
 */
#include "http2_call.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/http2/http2.h>

#define NANOSECONDS_PER_SECOND UINT64_C(1000000000)
#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/*
 * gRPC's keepalive proposal A8: pings at shorter intervals are strikes, and this many strikes are forgiven.
 */
#define PING_INTERVAL_MS (300 * 1000)
#define IDLE_PING_INTERVAL_MS (7200 * 1000)
#define PING_STRIKES_MAX 2

/* Streams that a peer makes us reset, and DATA frames without data. */
#define ABUSE_BURST 1000
#define ABUSE_PER_SECOND 33

/*
 * Streams that a peer resets, which cost as much as other calls, and frames that are dropped, which cost next
 * to nothing: a busy client whose deadlines are short has hundreds a second.
 */
#define RESETS_BURST 1000
#define RESETS_PER_SECOND 500

/*
 * nghttp2 ends the connection of a peer that has confirmed the bound of its streams and opens one more; here
 * that one is refused, at the cost of no other. Sixteen bits of a setting's number are sent, and nghttp2
 * takes the whole of it for one that it need not keep.
 */
#define UNENFORCED 0x10000

/*
 * One byte on the wire can represent a field as long as HPACK's table, and each costs work. A block that
 * exceeds the limit by this much is an attack; below that the call is refused with a gRPC status.
 */
#define BLOCK_EXCESS_MAX (1024 * 1024)
#define FIELD_OVERHEAD 32

#define SETTINGS_MAX 32
#define CONTINUATIONS_MAX 8

static struct server_connection *from_http2(struct http2 *http2)
{
    return CONTAINER_OF(http2, struct server_connection, http2);
}

/* Takes `count` from an allowance; false if it is used up. */
static bool allowance_take(struct allowance *allowance, uint64_t count, uint32_t burst, uint32_t per_second)
{
    uint64_t now = uv_hrtime();
    uint64_t earned = (now - allowance->last_ns) / (NANOSECONDS_PER_SECOND / per_second);

    if (allowance->last_ns == 0 || earned > burst - allowance->left) {
        allowance->left = burst;
        allowance->last_ns = now;
    } else {
        allowance->left += (uint32_t)earned;
        allowance->last_ns += earned * (NANOSECONDS_PER_SECOND / per_second);
    }
    if (allowance->left < count)
        return false;
    allowance->left -= (uint32_t)count;
    return true;
}

static void terminate(struct server_connection *connection, uint32_t code, const char *debug,
                      const char *what)
{
    if (connection->base.doom != NULL)
        return;
    connection->base.doom = what;
    http2_go_away(&connection->http2, code, debug);
    server_log(connection->server, SERVER_CAUSE_ABUSE, BERTH_RPC_LOG_WARN, "%s, connection closed peer=%s",
               what, connection->peer.address);
}

/* The request breaks HTTP: resets the stream, and says so in the log. `why`: NULL if it does not. */
static void reject(struct server_http2_call *call, const char *why)
{
    struct server_connection *connection = call->base.connection;

    if (why == NULL)
        return;
    call->is_malformed = true;
    nghttp2_submit_rst_stream(connection->http2.session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_PROTOCOL_ERROR);
    server_log(connection->server, SERVER_CAUSE_MALFORMED, BERTH_RPC_LOG_DEBUG,
               "malformed request, stream reset: %s peer=%s", why, connection->peer.address);
}

/* Frames were dropped that a client need not send. From the top level. */
static void count_dropped(struct server_connection *connection, uint64_t frames)
{
    if (!connection->is_drop_told && connection->framer.dropped_idle > 0) {
        connection->is_drop_told = true;
        server_log(connection->server, SERVER_CAUSE_DROPPED, BERTH_RPC_LOG_DEBUG,
                   "ignoring RST_STREAM and WINDOW_UPDATE frames for streams that were never opened peer=%s",
                   connection->peer.address);
    }
    if (!allowance_take(&connection->dropped_frames, frames, RESETS_BURST, RESETS_PER_SECOND))
        terminate(connection, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_frames",
                  "too many PRIORITY frames or frames for streams never opened");
}

/* DATA or HEADERS come for a stream that the client has ended. From the top level. */
static void receive_late(struct server_connection *connection, int32_t stream_id, enum framer_end end)
{
    nghttp2_session *session = connection->http2.session;

    /* If the stream is not closed yet, nghttp2 notices it itself. */
    if (nghttp2_session_find_stream(session, stream_id) != NULL)
        return;
    if (end == FRAMER_END_STREAM)
        terminate(connection, NGHTTP2_STREAM_CLOSED, "stream_closed",
                  "frames on a stream that the peer had closed");
    else
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_STREAM_CLOSED);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct server_connection *connection = from_http2(user_data);
    struct server_http2_call *call;

    connection->block_bytes = 0;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (connection->open_streams++ >= connection->server->limits.max_concurrent_streams)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM);
    call = http2_call_create(connection, frame->hd.stream_id);
    if (call == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user_data)
{
    struct server_connection *connection = from_http2(user_data);
    struct server_http2_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    const char *text = (const char *)value;

    connection->block_bytes += name_length + value_length + FIELD_OVERHEAD;
    if (connection->block_bytes > connection->server->limits.max_header_list_bytes + BLOCK_EXCESS_MAX) {
        terminate(connection, NGHTTP2_ENHANCE_YOUR_CALM, "too_large_headers",
                  "headers far larger than max_header_list_bytes");
        /* The rest of the block is not looked at. */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (frame->hd.type != NGHTTP2_HEADERS || call == NULL || call->is_malformed)
        return 0;
    http_message_strip((const char *)name, name_length, &text, &value_length);
    if (connection->checks_messages)
        reject(call,
               http_message_add_field(&call->message, (const char *)name, name_length, text, value_length));
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && !call->is_malformed)
        request_add(&call->request, (const char *)name, name_length, text, value_length,
                    connection->server->limits.max_header_list_bytes);
    return 0;
}

/* nghttp2 would leave out a field with a byte that no field may have; the request is malformed (RFC
 * 9113 8.2.1). */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                             void *user_data)
{
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* nghttp2's verdict on a request, or on the first bytes of a connection. */
static int on_error(nghttp2_session *session, int code, const char *text, size_t length, void *user_data)
{
    struct server_connection *connection = from_http2(user_data);

    server_log(connection->server, SERVER_CAUSE_MALFORMED, BERTH_RPC_LOG_DEBUG,
               "malformed request: %.*s peer=%s", (int)length, text, connection->peer.address);
    return 0;
}

/* The owner's setting also applies to a connection without calls. */
static uint64_t ping_interval_ns(const struct server_connection *connection)
{
    uint32_t allowed_ms = connection->server->limits.min_ping_interval_ms;

    if (allowed_ms == 0)
        allowed_ms = connection->calls == 0 ? IDLE_PING_INTERVAL_MS : PING_INTERVAL_MS;
    return allowed_ms * NANOSECONDS_PER_MILLISECOND;
}

static void receive_ping(struct server_connection *connection)
{
    uint64_t now = uv_hrtime();

    if (connection->last_ping_ns != 0 && now - connection->last_ping_ns < ping_interval_ns(connection))
        connection->ping_strikes++;
    connection->last_ping_ns = now;
    if (connection->ping_strikes > PING_STRIKES_MAX)
        terminate(connection, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings",
                  "too many pings (min_ping_interval)");
}

static void receive_end_of_frame(struct server_connection *connection, const nghttp2_frame *frame)
{
    struct server_http2_call *call =
        nghttp2_session_get_stream_user_data(connection->http2.session, frame->hd.stream_id);
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0 && !ends &&
        !allowance_take(&connection->empty_frames, 1, ABUSE_BURST, ABUSE_PER_SECOND))
        terminate(connection, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_empty_frames",
                  "too many empty DATA frames");
    if (call == NULL || call->is_malformed)
        return;
    if (connection->checks_messages)
        reject(call, frame->hd.type == NGHTTP2_HEADERS ? http_message_end_fields(&call->message, ends)
                                                       : http_message_add_data(&call->message, 0, ends));
    if (call->is_malformed)
        return;
    if (frame->hd.type == NGHTTP2_HEADERS)
        call->has_headers = true;
    if (ends)
        call->base.is_remote_ended = true;
    if (ends || frame->hd.type == NGHTTP2_HEADERS)
        server_stream_ready(&call->base);
}

/* The answer to the ping behind the notice; that of keepalive has bytes in it. */
static void receive_ping_ack(struct server_connection *connection, const nghttp2_ping *ping)
{
    static const uint8_t zeros[sizeof(ping->opaque_data)];

    if (connection->drain_step == SERVER_DRAIN_NOTICED &&
        memcmp(ping->opaque_data, zeros, sizeof(zeros)) == 0)
        server_connection_drain(connection);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct server_connection *connection = from_http2(user_data);
    bool is_ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;

    if (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)
        receive_end_of_frame(connection, frame);
    else if (frame->hd.type == NGHTTP2_SETTINGS && !is_ack)
        deadlines_stop(&connection->server->engine.deadlines, &connection->handshake_deadline);
    else if (frame->hd.type == NGHTTP2_PING && is_ack)
        receive_ping_ack(connection, &frame->ping);
    else if (frame->hd.type == NGHTTP2_PING)
        receive_ping(connection);
    else if (frame->hd.type == NGHTTP2_RST_STREAM &&
             !allowance_take(&connection->peer_resets, 1, RESETS_BURST, RESETS_PER_SECOND))
        terminate(connection, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_resets", "too many calls reset");
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user_data)
{
    struct server_connection *connection = from_http2(user_data);
    struct server_http2_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

    connection->open_streams--;
    if (call == NULL)
        return 0;
    call->is_closed = true;
    server_stream_ready(&call->base);
    return 0;
}

/* Tells a client that is still sending to stop (RFC 9113 8.1). */
static void reset_unread(nghttp2_session *session, int32_t stream_id)
{
    if (nghttp2_session_get_stream_remote_close(session, stream_id) == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_NO_ERROR);
}

/* Whatever terminate() has not reported already. */
static void tell_goaway(struct server_connection *connection, const nghttp2_goaway *goaway)
{
    const char *name = nghttp2_http2_strerror(goaway->error_code);
    bool has_reason = goaway->opaque_data_len > 0;

    if (connection->base.doom == NULL)
        server_log(connection->server, SERVER_CAUSE_PROTOCOL, BERTH_RPC_LOG_WARN,
                   "protocol error, connection closed: %.*s peer=%s goaway=%s",
                   has_reason ? (int)goaway->opaque_data_len : (int)strlen(name),
                   has_reason ? (const char *)goaway->opaque_data : name, connection->peer.address, name);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct server_connection *connection = from_http2(user_data);

    if (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) {
        connection->ping_strikes = 0;
        connection->last_ping_ns = 0;
    }
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        tell_goaway(connection, &frame->goaway);
    /* nghttp2 lets pings overtake, and the answer is to prove that the notice was read. */
    if (frame->hd.type == NGHTTP2_GOAWAY && connection->drain_step == SERVER_DRAIN_NOTICED)
        nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, NULL);
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        reset_unread(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
        frame->rst_stream.error_code != NGHTTP2_CANCEL &&
        !allowance_take(&connection->resets, 1, ABUSE_BURST, ABUSE_PER_SECOND))
        terminate(connection, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_errors", "too many stream errors");
    return 0;
}

/* Headers too large for HTTP/2: without a reset the peer would wait forever. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct server_connection *connection = from_http2(user_data);

    if (frame->hd.type != NGHTTP2_HEADERS || error == NGHTTP2_ERR_STREAM_CLOSED ||
        error == NGHTTP2_ERR_STREAM_CLOSING)
        return 0;
    server_log(connection->server, SERVER_CAUSE_UNSENT, BERTH_RPC_LOG_WARN,
               "response headers cannot be sent, call reset: %s", nghttp2_strerror(error));
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    return 0;
}

static void set_limits(nghttp2_option *option)
{
    nghttp2_option_set_max_settings(option, SETTINGS_MAX);
    nghttp2_option_set_max_continuations(option, CONTINUATIONS_MAX);
    /* Counted here, where the log can say so. */
    nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, 0);
}

int server_http2_create(struct berth_rpc_server *server)
{
    int result = http2_option_create(&server->unix_option);

    if (result != 0)
        return result;
    result = http2_callbacks_create(&server->callbacks, &server->option);
    if (result != 0) {
        nghttp2_option_del(server->unix_option);
        return result;
    }
    set_limits(server->option);
    set_limits(server->unix_option);
    nghttp2_option_set_no_http_messaging(server->unix_option, 1);
    nghttp2_session_callbacks_set_on_begin_headers_callback(server->callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(server->callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(server->callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(server->callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(server->callbacks, on_frame_not_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(server->callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_invalid_header_callback(server->callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_error_callback2(server->callbacks, on_error);
    return 0;
}

void server_http2_destroy(struct berth_rpc_server *server)
{
    nghttp2_option_del(server->unix_option);
    http2_callbacks_destroy(server->callbacks, server->option);
}

static int start_session(struct server_connection *connection)
{
    const struct berth_rpc_server_options *limits = &connection->server->limits;
    const nghttp2_settings_entry settings[] = {
        {UNENFORCED | NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->max_concurrent_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->max_header_list_bytes},
    };

    connection->checks_messages = connection->base.socket.handle.type == UV_NAMED_PIPE;
    return http2_begin(&connection->http2, nghttp2_session_server_new3, connection->server->callbacks,
                       connection->checks_messages ? connection->server->unix_option
                                                   : connection->server->option,
                       settings, sizeof(settings) / sizeof(settings[0]));
}

/*
 * How long a draining server waits for a peer to answer the ping behind its notice. One without calls may not
 * read at all until it has one, as an idle client of gRPC's C core. Where the server goes away for good, that
 * peer has this time and a few round trips: a call that it begins just then is one that it may try again
 * elsewhere (RFC 9113 8.7).
 */
#define NOTICE_TIMEOUT_MS 5000
#define IDLE_NOTICE_TIMEOUT_MS 20
#define IDLE_NOTICE_ROUND_TRIPS 4

/* Frames that may wait for a peer: its streams', and what else a slow one causes. */
#define QUEUED_FRAMES_MAX 4096
#define QUEUED_FRAMES_PER_STREAM 8

static void on_chunk(struct http2 *http2, void *stream_data, int32_t stream_id, const uint8_t *bytes,
                     size_t length, bool is_last)
{
    struct server_http2_call *call = stream_data;

    if (call != NULL && call->base.connection->checks_messages && !call->is_malformed)
        reject(call, http_message_add_data(&call->message, length, is_last));
    if (call == NULL || call->is_malformed)
        http2_consume(http2, stream_id, length);
    else
        http2_call_take(call, bytes, length, is_last);
}

static void on_dropped(struct http2 *http2, uint64_t frames)
{
    count_dropped(from_http2(http2), frames);
}

static void on_late(struct http2 *http2, int32_t stream_id, enum framer_end end)
{
    receive_late(from_http2(http2), stream_id, end);
}

static void on_broken(struct http2 *http2, const char *reason)
{
    struct server_connection *connection = from_http2(http2);

    if (connection->base.doom == NULL)
        server_log(connection->server, SERVER_CAUSE_PROTOCOL, BERTH_RPC_LOG_WARN,
                   "protocol error, connection closed: %s peer=%s", reason, connection->peer.address);
}

static void on_frame_overdue(struct deadline *deadline);

static void await_frame(struct server_connection *connection, uint64_t due_ns)
{
    deadlines_start(&connection->server->engine.deadlines, &connection->frame_deadline, due_ns,
                    on_frame_overdue);
}

/*
 * Since when the rest of a frame is missing; 0: it is not. Part of a TLS record cannot be seen yet, and
 * counts as part of a frame.
 */
static uint64_t find_begin_ns(const struct server_connection *connection)
{
    uint64_t held_ns = connection->tls == NULL ? 0 : tls_held_since_ns(connection->tls);

    if (framer_unfinished(&connection->framer) == 0)
        return held_ns;
    return held_ns == 0 || connection->frame_began_ns < held_ns ? connection->frame_began_ns : held_ns;
}

/* A loop that was blocked runs its timers before it reads: data the peer has sent by then counts. */
static void on_frame_overdue(struct deadline *deadline)
{
    struct server_connection *connection = CONTAINER_OF(deadline, struct server_connection, frame_deadline);
    uint64_t began_ns = find_begin_ns(connection);
    uint64_t due_ns = began_ns + connection->server->limits.frame_timeout_ms * NANOSECONDS_PER_MILLISECOND;
    uint64_t now = uv_hrtime();

    if (began_ns == 0)
        return;
    if (due_ns > now || connection_has_unread(&connection->base)) {
        await_frame(connection, due_ns > now ? due_ns : now + NANOSECONDS_PER_MILLISECOND);
        return;
    }
    server_log(connection->server, SERVER_CAUSE_ABUSE, BERTH_RPC_LOG_WARN,
               "frame not completed within %" PRIu32 " ms, connection closed (frame_timeout) peer=%s",
               connection->server->limits.frame_timeout_ms, connection->peer.address);
    connection_lose(&connection->base, "a frame was not completed in time");
}

/* One deadline serves all frames, so that large uploads do not move it with each piece. */
static void on_unfinished(struct http2 *http2)
{
    struct server_connection *connection = from_http2(http2);
    uint32_t timeout_ms = connection->server->limits.frame_timeout_ms;

    if (timeout_ms == 0)
        return;
    connection->frame_began_ns = uv_hrtime();
    if (connection->frame_deadline.place == 0)
        await_frame(connection, connection->frame_began_ns + timeout_ms * NANOSECONDS_PER_MILLISECOND);
}

static void watch_record(struct server_connection *connection)
{
    uint32_t timeout_ms = connection->server->limits.frame_timeout_ms;
    uint64_t held_ns = timeout_ms == 0 ? 0 : tls_held_since_ns(connection->tls);

    if (held_ns != 0 && connection->frame_deadline.place == 0)
        await_frame(connection, held_ns + timeout_ms * NANOSECONDS_PER_MILLISECOND);
}

static void start_keepalive(struct server_connection *connection)
{
    const struct berth_rpc_server_options *limits = &connection->server->limits;

    connection->keepalive = (struct keepalive){
        .http2 = &connection->http2,
        .time_ms = limits->keepalive_time_ms == UINT32_MAX ? 0 : limits->keepalive_time_ms,
        .timeout_ms = limits->keepalive_timeout_ms,
    };
    keepalive_start(&connection->keepalive);
}

static int start(struct server_connection *connection)
{
    LIST_INIT(&connection->http2_calls);
    connection->http2.connection = &connection->base;
    connection->http2.on_chunk = on_chunk;
    framer_init(&connection->framer);
    connection->http2.framer = &connection->framer;
    connection->http2.on_dropped = on_dropped;
    connection->http2.on_late = on_late;
    connection->http2.on_unfinished = on_unfinished;
    connection->http2.on_broken = on_broken;
    connection->http2.max_queued_frames =
        QUEUED_FRAMES_MAX +
        QUEUED_FRAMES_PER_STREAM * (size_t)connection->server->limits.max_concurrent_streams;
    if (start_session(connection) != 0)
        return UV_ENOMEM;
    start_keepalive(connection);
    return connection_start(&connection->base, &http2_protocol, &connection->http2);
}

static void process(struct server_connection *connection)
{
    struct berth_stream *stream;

    while ((stream = server_stream_next(connection)) != NULL)
        http2_call_process(CONTAINER_OF(stream, struct server_http2_call, base));
    if (connection->tls != NULL)
        watch_record(connection);
}

static void go_away(struct server_connection *connection)
{
    connection->drain_step = SERVER_DRAIN_FINAL;
    deadlines_stop(&connection->server->engine.deadlines, &connection->drain_deadline);
    http2_go_away(&connection->http2, NGHTTP2_NO_ERROR, "");
}

static void on_notice_overdue(struct deadline *deadline)
{
    go_away(CONTAINER_OF(deadline, struct server_connection, drain_deadline));
}

static uint64_t round_trip_ms(const struct server_connection *connection)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    uv_os_fd_t fd;

    if (connection->base.socket.handle.type != UV_TCP ||
        uv_fileno(&connection->base.socket.handle, &fd) != 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
        return 0;
    return info.tcpi_rtt / 1000 + 1;
}

static uint64_t notice_timeout_ms(const struct server_connection *connection)
{
    const struct berth_rpc_server *server = connection->server;
    uint64_t idle_ms = IDLE_NOTICE_TIMEOUT_MS + IDLE_NOTICE_ROUND_TRIPS * round_trip_ms(connection);

    if (!server->is_draining || server->is_retired || !LIST_EMPTY(&connection->http2_calls) ||
        idle_ms > NOTICE_TIMEOUT_MS)
        return NOTICE_TIMEOUT_MS;
    return idle_ms;
}

/* Waits for the answer to the notice for as long as the peer may take. */
static void await_answer(struct server_connection *connection)
{
    if (!deadlines_start(&connection->server->engine.deadlines, &connection->drain_deadline,
                         uv_hrtime() + notice_timeout_ms(connection) * NANOSECONDS_PER_MILLISECOND,
                         on_notice_overdue))
        go_away(connection);
}

void server_http2_hasten(struct server_connection *connection)
{
    if (LIST_EMPTY(&connection->http2_calls))
        await_answer(connection);
}

static void drain(struct server_connection *connection)
{
    if (connection->drain_step == SERVER_DRAIN_NOTICED) {
        go_away(connection);
        return;
    }
    connection->drain_step = SERVER_DRAIN_NOTICED;
    nghttp2_submit_shutdown_notice(connection->http2.session);
    connection_touch(&connection->base);
    await_answer(connection);
}

static void end(struct server_connection *connection, const char *reason)
{
    struct server_http2_call *call;

    LIST_FOREACH(call, &connection->http2_calls, link)
    if (call->is_opened)
        server_stream_abort(&call->base, BERTH_UNAVAILABLE, reason);
    if (connection->http2.session != NULL)
        http2_go_away(&connection->http2, NGHTTP2_NO_ERROR, "");
}

static void lose(struct server_connection *connection)
{
    struct server_http2_call *call;

    keepalive_stop(&connection->keepalive);
    deadlines_stop(&connection->server->engine.deadlines, &connection->frame_deadline);
    while ((call = LIST_FIRST(&connection->http2_calls)) != NULL) {
        call->is_closed = true;
        if (call->is_opened)
            server_stream_abort(&call->base, BERTH_CANCELLED, NULL);
        http2_call_destroy(call);
    }
}

const struct server_protocol server_http2 = {
    .kind = GREETING_HTTP2,
    .call_size = sizeof(struct server_http2_call),
    .stream_ops = &http2_call_ops,
    .has_handshake = true,
    .start = start,
    .process = process,
    .give_held = http2_call_give_held,
    .drop_output = http2_call_drop_output,
    .drain = drain,
    .end = end,
    .lose = lose,
};
