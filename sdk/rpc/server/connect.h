/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_CONNECT_H
#define RPC_SERVER_CONNECT_H

#include "http1.h"

/** @return the handler of the method at this path, whose `instance` is to be the connection; NULL if none may
 * be called over HTTP there. */
const struct berth_http *connect_find(struct berth_rpc_server *server, const char *path, const char *method);

/** Why a request is refused before its body is read. */
struct connect_refusal {
    unsigned status;
    const char *reason;
    /** A header field of the response; its name is NULL without one. */
    struct berth_http_header field;
};

/** A request for which connect_find found a handler that takes its method. @return Is it refused? */
bool connect_refuses(struct berth_rpc_server *server, const struct http1_reader *reader,
                     struct connect_refusal *ret_refusal);

#endif
