/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_PEER_H
#define RPC_SOCKET_PEER_H

#include <stdint.h>
#include <sys/socket.h>

#include <berth/call.h>

#include <sdk/base/tcp_socket.h>

/** Size of an IPv6 address with its port, or of a unix peer's numbers. */
#define PEER_ADDRESS_MAX TCP_ADDRESS_MAX

/** The peer, as reported by the kernel. */
struct peer {
    struct berth_peer who;
    char address[PEER_ADDRESS_MAX];
};

/** Gets the peer of a connected socket from the kernel. The struct must not move afterwards. */
void peer_init(struct peer *peer, int fd);

#endif
