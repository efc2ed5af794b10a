/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TLS_STATE_H
#define RPC_TLS_STATE_H

#include <openssl/ssl.h>

#include "tls.h"

#define TLS_NAMES_MAX 32

/** Names in a certificate. Zero-initialised: none. */
struct tls_identity {
    char *subject;
    char *names[TLS_NAMES_MAX];
    size_t name_count;
};

/**
 * Maximum plain text of one record; four records fill a batch with everything that TLS adds, even if the peer
 * asks for records of 512 bytes (RFC 6066 4).
 */
#define TLS_RECORD_BYTES (BATCH_BYTES_MAX / 4 - 1024)

struct tls_context {
    size_t references;
    SSL_CTX *settings;
    /** Created for the first connection. */
    BIO_METHOD *method;
    bool is_server;
    /** HTTP/1.1 is spoken inside, not HTTP/2. */
    bool is_http1;
    char *warning;
    /** Of a client: the expected name of the server. */
    char *server_name;
    bool name_is_address;
    /** Buffers for outgoing and incoming plain text; empty between functions. */
    unsigned char gathered[TLS_RECORD_BYTES];
    unsigned char opened[SSL3_RT_MAX_PLAIN_LENGTH];
};

struct tls {
    struct connection_filter filter;
    struct tls_context *context;
    struct connection *connection;
    void (*on_secured)(struct connection *connection);
    SSL *ssl;

    /** The protocol on top. */
    const struct connection_protocol *protocol;
    void *session;

    /** Input that OpenSSL has not read yet. */
    const uint8_t *source;
    size_t source_length;
    /** Where OpenSSL writes while a batch is being filled. */
    struct batch *sink;
    /** Receives its other output: handshake messages, alerts. NULL: none. */
    struct batch *answers;
    /** Frames that are not encrypted yet. */
    struct batch *text;

    /** Since when an incomplete record has been waiting; 0: none. */
    uint64_t held_since_ns;
    bool is_secured;
    bool has_failed;
    /** The client offered no protocol that is supported here. */
    bool lacks_protocol;
    struct tls_identity identity;
    char reason[192];
};

struct tls_context *tls_context_ref(struct tls_context *context);

/** OpenSSL's last error as text, never NULL; clears all its errors. The text is static. */
const char *tls_reason(void);

#endif
