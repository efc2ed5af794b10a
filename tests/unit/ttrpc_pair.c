/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc client, and a server in the same loop. */
#include "ttrpc_pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture f;

static void on_start(struct berth_call *call)
{
    f.starts++;
    f.seen[0] = '\0';
    for (size_t i = 0; i < call->metadata_count; i++)
        snprintf(f.seen + strlen(f.seen), sizeof(f.seen) - strlen(f.seen), "%s=%s ", call->metadata[i].key,
                 call->metadata[i].value);
    snprintf(f.seen + strlen(f.seen), sizeof(f.seen) - strlen(f.seen), "%s deadline=%d", call->transport,
             call->deadline_ns != 0);
    assert_int_equal(berth_call_add_header(call, "x-lost", "1", 1), BERTH_OK);
}

static void on_handler_end(struct berth_call *call, enum berth_code code)
{
    f.ends++;
    f.last_end = code;
    if (f.paused == call)
        f.paused = NULL;
}

static void echo(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static void ignore(struct berth_call *call, const void *message, size_t length)
{
    f.taken += length;
}

static void refuse(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish_with_details(call, BERTH_NOT_FOUND, "no such thing", "\x08\x05\x1a\x02\x0a\x00", 6);
}

static void send_blocks(struct berth_call *call)
{
    static const char block[PAIR_BLOCK];

    while (f.to_send > 0 && berth_call_can_send(call)) {
        assert_int_equal(berth_call_send(call, block, sizeof(block)), BERTH_OK);
        f.to_send--;
    }
    if (f.to_send == 0)
        berth_call_finish(call, BERTH_OK, NULL);
}

static void start_blocks(struct berth_call *call, const void *message, size_t length)
{
    send_blocks(call);
}

static void divide(struct berth_call *call, const void *message, size_t length)
{
    for (size_t i = 0; i < length; i++)
        berth_call_send(call, (const char *)message + i, 1);
    berth_call_finish(call, BERTH_OK, NULL);
}

static void answer_count(struct berth_call *call)
{
    char text[32];

    snprintf(text, sizeof(text), "%zu", f.taken);
    berth_call_reply(call, text, strlen(text));
}

static void take_and_pause(struct berth_call *call, const void *message, size_t length)
{
    f.taken += length;
    f.paused = call;
    berth_call_pause(call);
}

static void send_back(struct berth_call *call, const void *message, size_t length)
{
    berth_call_send(call, message, length);
}

static void finish_well(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

#define HANDLERS .on_start = on_start, .on_end = on_handler_end

static const struct berth_method methods[] = {
    {.name = "Echo", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = echo},
    {.name = "Never", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = ignore},
    {.name = "Refuse", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = refuse},
    {.name = "Divide", .kind = BERTH_METHOD_SERVER_STREAM, HANDLERS, .on_message = divide},
    {.name = "Blocks",
     .kind = BERTH_METHOD_SERVER_STREAM,
     HANDLERS,
     .on_message = start_blocks,
     .on_writable = send_blocks},
    {.name = "Sum",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     HANDLERS,
     .on_message = ignore,
     .on_half_close = answer_count},
    {.name = "Slow",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     HANDLERS,
     .on_message = take_and_pause,
     .on_half_close = answer_count},
    {.name = "Chat",
     .kind = BERTH_METHOD_BIDI_STREAM,
     HANDLERS,
     .on_message = send_back,
     .on_half_close = finish_well},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "t.T",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};

static void on_headers(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count)
{
    f.headers++;
}

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    f.messages++;
    f.received += length;
    snprintf(f.text + strlen(f.text), sizeof(f.text) - strlen(f.text), "%.*s|",
             (int)(length < 16 ? length : 16), (const char *)message);
    if (f.pauses)
        berth_rpc_call_pause(call);
    if (f.cancels)
        berth_rpc_call_cancel(call);
}

static void on_writable(void *context, struct berth_rpc_call *call)
{
    f.writables++;
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    f.over++;
    f.code = code;
    f.trailers[0] = '\0';
    for (size_t i = 0; i < count; i++)
        snprintf(f.trailers + strlen(f.trailers), sizeof(f.trailers) - strlen(f.trailers), "%s[%zu] ",
                 trailers[i].key, trailers[i].value_length);
    snprintf(f.message, sizeof(f.message), "%s", message);
    f.call = NULL;
}

const struct berth_rpc_call_handlers caller = {
    .size = sizeof(caller),
    .on_headers = on_headers,
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

static void start_server(void)
{
    const struct berth_rpc_service_entry entry = {.service = &service};
    const struct berth_rpc_unix_options where = {
        .size = sizeof(where), .path = f.path, .protocol = BERTH_RPC_TTRPC};
    const struct berth_rpc_server_options options = {.size = sizeof(options), .max_concurrent_streams = 2000};
    struct berth_error err;

    assert_int_equal(berth_rpc_services_create(&entry, 1, &f.services, &err), BERTH_OK);
    assert_int_equal(
        berth_rpc_server_create(&f.loop, &options, berth_rpc_services_router(f.services), &f.server, &err),
        BERTH_OK);
    assert_int_equal(berth_rpc_server_listen_unix(f.server, &where, &err), BERTH_OK);
}

int ttrpc_pair_start_client(void **state)
{
    const struct berth_rpc_channel_options options = {
        .size = sizeof(options), .address = f.path, .protocol = BERTH_RPC_TTRPC, .compress = true};
    struct berth_error err;

    f = (struct fixture){.listener = -1};
    snprintf(f.path, sizeof(f.path), "/tmp/ttrpc-calls-%ld", (long)getpid());
    uv_loop_init(&f.loop);
    uv_timer_init(&f.loop, &f.timer);
    assert_int_equal(berth_rpc_channel_create(&f.loop, &options, &f.channel, &err), BERTH_OK);
    return 0;
}

int ttrpc_pair_start(void **state)
{
    ttrpc_pair_start_client(state);
    start_server();
    return 0;
}

int ttrpc_pair_stop(void **state)
{
    char lock[80];

    if (f.channel != NULL)
        berth_rpc_channel_close(f.channel, NULL, NULL);
    if (f.server != NULL)
        berth_rpc_server_close(f.server, NULL, NULL);
    uv_close((uv_handle_t *)&f.timer, NULL);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    berth_rpc_services_destroy(f.services);
    if (f.listener >= 0) {
        uv_thread_join(&f.thread);
        close(f.listener);
    }
    snprintf(lock, sizeof(lock), "%s.lock", f.path);
    unlink(lock);
    unlink(f.path);
    assert_int_equal(f.starts, f.ends);
    return uv_loop_close(&f.loop);
}

static void on_timer(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

void run_for(uint64_t timeout_ms)
{
    bool is_late = false;

    f.timer.data = &is_late;
    uv_timer_start(&f.timer, on_timer, timeout_ms, 0);
    while (!is_late)
        uv_run(&f.loop, UV_RUN_ONCE);
}

void await_text(const char *text)
{
    for (int i = 0; i < 2000 && strcmp(f.text, text) != 0; i++)
        run_for(5);
    assert_string_equal(f.text, text);
}

void run_until_over(unsigned calls)
{
    bool is_late = false;

    f.timer.data = &is_late;
    uv_timer_start(&f.timer, on_timer, 20000, 0);
    while (f.over < calls && !is_late)
        uv_run(&f.loop, UV_RUN_ONCE);
    uv_timer_stop(&f.timer);
    assert_int_equal(f.over, calls);
}

struct berth_rpc_call *call_with(struct berth_rpc_call_options options)
{
    struct berth_error err;

    options.size = sizeof(options);
    if (berth_rpc_call_start(f.channel, &options, &caller, NULL, &f.call, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return f.call;
}

struct berth_rpc_call *call(const char *path, enum berth_method_kind kind)
{
    return call_with((struct berth_rpc_call_options){.path = path, .kind = kind});
}

void tell(struct berth_rpc_call *told, const char *message)
{
    assert_int_equal(berth_rpc_call_send(told, message, strlen(message)), BERTH_OK);
}

void ask(const char *path, enum berth_method_kind kind, const char *request)
{
    struct berth_rpc_call *asked = call(path, kind);

    tell(asked, request);
    berth_rpc_call_half_close(asked);
}

void assert_ended(enum berth_code code, const char *message)
{
    assert_string_equal(f.message, message);
    assert_int_equal(f.code, code);
}
