/* SPDX-License-Identifier: Apache-2.0 */
/* Opens listening TCP sockets, and writes TCP addresses. */
#include "tcp_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 1024

static enum berth_code refuse(const char *address, int error, struct berth_error *err)
{
    if (error == EADDRINUSE)
        return berth_error_set(
            err, BERTH_ALREADY_EXISTS,
            "cannot listen on %s: another process is already listening there; stop it or choose another port",
            address);
    if (error == EADDRNOTAVAIL)
        return berth_error_set(
            err, BERTH_UNAVAILABLE,
            "cannot listen on %s: it is not an address of this machine (\"ip address\" lists them)", address);
    if (error == EACCES || error == EPERM)
        return berth_error_set(
            err, BERTH_PERMISSION_DENIED,
            "cannot listen on %s: %s (ports below 1024 require root or CAP_NET_BIND_SERVICE)", address,
            strerror(error));
    return berth_error_set(err,
                           error == EMFILE || error == ENFILE ? BERTH_RESOURCE_EXHAUSTED : BERTH_UNAVAILABLE,
                           "cannot listen on %s: %s", address, strerror(error));
}

enum berth_code tcp_socket_listen(const struct sockaddr_storage *ip, const char *name, int backlog,
                                  int *ret_fd, struct berth_error *err)
{
    socklen_t length = ip->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    const int on = 1;
    int fd = socket(ip->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    enum berth_code code;

    if (fd < 0)
        return refuse(name, errno, err);
    /* A restart need not wait for connections in TIME_WAIT; a listener is in the way regardless. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, (const struct sockaddr *)ip, length) == 0 &&
        listen(fd, backlog > 0 ? backlog : BACKLOG) == 0) {
        *ret_fd = fd;
        return BERTH_OK;
    }
    code = refuse(name, errno, err);
    close(fd);
    return code;
}

static unsigned port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

void tcp_address_format(const struct sockaddr_storage *address, char ret_text[TCP_ADDRESS_MAX])
{
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;
    char host[INET6_ADDRSTRLEN] = "";
    char scope[16] = "";

    ret_text[0] = '\0';
    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, host, sizeof(host));
        snprintf(ret_text, TCP_ADDRESS_MAX, "%s:%u", host, port_of(address));
    } else if (address->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &ipv6->sin6_addr, host, sizeof(host));
        if (ipv6->sin6_scope_id != 0)
            snprintf(scope, sizeof(scope), "%%%u", (unsigned)ipv6->sin6_scope_id);
        snprintf(ret_text, TCP_ADDRESS_MAX, "[%s%s]:%u", host, scope, port_of(address));
    }
}
