/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_TCP_ADDRESS_H
#define RPC_SOCKET_TCP_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

/** Of "[IPv6%scope]:port" with its NUL. */
#define TCP_ADDRESS_MAX 88

/** "127.0.0.1:41822", "[::1]:41822"; of another family "". */
void tcp_address_format(const struct sockaddr_storage *address, char ret_text[TCP_ADDRESS_MAX]);

uint16_t tcp_address_port(const struct sockaddr_storage *address);

#endif
