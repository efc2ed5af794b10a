/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TLS_TLS_H
#define RPC_TLS_TLS_H

#include <berth/call.h>
#include <berth/rpc/transport.h>

#include <sdk/rpc/socket/connection.h>

/** Shared by all TLS connections of one listener or channel: identity and trusted CAs. */
struct tls_context;

/**
 * Reads the files.
 *
 * @param is_http1     Clients speak HTTP/1.1 and need no ALPN; else HTTP/2, which they must ask for.
 * @param ret_warning  A warning for the operator, or NULL; lives as long as the context.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT or BERTH_PERMISSION_DENIED with the file and what is wrong with
 *         it; BERTH_UNAVAILABLE if the library with OpenSSL cannot be loaded; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code tls_context_create_server(const struct berth_rpc_tls_options *options, bool is_http1,
                                          struct tls_context **ret_context, const char **ret_warning,
                                          struct berth_error *err);

/** @param host  Expected in the certificate, unless the options name another; a name or an IP address. */
enum berth_code tls_context_create_client(const struct berth_rpc_tls_options *options, const char *host,
                                          struct tls_context **ret_context, struct berth_error *err);

/** Accepts NULL. */
void tls_context_unref(struct tls_context *context);

/** TLS as a filter of a connection. */
struct tls;

/**
 * Wraps the connection's protocol in TLS.
 *
 * @param context     Shared.
 * @param on_secured  Called from the top level after the handshake; may be NULL.
 * @return lives as long as the connection, until its on_closed; NULL without memory.
 */
struct tls *tls_cover(struct connection *connection, struct tls_context *context,
                      void (*on_secured)(struct connection *connection));

/** Did TLS itself fail, so that the operator should know? */
bool tls_has_failed(const struct tls *tls);

/** Since when an incomplete record has been waiting, on the clock of uv_hrtime(); 0: none. */
uint64_t tls_held_since_ns(const struct tls *tls);

/**
 * Fills in the peer's verified identity, which lives as long as `tls`; nothing without one, or without
 * memory.
 */
void tls_identify(struct tls *tls, struct berth_peer *peer);

#endif
