/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TLS_FILES_H
#define RPC_TLS_FILES_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include <berth/error.h>

/** OpenSSL's last reason in words, never NULL; forgets all of its errors. The text lives for ever. */
const char *tls_reason(void);

/** Has `settings` show the certificate and the chain behind it. Refuses one that is not valid today. */
enum berth_code tls_use_certificate(SSL_CTX *settings, const char *path, struct berth_error *err);

/** @param ret_is_exposed  May every user of this machine read it? */
enum berth_code tls_use_key(SSL_CTX *settings, const char *path, const char *certificate_path,
                            bool *ret_is_exposed, struct berth_error *err);

/** Has `settings` believe whom these certificates have signed; servers also say so to their clients. */
enum berth_code tls_use_authorities(SSL_CTX *settings, const char *path, struct berth_error *err);

#endif
