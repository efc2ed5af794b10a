/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_CLIENT_ADDRESS_H
#define RPC_CLIENT_ADDRESS_H

#include "tcp_address.h"

/** Where a channel connects to. */
struct client_address {
    /** Of a unix socket, borrowed from what was parsed; NULL: it is TCP. */
    const char *path;
    struct tcp_target target;
};

/**
 * Reads a path, with or without "unix:" before it, or "tcp:HOST:PORT".
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with what is wrong with it.
 */
enum berth_code client_address_parse(const char *text, struct client_address *ret_address,
                                     struct berth_error *err);

#endif
