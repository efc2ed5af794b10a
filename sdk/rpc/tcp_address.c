/* SPDX-License-Identifier: Apache-2.0 */
/* A host and a port in words and as the kernel has them. */
#include "tcp_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <uv.h>

/* Digits only: strtoul takes signs and spaces too. */
static bool parse_port(const char *text, uint16_t *ret_port)
{
    unsigned port = 0;

    if (text[0] == '\0')
        return false;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return false;
        port = port * 10 + (unsigned)(*at - '0');
        if (port > UINT16_MAX)
            return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

/* An IPv6 address has colons of its own and stands in brackets (RFC 3986 3.2.2). */
static bool split(const char *text, struct tcp_target *target)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t length;

    if (colon == NULL || !parse_port(colon + 1, &target->port))
        return false;
    length = (size_t)(colon - text);
    if (length > 2 && text[0] == '[' && colon[-1] == ']') {
        host++;
        length -= 2;
    } else if (memchr(text, ':', length) != NULL) {
        return false;
    }
    if (length == 0 || length >= sizeof(target->host))
        return false;
    memcpy(target->host, host, length);
    target->host[length] = '\0';
    return true;
}

enum berth_code tcp_target_parse(const char *text, struct tcp_target *ret_target, struct berth_error *err)
{
    struct tcp_target target;

    if (!split(text, &target))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%.128s\" is no host and port (try 127.0.0.1:50051 or [::1]:50051)", text);
    *ret_target = target;
    return BERTH_OK;
}

enum berth_code tcp_address_parse(const char *text, struct sockaddr_storage *ret_address,
                                  struct berth_error *err)
{
    struct sockaddr_storage address = {0};
    struct tcp_target target;

    if (text == NULL || !split(text, &target) ||
        (uv_ip4_addr(target.host, target.port, (struct sockaddr_in *)&address) != 0 &&
         uv_ip6_addr(target.host, target.port, (struct sockaddr_in6 *)&address) != 0))
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "\"%.128s\" is no IP address and port (try 127.0.0.1:50051, [::1]:50051, or 0.0.0.0:50051)",
            text == NULL ? "" : text);
    *ret_address = address;
    return BERTH_OK;
}

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
