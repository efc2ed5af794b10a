/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TLS_CONTEXT_H
#define RPC_TLS_CONTEXT_H

#include <stdbool.h>

#include <berth/error.h>
#include <berth/rpc/transport.h>

/** What all TLS connections of one listener or one channel share: who this side is, and whom it believes. */
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

struct tls_context *tls_context_ref(struct tls_context *context);
/** Takes NULL. */
void tls_context_unref(struct tls_context *context);

#endif
