/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TLS_STATE_H
#define RPC_TLS_STATE_H

#include <openssl/ssl.h>

#include "tls.h"

#define TLS_NAMES_MAX 32

/** Names in a certificate. All zero: none. */
struct tls_identity {
    char *subject;
    char *names[TLS_NAMES_MAX];
    size_t name_count;
};

/** Of the text that is sealed at one time; four of them fill a batch with all that TLS adds, also where the
 * peer asks for records of 512 bytes (RFC 6066 4). */
#define TLS_RECORD_BYTES (BATCH_BYTES_MAX / 4 - 1024)

struct tls_context {
    size_t references;
    SSL_CTX *settings;
    /** Made for the first connection. */
    BIO_METHOD *method;
    bool is_server;
    char *warning;
    /** Of a client: who the server must be. */
    char *server_name;
    bool name_is_address;
    /** Where text is put together, and where it comes out; used up within one function. */
    unsigned char gathered[TLS_RECORD_BYTES];
    unsigned char opened[SSL3_RT_MAX_PLAIN_LENGTH];
};

struct tls {
    struct connection_filter filter;
    struct tls_context *context;
    struct connection *connection;
    void (*on_secured)(struct connection *connection);
    SSL *ssl;

    /** What is spoken above. */
    const struct connection_protocol *protocol;
    void *session;

    /** Input that OpenSSL has not read yet. */
    const uint8_t *source;
    size_t source_length;
    /** Where OpenSSL writes to while a batch is filled. */
    struct batch *sink;
    /** What it wrote while none was: answers in a handshake, alerts. NULL: nothing. */
    struct batch *answers;
    /** Frames that are not sealed. */
    struct batch *text;

    /** Since when a part of a record waits for the rest of it; 0: none does. */
    uint64_t held_since_ns;
    bool is_secured;
    bool has_failed;
    /** The client offered no protocol that is spoken here. */
    bool lacks_protocol;
    struct tls_identity identity;
    char reason[192];
};

struct tls_context *tls_context_ref(struct tls_context *context);

/** OpenSSL's last reason in words, never NULL; clears all of its errors. The text is static. */
const char *tls_reason(void);

#endif
