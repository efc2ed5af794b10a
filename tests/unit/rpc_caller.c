/* SPDX-License-Identifier: Apache-2.0 */
/* Makes calls and takes note of what comes of them, against servers that follow a script. */
#include "rpc_caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tests/cmocka.h>

#define PATIENCE_MS 20000
#define MILLISECOND UINT64_C(1000000)

static void on_headers(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count)
{
    struct outcome *outcome = context;

    outcome->headers++;
}

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    struct outcome *outcome = context;

    outcome->messages++;
    outcome->received += length;
    snprintf(outcome->text, sizeof(outcome->text), "%.*s", (int)(length < 255 ? length : 255),
             (const char *)message);
    if (outcome->on_message != NULL)
        outcome->on_message(outcome);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct outcome *outcome = context;

    assert_false(outcome->is_over);
    outcome->code = code;
    outcome->trailers = count;
    snprintf(outcome->message, sizeof(outcome->message), "%s", message);
    outcome->is_over = true;
    if (outcome->on_end != NULL)
        outcome->on_end(outcome);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_headers = on_headers,
    .on_message = on_message,
    .on_end = on_end,
};

void caller_start(struct caller *caller, const char *name)
{
    *caller = (struct caller){.listener = -1};
    snprintf(caller->path, sizeof(caller->path), "/tmp/rpc-%s-%ld", name, (long)getpid());
    unlink(caller->path);
    uv_loop_init(&caller->loop);
    uv_timer_init(&caller->loop, &caller->timer);
}

void caller_open(struct caller *caller, const struct berth_rpc_channel_options *options)
{
    struct berth_rpc_channel_options where = {.size = sizeof(where)};
    struct berth_error err;

    if (options != NULL)
        where = *options;
    where.size = sizeof(where);
    where.address = caller->path;
    if (berth_rpc_channel_create(&caller->loop, &where, &caller->channel, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

static void run_script(void *argument)
{
    struct caller *caller = argument;

    caller->script(caller->listener);
}

void caller_play(struct caller *caller, void (*script)(int listener))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, caller->path, strlen(caller->path));
    caller->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(caller->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(caller->listener, 64), 0);
    caller->script = script;
    assert_int_equal(uv_thread_create(&caller->thread, run_script, caller), 0);
    caller->is_playing = true;
}

void caller_end_play(struct caller *caller)
{
    if (!caller->is_playing)
        return;
    uv_thread_join(&caller->thread);
    close(caller->listener);
    unlink(caller->path);
    caller->is_playing = false;
}

void caller_stop(struct caller *caller)
{
    if (caller->channel != NULL)
        berth_rpc_channel_close(caller->channel, NULL, NULL);
    uv_close((uv_handle_t *)&caller->timer, NULL);
    uv_run(&caller->loop, UV_RUN_DEFAULT);
    caller_end_play(caller);
    unlink(caller->path);
    assert_int_equal(uv_loop_close(&caller->loop), 0);
}

void caller_ask(struct caller *caller, struct outcome *outcome, const struct berth_rpc_call_options *options,
                const char *request)
{
    struct berth_rpc_call_options what = {.size = sizeof(what)};
    struct berth_error err;

    if (options != NULL)
        what = *options;
    what.size = sizeof(what);
    what.path = "/t.T/Echo";
    outcome->is_over = false;
    if (berth_rpc_call_start(caller->channel, &what, &handlers, outcome, &outcome->call, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    if (request == NULL)
        return;
    assert_int_equal(berth_rpc_call_send(outcome->call, request, strlen(request)), BERTH_OK);
    berth_rpc_call_half_close(outcome->call);
}

/* Wakes the loop, which sleeps also where the last thing was done right before it sleeps. */
static void on_tick(uv_timer_t *timer)
{
}

static bool are_over(const struct outcome *outcomes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!outcomes[i].is_over)
            return false;
    return true;
}

void caller_await(struct caller *caller, const struct outcome *outcomes, size_t count)
{
    uint64_t end = uv_hrtime() + PATIENCE_MS * MILLISECOND;

    uv_timer_start(&caller->timer, on_tick, 5, 5);
    while (!are_over(outcomes, count) && uv_hrtime() < end)
        uv_run(&caller->loop, UV_RUN_ONCE);
    uv_timer_stop(&caller->timer);
    assert_true(are_over(outcomes, count));
}

void caller_run_for(struct caller *caller, uint64_t timeout_ms)
{
    uint64_t end = uv_hrtime() + timeout_ms * MILLISECOND;

    uv_timer_start(&caller->timer, on_tick, 5, 5);
    while (uv_hrtime() < end)
        uv_run(&caller->loop, UV_RUN_ONCE);
    uv_timer_stop(&caller->timer);
}

uint32_t script_await_call(struct http2_peer *peer)
{
    while (http2_peer_read(peer, PATIENCE_MS))
        if (peer->type == PEER_HEADERS)
            return peer->id;
    return 0;
}

void script_answer(struct http2_peer *peer, uint32_t id, const char *text)
{
    const struct http2_field head[] = {{":status", "200"}, {"content-type", "application/grpc"}};
    const struct http2_field tail[] = {{"grpc-status", "0"}};
    unsigned char message[256] = {0};
    size_t length = strlen(text);

    message[4] = (unsigned char)length;
    memcpy(message + 5, text, length);
    http2_peer_send_headers(peer, 0, id, head, 2);
    http2_peer_send_frame(peer, PEER_DATA, 0, id, message, 5 + length);
    http2_peer_send_headers(peer, PEER_END_STREAM, id, tail, 1);
}
