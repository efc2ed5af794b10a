/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_PEER_H
#define RPC_SOCKET_PEER_H

#include <stdint.h>
#include <sys/socket.h>

#include <berth/call.h>

/** Of "[IPv6%scope]:port" with its NUL. */
#define TCP_ADDRESS_MAX 88

/** "127.0.0.1:41822", "[::1]:41822"; of another family "". */
void tcp_address_format(const struct sockaddr_storage *address, char ret_text[TCP_ADDRESS_MAX]);

uint16_t tcp_address_port(const struct sockaddr_storage *address);

/** Of an IPv6 address with its port, or a unix peer's numbers. */
#define PEER_ADDRESS_MAX TCP_ADDRESS_MAX

/** Who is at the other end, as the kernel says. */
struct peer {
    struct berth_peer who;
    char address[PEER_ADDRESS_MAX];
};

/** Asks the kernel for the peer of a connected socket. The struct must not move afterwards. */
void peer_init(struct peer *peer, int fd);

#endif
