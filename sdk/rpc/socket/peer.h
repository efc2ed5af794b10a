/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_PEER_H
#define RPC_SOCKET_PEER_H

#include <berth/call.h>

#include "tcp_address.h"
#include <sdk/rpc/tls/identity.h>

/** Of an IPv6 address with its port, or a unix peer's numbers. */
#define PEER_ADDRESS_MAX TCP_ADDRESS_MAX

/** Who is at the other end, as the kernel says. */
struct peer {
    struct berth_peer who;
    char address[PEER_ADDRESS_MAX];
};

/** Asks the kernel who is at the other end of a connected socket. Stays where it is afterwards. */
void peer_init(struct peer *peer, int fd);

/** What its certificate says; borrowed. */
void peer_identify(struct peer *peer, const struct tls_identity *identity);

#endif
