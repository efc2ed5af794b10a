/* SPDX-License-Identifier: Apache-2.0 */
/* A client whose server answers with whatever the input is: each of its calls ends exactly once. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <berth/rpc/client.h>

#include "session.h"

/* SETTINGS and its answer; the last byte is the NUL. */
#define GREETING "\0\0\0\4\0\0\0\0\0\0\0\4\1\0\0\0"
#define CALLS 4

static struct sockaddr_un place = {.sun_family = AF_UNIX};
static int listener = -1;
static unsigned ended;

static void leave(void)
{
    unlink(place.sun_path);
    *strrchr(place.sun_path, '/') = '\0';
    rmdir(place.sun_path);
}

static void listen_somewhere(void)
{
    char folder[] = "/tmp/fuzz-client-XXXXXX";

    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener < 0 || mkdtemp(folder) == NULL)
        abort();
    snprintf(place.sun_path, sizeof(place.sun_path), "%s/s", folder);
    if (bind(listener, (struct sockaddr *)&place, sizeof(place)) != 0 || listen(listener, 16) != 0)
        abort();
    atexit(leave);
}

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    if (length > 0 && *(const char *)message == 'p')
        berth_rpc_call_pause(call);
    else if (length > 0 && *(const char *)message == 'c')
        berth_rpc_call_cancel(call);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    assert(message != NULL);
    ended++;
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers), .on_message = on_message, .on_end = on_end};

static struct berth_rpc_channel *call_all(uv_loop_t *loop, bool is_ttrpc)
{
    const struct berth_rpc_channel_options options = {
        .size = sizeof(options),
        .address = place.sun_path,
        .protocol = is_ttrpc ? BERTH_RPC_TTRPC : BERTH_RPC_GRPC,
        .max_header_list_bytes = 4096,
        .max_recv_message_bytes = 64 * 1024,
        .max_transparent_retries = 1,
    };
    struct berth_rpc_channel *channel;
    struct berth_rpc_call *call;
    struct berth_error err;

    if (berth_rpc_channel_create(loop, &options, &channel, &err) != BERTH_OK)
        abort();
    for (int kind = 0; kind < CALLS; kind++) {
        const struct berth_rpc_call_options what = {
            .size = sizeof(what), .path = "/t.T/Call", .kind = (enum berth_method_kind)kind};

        if (berth_rpc_call_start(channel, &what, &handlers, NULL, &call, &err) != BERTH_OK)
            abort();
        berth_rpc_call_send(call, "request", 7);
        if (kind != BERTH_METHOD_BIDI_STREAM)
            berth_rpc_call_half_close(call);
    }
    return channel;
}

static int take_connection(uv_loop_t *loop)
{
    int fd = -1;

    while (fd < 0) {
        uv_run(loop, UV_RUN_NOWAIT);
        fd = accept(listener, NULL, NULL);
    }
    session_turn(loop);
    return fd;
}

/* Tries that the client made when its first connection was gone. */
static void hang_up_on_the_rest(void)
{
    int fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0)
        close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool is_ttrpc = size >= 2 && (data[1] & SESSION_TTRPC) != 0;
    struct berth_rpc_channel *channel;
    uv_loop_t loop;
    int fd;

    if (size < 2)
        return -1;
    if (listener < 0)
        listen_somewhere();
    ended = 0;
    if (uv_loop_init(&loop) != 0)
        abort();
    channel = call_all(&loop, is_ttrpc);
    fd = take_connection(&loop);
    session_play(&loop, fd, data, size, GREETING, is_ttrpc ? 0 : sizeof(GREETING));
    close(fd);
    session_turn(&loop);
    berth_rpc_channel_close(channel, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    hang_up_on_the_rest();
    assert(ended == CALLS);
    if (uv_loop_close(&loop) != 0)
        abort();
    return 0;
}
