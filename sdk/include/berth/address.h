/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses to connect to or listen on: the path of a unix socket, or a host and port. Servers, clients and
 * the configuration share this parser, so that they accept the same addresses. It performs no name lookups.
 */
#ifndef BERTH_ADDRESS_H
#define BERTH_ADDRESS_H

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Maximum length of a host name including its NUL (RFC 1035 2.3.4). */
#define BERTH_HOST_MAX 254

struct berth_address {
    /** Path of a unix socket, borrowed from the parsed text; NULL for TCP. */
    const char *path;
    /** "HOST:PORT" as written, borrowed; NULL for a unix socket. */
    const char *host_port;
    /** Without the brackets of an IPv6 address; with its scope ("fe80::1%eth0"). */
    char host[BERTH_HOST_MAX];
    uint16_t port;
    /** The host's address and port; AF_UNSPEC if the host is a name. */
    struct sockaddr_storage ip;
};

/** @return BERTH_OK; BERTH_INVALID_ARGUMENT if the kernel would not accept the path. */
static inline enum berth_code berth_address_check_path(const char *path, struct berth_error *err)
{
    const size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    size_t length = strlen(path);

    if (length == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "the path of the unix socket is empty");
    if (length <= most)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "\"%.200s\" is too long for a unix socket: %zu bytes, the kernel allows %zu", path,
                           length, most);
}

static inline bool berth_address_read_scope(const char *name, uint32_t *ret_scope)
{
    size_t digits = strspn(name, "0123456789");
    unsigned long number =
        digits > 0 && digits < 10 && name[digits] == '\0' ? strtoul(name, NULL, 10) : if_nametoindex(name);

    *ret_scope = (uint32_t)number;
    return number != 0;
}

/* @return false if the host is a name. */
static inline bool berth_address_read_ip(const char *host, uint16_t port, struct sockaddr_storage *ret_ip)
{
    const char *percent = strchr(host, '%');
    char plain[INET6_ADDRSTRLEN];
    size_t length = percent == NULL ? strlen(host) : (size_t)(percent - host);
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    memset(&in, 0, sizeof(in));
    memset(&in6, 0, sizeof(in6));
    memset(ret_ip, 0, sizeof(*ret_ip));
    if (length >= sizeof(plain))
        return false;
    memcpy(plain, host, length);
    plain[length] = '\0';
    if (percent == NULL && inet_pton(AF_INET, plain, &in.sin_addr) == 1) {
        in.sin_family = AF_INET;
        in.sin_port = htons(port);
        memcpy(ret_ip, &in, sizeof(in));
        return true;
    }
    if (inet_pton(AF_INET6, plain, &in6.sin6_addr) != 1 ||
        (percent != NULL && !berth_address_read_scope(percent + 1, &in6.sin6_scope_id)))
        return false;
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    memcpy(ret_ip, &in6, sizeof(in6));
    return true;
}

/** @return the port; 0 for other families. */
static inline uint16_t berth_address_port(const struct sockaddr_storage *ip)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    memcpy(&in, ip, sizeof(in));
    memcpy(&in6, ip, sizeof(in6));
    if (ip->ss_family == AF_INET6)
        return ntohs(in6.sin6_port);
    return ip->ss_family == AF_INET ? ntohs(in.sin_port) : 0;
}

/** Is it reachable from this machine only? 127.0.0.0/8, ::1, and 127.0.0.0/8 mapped into IPv6. */
static inline bool berth_address_is_loopback(const struct sockaddr_storage *ip)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (ip->ss_family == AF_INET) {
        memcpy(&in, ip, sizeof(in));
        return ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (ip->ss_family != AF_INET6)
        return false;
    memcpy(&in6, ip, sizeof(in6));
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) && in6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
}

/* `colon` is the one before the port. */
static inline enum berth_code berth_address_read_host(const char *text, const char *colon,
                                                      struct berth_address *address, struct berth_error *err)
{
    const char *host = address->host_port;
    size_t length = (size_t)(colon - host);
    bool is_in_brackets = length > 0 && host[0] == '[';

    if (length == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%.200s\" has no host before the port (try 127.0.0.1%.20s)", text, colon);
    if (length == 1 && host[0] == '*')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%.200s\": every address of this machine is written 0.0.0.0%.20s, or "
                               "[::]%.20s for IPv6 as well",
                               text, colon, colon);
    if (!is_in_brackets && memchr(host, ':', length) != NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%.200s\": an IPv6 address is written in brackets (try [::1]:50051)", text);
    for (size_t i = 0; i < length && !is_in_brackets; i++)
        if (strchr("/\\ \t@[]%\"'*", host[i]) != NULL)
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "\"%.200s\" is not a host and a port: '%c' is not part of a host name",
                                   text, host[i]);
    if (is_in_brackets) {
        host++;
        length = length < 3 || colon[-1] != ']' ? 0 : length - 2;
    } else if (length >= sizeof(address->host)) {
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.200s\": a host name has at most %zu bytes",
                               text, sizeof(address->host) - 1);
    }
    if (length < sizeof(address->host)) {
        memcpy(address->host, host, length);
        address->host[length] = '\0';
    }
    if (!berth_address_read_ip(address->host, address->port, &address->ip) && is_in_brackets)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               strchr(address->host, '%') != NULL
                                   ? "\"%.200s\" is not an IPv6 address with a network interface of this "
                                     "machine after the %%"
                                   : "\"%.200s\" is not an IPv6 address in brackets and a port (try "
                                     "[::1]:50051)",
                               text);
    return BERTH_OK;
}

/* `host_port` is the part of `text` after the scheme. */
static inline enum berth_code berth_address_read_host_port(const char *text, const char *host_port,
                                                           unsigned least_port, struct berth_address *address,
                                                           struct berth_error *err)
{
    const char *colon = strrchr(host_port, ':');
    const char *digits = colon == NULL ? "" : colon + 1;
    size_t digit_count = strspn(digits, "0123456789");
    unsigned long port;

    memset(address, 0, sizeof(*address));
    if (strstr(text, "://") != NULL && host_port == text)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%.200s\" is a URL; write the host and port alone, such as 127.0.0.1:2379",
                               text);
    if (colon == NULL || host_port[strlen(host_port) - 1] == ']')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.200s\" has no port (try %.100s:50051)", text,
                               host_port[0] == '\0' ? "127.0.0.1" : host_port);
    if (digit_count == 0 || digits[digit_count] != '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.200s\": \"%.40s\" is not a port number",
                               text, digits);
    port = digit_count > 6 ? 1000000 : strtoul(digits, NULL, 10);
    if (port < least_port || port > UINT16_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%.200s\": port %.20s is out of range (%u to 65535)", text, digits,
                               least_port);
    address->host_port = host_port;
    address->port = (uint16_t)port;
    return berth_address_read_host(text, colon, address, err);
}

/* "tcp:" or "tcp://" before a host and port is redundant. */
static inline const char *berth_address_skip_scheme(const char *text, const char *scheme)
{
    size_t length = strlen(scheme);

    if (strncmp(text, scheme, length) != 0)
        return text;
    return strncmp(text + length, "//", 2) == 0 ? text + length + 2 : text + length;
}

static inline bool berth_address_is_path(const char *text)
{
    if (strncmp(text, "unix:", 5) == 0 || text[0] == '/' || text[0] == '.')
        return true;
    if (strncmp(text, "tcp:", 4) == 0 || strstr(text, "://") != NULL)
        return false;
    return strchr(text, '/') != NULL || strchr(text, ':') == NULL;
}

/**
 * Parses an address to connect to: "HOST:PORT" or "tcp:HOST:PORT"; "unix:PATH" or a path. Text with a colon
 * but no slash is a host and port; write unix:NAME or ./NAME for a socket with such a name.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with a message that says what was expected.
 */
static inline enum berth_code berth_address_parse(const char *text, struct berth_address *ret_address,
                                                  struct berth_error *err)
{
    struct berth_address address;
    enum berth_code code;

    memset(&address, 0, sizeof(address));
    if (text == NULL || text[0] == '\0') {
        berth_error_set(err, BERTH_INVALID_ARGUMENT,
                        "the address is empty (try /run/berth/berth.sock or 127.0.0.1:50051)");
        return BERTH_INVALID_ARGUMENT;
    }
    if (berth_address_is_path(text)) {
        address.path = berth_address_skip_scheme(text, "unix:");
        code = berth_address_check_path(address.path, err);
    } else {
        code = berth_address_read_host_port(text, berth_address_skip_scheme(text, "tcp:"), 1, &address, err);
    }
    if (code != BERTH_OK)
        return BERTH_INVALID_ARGUMENT;
    *ret_address = address;
    return BERTH_OK;
}

/**
 * Parses an address to listen on: "HOST:PORT", with or without "tcp:", where port 0 is allowed. The host is
 * an IP address, or localhost, which is 127.0.0.1; `ip` is set to it.
 *
 * @return as berth_address_parse.
 */
static inline enum berth_code berth_address_parse_listener(const char *text,
                                                           struct berth_address *ret_address,
                                                           struct berth_error *err)
{
    struct berth_address address;
    enum berth_code code = berth_address_read_host_port(
        text == NULL ? "" : text, berth_address_skip_scheme(text == NULL ? "" : text, "tcp:"), 0, &address,
        err);

    if (code != BERTH_OK)
        return BERTH_INVALID_ARGUMENT;
    if (strcasecmp(address.host, "localhost") == 0)
        berth_address_read_ip("127.0.0.1", address.port, &address.ip);
    if (address.ip.ss_family == AF_UNSPEC) {
        berth_error_set(err, BERTH_INVALID_ARGUMENT,
                        "\"%.200s\" is not an IP address and port (try 127.0.0.1:50051, [::1]:50051, "
                        "or 0.0.0.0:50051)",
                        text);
        return BERTH_INVALID_ARGUMENT;
    }
    *ret_address = address;
    return BERTH_OK;
}

#ifdef __cplusplus
}
#endif

#endif
