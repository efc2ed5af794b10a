/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_DIAL_H
#define RPC_SOCKET_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "peer.h"

#define DIAL_REASON_MAX 192

/** One attempt to reach a host: tries its addresses in the resolver's order until one accepts. */
struct dial {
    uv_loop_t *loop;
    uv_getaddrinfo_t resolve;
    struct addrinfo *found;
    const struct addrinfo *next;
    uv_poll_t poll;
    int fd;
    int error;
    bool is_resolving;
    bool is_polling;
    bool is_cancelled;
    char reason[DIAL_REASON_MAX];
    /**
     * Called once, from the loop. May free the memory.
     *
     * @param fd  A connected socket, owned by the callee; -1: no address could be reached, with the reason.
     */
    void (*on_done)(struct dial *dial, int fd, const char *reason);
};

/** Starts it; `on_done` must be set, the rest zero. @return 0, or a libuv error and no on_done. */
int dial_start(struct dial *dial, uv_loop_t *loop, const char *host, uint16_t port);

/** Cancels it; on_done still follows if it has not been called. */
void dial_cancel(struct dial *dial);

#endif
