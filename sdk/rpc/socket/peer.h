/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_PEER_H
#define RPC_SOCKET_PEER_H

#include <stdint.h>
#include <sys/socket.h>

#include <berth/call.h>

/** Size of "[IPv6%scope]:port" including its NUL. */
#define TCP_ADDRESS_MAX 88

/** "127.0.0.1:41822", "[::1]:41822"; "" for other families. */
void tcp_address_format(const struct sockaddr_storage *address, char ret_text[TCP_ADDRESS_MAX]);

uint16_t tcp_address_port(const struct sockaddr_storage *address);

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
