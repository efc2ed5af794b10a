/* SPDX-License-Identifier: Apache-2.0 */
/* A service with every kind of method, and a peer that sends an input in pieces. */
#include "session.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TURNS 3

size_t session_calls;

static void on_start(struct berth_call *call)
{
    session_calls++;
    if (call->metadata_count > 0)
        berth_call_add_trailer(call, call->metadata[0].key, call->metadata[0].value,
                               call->metadata[0].value_length);
}

static void on_end(struct berth_call *call, enum berth_code code)
{
    assert(session_calls > 0);
    session_calls--;
}

static void echo(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

/* The state is how many blocks are left to be sent. */
static void send_blocks(struct berth_call *call)
{
    static const char block[8 * 1024];
    uintptr_t left = (uintptr_t)call->state;

    while (left > 0 && berth_call_can_send(call)) {
        if (berth_call_send(call, block, sizeof(block)) != BERTH_OK)
            left = 1;
        left--;
    }
    call->state = (void *)left;
    if (left == 0)
        berth_call_finish(call, BERTH_OK, NULL);
}

static void start_blocks(struct berth_call *call, const void *message, size_t length)
{
    call->state = (void *)(length == 0 ? (uintptr_t)0 : (uintptr_t) * (const uint8_t *)message);
    send_blocks(call);
}

static void take(struct berth_call *call, const void *message, size_t length)
{
    call->state = (void *)((uintptr_t)call->state + length);
}

static void answer(struct berth_call *call)
{
    berth_call_reply(call, &call->state, sizeof(call->state));
}

static void converse(struct berth_call *call, const void *message, size_t length)
{
    switch (length == 0 ? 0 : *(const char *)message) {
    case 'c':
        berth_call_compress(call, true);
        break;
    case 'e':
        berth_call_finish_with_details(call, BERTH_ABORTED, "enough", message, length);
        return;
    case 'h':
        berth_call_send_headers(call);
        break;
    case 'p':
        berth_call_pause(call);
        break;
    case 'r':
        berth_call_pause(call);
        berth_call_resume(call);
        break;
    }
    if (berth_call_send(call, message, length) != BERTH_OK)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "enough");
}

static void finish(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

static const struct berth_method methods[] = {
    {.name = "Unary", .kind = BERTH_METHOD_UNARY, .on_start = on_start, .on_message = echo, .on_end = on_end},
    {.name = "Server",
     .kind = BERTH_METHOD_SERVER_STREAM,
     .on_start = on_start,
     .on_message = start_blocks,
     .on_writable = send_blocks,
     .on_end = on_end},
    {.name = "Client",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     .on_start = on_start,
     .on_message = take,
     .on_half_close = answer,
     .on_end = on_end},
    {.name = "Bidi",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_start = on_start,
     .on_message = converse,
     .on_half_close = finish,
     .on_end = on_end},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "t.T",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};

const struct berth_router *session_router(void)
{
    static struct berth_rpc_services *services;
    const struct berth_rpc_service_entry entry = {.service = &service};
    struct berth_error err;

    if (services == NULL && berth_rpc_services_create(&entry, 1, &services, &err) != BERTH_OK)
        abort();
    return berth_rpc_services_router(services);
}

void session_turn(uv_loop_t *loop)
{
    for (int turn = 0; turn < TURNS; turn++)
        uv_run(loop, UV_RUN_NOWAIT);
}

bool session_read(int fd)
{
    static char bytes[64 * 1024];
    ssize_t length;

    do
        length = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    while (length > 0);
    return length < 0;
}

static void send_some(uv_loop_t *loop, int fd, const void *bytes, size_t length, bool is_deaf)
{
    send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    session_turn(loop);
    if (!is_deaf)
        session_read(fd);
}

void session_play(uv_loop_t *loop, int fd, const uint8_t *data, size_t size, const void *greeting,
                  size_t greeting_length)
{
    size_t step = 1 + (size_t)data[0] * 16;
    bool is_deaf = (data[1] & SESSION_IS_DEAF) != 0;

    if (step < size / SESSION_STEPS_MAX)
        step = size / SESSION_STEPS_MAX;
    if ((data[1] & SESSION_GREETS) != 0)
        send_some(loop, fd, greeting, greeting_length, is_deaf);
    for (size_t at = 2; at < size; at += step)
        send_some(loop, fd, data + at, size - at < step ? size - at : step, is_deaf);
    if ((data[1] & SESSION_SHUTS_DOWN) == 0)
        return;
    shutdown(fd, SHUT_WR);
    session_turn(loop);
    session_read(fd);
}
