/* SPDX-License-Identifier: Apache-2.0 */
/* Opens listening TCP sockets. */
#ifndef BASE_TCP_SOCKET_H
#define BASE_TCP_SOCKET_H

#include <sys/socket.h>

#include <berth/error.h>

/**
 * @param ip       With its port; 0: any free one.
 * @param name     For people, as configured.
 * @param backlog  Connections that may wait to be accepted; 0: 1024.
 * @param ret_fd   Listening and non-blocking; owned by the caller.
 * @return BERTH_OK; BERTH_ALREADY_EXISTS if the address is in use; BERTH_PERMISSION_DENIED; BERTH_UNAVAILABLE
 *         with the reason.
 */
enum berth_code tcp_socket_listen(const struct sockaddr_storage *ip, const char *name, int backlog,
                                  int *ret_fd, struct berth_error *err);

/** Size of "[IPv6%scope]:port" including its NUL. */
#define TCP_ADDRESS_MAX 88

/** "127.0.0.1:41822", "[::1]:41822", "[fe80::1%2]:41822" with the number of its interface; "" for other
 * families. */
void tcp_address_format(const struct sockaddr_storage *address, char ret_text[TCP_ADDRESS_MAX]);

#endif
