/* SPDX-License-Identifier: Apache-2.0 */
/* The server as its owner sees it: where it listens, what it bounds, how it ends. */
#include "state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>

#define NANOSECONDS_PER_SECOND UINT64_C(1000000000)
#define MIB (UINT64_C(1024) * 1024)

/* The longest sentence that goes with a status: larger headers would cost the call its status. */
#define MESSAGE_MAX 4096

/* Calls whose memory is kept for the next ones; a few busy connections' worth. */
#define SPARE_CALLS_MAX 256

/* A peer's own words must not end the line, or move a terminal's cursor. */
static void blank_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void server_log(struct berth_rpc_server *server, enum server_cause cause, enum berth_rpc_log_level level,
                const char *format, ...)
{
    char text[512];
    uint64_t now = uv_hrtime();
    va_list arguments;

    if (server->limits.on_log == NULL ||
        (server->logged_ns[cause] != 0 && now - server->logged_ns[cause] < NANOSECONDS_PER_SECOND))
        return;
    server->logged_ns[cause] = now;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    blank_controls(text);
    server->limits.on_log(server->limits.context, level, text);
}

size_t server_message_length(const char *message)
{
    size_t length = strnlen(message, MESSAGE_MAX + 1);

    if (length <= MESSAGE_MAX)
        return length;
    length = MESSAGE_MAX;
    while (length > 0 && ((unsigned char)message[length] & 0xc0) == 0x80)
        length--;
    return length;
}

/* Says which limit it was, and what it is set to. */
static void describe_refusal(char *text, size_t size, const struct server_connection *connection,
                             enum outflow_result why, size_t length, uint64_t most)
{
    const struct berth_rpc_server *server = connection->server;
    uint64_t queued = connection->base.queued.used;

    switch (why) {
    case OUTFLOW_SENT:
        break;
    case OUTFLOW_TOO_LARGE:
        if (most < server->limits.max_send_message_bytes)
            snprintf(text, size, "message of %zu bytes exceeds what ttrpc carries (%" PRIu64 ")", length,
                     most);
        else
            snprintf(text, size, "message of %zu bytes exceeds max_send_message_bytes (%" PRIu64 ")", length,
                     most);
        break;
    case OUTFLOW_QUEUE_FULL:
        snprintf(text, size,
                 "message of %zu bytes exceeds max_queued_bytes (%" PRIu64 "): %" PRIu64
                 " bytes are waiting for this client to read",
                 length, server->limits.max_queued_bytes, queued);
        break;
    case OUTFLOW_NO_BUDGET:
        snprintf(text, size,
                 "message of %zu bytes exceeds this connection's share of max_buffered_bytes (%" PRIu64
                 "): %" PRIu64 " bytes are buffered for %" PRIu32 " connections, %" PRIu64
                 " of them for this one",
                 length, server->buffered.limit, server->buffered.used, server->stats.connections, queued);
        break;
    case OUTFLOW_NO_MEMORY:
        snprintf(text, size, "out of memory for a message of %zu bytes", length);
        break;
    }
}

char *server_refuse_message(struct server_connection *connection, struct berth_arena *arena, char *kept,
                            enum outflow_result why, size_t length, uint64_t most)
{
    char text[SERVER_REFUSAL_MAX] = "";

    describe_refusal(text, sizeof(text), connection, why, length, most);
    /* What is over the budget of all is logged at the end of the turn, once for all calls. */
    if (why != OUTFLOW_NO_BUDGET)
        server_log(connection->server, SERVER_CAUSE_UNSENT, BERTH_RPC_LOG_WARN, "reply refused: %s peer=%s",
                   text, connection->peer.address);
    if (kept == NULL)
        kept = berth_arena_take(arena, SERVER_REFUSAL_MAX);
    if (kept != NULL)
        memcpy(kept, text, sizeof(text));
    return kept;
}

const char *server_describe_no_room(const struct server_connection *connection, char *text, size_t size)
{
    const struct budget *unfinished = &connection->unfinished;
    const struct budget *buffered = &connection->server->buffered;

    if (unfinished->is_parent_full)
        snprintf(text, size,
                 "this connection's share of max_buffered_bytes (%" PRIu64 ") is used up: %" PRIu64
                 " bytes are buffered for %" PRIu32 " connections",
                 buffered->limit, buffered->used, connection->server->stats.connections);
    else
        snprintf(text, size,
                 "max_unfinished_bytes (%" PRIu64 ") exceeded: this connection has sent %" PRIu64
                 " bytes of unfinished messages",
                 unfinished->limit, unfinished->used);
    return text;
}

void server_count_end(struct berth_rpc_server *server, enum berth_code code)
{
    server->stats.calls_ended[(unsigned)code <= BERTH_UNAUTHENTICATED ? (unsigned)code : BERTH_UNKNOWN]++;
}

static void default32(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void default64(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static enum berth_code take_options(struct berth_rpc_server_options *limits,
                                    const struct berth_rpc_server_options *options, struct berth_error *err)
{
    size_t size = options == NULL ? 0 : options->size;

    *limits = (struct berth_rpc_server_options){0};
    if (options != NULL)
        memcpy(limits, options, size < sizeof(*limits) ? size : sizeof(*limits));
    default32(&limits->max_connections, 4096);
    default32(&limits->max_concurrent_streams, 256);
    default32(&limits->max_header_list_bytes, 16 * 1024);
    default32(&limits->handshake_timeout_ms, 10 * 1000);
    default32(&limits->write_timeout_ms, 60 * 1000);
    default32(&limits->keepalive_time_ms, 2 * 3600 * 1000);
    default32(&limits->keepalive_timeout_ms, 20 * 1000);
    default64(&limits->max_recv_message_bytes, 16 * MIB);
    default64(&limits->max_send_message_bytes, 16 * MIB);
    default64(&limits->max_unfinished_bytes, 4 * limits->max_recv_message_bytes);
    default64(&limits->max_queued_bytes, 32 * MIB);
    default64(&limits->max_buffered_bytes, 256 * MIB);
    if (limits->max_recv_message_bytes > UINT32_MAX || limits->max_send_message_bytes > UINT32_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "a message of gRPC has at most %lu bytes; choose a smaller limit",
                               (unsigned long)UINT32_MAX);
    if (limits->max_unfinished_bytes < limits->max_recv_message_bytes + 5)
        limits->max_unfinished_bytes = limits->max_recv_message_bytes + 5;
    if (limits->max_buffered_bytes < 2 * (limits->max_recv_message_bytes + 5))
        limits->max_buffered_bytes = 2 * (limits->max_recv_message_bytes + 5);
    return BERTH_OK;
}

static bool copy_transport(struct berth_rpc_server *server)
{
    const char *transport = server->limits.transport;

    server->transport = strdup(transport != NULL && transport[0] != '\0' ? transport : "grpc");
    server->limits.transport = server->transport;
    return server->transport != NULL;
}

static void close_all(struct turn_task *task);

static void drop_spares(struct ebb *ebb)
{
    struct berth_rpc_server *server = CONTAINER_OF(ebb, struct berth_rpc_server, engine.ebb);

    spares_finish(&server->streams);
    spares_finish(&server->ttrpc_calls);
    pool_finish(&server->engine.pool);
}

enum berth_code berth_rpc_server_create(uv_loop_t *loop, const struct berth_rpc_server_options *options,
                                        const struct berth_router *router,
                                        struct berth_rpc_server **ret_server, struct berth_error *err)
{
    struct berth_rpc_server *server = calloc(1, sizeof(*server));
    enum berth_code code;

    if (server == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot make a gRPC server: out of memory");
    code = take_options(&server->limits, options, err);
    if (code == BERTH_OK && !copy_transport(server))
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot make a gRPC server: out of memory");
    if (code == BERTH_OK && server_session_create(server) != 0)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot make a gRPC server: out of memory");
    if (code != BERTH_OK) {
        free(server->transport);
        free(server);
        return code;
    }
    server->router = router;
    server->buffered.limit = server->limits.max_buffered_bytes;
    server->streams = (struct spares){.size = sizeof(struct berth_stream), .max = SPARE_CALLS_MAX};
    server->ttrpc_calls = (struct spares){.size = server_ttrpc_call_size, .max = SPARE_CALLS_MAX};
    server->close_task.run = close_all;
    engine_init(&server->engine, loop);
    ebb_watch(&server->engine.ebb, &server->buffered, loop, &server->engine.deadlines, drop_spares);
    *ret_server = server;
    return BERTH_OK;
}

static void on_engine_closed(struct engine *engine)
{
    struct berth_rpc_server *server = CONTAINER_OF(engine, struct berth_rpc_server, engine);
    void (*on_closed)(void *) = server->on_closed;
    void *context = server->closed_context;

    spares_finish(&server->streams);
    spares_finish(&server->ttrpc_calls);
    server_session_destroy(server);
    free(server->transport);
    free(server);
    if (on_closed != NULL)
        on_closed(context);
}

void server_settle(struct berth_rpc_server *server)
{
    void (*on_drained)(void *) = server->on_drained;

    if (server->connections != NULL)
        return;
    if (server->is_draining && !server->is_closing && on_drained != NULL) {
        server->on_drained = NULL;
        on_drained(server->drained_context);
        return;
    }
    if (!server->is_closing || server->listeners != NULL || server->is_engine_closing)
        return;
    server->is_engine_closing = true;
    turn_remove(&server->engine.turn, &server->close_task);
    engine_close(&server->engine, on_engine_closed);
}

enum berth_code berth_rpc_server_adopt(struct berth_rpc_server *server, int fd, struct berth_error *err)
{
    struct server_connection *connection;
    int result = server_connection_open(server, fd, &connection);

    if (result == 0)
        return BERTH_OK;
    return berth_error_set(err, BERTH_UNAVAILABLE, "cannot serve descriptor %d: %s", fd, uv_strerror(result));
}

void berth_rpc_server_drain(struct berth_rpc_server *server, void (*on_drained)(void *context), void *context)
{
    server->is_draining = true;
    server->on_drained = on_drained;
    server->drained_context = context;
    server_close_listeners(server);
    for (struct server_connection *connection = server->connections; connection != NULL;
         connection = connection->next)
        if (connection->drain_step == SERVER_DRAIN_NONE)
            server_connection_drain(connection);
    server_settle(server);
}

static void close_all(struct turn_task *task)
{
    struct berth_rpc_server *server = CONTAINER_OF(task, struct berth_rpc_server, close_task);

    for (struct server_connection *connection = server->connections; connection != NULL;
         connection = connection->next)
        server_connection_end(connection, "the server is shutting down");
    server_settle(server);
}

void berth_rpc_server_close(struct berth_rpc_server *server, void (*on_closed)(void *context), void *context)
{
    server->is_closing = true;
    server->on_drained = NULL;
    server->on_closed = on_closed;
    server->closed_context = context;
    server_close_listeners(server);
    turn_add(&server->engine.turn, &server->close_task);
}

void berth_rpc_server_get_stats(const struct berth_rpc_server *server, struct berth_rpc_server_stats *stats)
{
    struct berth_rpc_server_stats full = server->stats;
    uint32_t size = stats->size < sizeof(full) ? stats->size : (uint32_t)sizeof(full);

    full.bytes_received = server->engine.bytes_received;
    full.bytes_sent = server->engine.bytes_sent;
    full.size = size;
    memcpy(stats, &full, size);
}
