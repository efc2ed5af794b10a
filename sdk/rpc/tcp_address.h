/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TCP_ADDRESS_H
#define RPC_TCP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <berth/error.h>

/** Of "[IPv6%scope]:port" with its NUL. */
#define TCP_ADDRESS_MAX 88

#define TCP_HOST_MAX 254

/** "HOST:PORT" taken apart, the brackets of an IPv6 address left out. */
struct tcp_target {
    char host[TCP_HOST_MAX];
    uint16_t port;
};

/** @return BERTH_OK; BERTH_INVALID_ARGUMENT with an example of how it is written. */
enum berth_code tcp_target_parse(const char *text, struct tcp_target *ret_target, struct berth_error *err);

/** The same where the host must be an IPv4 or IPv6 address. */
enum berth_code tcp_address_parse(const char *text, struct sockaddr_storage *ret_address,
                                  struct berth_error *err);

/** "127.0.0.1:41822", "[::1]:41822"; of another family "". */
void tcp_address_format(const struct sockaddr_storage *address, char ret_text[TCP_ADDRESS_MAX]);

uint16_t tcp_address_port(const struct sockaddr_storage *address);

#endif
