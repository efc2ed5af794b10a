/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections each network peer has, so that one cannot take them all. A peer is an IPv4 address or
 * the /64 of an IPv6 address, which is the least that one customer is given. Unix sockets are not counted.
 */
#include "state.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define IPV6_PREFIX_BYTES 8

static const unsigned char mapped_ipv4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* @return false where it is no internet address. */
static bool make_key(int fd, unsigned char ret_key[SERVER_PEER_KEY])
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&address;
    const unsigned char *ipv6 = ((const struct sockaddr_in6 *)&address)->sin6_addr.s6_addr;

    memset(ret_key, 0, SERVER_PEER_KEY);
    if (getpeername(fd, (struct sockaddr *)&address, &length) != 0)
        return false;
    if (address.ss_family == AF_INET) {
        memcpy(ret_key, mapped_ipv4, sizeof(mapped_ipv4));
        memcpy(ret_key + sizeof(mapped_ipv4), &ipv4->sin_addr, sizeof(ipv4->sin_addr));
        return true;
    }
    if (address.ss_family != AF_INET6)
        return false;
    memcpy(ret_key, ipv6,
           memcmp(ipv6, mapped_ipv4, sizeof(mapped_ipv4)) == 0 ? SERVER_PEER_KEY : IPV6_PREFIX_BYTES);
    return true;
}

/* FNV-1a from where the server happens to be in memory, so that nobody can choose who shares a bucket. */
static size_t bucket_of(const struct berth_rpc_server *server, const unsigned char key[SERVER_PEER_KEY])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uintptr_t)server;

    for (size_t i = 0; i < SERVER_PEER_KEY; i++)
        hash = (hash ^ key[i]) * UINT64_C(0x100000001b3);
    return (hash >> 32) % SERVER_PEER_BUCKETS;
}

static struct server_peer *find(struct server_peer *first, const unsigned char key[SERVER_PEER_KEY])
{
    while (first != NULL && memcmp(first->key, key, SERVER_PEER_KEY) != 0)
        first = first->next;
    return first;
}

bool server_peer_join(struct server_connection *connection, int fd)
{
    struct berth_rpc_server *server = connection->server;
    unsigned char key[SERVER_PEER_KEY];
    struct server_peer **bucket;
    struct server_peer *peer;

    if (server->limits.max_connections_per_peer == 0 || !make_key(fd, key))
        return true;
    bucket = &server->peers[bucket_of(server, key)];
    peer = find(*bucket, key);
    if (peer == NULL) {
        peer = calloc(1, sizeof(*peer));
        if (peer == NULL)
            return false;
        memcpy(peer->key, key, sizeof(key));
        peer->next = *bucket;
        *bucket = peer;
    }
    peer->connections++;
    connection->counted = peer;
    return peer->connections <= server->limits.max_connections_per_peer;
}

void server_peer_leave(struct server_connection *connection)
{
    struct server_peer *peer = connection->counted;
    struct server_peer **place;

    connection->counted = NULL;
    if (peer == NULL || --peer->connections > 0)
        return;
    place = &connection->server->peers[bucket_of(connection->server, peer->key)];
    while (*place != peer)
        place = &(*place)->next;
    *place = peer->next;
    free(peer);
}
