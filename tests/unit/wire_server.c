/* SPDX-License-Identifier: Apache-2.0 */
/* The server that the tests of the wire speak to, and its service t.T. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#include "wire_server.h"

struct served {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t order;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    char path[64];
    uint16_t port;
    bool drains;
};

static struct served served;
struct http2_peer *peer;
struct http2_answer answer;
atomic_int started;
atomic_int cancelled;
atomic_int overdue;
atomic_int logged;
char last_line[512];
atomic_int told_ignored;

static void echo(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static void count_start(struct berth_call *call)
{
    (void)call;
    started++;
}

static void count_end(struct berth_call *call, enum berth_code code)
{
    (void)call;
    if (code == BERTH_CANCELLED)
        cancelled++;
    if (code == BERTH_DEADLINE_EXCEEDED)
        overdue++;
}

static void ignore(struct berth_call *call, const void *message, size_t length)
{
    (void)call, (void)message, (void)length;
}

static void send_back(struct berth_call *call, const void *message, size_t length)
{
    berth_call_send(call, message, length);
}

static void finish_well(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

static void greet_early(struct berth_call *call)
{
    berth_call_add_header(call, "x-early", "yes", 3);
    berth_call_send_headers(call);
}

static void stop_at_once(struct berth_call *call, const void *message, size_t length)
{
    (void)message, (void)length;
    berth_call_finish(call, BERTH_ABORTED, "enough");
}

static void fill_up(struct berth_call *call, const void *message, size_t length)
{
    static const char block[64 * 1024];
    char text[32];
    int sent = 0;

    (void)message, (void)length;
    while (berth_call_send(call, block, sizeof(block)) == BERTH_OK)
        sent++;
    snprintf(text, sizeof(text), "%d", sent);
    berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, text);
}

/* More than a frame of headers holds: as the sentence, and as the details. */
static void say_too_much(struct berth_call *call, const void *message, size_t length)
{
    static char text[200 * 1024];

    memset(text, '%', sizeof(text) - 1);
    if (length == 0)
        berth_call_finish(call, BERTH_ABORTED, text);
    else
        call->ops->finish(call, BERTH_ABORTED, "", text, sizeof(text));
}

static void reply_at_length(struct berth_call *call, const void *message, size_t length)
{
    static const char block[WIRE_LARGE];

    (void)message, (void)length;
    berth_call_reply(call, block, sizeof(block));
}

static void stream_at_length(struct berth_call *call, const void *message, size_t length)
{
    static const char block[WIRE_LARGE];
    bool may_send = berth_call_can_send(call);

    (void)message, (void)length;
    berth_call_finish_sent(call, may_send ? berth_call_send(call, block, sizeof(block)) : BERTH_ABORTED);
}

/* A handler that does not take no for an answer. */
static void insist(struct berth_call *call, const void *message, size_t length)
{
    static const char block[WIRE_LARGE];
    const char *first = NULL;
    bool is_one_place = true;

    (void)message, (void)length;
    for (int i = 0; i < 100; i++) {
        if (berth_call_send(call, block, sizeof(block)) != BERTH_RESOURCE_EXHAUSTED)
            berth_call_finish(call, BERTH_DATA_LOSS, "it was sent");
        is_one_place = is_one_place && (first == NULL || first == berth_call_refusal(call));
        first = berth_call_refusal(call);
    }
    berth_call_finish(call, is_one_place ? BERTH_ABORTED : BERTH_DATA_LOSS, first);
}

/* The first byte is the code, the others are the sentence. */
static void say_what_was_asked(struct berth_call *call, const void *message, size_t length)
{
    const unsigned char *bytes = message;
    char text[64];

    snprintf(text, sizeof(text), "%.*s", (int)length - 1, (const char *)bytes + 1);
    berth_call_finish(call, (enum berth_code)bytes[0], text);
}

/* Whatever came ahead of the request goes back, ahead of the answer and behind it. */
static void return_metadata(struct berth_call *call, const void *message, size_t length)
{
    for (size_t i = 0; i < call->metadata_count; i++) {
        const struct berth_metadata *item = &call->metadata[i];
        char key[64];

        snprintf(key, sizeof(key), "trailer-%s", item->key);
        if (berth_call_add_header(call, item->key, item->value, item->value_length) != BERTH_OK ||
            berth_call_add_trailer(call, key, item->value, item->value_length) != BERTH_OK)
            berth_call_finish(call, BERTH_DATA_LOSS, item->key);
    }
    berth_call_reply(call, message, length);
}

static void want_compression(struct berth_call *call)
{
    berth_call_compress(call, true);
}

/* "on" and "off" say how what follows is to travel; whatever comes, a kilobyte goes back. */
static void send_a_kilobyte(struct berth_call *call, const void *message, size_t length)
{
    char kilobyte[1024];

    memset(kilobyte, 'x', sizeof(kilobyte));
    if (length == 3)
        berth_call_compress(call, false);
    if (length == 2 && berth_call_compress(call, true) != BERTH_OK)
        berth_call_add_trailer(call, "too-late", "yes", 3);
    if (berth_call_came_compressed(call))
        berth_call_add_trailer(call, "came-compressed", "yes", 3);
    berth_call_send(call, kilobyte, sizeof(kilobyte));
}

static void hold_back(struct berth_call *call)
{
    started++;
    berth_call_pause(call);
}

static const struct berth_method methods[] = {
    {.name = "Echo", .kind = BERTH_METHOD_UNARY, .on_start = count_start, .on_message = echo},
    {.name = "Never",
     .kind = BERTH_METHOD_UNARY,
     .on_start = count_start,
     .on_message = ignore,
     .on_end = count_end},
    {.name = "Chat",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_start = greet_early,
     .on_message = send_back,
     .on_half_close = finish_well},
    {.name = "Silent",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_message = ignore,
     .on_half_close = finish_well,
     .on_end = count_end},
    {.name = "Early", .kind = BERTH_METHOD_BIDI_STREAM, .on_message = stop_at_once},
    {.name = "Fill", .kind = BERTH_METHOD_SERVER_STREAM, .on_message = fill_up},
    {.name = "Large", .kind = BERTH_METHOD_UNARY, .on_message = reply_at_length},
    {.name = "LargeStream", .kind = BERTH_METHOD_SERVER_STREAM, .on_message = stream_at_length},
    {.name = "Insist", .kind = BERTH_METHOD_SERVER_STREAM, .on_message = insist},
    {.name = "Wordy", .kind = BERTH_METHOD_UNARY, .on_message = say_too_much},
    {.name = "Say", .kind = BERTH_METHOD_UNARY, .on_message = say_what_was_asked},
    {.name = "Return", .kind = BERTH_METHOD_UNARY, .on_message = return_metadata},
    {.name = "Small",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_start = want_compression,
     .on_message = send_a_kilobyte,
     .on_half_close = finish_well},
    {.name = "Plain",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_message = send_a_kilobyte,
     .on_half_close = finish_well},
    {.name = "Hold", .kind = BERTH_METHOD_BIDI_STREAM, .on_start = hold_back, .on_message = ignore},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "t.T",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};

static void close_server(void *context)
{
    (void)context;
    berth_rpc_server_close(served.server, NULL, NULL);
    uv_close((uv_handle_t *)&served.order, NULL);
}

static void on_order(uv_async_t *handle)
{
    (void)handle;
    if (served.drains)
        berth_rpc_server_drain(served.server, close_server, NULL);
    else
        close_server(NULL);
}

static void run(void *argument)
{
    (void)argument;
    uv_run(&served.loop, UV_RUN_DEFAULT);
}

static void on_log(void *context, enum berth_rpc_log_level level, const char *message)
{
    (void)context;
    if (level == BERTH_RPC_LOG_DEBUG) {
        told_ignored += strstr(message, "ignoring RST_STREAM") != NULL;
        return;
    }
    snprintf(last_line, sizeof(last_line), "%s", message);
    logged++;
}

int wire_start_with(const struct berth_rpc_server_options *options)
{
    const struct berth_rpc_service_entry entry = {.service = &service};
    struct berth_rpc_server_options chosen = *options;
    struct berth_rpc_unix_options where = {.size = sizeof(where), .path = served.path};
    struct berth_rpc_tcp_options beside = {.size = sizeof(beside), .address = "127.0.0.1:0"};
    struct berth_error err;

    served.drains = false;
    started = cancelled = overdue = logged = told_ignored = 0;
    chosen.size = sizeof(chosen);
    chosen.on_log = on_log;
    snprintf(served.path, sizeof(served.path), "/tmp/rpc-wire-%ld", (long)getpid());
    uv_loop_init(&served.loop);
    uv_async_init(&served.loop, &served.order, on_order);
    if (berth_rpc_services_create(&entry, 1, &served.services, &err) != BERTH_OK ||
        berth_rpc_server_create(&served.loop, &chosen, berth_rpc_services_router(served.services),
                                &served.server, &err) != BERTH_OK ||
        berth_rpc_server_listen_unix(served.server, &where, &err) != BERTH_OK ||
        berth_rpc_server_listen_tcp(served.server, &beside, &served.port, &err) != BERTH_OK) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    uv_thread_create(&served.thread, run, NULL);
    peer = http2_peer_open(served.path, false);
    return 0;
}

int wire_start(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){0});
}

int wire_start_small(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){
        .max_connections = 2,
        .max_concurrent_streams = 2,
        .max_header_list_bytes = 2000,
        .max_recv_message_bytes = 1000,
        .max_queued_bytes = 1024 * 1024,
        .handshake_timeout_ms = 200,
        .write_timeout_ms = 300,
    });
}

const char *wire_path(void)
{
    return served.path;
}

uint16_t wire_port(void)
{
    return served.port;
}

void wire_end(bool drains)
{
    served.drains = drains;
    uv_async_send(&served.order);
}

int wire_stop(void **state)
{
    char lock[80];

    if (peer != NULL)
        http2_peer_close(peer);
    uv_async_send(&served.order);
    uv_thread_join(&served.thread);
    berth_rpc_services_destroy(served.services);
    snprintf(lock, sizeof(lock), "%s.lock", served.path);
    unlink(lock);
    return uv_loop_close(&served.loop);
}

bool eventually(const atomic_int *counter, int value)
{
    for (int i = 0; i < 500 && *counter != value; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    return *counter == value;
}

void assert_header(const char *name, const char *value)
{
    const char *found = http2_answer_get(&answer, name);

    if (found == NULL)
        fail_msg("no %s", name);
    assert_string_equal(found, value);
}

void assert_status(const char *code, const char *message)
{
    assert_header("grpc-status", code);
    if (message != NULL)
        assert_header("grpc-message", message);
}

void send_data(uint8_t flags, uint32_t id, const char *bytes, size_t length)
{
    http2_peer_send_frame(peer, PEER_DATA, flags, id, bytes, length);
}

void assert_echo_still_works(uint32_t id)
{
    http2_peer_call(peer, 0, id, "/t.T/Echo", NULL, 0);
    send_data(PEER_END_STREAM, id, "\0\0\0\0\2ok", 7);
    http2_peer_await(peer, id, &answer);
    assert_status("0", NULL);
    assert_int_equal(answer.length, 7);
    assert_memory_equal(answer.data, "\0\0\0\0\2ok", 7);
}
