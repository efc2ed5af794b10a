/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_GREETING_H
#define RPC_SOCKET_GREETING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connection.h"

/** The protocols that the first bytes on a socket can indicate. */
enum greeting_kind {
    /** Too few bytes to tell. */
    GREETING_PARTIAL,
    GREETING_HTTP2,
    GREETING_HTTP1,
    GREETING_TLS,
    GREETING_TTRPC,
    GREETING_OTHER,
};

/** This many bytes are enough to tell. */
#define GREETING_BYTES 20

/**
 * The first filter of a connection, at its socket: examines the peer's first bytes, and passes everything on
 * if they are of the expected protocol or of no known one. Zero-initialise, except `expected` and
 * `on_foreign`.
 */
struct greeting {
    struct connection_filter filter;
    enum greeting_kind expected;
    /** Is the peer a server? A server sends nothing before it knows its client's protocol. */
    bool from_server;
    bool is_known;
    /** Another filter is between it and the socket. */
    bool is_covered;
    /** Nothing is held back any more, whatever was received. */
    bool is_forced;

    /**
     * The peer speaks another protocol. May set a reply, or start another protocol on the connection, which
     * is then given the input so far.
     *
     * @return NULL, or why the connection ends.
     */
    const char *(*on_foreign)(struct greeting *greeting, enum greeting_kind kind);
    /** Waiting for more input, or for the peer to close: start a timeout. May be NULL. */
    void (*on_waiting)(struct greeting *greeting);

    struct connection *connection;
    /** The protocol on top of it. */
    const struct connection_protocol *protocol;
    void *session;

    /** Input that was too short to tell. */
    uint8_t head[GREETING_BYTES];
    size_t held;
    /** The last bytes to send: further input is dropped until the peer closes. NULL: none. */
    const char *answer;
    size_t answer_left;
};

/** For a client's first bytes, or a server's. Never GREETING_PARTIAL for more than GREETING_BYTES. */
enum greeting_kind greeting_recognise(bool from_server, const uint8_t *bytes, size_t length);

/** For people: "gRPC", "TLS". */
const char *greeting_name(enum greeting_kind kind);

/** Ends the connection with these bytes, which are constant. For on_foreign. */
void greeting_answer(struct greeting *greeting, const char *bytes, size_t length);

/** Inserts it between the connection's socket and all layers on it. */
void greeting_attach(struct greeting *greeting, struct connection *connection);

#endif
