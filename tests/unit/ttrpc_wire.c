/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc server on a thread of its own, and a connection to it that speaks bare frames. */
#include "ttrpc_wire.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/rpc/services.h>

#include <sdk/rpc/ttrpc/message.h>

struct served {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t order;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    char path[64];
    bool drains;
};

static struct served served;
static char noted[2048];
int peer;
struct ttrpc_answer answer;
atomic_int started;
atomic_int ended;
atomic_int last_code;
atomic_int logged;
atomic_int may_drain;

static void count_start(struct berth_call *call)
{
    started++;
}

static void count_end(struct berth_call *call, enum berth_code code)
{
    last_code = (int)code;
    ended++;
}

static void echo(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static void ignore(struct berth_call *call, const void *message, size_t length)
{
}

static void send_back(struct berth_call *call, const void *message, size_t length)
{
    berth_call_send(call, message, length);
}

static void finish_well(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

/* Three messages of Data, whatever was asked. */
static void count_to_three(struct berth_call *call, const void *message, size_t length)
{
    berth_call_send(call, "1", 1);
    berth_call_send(call, "", 0);
    berth_call_send(call, "3", 1);
    berth_call_finish(call, BERTH_OK, NULL);
}

static void add_byte_count(struct berth_call *call, const void *message, size_t length)
{
    call->state = (void *)((uintptr_t)call->state + length);
}

static void answer_sum(struct berth_call *call)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)(uintptr_t)call->state);

    berth_call_reply(call, text, (size_t)length);
}

static void greet_early(struct berth_call *call)
{
    berth_call_send(call, "hello", 5);
}

static void fail_early(struct berth_call *call)
{
    berth_call_finish(call, BERTH_UNIMPLEMENTED, NULL);
}

static void sum_at_once(struct berth_call *call)
{
    berth_call_reply(call, "early", 5);
}

static void speak_and_fail(struct berth_call *call)
{
    berth_call_send(call, "last words", 10);
    berth_call_finish(call, BERTH_ABORTED, "no more");
}

static void stop_at_once(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish(call, BERTH_ABORTED, "enough");
}

static void refuse(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish_with_details(call, BERTH_NOT_FOUND, "no \xff such", "\x08\x05\x1a\x02\x0a\x00", 6);
}

/* As long as a failure can be: no byte of its message is text, and its details are many. */
static void refuse_at_length(struct berth_call *call, const void *message, size_t length)
{
    static char noise[8192];
    static char details[8190] = "\x1a\xfb\x3f";

    memset(noise, 0xff, sizeof(noise) - 1);
    berth_call_finish_with_details(call, BERTH_NOT_FOUND, noise, details, sizeof(details));
}

static void hold_back(struct berth_call *call)
{
    started++;
    berth_call_pause(call);
}

static void note_call(struct berth_call *call, const void *message, size_t length)
{
    size_t at = 0;

    at += (size_t)snprintf(noted, sizeof(noted), "%s %s pid=%d deadline=%d", call->path, call->transport,
                           call->peer->pid == getpid(), call->deadline_ns != 0);
    for (size_t i = 0; i < call->metadata_count; i++)
        at += (size_t)snprintf(noted + at, sizeof(noted) - at, " %s=%s", call->metadata[i].key,
                               call->metadata[i].value);
    assert_int_equal(berth_call_add_header(call, "x-header", "1", 1), BERTH_OK);
    assert_int_equal(berth_call_add_trailer(call, "x-trailer", "1", 1), BERTH_OK);
    assert_int_equal(berth_call_send_headers(call), BERTH_OK);
    assert_int_equal(berth_call_compress(call, true), BERTH_UNIMPLEMENTED);
    berth_call_reply(call, noted, at);
}

static void reply_too_much(struct berth_call *call, const void *message, size_t length)
{
    static char block[TTRPC_DATA_MAX];

    berth_call_reply(call, block, sizeof(block));
}

static void reply_much(struct berth_call *call, const void *message, size_t length)
{
    static char block[TTRPC_DATA_MAX - 8];

    berth_call_reply(call, block, sizeof(block));
}

static void fill_up(struct berth_call *call, const void *message, size_t length)
{
    static const char block[64 * 1024];
    char text[32];
    int sent = 0;

    while (berth_call_send(call, block, sizeof(block)) == BERTH_OK)
        sent++;
    snprintf(text, sizeof(text), "%d", sent);
    berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, text);
}

static void send_while_roomy(struct berth_call *call)
{
    static const char block[16 * 1024];
    uintptr_t left = (uintptr_t)call->state;

    while (left > 0 && berth_call_can_send(call)) {
        assert_int_equal(berth_call_send(call, block, sizeof(block)), BERTH_OK);
        left--;
    }
    call->state = (void *)left;
    if (left == 0)
        berth_call_finish(call, BERTH_OK, NULL);
}

static void send_many(struct berth_call *call, const void *message, size_t length)
{
    call->state = (void *)(uintptr_t)1000;
    send_while_roomy(call);
}

static void close_server(void *context)
{
    berth_rpc_server_close(served.server, NULL, NULL);
    uv_close((uv_handle_t *)&served.order, NULL);
}

/* What comes while it waits is in the socket and unread when the drain begins. */
static void drain_later(struct berth_call *call, const void *message, size_t length)
{
    started++;
    while (!may_drain)
        usleep(1000);
    berth_rpc_server_drain(served.server, close_server, NULL);
    berth_call_reply(call, NULL, 0);
}

static const struct berth_method methods[] = {
    {.name = "Echo", .kind = BERTH_METHOD_UNARY, .on_message = echo},
    {.name = "Note", .kind = BERTH_METHOD_UNARY, .on_message = note_call},
    {.name = "Fail", .kind = BERTH_METHOD_UNARY, .on_message = refuse},
    {.name = "FailLong", .kind = BERTH_METHOD_UNARY, .on_message = refuse_at_length},
    {.name = "FailEarly", .kind = BERTH_METHOD_UNARY, .on_start = fail_early, .on_message = ignore},
    {.name = "TooMuch", .kind = BERTH_METHOD_UNARY, .on_message = reply_too_much},
    {.name = "Much", .kind = BERTH_METHOD_UNARY, .on_message = reply_much},
    {.name = "Early", .kind = BERTH_METHOD_CLIENT_STREAM, .on_start = sum_at_once},
    {.name = "Never",
     .kind = BERTH_METHOD_UNARY,
     .on_start = count_start,
     .on_message = ignore,
     .on_end = count_end},
    {.name = "Three", .kind = BERTH_METHOD_SERVER_STREAM, .on_message = count_to_three},
    {.name = "Fill", .kind = BERTH_METHOD_SERVER_STREAM, .on_message = fill_up},
    {.name = "Many",
     .kind = BERTH_METHOD_SERVER_STREAM,
     .on_message = send_many,
     .on_writable = send_while_roomy},
    {.name = "Sum",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     .on_message = add_byte_count,
     .on_half_close = answer_sum,
     .on_end = count_end},
    {.name = "Chat",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_start = greet_early,
     .on_message = send_back,
     .on_half_close = finish_well},
    {.name = "LastWords", .kind = BERTH_METHOD_BIDI_STREAM, .on_start = speak_and_fail},
    {.name = "LastSum", .kind = BERTH_METHOD_CLIENT_STREAM, .on_start = speak_and_fail},
    {.name = "Drain", .kind = BERTH_METHOD_UNARY, .on_message = drain_later},
    {.name = "Stop", .kind = BERTH_METHOD_BIDI_STREAM, .on_message = stop_at_once},
    {.name = "Hold",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_start = hold_back,
     .on_message = ignore,
     .on_end = count_end},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "t.T",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};
static void on_order(uv_async_t *handle)
{
    if (served.drains)
        berth_rpc_server_drain(served.server, close_server, NULL);
    else
        close_server(NULL);
}

static void run(void *argument)
{
    uv_run(&served.loop, UV_RUN_DEFAULT);
}

static void on_log(void *context, enum berth_rpc_log_level level, const char *message)
{
    logged++;
}

static int start_with(struct berth_rpc_server_options options)
{
    const struct berth_rpc_service_entry entry = {.service = &service};
    const struct berth_rpc_unix_options where = {
        .size = sizeof(where), .path = served.path, .protocol = BERTH_RPC_TTRPC};
    struct berth_error err;

    options.size = sizeof(options);
    options.on_log = on_log;
    served.drains = false;
    started = ended = last_code = logged = may_drain = 0;
    snprintf(served.path, sizeof(served.path), "/tmp/ttrpc-wire-%ld", (long)getpid());
    uv_loop_init(&served.loop);
    uv_async_init(&served.loop, &served.order, on_order);
    if (berth_rpc_services_create(&entry, 1, &served.services, &err) != BERTH_OK ||
        berth_rpc_server_create(&served.loop, &options, berth_rpc_services_router(served.services),
                                &served.server, &err) != BERTH_OK ||
        berth_rpc_server_listen_unix(served.server, &where, &err) != BERTH_OK) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    uv_thread_create(&served.thread, run, NULL);
    peer = ttrpc_peer_open(served.path);
    return peer < 0;
}

int ttrpc_wire_start(void **state)
{
    return start_with((struct berth_rpc_server_options){0});
}

int ttrpc_wire_start_small(void **state)
{
    return start_with((struct berth_rpc_server_options){.max_concurrent_streams = 4,
                                                        .max_recv_message_bytes = 1024,
                                                        .max_queued_bytes = 1 << 20,
                                                        .write_timeout_ms = 400,
                                                        .handshake_timeout_ms = 100});
}

int ttrpc_wire_start_idle(void **state)
{
    return start_with((struct berth_rpc_server_options){.max_idle_ms = 150});
}

int ttrpc_wire_join(void)
{
    uv_thread_join(&served.thread);
    berth_rpc_services_destroy(served.services);
    if (peer >= 0)
        close(peer);
    unlink(served.path);
    return uv_loop_close(&served.loop);
}

const char *ttrpc_wire_path(void)
{
    return served.path;
}

void ttrpc_wire_end(bool drains)
{
    served.drains = drains;
    uv_async_send(&served.order);
}

int ttrpc_wire_stop(void **state)
{
    char lock[80];

    ttrpc_wire_end(false);
    snprintf(lock, sizeof(lock), "%s.lock", served.path);
    unlink(lock);
    return ttrpc_wire_join();
}

void await(const atomic_int *value, int wanted)
{
    for (int i = 0; i < 1000 && *value < wanted; i++)
        usleep(5000);
    assert_int_equal(*value, wanted);
}

void await_answer(uint32_t id, uint8_t type)
{
    assert_true(ttrpc_peer_read(peer, &answer, 5000));
    assert_int_equal(answer.id, id);
    assert_int_equal(answer.type, type);
}

void await_failure(uint32_t id, enum berth_code code, const char *message)
{
    await_answer(id, TTRPC_RESPONSE);
    assert_int_equal(answer.code, code);
    assert_string_equal(answer.message, message);
}

void await_data(uint32_t id, const char *text)
{
    await_answer(id, TTRPC_DATA);
    assert_int_equal(answer.flags, 0);
    assert_int_equal(answer.length, strlen(text));
    assert_memory_equal(answer.data, text, strlen(text));
}

void await_end(uint32_t id)
{
    await_answer(id, TTRPC_DATA);
    assert_int_equal(answer.flags, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    assert_int_equal(answer.length, 0);
}

void call(uint32_t id, uint8_t flags, const char *path)
{
    ttrpc_peer_request(peer, id, flags, path, NULL, 0, 0, NULL);
}

void data(uint32_t id, uint8_t flags, const char *text)
{
    ttrpc_peer_frame(peer, id, TTRPC_DATA, flags, text, strlen(text));
}

void assert_alive(uint32_t id)
{
    ttrpc_peer_request(peer, id, 0, "/t.T/Echo", "ping", 4, 0, NULL);
    await_answer(id, TTRPC_RESPONSE);
    assert_int_equal(answer.code, BERTH_OK);
    assert_int_equal(answer.payload_length, 4);
    assert_memory_equal(answer.payload, "ping", 4);
}
