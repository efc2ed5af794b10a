/* SPDX-License-Identifier: Apache-2.0 */
/* The server that the tests of the wire speak to, and its service t.T. */
#include "wire_server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <berth/rpc/http.h>
#include <berth/rpc/services.h>

#include <sdk/rpc/ttrpc/frame.h>

struct served {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t order;
    /** Resumes the call that paused last. */
    uv_timer_t rest;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    char path[64];
    uint16_t port;
    bool drains;
};

static struct served served;
static char noted[2048];
atomic_int started;
atomic_int ended;
atomic_int cancelled;
atomic_int overdue;
atomic_int last_code;
atomic_int logged;
char last_line[512];
atomic_int debugged;
atomic_int told_ignored;
atomic_int may_drain;

static void count_start(struct berth_call *call)
{
    started++;
}

static void count_end(struct berth_call *call, enum berth_code code)
{
    cancelled += code == BERTH_CANCELLED;
    overdue += code == BERTH_DEADLINE_EXCEEDED;
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

static void greet_early(struct berth_call *call)
{
    berth_call_add_header(call, "x-early", "yes", 3);
    berth_call_send_headers(call);
}

static void stop_at_once(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish(call, BERTH_ABORTED, "enough");
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

    berth_call_reply(call, block, sizeof(block));
}

static void stream_at_length(struct berth_call *call, const void *message, size_t length)
{
    static const char block[WIRE_LARGE];
    bool may_send = berth_call_can_send(call);

    berth_call_finish_sent(call, may_send ? berth_call_send(call, block, sizeof(block)) : BERTH_ABORTED);
}

/* A handler that does not take no for an answer. */
static void insist(struct berth_call *call, const void *message, size_t length)
{
    static const char block[WIRE_LARGE];
    const char *first = NULL;
    bool is_one_place = true;

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

static void send_greeting(struct berth_call *call)
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
    uv_close((uv_handle_t *)&served.rest, NULL);
}

/* What comes while it waits is in the socket and unread when the drain begins. */
static void resume(uv_timer_t *timer)
{
    berth_call_resume(timer->data);
}

/* One call at a time, for a moment. */
static void rest(struct berth_call *call)
{
    berth_call_pause(call);
    served.rest.data = call;
    uv_timer_start(&served.rest, resume, 2, 0);
}

static void sip(struct berth_call *call, const void *message, size_t length)
{
    add_byte_count(call, message, length);
    rest(call);
}

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
    {.name = "Stop", .kind = BERTH_METHOD_BIDI_STREAM, .on_message = stop_at_once},
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
    {.name = "Note", .kind = BERTH_METHOD_UNARY, .on_message = note_call},
    {.name = "Fail", .kind = BERTH_METHOD_UNARY, .on_message = refuse},
    {.name = "FailLong", .kind = BERTH_METHOD_UNARY, .on_message = refuse_at_length},
    {.name = "FailEarly", .kind = BERTH_METHOD_UNARY, .on_start = fail_early, .on_message = ignore},
    {.name = "TooMuch", .kind = BERTH_METHOD_UNARY, .on_message = reply_too_much},
    {.name = "Much", .kind = BERTH_METHOD_UNARY, .on_message = reply_much},
    {.name = "Early", .kind = BERTH_METHOD_CLIENT_STREAM, .on_start = sum_at_once},
    {.name = "Three", .kind = BERTH_METHOD_SERVER_STREAM, .on_message = count_to_three},
    {.name = "Many",
     .kind = BERTH_METHOD_SERVER_STREAM,
     .on_message = send_many,
     .on_writable = send_while_roomy},
    {.name = "Sum",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     .on_message = add_byte_count,
     .on_half_close = answer_sum,
     .on_end = count_end},
    {.name = "Greet",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_start = send_greeting,
     .on_message = send_back,
     .on_half_close = finish_well},
    {.name = "LastWords", .kind = BERTH_METHOD_BIDI_STREAM, .on_start = speak_and_fail},
    {.name = "LastSum", .kind = BERTH_METHOD_CLIENT_STREAM, .on_start = speak_and_fail},
    {.name = "Rest", .kind = BERTH_METHOD_UNARY, .on_start = rest, .on_message = echo},
    {.name = "Sip",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     .on_start = rest,
     .on_message = sip,
     .on_half_close = answer_sum},
    {.name = "Drain", .kind = BERTH_METHOD_UNARY, .on_message = drain_later},
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
    if (level == BERTH_RPC_LOG_DEBUG) {
        debugged++;
        told_ignored += strstr(message, "ignoring RST_STREAM") != NULL;
        return;
    }
    snprintf(last_line, sizeof(last_line), "%s", message);
    logged++;
}

int wire_serve(enum berth_rpc_protocol protocol, const struct berth_rpc_server_options *options)
{
    const struct berth_rpc_service_entry entry = {.service = &service};
    const struct berth_rpc_unix_options where = {
        .size = sizeof(where), .path = served.path, .protocol = protocol};
    const struct berth_rpc_connect_options connect = {.size = sizeof(connect)};
    const struct berth_rpc_http_options http = {.size = sizeof(http), .connect = &connect};
    const struct berth_rpc_tcp_options beside = {.size = sizeof(beside), .address = "127.0.0.1:0"};
    struct berth_rpc_server_options chosen = *options;
    struct berth_error err;

    chosen.size = sizeof(chosen);
    chosen.on_log = on_log;
    served.drains = false;
    started = ended = cancelled = overdue = last_code = logged = debugged = told_ignored = may_drain = 0;
    snprintf(served.path, sizeof(served.path), "/tmp/rpc-wire-%ld", (long)getpid());
    uv_loop_init(&served.loop);
    uv_async_init(&served.loop, &served.order, on_order);
    uv_timer_init(&served.loop, &served.rest);
    if (berth_rpc_services_create(&entry, 1, &served.services, &err) != BERTH_OK ||
        berth_rpc_server_create(&served.loop, &chosen, berth_rpc_services_router(served.services),
                                &served.server, &err) != BERTH_OK ||
        berth_rpc_server_set_http(served.server, &http, &err) != BERTH_OK ||
        berth_rpc_server_listen_unix(served.server, &where, &err) != BERTH_OK ||
        berth_rpc_server_listen_tcp(served.server, &beside, &served.port, &err) != BERTH_OK) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    uv_thread_create(&served.thread, run, NULL);
    return 0;
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

int wire_join(void)
{
    char lock[80];

    uv_thread_join(&served.thread);
    berth_rpc_services_destroy(served.services);
    snprintf(lock, sizeof(lock), "%s.lock", served.path);
    unlink(lock);
    unlink(served.path);
    return uv_loop_close(&served.loop);
}

void await(const atomic_int *value, int wanted)
{
    for (int i = 0; i < 1000 && *value < wanted; i++)
        usleep(5000);
    assert_int_equal(*value, wanted);
}
