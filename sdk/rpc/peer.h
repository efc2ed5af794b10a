/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_PEER_H
#define RPC_PEER_H

#include <berth/call.h>

#define PEER_ADDRESS_MAX 64

/** Who is at the other end, as the kernel says. */
struct peer {
    struct berth_peer who;
    char address[PEER_ADDRESS_MAX];
};

/** Asks the kernel who is at the other end of a connected socket. Stays where it is afterwards. */
void peer_init(struct peer *peer, int fd);

#endif
