/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers at the wrong address. They are told in their own protocol as far as it lets them hear: calls of gRPC
 * and ttrpc are refused one by one, HTTP/1.1 has a sentence, a TLS client gets what is plainly not TLS, and
 * one without TLS gets what plainly is.
 */
#include "state.h"

#include <sdk/base/container_of.h>

/* How long a peer has to read its answer and close. */
#define LINGER_MS 1000

#define HTTP1(status, sentence)                                                                              \
    "HTTP/1.1 " status "\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" sentence "\n"

static const char only_grpc[] =
    HTTP1("505 HTTP Version Not Supported", "This address speaks gRPC over HTTP/2, without TLS.");
static const char only_ttrpc[] =
    HTTP1("505 HTTP Version Not Supported", "This address speaks ttrpc, not HTTP.");
static const char only_tls[] =
    HTTP1("400 Bad Request", "This address speaks gRPC over TLS. Connect with TLS.");

/* A fatal alert, unexpected_message (RFC 8446 6). SETTINGS and GOAWAY could carry a sentence, but a client
 * then takes the connection for one that worked and comes back without a pause. */
static const char tls_alert[] = "\x15\3\3\0\2\2\x0a";

/* Nothing of the protocol that was begun has been heard or said. */
static const char *change_protocol(struct server_connection *connection,
                                   const struct server_protocol *protocol, const char *refusal)
{
    connection->protocol->lose(connection);
    connection->ttrpc = NULL;
    connection->protocol = protocol;
    connection->refusal = refusal;
    return protocol->start(connection) == 0 ? NULL : "out of memory";
}

static const char *on_foreign(struct greeting *greeting, enum greeting_kind kind)
{
    struct server_connection *connection = CONTAINER_OF(greeting, struct server_connection, greeting);
    bool is_tls = greeting->expected == GREETING_TLS;

    server_log(connection->server, SERVER_CAUSE_FOREIGN, BERTH_RPC_LOG_WARN,
               "wrong protocol: client speaks %s, but this address speaks %s peer=%s", greeting_name(kind),
               greeting_name(greeting->expected), connection->peer.address);
    /* It was told to go in the protocol expected, whose session has timers by now and cannot be changed. */
    if (greeting->is_forced)
        return "it speaks another protocol, and is to go";
    if (is_tls && kind == GREETING_HTTP1)
        greeting_answer(greeting, only_tls, sizeof(only_tls) - 1);
    else if (is_tls)
        greeting_answer(greeting, tls_alert, sizeof(tls_alert) - 1);
    else if (kind == GREETING_HTTP2)
        return change_protocol(connection, &server_http2, "this address speaks ttrpc, not gRPC");
    else if (kind == GREETING_TTRPC)
        return change_protocol(connection, &server_ttrpc, "this address speaks gRPC, not ttrpc");
    else if (greeting->expected == GREETING_TTRPC)
        greeting_answer(greeting, only_ttrpc, sizeof(only_ttrpc) - 1);
    else
        greeting_answer(greeting, only_grpc, sizeof(only_grpc) - 1);
    return NULL;
}

/* Without memory for a deadline the peer may take its time. */
static void on_waiting(struct greeting *greeting)
{
    struct server_connection *connection = CONTAINER_OF(greeting, struct server_connection, greeting);

    if (greeting->answer != NULL)
        server_await_handshake(connection, LINGER_MS);
    else if (connection->handshake_deadline.place == 0)
        server_await_handshake(connection, connection->server->limits.handshake_timeout_ms);
}

void server_greeting_init(struct server_connection *connection)
{
    connection->greeting = (struct greeting){
        .expected = connection->tls != NULL                 ? GREETING_TLS
                    : connection->protocol == &server_ttrpc ? GREETING_TTRPC
                                                            : GREETING_HTTP2,
        .on_foreign = on_foreign,
        .on_waiting = on_waiting,
    };
    greeting_attach(&connection->greeting, &connection->base);
}
