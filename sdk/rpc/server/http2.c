/* SPDX-License-Identifier: Apache-2.0 */
/* A peer of the server that speaks HTTP/2: its streams in line, and how it is asked to go. */
#include "state.h"

#include <inttypes.h>

#include <sdk/base/container_of.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/* How long a draining server waits for a peer to answer the ping behind its notice. */
#define NOTICE_TIMEOUT_MS 5000

/* Frames that may wait for a peer: its streams', and what else a slow one causes. */
#define QUEUED_FRAMES_MAX 4096
#define QUEUED_FRAMES_PER_STREAM 8

static void on_chunk(struct http2 *http2, void *stream_data, int32_t stream_id, const uint8_t *bytes,
                     size_t length, bool is_last)
{
    struct berth_stream *stream = stream_data;

    if (stream != NULL && stream->connection->checks_messages && !stream->is_malformed)
        server_session_reject(stream, http_message_add_data(&stream->message, length, is_last));
    if (stream == NULL || stream->is_malformed)
        http2_consume(http2, stream_id, length);
    else
        server_stream_take(stream, bytes, length, is_last);
}

static struct server_connection *from_http2(struct http2 *http2)
{
    return CONTAINER_OF(http2, struct server_connection, http2);
}

static void on_dropped(struct http2 *http2, uint64_t frames)
{
    server_session_count_dropped(from_http2(http2), frames);
}

static void on_late(struct http2 *http2, int32_t stream_id, enum framer_end end)
{
    server_session_receive_late(from_http2(http2), stream_id, end);
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

/* A loop that was held up hears of its clocks before it reads: what the peer has sent by then counts. */
static void on_frame_overdue(struct deadline *deadline)
{
    struct server_connection *connection = CONTAINER_OF(deadline, struct server_connection, frame_deadline);
    uint64_t due_ns = connection->frame_began_ns +
                      connection->server->limits.frame_timeout_ms * NANOSECONDS_PER_MILLISECOND;
    uint64_t now = uv_hrtime();

    if (framer_unfinished(&connection->framer) == 0)
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

/* Not a drain's, which has zeros. */
static void ping(struct keepalive *keepalive)
{
    struct server_connection *connection = CONTAINER_OF(keepalive, struct server_connection, keepalive);

    nghttp2_submit_ping(connection->http2.session, NGHTTP2_FLAG_NONE, (const uint8_t *)"liveness");
    connection_touch(&connection->base);
}

static void start_keepalive(struct server_connection *connection)
{
    const struct berth_rpc_server_options *limits = &connection->server->limits;

    connection->keepalive = (struct keepalive){
        .connection = &connection->base,
        .time_ms = limits->keepalive_time_ms == UINT32_MAX ? 0 : limits->keepalive_time_ms,
        .timeout_ms = limits->keepalive_timeout_ms,
        .ping = ping,
    };
    keepalive_start(&connection->keepalive);
}

static int start(struct server_connection *connection)
{
    connection->end_ready = &connection->first_ready;
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
    if (server_session_start(connection) != 0)
        return UV_ENOMEM;
    start_keepalive(connection);
    return connection_start(&connection->base, &http2_protocol, &connection->http2);
}

static void process(struct server_connection *connection)
{
    while (connection->first_ready != NULL) {
        struct berth_stream *stream = connection->first_ready;

        connection->first_ready = stream->next_ready;
        if (connection->first_ready == NULL)
            connection->end_ready = &connection->first_ready;
        server_stream_process(stream);
    }
}

static void submit_goaway(struct server_connection *connection)
{
    nghttp2_session *session = connection->http2.session;

    nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                          NGHTTP2_NO_ERROR, NULL, 0);
}

static void go_away(struct server_connection *connection)
{
    connection->drain_step = SERVER_DRAIN_FINAL;
    deadlines_stop(&connection->server->engine.deadlines, &connection->drain_deadline);
    submit_goaway(connection);
    connection_touch(&connection->base);
}

static void on_notice_overdue(struct deadline *deadline)
{
    go_away(CONTAINER_OF(deadline, struct server_connection, drain_deadline));
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
    if (!deadlines_start(&connection->server->engine.deadlines, &connection->drain_deadline,
                         uv_hrtime() + NOTICE_TIMEOUT_MS * NANOSECONDS_PER_MILLISECOND, on_notice_overdue))
        go_away(connection);
}

static void end(struct server_connection *connection, const char *reason)
{
    for (struct berth_stream *stream = connection->streams; stream != NULL; stream = stream->next)
        if (stream->is_opened)
            server_stream_abort(stream, BERTH_UNAVAILABLE, reason);
    if (connection->http2.session != NULL)
        submit_goaway(connection);
}

static void lose(struct server_connection *connection)
{
    keepalive_stop(&connection->keepalive);
    deadlines_stop(&connection->server->engine.deadlines, &connection->frame_deadline);
    while (connection->streams != NULL) {
        struct berth_stream *stream = connection->streams;

        stream->is_closed = true;
        if (stream->is_opened)
            server_stream_abort(stream, BERTH_CANCELLED, NULL);
        server_stream_destroy(stream);
    }
}

const struct server_protocol server_http2 = {
    .has_handshake = true,
    .start = start,
    .process = process,
    .drain = drain,
    .end = end,
    .lose = lose,
};
