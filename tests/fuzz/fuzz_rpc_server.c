/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a whole connection to a server, gRPC's or ttrpc's, in pieces: when it is gone nothing of it is
 * left. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <berth/rpc/server.h>

#include "session.h"

/* The last byte of an empty SETTINGS frame is the NUL. */
#define GREETING "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0"

static uv_loop_t loop;
static struct berth_rpc_server *server;
static struct sockaddr_un place = {.sun_family = AF_UNIX};

static void start(void)
{
    const struct berth_rpc_server_options options = {
        .size = sizeof(options),
        .max_concurrent_streams = 16,
        .max_header_list_bytes = 4096,
        .max_recv_message_bytes = 64 * 1024,
        .max_send_message_bytes = 64 * 1024,
        .max_queued_bytes = 256 * 1024,
    };
    const struct berth_rpc_unix_options where = {
        .size = sizeof(where), .path = place.sun_path, .protocol = BERTH_RPC_TTRPC};
    char folder[] = "/tmp/fuzz-server-XXXXXX";
    char lock[sizeof(place.sun_path) + sizeof(".lock")];
    struct berth_error err;

    if (mkdtemp(folder) == NULL || uv_loop_init(&loop) != 0)
        abort();
    snprintf(place.sun_path, sizeof(place.sun_path), "%s/s", folder);
    snprintf(lock, sizeof(lock), "%s.lock", place.sun_path);
    if (berth_rpc_server_create(&loop, &options, session_router(), &server, &err) != BERTH_OK ||
        berth_rpc_server_listen_unix(server, &where, &err) != BERTH_OK)
        abort();
    unlink(lock);
}

static void leave(void)
{
    unlink(place.sun_path);
    *strrchr(place.sun_path, '/') = '\0';
    rmdir(place.sun_path);
}

static int connect_grpc(void)
{
    struct berth_error err;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 ||
        berth_rpc_server_adopt(server, ends[1], &err) != BERTH_OK)
        abort();
    return ends[0];
}

static int connect_ttrpc(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&place, sizeof(place)) != 0)
        abort();
    session_turn(&loop);
    return fd;
}

static struct berth_rpc_server_stats ask_stats(void)
{
    struct berth_rpc_server_stats stats = {.size = sizeof(stats)};

    berth_rpc_server_get_stats(server, &stats);
    return stats;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd;

    if (size < 2)
        return -1;
    if (server == NULL) {
        start();
        atexit(leave);
    }
    fd = (data[1] & SESSION_TTRPC) != 0 ? connect_ttrpc() : connect_grpc();
    if ((data[1] & SESSION_TTRPC) != 0)
        session_play(&loop, fd, data, size, NULL, 0);
    else
        session_play(&loop, fd, data, size, GREETING, sizeof(GREETING));
    close(fd);
    while (ask_stats().connections > 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert(ask_stats().calls == 0 && session_calls == 0);
    return 0;
}
