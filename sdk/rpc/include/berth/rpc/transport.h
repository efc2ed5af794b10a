/* SPDX-License-Identifier: Apache-2.0 */
/* Options that servers and clients share: the protocol, and TLS. */
#ifndef BERTH_RPC_TRANSPORT_H
#define BERTH_RPC_TRANSPORT_H

#include <stdint.h>

/** The protocol of a listener or connection. */
enum berth_rpc_protocol {
    BERTH_RPC_GRPC = 0,
    BERTH_RPC_TTRPC = 1,
    /** HTTP/1.1, of servers only: see <berth/rpc/http.h>. */
    BERTH_RPC_HTTP = 2,
};

/** Identity and trust of one side of a TLS connection. Files are PEM. */
struct berth_rpc_tls_options {
    uint32_t size;
    /** Own certificate with its chain, and the private key. A server needs both. */
    const char *certificate_file;
    const char *key_file;
    /**
     * CAs trusted to sign the peer's certificate. With it, a server requires client certificates; without it,
     * a client trusts the system's CAs.
     */
    const char *ca_file;
    /** Client only: name expected in the server's certificate; NULL: the host of the address. */
    const char *server_name;
};

#endif
