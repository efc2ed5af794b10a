/* SPDX-License-Identifier: Apache-2.0 */
/* What servers and clients say alike of a connection: the protocol on it, and who is believed over TLS. */
#ifndef BERTH_RPC_TRANSPORT_H
#define BERTH_RPC_TRANSPORT_H

#include <stdint.h>

/** What is spoken on a listener or connection. */
enum berth_rpc_protocol {
    BERTH_RPC_GRPC = 0,
    BERTH_RPC_TTRPC = 1,
};

/** How a side of a TLS connection shows who it is, and whom it believes. Files are PEM. */
struct berth_rpc_tls_options {
    uint32_t size;
    /** Its certificate and the chain behind it, and the private key. A server needs both. */
    const char *certificate_file;
    const char *key_file;
    /**
     * Who may have signed the other side's certificate. A server that has one demands a certificate of each
     * client; a client without one trusts what the system trusts.
     */
    const char *ca_file;
    /** Of a client: the name that the server's certificate must bear; NULL: the host of the address. */
    const char *server_name;
};

#endif
