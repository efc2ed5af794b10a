/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_GREETING_H
#define RPC_SOCKET_GREETING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connection.h"

/** What the first bytes on a socket are the beginning of. */
enum greeting_kind {
    /** They are too few to tell. */
    GREETING_PARTIAL,
    GREETING_HTTP2,
    GREETING_HTTP1,
    GREETING_TLS,
    GREETING_TTRPC,
    GREETING_OTHER,
};

/** So many bytes are enough to tell. */
#define GREETING_BYTES 20

/**
 * The first stage of a connection, at its socket: looks at what the other side says first and passes all on
 * where that is the protocol expected, or none that is known. All zero but `expected` and `on_foreign` is
 * fresh.
 */
struct greeting {
    struct connection_filter filter;
    enum greeting_kind expected;
    /** The peer is a server? A server sends nothing itself before it knows what its client speaks. */
    bool from_server;
    bool is_known;
    /** Another filter stands between it and the socket. */
    bool is_covered;
    /** Nothing is held back any more, whatever has been heard. */
    bool is_forced;

    /**
     * The other side speaks another protocol. May set an answer, or start another protocol on the connection,
     * which is then given what came.
     *
     * @return NULL, or why the connection ends.
     */
    const char *(*on_foreign)(struct greeting *greeting, enum greeting_kind kind);
    /** Waiting for more input, or for the peer to close: start a timeout. May be NULL. */
    void (*on_waiting)(struct greeting *greeting);

    struct connection *connection;
    /** The protocol behind it. */
    const struct connection_protocol *protocol;
    void *session;

    /** Input that was too short to tell. */
    uint8_t head[GREETING_BYTES];
    size_t held;
    /** All that is said any more: what else comes is dropped, until the other side closes. NULL: nothing. */
    const char *answer;
    size_t answer_left;
};

/** Of a client's first bytes, or a server's. Of more than GREETING_BYTES never GREETING_PARTIAL. */
enum greeting_kind greeting_recognise(bool from_server, const uint8_t *bytes, size_t length);

/** For people: "gRPC", "TLS". */
const char *greeting_name(enum greeting_kind kind);

/** Ends the connection with these bytes, which are constant. For on_foreign. */
void greeting_answer(struct greeting *greeting, const char *bytes, size_t length);

/** Puts it between the connection's socket and all that stands on it so far. */
void greeting_attach(struct greeting *greeting, struct connection *connection);

#endif
