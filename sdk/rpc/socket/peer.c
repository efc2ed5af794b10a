/* SPDX-License-Identifier: Apache-2.0 */
/* Identifies the peer of a socket: by SO_PEERCRED on a unix socket, by address over TCP. */
#include "peer.h"

#include <stdio.h>
#include <sys/socket.h>

static void ask_credentials(struct peer *peer, int fd)
{
    struct ucred credentials;
    socklen_t length = sizeof(credentials);

    snprintf(peer->address, sizeof(peer->address), "unix:");
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0 || credentials.pid <= 0)
        return;
    peer->who.pid = credentials.pid;
    peer->who.uid = credentials.uid;
    peer->who.gid = credentials.gid;
    snprintf(peer->address, sizeof(peer->address), "unix:pid=%ld,uid=%lu", (long)credentials.pid,
             (unsigned long)credentials.uid);
}

void peer_init(struct peer *peer, int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);

    peer->who = (struct berth_peer){.size = sizeof(peer->who), .pid = -1, .uid = -1, .gid = -1};
    peer->who.address = peer->address;
    if (getpeername(fd, (struct sockaddr *)&address, &length) == 0 && address.ss_family != AF_UNIX)
        tcp_address_format(&address, peer->address);
    else
        ask_credentials(peer, fd);
}
