/* SPDX-License-Identifier: Apache-2.0 */
/* A host and a port as the kernel has them, in words. */
#include "tcp_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include <uv.h>

void tcp_address_format(const struct sockaddr_storage *address, char ret_text[TCP_ADDRESS_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";

    ret_text[0] = '\0';
    if (address->ss_family == AF_INET) {
        uv_ip4_name((const struct sockaddr_in *)address, host, sizeof(host));
        snprintf(ret_text, TCP_ADDRESS_MAX, "%s:%u", host, tcp_address_port(address));
    } else if (address->ss_family == AF_INET6) {
        uv_ip6_name((const struct sockaddr_in6 *)address, host, sizeof(host));
        snprintf(ret_text, TCP_ADDRESS_MAX, "[%s]:%u", host, tcp_address_port(address));
    }
}

uint16_t tcp_address_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
}
