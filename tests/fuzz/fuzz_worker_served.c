/* SPDX-License-Identifier: Apache-2.0 */
/* A worker whose daemon sends it any bytes: calls are opened, fed, ended and cancelled in every order. */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <core/inside/served.h>

#include "echo_service.h"

static struct served served;
static bool is_closed;

static void on_packet(struct channel *channel, const struct packet *packet)
{
    if (packet->call != 0)
        served_take(&served, packet);
}

static void on_broken(struct channel *channel, const char *reason)
{
    assert(reason[0] != '\0');
}

static void on_closed(struct channel *channel)
{
    is_closed = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel channel = {.on_packet = on_packet, .on_broken = on_broken};
    struct router *router = router_create();
    uv_loop_t loop;
    char sink[65536];
    int pair[2];

    assert(router != NULL && uv_loop_init(&loop) == 0);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    assert(channel_open(&channel, &loop, pair[0]) == 0);
    assert(served_init(&served, &channel, 1, router));
    assert(router_provide(router, "p", &echo_service, NULL, NULL) == BERTH_OK);
    for (size_t at = 0; at < size && !channel.is_broken;) {
        size_t piece = size - at < 4096 ? size - at : 4096;
        ssize_t sent = send(pair[1], data + at, piece, MSG_NOSIGNAL | MSG_DONTWAIT);

        at += sent > 0 ? (size_t)sent : 0;
        uv_run(&loop, UV_RUN_NOWAIT);
        while (recv(pair[1], sink, sizeof(sink), MSG_DONTWAIT) > 0)
            ;
    }
    uv_run(&loop, UV_RUN_NOWAIT);
    served_finish(&served);
    is_closed = false;
    channel_close(&channel, on_closed);
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
    close(pair[1]);
    assert(uv_loop_close(&loop) == 0);
    router_destroy(router);
    return 0;
}
