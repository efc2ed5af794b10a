/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TLS_TLS_H
#define RPC_TLS_TLS_H

#include <sdk/rpc/socket/connection.h>
#include "identity.h"

struct tls_context;

/** TLS between a connection's socket and its protocol. */
struct tls;

/**
 * Has connection_start put TLS below the protocol; belongs to the connection from then on.
 *
 * @param context     Shared.
 * @param on_secured  Called from the top level when the other side is known; NULL: nobody asks.
 * @return false without memory.
 */
bool tls_cover(struct connection *connection, struct tls_context *context,
               void (*on_secured)(struct connection *connection));

/** What stands below `protocol` from now on. @return `tls` as its session. */
void *tls_start(struct tls *tls, const struct connection_protocol **protocol, void *session);

/** Takes NULL. */
void tls_destroy(struct tls *tls);

/** Did TLS itself fail, so that an operator may want to know? */
bool tls_has_failed(const struct tls *tls);

/** Who the other side has proved to be, for as long as `tls` lives; NULL: nobody, or no memory to say so. */
const struct tls_identity *tls_identify(struct tls *tls);

#endif
