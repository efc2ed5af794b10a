/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client of the server over any protocol, from accept to close: how limits are reported to it, and how it
 * is asked to leave. A client that connects with the wrong protocol is told so as well as that protocol
 * allows: gRPC and ttrpc calls fail one by one, HTTP/1.1 gets an error response, a TLS client gets bytes that
 * are clearly not TLS, and a client without TLS gets bytes that clearly are.
 */
#include "server.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <sdk/base/container_of.h>
#include <sdk/base/hash.h>
#include <sdk/rpc/tls/tls.h>

#define NANOSECONDS_PER_SECOND UINT64_C(1000000000)
#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/* Text from a peer must not break the line or move a terminal's cursor. */
static void blank_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void tell(struct berth_rpc_server *server, enum berth_rpc_log_level level, const char *format,
                 va_list arguments)
{
    char text[512];

    vsnprintf(text, sizeof(text), format, arguments);
    blank_controls(text);
    server->limits.on_log(server->limits.context, level, text);
}

void server_tell(struct berth_rpc_server *server, enum berth_rpc_log_level level, const char *format, ...)
{
    va_list arguments;

    if (server->limits.on_log == NULL)
        return;
    va_start(arguments, format);
    tell(server, level, format, arguments);
    va_end(arguments);
}

void server_log(struct berth_rpc_server *server, enum server_cause cause, enum berth_rpc_log_level level,
                const char *format, ...)
{
    uint64_t now = uv_hrtime();
    va_list arguments;

    if (server->limits.on_log == NULL ||
        (server->logged_ns[cause] != 0 && now - server->logged_ns[cause] < NANOSECONDS_PER_SECOND))
        return;
    server->logged_ns[cause] = now;
    va_start(arguments, format);
    tell(server, level, format, arguments);
    va_end(arguments);
}

/* One host can choose any address of its /64 network; where other hosts share those bits, the whole counts.
 */
#define IPV6_NETWORK_BYTES 8

static const unsigned char mapped_ipv4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
/* RFC 6052 2.1: an IPv4 client behind a translator. */
static const unsigned char translated_ipv4[12] = {0, 0x64, 0xff, 0x9b};

static bool is_of_one_host(const unsigned char ipv6[SERVER_PEER_KEY])
{
    bool is_link_local = ipv6[0] == 0xfe && (ipv6[1] & 0xc0) == 0x80;

    return is_link_local || memcmp(ipv6, mapped_ipv4, sizeof(mapped_ipv4)) == 0 ||
           memcmp(ipv6, translated_ipv4, sizeof(translated_ipv4)) == 0;
}

bool server_peer_key(const struct sockaddr *address, unsigned char ret_key[SERVER_PEER_KEY])
{
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;
    const unsigned char *ipv6 = ((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr;

    memset(ret_key, 0, SERVER_PEER_KEY);
    if (address->sa_family == AF_INET) {
        memcpy(ret_key, mapped_ipv4, sizeof(mapped_ipv4));
        memcpy(ret_key + sizeof(mapped_ipv4), &ipv4->sin_addr, sizeof(ipv4->sin_addr));
    } else if (address->sa_family == AF_INET6) {
        memcpy(ret_key, ipv6, is_of_one_host(ipv6) ? SERVER_PEER_KEY : IPV6_NETWORK_BYTES);
    } else {
        return false;
    }
    return true;
}

/* FNV-1a from where the server happens to be in memory, so that no peer can choose its bucket. */
static size_t bucket_of(const struct berth_rpc_server *server, const unsigned char key[SERVER_PEER_KEY])
{
    return (berth_hash(BERTH_HASH_START ^ (uintptr_t)server, key, SERVER_PEER_KEY) >> 32) %
           SERVER_PEER_BUCKETS;
}

static struct server_peer *find(const struct server_peers *bucket, const unsigned char key[SERVER_PEER_KEY])
{
    struct server_peer *peer;

    LIST_FOREACH(peer, bucket, link)
    if (memcmp(peer->key, key, SERVER_PEER_KEY) == 0)
        return peer;
    return NULL;
}

bool server_peer_join(struct server_connection *connection, int fd)
{
    struct berth_rpc_server *server = connection->server;
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    unsigned char key[SERVER_PEER_KEY];
    struct server_peers *bucket;
    struct server_peer *peer;

    if (server->limits.max_connections_per_peer == 0 ||
        getpeername(fd, (struct sockaddr *)&address, &length) != 0 ||
        !server_peer_key((const struct sockaddr *)&address, key))
        return true;
    bucket = &server->peers[bucket_of(server, key)];
    peer = find(bucket, key);
    if (peer == NULL) {
        peer = calloc(1, sizeof(*peer));
        if (peer == NULL)
            return false;
        memcpy(peer->key, key, sizeof(key));
        LIST_INSERT_HEAD(bucket, peer, link);
    }
    peer->connections++;
    connection->counted = peer;
    return peer->connections <= server->limits.max_connections_per_peer;
}

static void leave_peer(struct server_connection *connection)
{
    struct server_peer *peer = connection->counted;

    connection->counted = NULL;
    if (peer == NULL || --peer->connections > 0)
        return;
    LIST_REMOVE(peer, link);
    free(peer);
}

static struct deadlines *deadlines_of(struct server_connection *connection)
{
    return &connection->server->engine.deadlines;
}

static void send_away(struct server_connection *connection)
{
    if (connection->drain_step == SERVER_DRAIN_NONE)
        server_connection_drain(connection);
}

static void on_idle(struct deadline *deadline)
{
    struct server_connection *connection = CONTAINER_OF(deadline, struct server_connection, idle_deadline);
    uint64_t idle_ns = connection->server->limits.max_idle_ms * NANOSECONDS_PER_MILLISECOND;
    uint64_t now = uv_hrtime();
    uint64_t since = connection->calls > 0 ? now : connection->idle_since_ns;

    /* A connection that is receiving a request is not idle, unless the request has stalled. */
    if (connection->protocol->is_receiving != NULL && connection->protocol->is_receiving(connection) &&
        since < connection->base.heard_ms * NANOSECONDS_PER_MILLISECOND)
        since = connection->base.heard_ms * NANOSECONDS_PER_MILLISECOND;
    connection->is_idle = since + idle_ns <= now;
    if (connection->is_idle)
        send_away(connection);
    else
        deadlines_start(deadlines_of(connection), deadline, since + idle_ns, on_idle);
}

static void on_grace_over(struct deadline *deadline)
{
    server_connection_end(CONTAINER_OF(deadline, struct server_connection, age_deadline),
                          "the connection has reached its maximum age");
}

static void on_old(struct deadline *deadline)
{
    struct server_connection *connection = CONTAINER_OF(deadline, struct server_connection, age_deadline);
    uint64_t grace_ns = connection->server->limits.max_age_grace_ms * NANOSECONDS_PER_MILLISECOND;

    send_away(connection);
    if (grace_ns > 0)
        deadlines_start(deadlines_of(connection), deadline, uv_hrtime() + grace_ns, on_grace_over);
}

/* Nine to eleven tenths, so that peers that came together do not come back together. */
static uint64_t scatter(uint64_t age_ns)
{
    uint64_t chance;

    if (uv_random(NULL, NULL, &chance, sizeof(chance), 0, NULL) != 0)
        return age_ns;
    return age_ns / 10 * 9 + chance % (age_ns / 5 + 1);
}

/* Waits for the connection to be idle or old, as the server's options have it. @return false without memory.
 */
static bool start_aging(struct server_connection *connection)
{
    const struct berth_rpc_server_options *limits = &connection->server->limits;
    uint64_t now = uv_hrtime();

    connection->idle_since_ns = now;
    return (limits->max_idle_ms == 0 ||
            deadlines_start(deadlines_of(connection), &connection->idle_deadline,
                            now + limits->max_idle_ms * NANOSECONDS_PER_MILLISECOND, on_idle)) &&
           (limits->max_age_ms == 0 ||
            deadlines_start(deadlines_of(connection), &connection->age_deadline,
                            now + scatter(limits->max_age_ms * NANOSECONDS_PER_MILLISECOND), on_old));
}

static void stop_aging(struct server_connection *connection)
{
    deadlines_stop(deadlines_of(connection), &connection->idle_deadline);
    deadlines_stop(deadlines_of(connection), &connection->age_deadline);
}

/* One that has been asked to leave for its age waits for the end of its grace. */
void server_connection_set_limits(struct server_connection *connection)
{
    const struct berth_rpc_server_options *limits = &connection->server->limits;

    connection->unfinished.limit = limits->max_unfinished_bytes;
    connection->base.write_timeout_ms = limits->write_timeout_ms;
    if (connection->base.is_lost || connection->drain_step != SERVER_DRAIN_NONE)
        return;
    stop_aging(connection);
    start_aging(connection);
}

static void on_handshake_overdue(struct deadline *deadline)
{
    struct server_connection *connection =
        CONTAINER_OF(deadline, struct server_connection, handshake_deadline);

    /* A ttrpc peer is waited for only until it has said enough to be known as one; at the address of another
     * protocol, where nothing else bounds its time, for no longer at all. */
    if (!connection->protocol->has_handshake && connection->greeting.is_known && connection->refusal == NULL)
        return;
    connection_lose(&connection->base, "handshake timed out: no HTTP/2 preface and SETTINGS");
}

/* Ends the connection where its handshake takes longer. @return false without memory. */
static bool await_handshake(struct server_connection *connection, uint32_t timeout_ms)
{
    return deadlines_start(&connection->server->engine.deadlines, &connection->handshake_deadline,
                           uv_hrtime() + timeout_ms * NANOSECONDS_PER_MILLISECOND, on_handshake_overdue);
}

/* Time for a peer to read its answer and close. */
#define LINGER_MS 1000

#define HTTP1(status, sentence)                                                                              \
    "HTTP/1.1 " status "\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" sentence "\n"

static const char only_grpc[] =
    HTTP1("505 HTTP Version Not Supported", "This address speaks gRPC over HTTP/2, without TLS.");
static const char only_ttrpc[] =
    HTTP1("505 HTTP Version Not Supported", "This address speaks ttrpc, not HTTP.");
static const char only_http2[] =
    HTTP1("505 HTTP Version Not Supported", "This address speaks gRPC over HTTP/2, not HTTP/1.1.");
static const char only_tls[] =
    HTTP1("400 Bad Request", "This address speaks gRPC over TLS. Connect with TLS.");
static const char only_https[] = HTTP1("400 Bad Request", "This address speaks HTTP over TLS. Use https.");
static const char only_http[] = HTTP1("400 Bad Request", "This address speaks HTTP without TLS. Use http.");

/* A fatal alert, unexpected_message (RFC 8446 6). SETTINGS and GOAWAY could carry a sentence, but a client
 * then takes the connection for one that worked and comes back without a pause. */
static const char tls_alert[] = "\x15\3\3\0\2\2\x0a";

static void tell_foreign(const struct server_connection *connection, enum greeting_kind spoken,
                         enum greeting_kind expected)
{
    server_log(connection->server, SERVER_CAUSE_FOREIGN, BERTH_RPC_LOG_WARN,
               "wrong protocol: client speaks %s, but this address speaks %s peer=%s", greeting_name(spoken),
               greeting_name(expected), connection->peer.address);
}

/* No byte of a protocol has been received or sent yet. */
static const char *change_protocol(struct server_connection *connection,
                                   const struct server_protocol *protocol, const char *refusal)
{
    connection->protocol->lose(connection);
    connection->ttrpc = NULL;
    connection->http1 = NULL;
    connection->protocol = protocol;
    connection->refusal = refusal;
    return protocol->start(connection) == 0 ? NULL : "out of memory";
}

static struct server_connection *from_base(struct connection *base)
{
    return CONTAINER_OF(base, struct server_connection, base);
}

static struct server_connection *from_greeting(struct greeting *greeting)
{
    return from_base(greeting->connection);
}

static const char *on_foreign(struct greeting *greeting, enum greeting_kind kind)
{
    struct server_connection *connection = from_greeting(greeting);
    bool is_tls = greeting->expected == GREETING_TLS;

    tell_foreign(connection, kind, greeting->expected);
    /* Draining has begun in the expected protocol, whose session has timers by now and cannot be changed. */
    if (greeting->is_forced)
        return "wrong protocol on a draining connection";
    if (is_tls && kind == GREETING_HTTP1 && connection->protocol->kind == GREETING_HTTP1)
        greeting_answer(greeting, only_https, sizeof(only_https) - 1);
    else if (is_tls && kind == GREETING_HTTP1)
        greeting_answer(greeting, only_tls, sizeof(only_tls) - 1);
    else if (is_tls)
        greeting_answer(greeting, tls_alert, sizeof(tls_alert) - 1);
    else if (kind == GREETING_HTTP2)
        return change_protocol(connection, connection->server->grpc,
                               greeting->expected == GREETING_HTTP1 ? "this address speaks HTTP/1.1, not gRPC"
                                                                    : "this address speaks ttrpc, not gRPC");
    else if (kind == GREETING_TTRPC)
        return change_protocol(connection, connection->server->ttrpc,
                               greeting->expected == GREETING_HTTP1
                                   ? "this address speaks HTTP/1.1, not ttrpc"
                                   : "this address speaks gRPC, not ttrpc");
    else if (greeting->expected == GREETING_HTTP1)
        greeting_answer(greeting, only_http, sizeof(only_http) - 1);
    else if (greeting->expected == GREETING_TTRPC)
        greeting_answer(greeting, only_ttrpc, sizeof(only_ttrpc) - 1);
    else
        greeting_answer(greeting, only_grpc, sizeof(only_grpc) - 1);
    return NULL;
}

/*
 * Inside TLS: a client that agreed on HTTP/2 and speaks HTTP/1.1 anyway. HTTP/2 itself reports everything
 * else.
 */
static const char *on_foreign_covered(struct greeting *greeting, enum greeting_kind kind)
{
    if (kind != GREETING_HTTP1 || greeting->is_forced)
        return NULL;
    tell_foreign(from_greeting(greeting), kind, greeting->expected);
    greeting_answer(greeting, only_http2, sizeof(only_http2) - 1);
    return NULL;
}

/* Without memory for a deadline the peer has unlimited time. */
static void on_waiting(struct greeting *greeting)
{
    struct server_connection *connection = from_greeting(greeting);

    if (greeting->answer != NULL)
        await_handshake(connection, LINGER_MS);
    else if (connection->handshake_deadline.place == 0)
        await_handshake(connection, connection->server->limits.handshake_timeout_ms);
}

static void attach_covered_greeting(struct server_connection *connection)
{
    connection->covered_greeting = (struct greeting){
        .expected = connection->protocol->kind,
        .is_covered = true,
        .on_foreign = on_foreign_covered,
        .on_waiting = on_waiting,
    };
    greeting_attach(&connection->covered_greeting, &connection->base);
}

/* Readies it for a peer that speaks another protocol than the address, and says so to both. */
static void attach_greeting(struct server_connection *connection)
{
    connection->greeting = (struct greeting){
        .expected = connection->tls != NULL ? GREETING_TLS : connection->protocol->kind,
        .on_foreign = on_foreign,
        .on_waiting = on_waiting,
    };
    greeting_attach(&connection->greeting, &connection->base);
}

static void tell_refusals(struct berth_rpc_server *server)
{
    if (server->buffered.refusals == server->refusals_told)
        return;
    server->refusals_told = server->buffered.refusals;
    server_log(
        server, SERVER_CAUSE_FULL, BERTH_RPC_LOG_WARN,
        "max_buffered_bytes reached: calls beyond a connection's share end with RESOURCE_EXHAUSTED used=%llu "
        "limit=%llu connections=%u",
        (unsigned long long)server->buffered.used, (unsigned long long)server->buffered.limit,
        server->stats.connections);
}

static void on_ready(struct connection *base)
{
    struct server_connection *connection = from_base(base);

    connection->protocol->process(connection);
    tell_refusals(connection->server);
}

static void on_lost(struct connection *base, const char *reason)
{
    struct server_connection *connection = from_base(base);
    struct berth_rpc_server *server = connection->server;

    deadlines_stop(&server->engine.deadlines, &connection->handshake_deadline);
    deadlines_stop(&server->engine.deadlines, &connection->drain_deadline);
    stop_aging(connection);
    if (connection->tls != NULL && tls_has_failed(connection->tls))
        server_log(server, SERVER_CAUSE_TLS, BERTH_RPC_LOG_WARN, "%s: %s", connection->peer.address, reason);
    else
        server_log(server, SERVER_CAUSE_LOST, BERTH_RPC_LOG_DEBUG, "%s: %s", connection->peer.address,
                   reason);
    connection->protocol->lose(connection);
}

static void on_closed(struct connection *base)
{
    struct server_connection *connection = from_base(base);
    struct berth_rpc_server *server = connection->server;

    LIST_REMOVE(connection, link);
    server->stats.connections--;
    leave_peer(connection);
    free(connection);
    server->settle(server);
}

static const struct connection_events events = {
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_closed = on_closed,
};

struct server_connection *server_connection_create(struct berth_rpc_server *server, uv_handle_type type,
                                                   const struct server_protocol *protocol)
{
    struct server_connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL)
        return NULL;
    connection->server = server;
    connection->protocol = protocol;
    connection->number = ++server->last_number;
    connection->since_ns = uv_hrtime();
    connection->unfinished.limit = server->limits.max_unfinished_bytes;
    connection->unfinished.parent = &server->buffered;
    connection->base.write_timeout_ms = server->limits.write_timeout_ms;
    TAILQ_INIT(&connection->ready);
    LIST_INSERT_HEAD(&server->connections, connection, link);
    server->stats.connections++;
    connection_init(&connection->base, &server->engine, type, &events);
    connection->base.queued.parent = &server->buffered;
    return connection;
}

static void on_secured(struct connection *base)
{
    struct server_connection *connection = from_base(base);

    tls_identify(connection->tls, &connection->peer.who);
}

int server_connection_start(struct server_connection *connection, struct tls_context *tls)
{
    struct berth_rpc_server *server = connection->server;
    uv_os_fd_t fd;
    int result = uv_fileno(&connection->base.socket.handle, &fd);

    if (result == 0)
        peer_init(&connection->peer, fd);
    if (result == 0 && tls != NULL) {
        attach_covered_greeting(connection);
        connection->tls = tls_cover(&connection->base, tls, on_secured);
        result = connection->tls == NULL ? UV_ENOMEM : 0;
    }
    attach_greeting(connection);
    if (result == 0)
        result = connection->protocol->start(connection);
    if (result == 0 && connection->protocol->has_handshake &&
        !await_handshake(connection, server->limits.handshake_timeout_ms))
        result = UV_ENOMEM;
    if (result == 0 && !start_aging(connection))
        result = UV_ENOMEM;
    if (result == 0)
        server->stats.connections_accepted++;
    return result;
}

int server_connection_open(struct berth_rpc_server *server, int fd, struct server_connection **ret_connection)
{
    uv_handle_type type = uv_guess_handle(fd);
    struct server_connection *connection;
    int result;

    if (type != UV_TCP && type != UV_NAMED_PIPE)
        return UV_ENOTSOCK;
    connection = server_connection_create(server, type, server->grpc);
    if (connection == NULL)
        return UV_ENOMEM;
    result = type == UV_TCP ? uv_tcp_open(&connection->base.socket.tcp, fd)
                            : uv_pipe_open(&connection->base.socket.pipe, fd);
    if (result < 0) {
        connection_lose(&connection->base, uv_strerror(result));
        return result;
    }
    result = server_connection_start(connection, NULL);
    if (result < 0)
        connection_lose(&connection->base, uv_strerror(result));
    *ret_connection = connection;
    return 0;
}

void server_connection_drain(struct server_connection *connection)
{
    connection->greeting.is_forced = true;
    connection->covered_greeting.is_forced = true;
    if (!connection->base.is_lost && connection->drain_step != SERVER_DRAIN_FINAL)
        connection->protocol->drain(connection);
}

void server_connection_end(struct server_connection *connection, const char *reason)
{
    if (connection->base.is_lost)
        return;
    connection->greeting.is_forced = true;
    connection->covered_greeting.is_forced = true;
    connection->protocol->end(connection, reason);
    if (connection->base.session != NULL && connection->base.writing == NULL)
        connection_write(&connection->base);
    connection_lose(&connection->base, reason);
}
