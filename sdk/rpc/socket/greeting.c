/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recognises the peer's protocol by its first bytes. Without this, a mismatch is hard to diagnose: HTTP/2,
 * ttrpc and TLS each take the others' bytes for a huge or invalid frame.
 */
#include "greeting.h"

#include <string.h>
#include <sys/socket.h>

#include <sdk/base/container_of.h>

/* The longest HTTP/1 method recognised, with the space after it. */
#define METHOD_BYTES 16

#define TLS_ALERT 21
#define TLS_HANDSHAKE 22
#define TLS_MAJOR 3

#define HTTP2_HEADER 9
#define HTTP2_SETTINGS 4
#define HTTP2_FRAME_MAX 16384

#define TTRPC_HEADER_BYTES 10
#define TTRPC_FRAME_MAX (4u << 20)
#define TTRPC_REQUEST_TYPE 1
#define TTRPC_RESPONSE_TYPE 2
#define TTRPC_DATA_TYPE 3

static uint32_t read32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* @return GREETING_OTHER if it cannot become `kind`. */
static enum greeting_kind match(const uint8_t *bytes, size_t length, const char *text,
                                enum greeting_kind kind)
{
    size_t whole = strlen(text);

    if (memcmp(bytes, text, length < whole ? length : whole) != 0)
        return GREETING_OTHER;
    return length < whole ? GREETING_PARTIAL : kind;
}

static enum greeting_kind match_tls(const uint8_t *bytes, size_t length)
{
    if (bytes[0] != TLS_HANDSHAKE && bytes[0] != TLS_ALERT)
        return GREETING_OTHER;
    if (length == 1)
        return GREETING_PARTIAL;
    return bytes[1] == TLS_MAJOR ? GREETING_TLS : GREETING_OTHER;
}

/* A stream that the client began, so that its number is odd. */
static enum greeting_kind match_ttrpc(bool from_server, const uint8_t *bytes, size_t length)
{
    if (bytes[0] != 0)
        return GREETING_OTHER;
    if (length < TTRPC_HEADER_BYTES)
        return GREETING_PARTIAL;
    if (read32(bytes) > TTRPC_FRAME_MAX || bytes[7] % 2 == 0)
        return GREETING_OTHER;
    if (from_server ? bytes[8] == TTRPC_RESPONSE_TYPE || bytes[8] == TTRPC_DATA_TYPE
                    : bytes[8] == TTRPC_REQUEST_TYPE)
        return GREETING_TTRPC;
    return GREETING_OTHER;
}

/* A method in capitals and its target: a path, a URL or "*" (RFC 9112 3.2). */
static enum greeting_kind match_method(const uint8_t *bytes, size_t length)
{
    size_t most = length < METHOD_BYTES ? length : METHOD_BYTES;

    for (size_t i = 0; i < most; i++) {
        if (bytes[i] == ' ' && i > 0 && i + 1 == length)
            return GREETING_PARTIAL;
        if (bytes[i] == ' ')
            return i > 0 && strchr("/h*", bytes[i + 1]) != NULL && bytes[i + 1] != '\0' ? GREETING_HTTP1
                                                                                        : GREETING_OTHER;
        if (bytes[i] < 'A' || bytes[i] > 'Z')
            return GREETING_OTHER;
    }
    return length < METHOD_BYTES ? GREETING_PARTIAL : GREETING_OTHER;
}

static enum greeting_kind match_settings(const uint8_t *bytes, size_t length)
{
    if (length < HTTP2_HEADER)
        return bytes[0] == 0 ? GREETING_PARTIAL : GREETING_OTHER;
    if (read32(bytes) >> 8 > HTTP2_FRAME_MAX || bytes[3] != HTTP2_SETTINGS || read32(bytes + 5) != 0)
        return GREETING_OTHER;
    return GREETING_HTTP2;
}

/* The first that matches; otherwise one that still may. */
static enum greeting_kind better(enum greeting_kind a, enum greeting_kind b)
{
    if (a == GREETING_OTHER || (a == GREETING_PARTIAL && b != GREETING_OTHER))
        return b;
    return a;
}

enum greeting_kind greeting_recognise(bool from_server, const uint8_t *bytes, size_t length)
{
    enum greeting_kind kind;

    if (length == 0)
        return GREETING_PARTIAL;
    kind = better(match_tls(bytes, length), match_ttrpc(from_server, bytes, length));
    if (from_server)
        return better(better(match_settings(bytes, length), kind),
                      match(bytes, length, "HTTP/1.", GREETING_HTTP1));
    kind = better(match(bytes, length, "PRI * HTTP/2.0\r\n", GREETING_HTTP2), kind);
    return kind == GREETING_HTTP2 || memcmp(bytes, "PRI ", length < 4 ? length : 4) == 0
               ? kind
               : better(kind, match_method(bytes, length));
}

const char *greeting_name(enum greeting_kind kind)
{
    switch (kind) {
    case GREETING_HTTP2:
        return "gRPC";
    case GREETING_HTTP1:
        return "HTTP/1.1";
    case GREETING_TLS:
        return "TLS";
    case GREETING_TTRPC:
        return "ttrpc";
    case GREETING_PARTIAL:
    case GREETING_OTHER:
        break;
    }
    return "an unknown protocol";
}

void greeting_answer(struct greeting *greeting, const char *bytes, size_t length)
{
    greeting->answer = bytes;
    greeting->answer_left = length;
}

static void wait(struct greeting *greeting)
{
    if (greeting->on_waiting != NULL)
        greeting->on_waiting(greeting);
}

static const char *pass(struct greeting *greeting, const uint8_t *bytes, size_t length)
{
    const char *reason = NULL;
    size_t held = greeting->held;

    greeting->is_known = true;
    greeting->held = 0;
    if (held > 0)
        reason = greeting->protocol->feed(greeting->session, greeting->head, held);
    if (reason != NULL || length == 0 || greeting->connection->is_lost)
        return reason;
    return greeting->protocol->feed(greeting->session, bytes, length);
}

static const char *feed(void *session, const uint8_t *bytes, size_t length)
{
    struct greeting *greeting = session;
    enum greeting_kind kind;
    const char *reason;
    size_t room;

    if (greeting->answer != NULL)
        return NULL;
    if (greeting->is_known)
        return greeting->protocol->feed(greeting->session, bytes, length);
    room = sizeof(greeting->head) - greeting->held;
    if (greeting->held == 0) {
        kind = greeting_recognise(greeting->from_server, bytes, length);
    } else {
        memcpy(greeting->head + greeting->held, bytes, length < room ? length : room);
        kind = greeting_recognise(greeting->from_server, greeting->head,
                                  greeting->held + (length < room ? length : room));
    }
    if (kind == GREETING_PARTIAL) {
        memcpy(greeting->head + greeting->held, bytes, length);
        greeting->held += length;
        wait(greeting);
        return NULL;
    }
    if (kind == greeting->expected || (kind == GREETING_OTHER && greeting->expected != GREETING_TLS))
        return pass(greeting, bytes, length);
    reason = greeting->on_foreign(greeting, kind);
    if (reason != NULL)
        return reason;
    wait(greeting);
    return greeting->answer != NULL ? NULL : pass(greeting, bytes, length);
}

static const char *fill(void *session, struct batch *batch)
{
    struct greeting *greeting = session;

    if (greeting->answer != NULL && greeting->answer_left > 0) {
        batch_add_bytes(batch, greeting->answer, greeting->answer_left);
        greeting->answer_left = 0;
        if (greeting->is_covered)
            greeting->connection->doom = "wrong protocol";
        return NULL;
    }
    if (greeting->answer != NULL) {
        /* It is written. What the other side still says is read, as closing earlier would lose the answer. */
        if (!greeting->is_covered)
            shutdown(greeting->connection->fd, SHUT_WR);
        return NULL;
    }
    if (!greeting->is_known && !greeting->from_server && !greeting->is_forced)
        return NULL;
    return greeting->protocol->fill(greeting->session, batch);
}

static void leave(void *session, struct batch *batch)
{
    struct greeting *greeting = session;

    if (greeting->answer == NULL && greeting->protocol != NULL && greeting->protocol->leave != NULL)
        greeting->protocol->leave(greeting->session, batch);
}

static bool is_over(const void *session)
{
    const struct greeting *greeting = session;

    return greeting->answer == NULL && greeting->held == 0 && greeting->protocol->is_over(greeting->session);
}

static void finish(void *session)
{
    struct greeting *greeting = session;

    if (greeting->protocol != NULL)
        greeting->protocol->finish(greeting->session);
    greeting->protocol = NULL;
}

static const struct connection_protocol greeting_protocol = {
    .feed = feed,
    .fill = fill,
    .leave = leave,
    .is_over = is_over,
    .finish = finish,
};

static void *start(struct connection_filter *filter, const struct connection_protocol **protocol,
                   void *session)
{
    struct greeting *greeting = CONTAINER_OF(filter, struct greeting, filter);

    if (greeting->protocol != NULL)
        greeting->protocol->finish(greeting->session);
    greeting->protocol = *protocol;
    greeting->session = session;
    *protocol = &greeting_protocol;
    return greeting;
}

void greeting_attach(struct greeting *greeting, struct connection *connection)
{
    greeting->connection = connection;
    greeting->filter.start = start;
    connection_add_filter(connection, &greeting->filter);
}
