/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls, by SO_PEERCRED. */
#include "peer.h"

#include <stdio.h>
#include <sys/socket.h>

void peer_init(struct peer *peer, int fd)
{
    struct ucred credentials;
    socklen_t length = sizeof(credentials);

    peer->who = (struct berth_peer){.size = sizeof(peer->who), .pid = -1, .uid = -1, .gid = -1};
    snprintf(peer->address, sizeof(peer->address), "unix:");
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 && credentials.pid > 0) {
        peer->who.pid = credentials.pid;
        peer->who.uid = credentials.uid;
        peer->who.gid = credentials.gid;
        snprintf(peer->address, sizeof(peer->address), "unix:pid=%ld,uid=%lu", (long)credentials.pid,
                 (unsigned long)credentials.uid);
    }
    peer->who.address = peer->address;
}
