/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TLS_TLS_H
#define RPC_TLS_TLS_H

#include <berth/call.h>
#include <berth/rpc/transport.h>

#include <sdk/rpc/socket/connection.h>

/** What all TLS connections of one listener or one channel share: who this side is, and whom it trusts. */
struct tls_context;

/**
 * Reads the files.
 *
 * @param ret_warning  What an operator should look at all the same, or NULL; lives as long as the context.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT or BERTH_PERMISSION_DENIED with the file and what is wrong with
 * it; BERTH_UNAVAILABLE where the library with OpenSSL cannot be loaded; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code tls_context_create_server(const struct berth_rpc_tls_options *options,
                                          struct tls_context **ret_context, const char **ret_warning,
                                          struct berth_error *err);

/** @param host  Whose certificate it must be, unless the options name another; a name or an IP address. */
enum berth_code tls_context_create_client(const struct berth_rpc_tls_options *options, const char *host,
                                          struct tls_context **ret_context, struct berth_error *err);

/** Takes NULL. */
void tls_context_unref(struct tls_context *context);

/** TLS as a filter of a connection. */
struct tls;

/**
 * Covers what the connection speaks with TLS.
 *
 * @param context     Shared.
 * @param on_secured  Called from the top level after the handshake; may be NULL.
 * @return what lives as long as the connection, until its on_closed; NULL without memory.
 */
struct tls *tls_cover(struct connection *connection, struct tls_context *context,
                      void (*on_secured)(struct connection *connection));

/** Did TLS itself fail, so that an operator may want to know? */
bool tls_has_failed(const struct tls *tls);

/** Since when a part of a record waits for the rest of it, on the clock of uv_hrtime(); 0: none does. */
uint64_t tls_held_since_ns(const struct tls *tls);

/** Writes who the other side has proved to be, for as long as `tls` lives; nothing where it has not, or
 * without memory. */
void tls_identify(struct tls *tls, struct berth_peer *peer);

#endif
