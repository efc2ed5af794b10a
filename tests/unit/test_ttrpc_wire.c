/* SPDX-License-Identifier: Apache-2.0 */
/* What a ttrpc server must do, frame by frame: each test is one rule of the protocol, or of what Go makes of
 * it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#include <ttrpc_message.h>

#include "ttrpc_peer.h"

#define SECOND INT64_C(1000000000)

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
static int peer;
static struct ttrpc_answer answer;
static atomic_int started;
static atomic_int ended;
static atomic_int last_code;
static atomic_int logged;
static atomic_int may_drain;
static char noted[2048];

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

static int start(void **state)
{
    return start_with((struct berth_rpc_server_options){0});
}

static int start_small(void **state)
{
    return start_with((struct berth_rpc_server_options){.max_concurrent_streams = 4,
                                                        .max_recv_message_bytes = 1024,
                                                        .max_queued_bytes = 1 << 20,
                                                        .write_timeout_ms = 400,
                                                        .handshake_timeout_ms = 100});
}

static int finish_server(void)
{
    uv_thread_join(&served.thread);
    berth_rpc_services_destroy(served.services);
    if (peer >= 0)
        close(peer);
    unlink(served.path);
    return uv_loop_close(&served.loop);
}

static int stop(void **state)
{
    char lock[80];

    uv_async_send(&served.order);
    snprintf(lock, sizeof(lock), "%s.lock", served.path);
    unlink(lock);
    return finish_server();
}

static void await(const atomic_int *value, int wanted)
{
    for (int i = 0; i < 1000 && *value < wanted; i++)
        usleep(5000);
    assert_int_equal(*value, wanted);
}

static void await_answer(uint32_t id, uint8_t type)
{
    assert_true(ttrpc_peer_read(peer, &answer, 5000));
    assert_int_equal(answer.id, id);
    assert_int_equal(answer.type, type);
}

static void await_failure(uint32_t id, enum berth_code code, const char *message)
{
    await_answer(id, TTRPC_RESPONSE);
    assert_int_equal(answer.code, code);
    assert_string_equal(answer.message, message);
}

static void await_data(uint32_t id, const char *text)
{
    await_answer(id, TTRPC_DATA);
    assert_int_equal(answer.flags, 0);
    assert_int_equal(answer.length, strlen(text));
    assert_memory_equal(answer.data, text, strlen(text));
}

static void await_end(uint32_t id)
{
    await_answer(id, TTRPC_DATA);
    assert_int_equal(answer.flags, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    assert_int_equal(answer.length, 0);
}

static void call(uint32_t id, uint8_t flags, const char *path)
{
    ttrpc_peer_request(peer, id, flags, path, NULL, 0, 0, NULL);
}

static void data(uint32_t id, uint8_t flags, const char *text)
{
    ttrpc_peer_frame(peer, id, TTRPC_DATA, flags, text, strlen(text));
}

/* The connection works: a call is answered. */
static void assert_alive(uint32_t id)
{
    ttrpc_peer_request(peer, id, 0, "/t.T/Echo", "ping", 4, 0, NULL);
    await_answer(id, TTRPC_RESPONSE);
    assert_int_equal(answer.code, BERTH_OK);
    assert_int_equal(answer.payload_length, 4);
    assert_memory_equal(answer.payload, "ping", 4);
}

static void a_unary_call_is_answered_with_one_response(void **state)
{
    assert_alive(1);
    assert_alive(3);
    assert_int_equal(answer.flags, 0);
}

static void an_even_stream_id_is_refused_and_the_connection_stays(void **state)
{
    call(2, 0, "/t.T/Echo");
    await_failure(2, BERTH_INVALID_ARGUMENT, "StreamID must be odd for client initiated streams");
    data(4, 0, "x");
    await_failure(4, BERTH_INVALID_ARGUMENT, "StreamID must be odd for client initiated streams");
    call(0, 0, "/t.T/Echo");
    await_failure(0, BERTH_INVALID_ARGUMENT, "StreamID must be odd for client initiated streams");
    assert_alive(1);
}

static void an_id_that_does_not_increase_is_refused(void **state)
{
    assert_alive(7);
    call(7, 0, "/t.T/Echo");
    await_failure(7, BERTH_INVALID_ARGUMENT, "StreamID cannot be re-used and must increment");
    call(5, 0, "/t.T/Echo");
    await_failure(5, BERTH_INVALID_ARGUMENT, "StreamID cannot be re-used and must increment");
    assert_alive(9);
}

static void a_used_id_ends_the_call_that_has_it(void **state)
{
    call(1, 0, "/t.T/Never");
    await(&started, 1);
    call(1, 0, "/t.T/Echo");
    await_failure(1, BERTH_INVALID_ARGUMENT, "StreamID cannot be re-used and must increment");
    await(&ended, 1);
    assert_int_equal(last_code, BERTH_CANCELLED);
    assert_alive(3);
}

static void an_oversize_frame_is_discarded_and_answered(void **state)
{
    static char block[TTRPC_DATA_MAX + 121];

    ttrpc_peer_frame(peer, 1, TTRPC_REQUEST, 0, block, sizeof(block));
    await_failure(1, BERTH_RESOURCE_EXHAUSTED,
                  "message length 4194425 exceed maximum message size of 4194304");
    assert_alive(3);
}

static void an_oversize_frame_ends_its_call(void **state)
{
    static char block[TTRPC_DATA_MAX + 1];

    call(1, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    ttrpc_peer_frame(peer, 1, TTRPC_DATA, 0, block, sizeof(block));
    await_failure(1, BERTH_RESOURCE_EXHAUSTED,
                  "message length 4194305 exceed maximum message size of 4194304");
    await(&ended, 1);
    assert_alive(3);
}

static void the_largest_frame_is_served(void **state)
{
    static char block[TTRPC_DATA_MAX];

    call(1, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    ttrpc_peer_frame(peer, 1, TTRPC_DATA, 0, block, sizeof(block));
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    await_answer(1, TTRPC_RESPONSE);
    assert_memory_equal(answer.payload, "4194304", 7);
}

static void bytes_that_are_no_request_are_refused(void **state)
{
    ttrpc_peer_frame(peer, 1, TTRPC_REQUEST, 0, "\x0a\x7f", 2);
    await_failure(1, BERTH_INVALID_ARGUMENT, "unmarshal request error: proto: unexpected EOF");
    ttrpc_peer_frame(peer, 3, TTRPC_REQUEST, 0, "\x0a\x01\xff", 3);
    await_failure(3, BERTH_INVALID_ARGUMENT,
                  "unmarshal request error: proto: string field contains invalid UTF-8");
    assert_alive(5);
}

static void an_unknown_service_or_method_is_unimplemented(void **state)
{
    call(1, 0, "/no.Service/Echo");
    await_failure(1, BERTH_UNIMPLEMENTED, "service no.Service");
    call(3, 0, "/t.T/Nope");
    await_failure(3, BERTH_UNIMPLEMENTED, "method Nope");
    ttrpc_peer_frame(peer, 5, TTRPC_REQUEST, 0, "", 0);
    await_failure(5, BERTH_UNIMPLEMENTED, "service ");
    assert_alive(7);
}

static void a_name_with_a_nul_is_not_cut_there(void **state)
{
    ttrpc_peer_frame(peer, 1, TTRPC_REQUEST, 0,
                     "\x0a\x03t.T\x12\x06"
                     "Echo\0x",
                     13);
    await_failure(1, BERTH_UNIMPLEMENTED, "malformed method name");
    assert_alive(3);
}

static void data_on_an_unknown_stream_is_refused(void **state)
{
    data(1, 0, "x");
    await_failure(1, BERTH_INVALID_ARGUMENT, "StreamID is no longer active");
    assert_alive(1);
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    await_failure(1, BERTH_INVALID_ARGUMENT, "StreamID is no longer active");
    assert_alive(3);
}

static void a_data_close_with_bytes_is_refused(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    data(1, TTRPC_REMOTE_CLOSED, "x");
    await_failure(1, BERTH_INVALID_ARGUMENT, "data close message cannot include data");
    call(3, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    data(3, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "x");
    await_failure(3, BERTH_INVALID_ARGUMENT, "data close message cannot include data");
    await(&ended, 2);
}

static void data_on_a_unary_call_is_refused(void **state)
{
    call(1, 0, "/t.T/Never");
    data(1, 0, "x");
    await_failure(1, BERTH_INVALID_ARGUMENT, "data handling error: ttrpc: stream closed");
    await(&ended, 1);
    assert_alive(3);
}

static void data_behind_the_end_is_refused(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Hold");
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    data(1, 0, "x");
    await_failure(1, BERTH_INVALID_ARGUMENT, "data handling error: ttrpc: stream closed");
    await(&ended, 1);
}

static void frames_of_unknown_types_are_ignored(void **state)
{
    for (unsigned type = 0; type < 256; type++)
        if (type != TTRPC_REQUEST && type != TTRPC_DATA)
            ttrpc_peer_frame(peer, type, (uint8_t)type, 0xff, "junk", 4);
    assert_alive(1);
}

static void a_server_stream_ends_with_an_empty_data_frame(void **state)
{
    call(1, TTRPC_REMOTE_CLOSED, "/t.T/Three");
    await_data(1, "1");
    await_data(1, "");
    await_data(1, "3");
    await_end(1);
}

static void a_client_stream_is_answered_with_one_response(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    data(1, 0, "abc");
    data(1, TTRPC_NO_DATA, "");
    data(1, 0, "de");
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    await_answer(1, TTRPC_RESPONSE);
    assert_int_equal(answer.payload_length, 1);
    assert_memory_equal(answer.payload, "5", 1);
}

static void a_bidirectional_stream_flows_both_ways(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Chat");
    await_data(1, "hello");
    data(1, 0, "one");
    await_data(1, "one");
    data(1, 0, "");
    await_data(1, "");
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    await_end(1);
    data(1, 0, "late");
    await_failure(1, BERTH_INVALID_ARGUMENT, "StreamID is no longer active");
}

static void an_empty_data_frame_that_closes_is_an_empty_message(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Chat");
    await_data(1, "hello");
    data(1, TTRPC_REMOTE_CLOSED, "");
    await_data(1, "");
    await_end(1);
}

static void a_stream_may_end_while_its_caller_goes_on(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Stop");
    data(1, 0, "x");
    await_failure(1, BERTH_ABORTED, "enough");
    assert_alive(3);
}

static void what_a_stream_sends_before_it_fails_arrives(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/LastWords");
    await_data(1, "last words");
    await_failure(1, BERTH_ABORTED, "no more");
    call(3, TTRPC_REMOTE_OPEN, "/t.T/LastSum");
    await_failure(3, BERTH_ABORTED, "no more");
    assert_alive(5);
}

static void a_client_stream_may_be_answered_before_its_first_message(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Early");
    await_answer(1, TTRPC_RESPONSE);
    assert_int_equal(answer.payload_length, 5);
    assert_memory_equal(answer.payload, "early", 5);
}

static void the_payload_of_a_streams_request_is_its_first_message(void **state)
{
    ttrpc_peer_request(peer, 1, TTRPC_REMOTE_OPEN, "/t.T/Sum", "abc", 3, 0, NULL);
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    await_answer(1, TTRPC_RESPONSE);
    assert_memory_equal(answer.payload, "3", 1);
    ttrpc_peer_request(peer, 3, TTRPC_REMOTE_CLOSED, "/t.T/Sum", "abcd", 4, 0, NULL);
    await_answer(3, TTRPC_RESPONSE);
    assert_memory_equal(answer.payload, "4", 1);
    ttrpc_peer_request(peer, 5, 0, "/t.T/Three", "", 0, 0, NULL);
    await_data(5, "1");
}

static void an_absent_payload_is_an_empty_message(void **state)
{
    call(1, 0, "/t.T/Echo");
    await_answer(1, TTRPC_RESPONSE);
    assert_int_equal(answer.length, 0);
    ttrpc_peer_request(peer, 3, 0, "/t.T/Echo", "", 0, 0, NULL);
    await_answer(3, TTRPC_RESPONSE);
    assert_int_equal(answer.length, 0);
}

static void a_handler_sees_who_calls_and_what_comes_with_it(void **state)
{
    const char *const pairs[] = {"Containerd-Namespace-TTRPC", "ns", "k", "1", "k", "\xc3\xbc", NULL};
    const char *wanted = "/t.T/Note ttrpc pid=1 deadline=1 containerd-namespace-ttrpc=ns k=1 k=\xc3\xbc";

    ttrpc_peer_request(peer, 1, 0, "/t.T/Note", NULL, 0, 100 * SECOND, pairs);
    await_answer(1, TTRPC_RESPONSE);
    assert_int_equal(answer.payload_length, strlen(wanted));
    assert_memory_equal(answer.payload, wanted, strlen(wanted));
}

static void metadata_is_bounded(void **state)
{
    static char long_value[20000];
    const char *const pairs[] = {"k", long_value, NULL};
    const char *const odd[] = {"a key", "v", NULL};

    memset(long_value, 'x', sizeof(long_value) - 1);
    ttrpc_peer_request(peer, 1, 0, "/t.T/Note", NULL, 0, 0, pairs);
    await_failure(1, BERTH_RESOURCE_EXHAUSTED,
                  "the request's metadata is larger than this server takes (16384 bytes)");
    ttrpc_peer_request(peer, 3, 0, "/t.T/Note", NULL, 0, 0, odd);
    await_failure(3, BERTH_INVALID_ARGUMENT, "a key of the request's metadata is no word");
    assert_alive(5);
}

static void a_deadline_ends_the_call_on_both_sides(void **state)
{
    ttrpc_peer_request(peer, 1, 0, "/t.T/Never", NULL, 0, SECOND / 20, NULL);
    await_failure(1, BERTH_DEADLINE_EXCEEDED, "deadline exceeded");
    await(&ended, 1);
    assert_int_equal(last_code, BERTH_DEADLINE_EXCEEDED);
    ttrpc_peer_request(peer, 3, 0, "/t.T/Never", NULL, 0, -1, NULL);
    await_failure(3, BERTH_DEADLINE_EXCEEDED, "deadline exceeded: the call came with no time left");
    ttrpc_peer_request(peer, 5, 0, "/t.T/Echo", NULL, 0, INT64_MAX, NULL);
    await_answer(5, TTRPC_RESPONSE);
    assert_int_equal(answer.code, BERTH_OK);
}

static void a_failure_brings_its_details_and_is_text(void **state)
{
    call(1, 0, "/t.T/Fail");
    await_failure(1, BERTH_NOT_FOUND, "no \xef\xbf\xbd such");
    assert_int_equal(answer.length, 2 + 2 + 2 + 11 + 4);
}

/* In one piece, so that they are answered in one turn: two long failures, echoes, and a third one. */
static void ask_for_failures(uint32_t first, int echoes)
{
    static char requests[64 * 1024];
    char text[500];
    int ends[2];
    ssize_t length;

    memset(text, 'x', sizeof(text));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ttrpc_peer_request(ends[0], first, 0, "/t.T/FailLong", NULL, 0, 0, NULL);
    ttrpc_peer_request(ends[0], first + 2, 0, "/t.T/FailLong", NULL, 0, 0, NULL);
    for (int i = 0; i < echoes; i++)
        ttrpc_peer_request(ends[0], first + 4 + 2 * (uint32_t)i, 0, "/t.T/Echo", text, sizeof(text), 0, NULL);
    ttrpc_peer_request(ends[0], first + 4 + 2 * (uint32_t)echoes, 0, "/t.T/FailLong", NULL, 0, 0, NULL);
    length = recv(ends[1], requests, sizeof(requests), 0);
    ttrpc_peer_send(peer, requests, (size_t)length);
    close(ends[0]);
    close(ends[1]);
}

/* The last begins wherever an answer may begin in what is written at once. */
static void long_failures_have_room_among_other_answers(void **state)
{
    for (int echoes = 0; echoes < 40; echoes++) {
        ask_for_failures(1 + (uint32_t)echoes * 100, echoes);
        for (int i = 0; i < echoes + 3; i++)
            assert_true(ttrpc_peer_read(peer, &answer, 5000));
        assert_int_equal(answer.code, BERTH_NOT_FOUND);
        assert_in_range(answer.length, 8190 + 4000, 8190 + 4096 + 32);
    }
}

static void a_call_may_fail_at_its_start_without_a_word(void **state)
{
    call(1, 0, "/t.T/FailEarly");
    await_failure(1, BERTH_UNIMPLEMENTED, "");
}

static void a_reply_over_the_frames_size_is_refused(void **state)
{
    call(1, 0, "/t.T/TooMuch");
    await_failure(1, BERTH_RESOURCE_EXHAUSTED, "the reply is larger than this server sends");
    call(3, 0, "/t.T/Much");
    await_answer(3, TTRPC_RESPONSE);
    assert_int_equal(answer.payload_length, TTRPC_DATA_MAX - 8);
}

static void answers_come_in_any_order(void **state)
{
    call(1, 0, "/t.T/Never");
    assert_alive(3);
    assert_alive(5);
    assert_int_equal(ended, 0);
}

static void a_lost_connection_cancels_its_calls(void **state)
{
    call(1, 0, "/t.T/Never");
    call(3, TTRPC_REMOTE_OPEN, "/t.T/Hold");
    await(&started, 2);
    close(peer);
    peer = -1;
    await(&ended, 2);
    assert_int_equal(last_code, BERTH_CANCELLED);
}

static void a_stream_that_takes_nothing_is_ended_and_the_others_go_on(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Hold");
    for (int i = 0; i < 70; i++)
        data(1, 0, "x");
    await_failure(1, BERTH_RESOURCE_EXHAUSTED,
                  "ttrpc: stream buffer full: the method does not take its messages");
    await(&ended, 1);
    while (ttrpc_peer_read(peer, &answer, 100))
        assert_string_equal(answer.message, "StreamID is no longer active");
    assert_alive(3);
}

static void what_is_within_the_buffer_waits(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Hold");
    for (int i = 0; i < 60; i++)
        data(1, 0, "x");
    assert_alive(3);
    assert_false(ttrpc_peer_read(peer, &answer, 1300));
    assert_int_equal(ended, 0);
}

static void too_many_calls_are_refused(void **state)
{
    for (uint32_t id = 1; id < 9; id += 2)
        call(id, 0, "/t.T/Never");
    call(9, 0, "/t.T/Echo");
    await_failure(9, BERTH_RESOURCE_EXHAUSTED,
                  "this connection has 4 calls, as many as it may have at one time");
}

static void a_message_over_the_limit_is_refused(void **state)
{
    static char block[2000];

    ttrpc_peer_request(peer, 1, 0, "/t.T/Echo", block, sizeof(block), 0, NULL);
    await_failure(1, BERTH_RESOURCE_EXHAUSTED, "ttrpc: received message larger than max (2000 vs. 1024)");
    call(3, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    ttrpc_peer_frame(peer, 3, TTRPC_DATA, 0, block, sizeof(block));
    await_failure(3, BERTH_RESOURCE_EXHAUSTED, "ttrpc: received message larger than max (2000 vs. 1024)");
}

static void a_connection_may_be_silent(void **state)
{
    usleep(500 * 1000);
    assert_alive(1);
}

static void a_frame_that_never_ends_costs_the_connection(void **state)
{
    ttrpc_peer_send(peer, "\0\0\1\0\0\0", 6);
    assert_false(ttrpc_peer_read(peer, &answer, 5000));
    close(peer);
    peer = ttrpc_peer_open(served.path);
    ttrpc_peer_send(peer, "\x7f\xff\xff\xff\0\0\0\1\1\0", 10);
    assert_true(ttrpc_peer_read(peer, &answer, 5000));
    assert_int_equal(answer.code, BERTH_RESOURCE_EXHAUSTED);
    assert_false(ttrpc_peer_read(peer, &answer, 5000));
}

static void what_a_slow_peer_has_waiting_is_bounded(void **state)
{
    call(1, TTRPC_REMOTE_CLOSED, "/t.T/Fill");
    while (ttrpc_peer_read(peer, &answer, 5000) && answer.type == TTRPC_DATA)
        assert_int_equal(answer.length, 64 * 1024);
    assert_int_equal(answer.code, BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(atoi(answer.message), 15);
}

static void a_handler_is_told_when_it_may_send_again(void **state)
{
    int messages = 0;

    call(1, TTRPC_REMOTE_CLOSED, "/t.T/Many");
    while (ttrpc_peer_read(peer, &answer, 5000) && answer.length == 16 * 1024)
        messages++;
    assert_int_equal(messages, 1000);
    assert_int_equal(answer.flags, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
}

static void a_peer_that_reads_no_answers_is_left(void **state)
{
    char frames[TTRPC_HEADER * 100] = {0};
    bool is_lost = false;

    for (int i = 0; i < 100; i++)
        ttrpc_header_write((unsigned char *)frames + (size_t)i * TTRPC_HEADER, 0, 2, TTRPC_REQUEST, 0);
    for (int i = 0; i < 400 && !is_lost; i++)
        is_lost = write(peer, frames, sizeof(frames)) < 0;
    assert_true(is_lost);
    close(peer);
    peer = ttrpc_peer_open(served.path);
    assert_alive(1);
    assert_in_range(logged, 1, 8);
}

static void a_server_that_drains_closes_idle_connections_and_waits_for_calls(void **state)
{
    int idle = ttrpc_peer_open(served.path);

    call(1, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    ttrpc_peer_request(idle, 1, 0, "/t.T/Echo", NULL, 0, 0, NULL);
    assert_true(ttrpc_peer_read(idle, &answer, 5000));
    served.drains = true;
    uv_async_send(&served.order);
    assert_false(ttrpc_peer_read(idle, &answer, 5000));
    close(idle);
    call(3, 0, "/t.T/Echo");
    await_failure(3, BERTH_UNAVAILABLE, "the server is shutting down");
    data(1, 0, "abc");
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    await_answer(1, TTRPC_RESPONSE);
    assert_memory_equal(answer.payload, "3", 1);
    assert_false(ttrpc_peer_read(peer, &answer, 5000));
    assert_int_equal(ttrpc_peer_open(served.path), -1);
    assert_int_equal(finish_server(), 0);
}

static void a_drain_answers_what_lies_unread(void **state)
{
    int other = ttrpc_peer_open(served.path);

    ttrpc_peer_request(other, 1, 0, "/t.T/Echo", NULL, 0, 0, NULL);
    assert_true(ttrpc_peer_read(other, &answer, 5000));
    call(1, 0, "/t.T/Drain");
    await(&started, 1);
    ttrpc_peer_request(other, 3, 0, "/t.T/Echo", NULL, 0, 0, NULL);
    may_drain = 1;
    assert_true(ttrpc_peer_read(other, &answer, 5000));
    assert_int_equal(answer.id, 3);
    assert_int_equal(answer.code, BERTH_UNAVAILABLE);
    assert_false(ttrpc_peer_read(other, &answer, 5000));
    close(other);
    await_answer(1, TTRPC_RESPONSE);
    assert_int_equal(finish_server(), 0);
}

static void a_server_that_closes_tells_the_callers(void **state)
{
    call(1, 0, "/t.T/Never");
    await(&started, 1);
    uv_async_send(&served.order);
    await_failure(1, BERTH_UNAVAILABLE, "the server is shutting down");
    assert_false(ttrpc_peer_read(peer, &answer, 5000));
    assert_int_equal(finish_server(), 0);
    assert_int_equal(last_code, BERTH_CANCELLED);
}

static void garbage_costs_only_its_connection(void **state)
{
    unsigned seed = 1;

    for (int round = 0; round < 50; round++) {
        char junk[4096];
        int other = ttrpc_peer_open(served.path);

        for (size_t i = 0; i < sizeof(junk); i++)
            junk[i] = (char)(round % 2 == 0 ? rand_r(&seed) : rand_r(&seed) % 4);
        ttrpc_peer_send(other, junk, sizeof(junk));
        close(other);
    }
    assert_alive(1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define SMALL(name) cmocka_unit_test_setup_teardown(name, start_small, stop)
#define ENDS(name) cmocka_unit_test_setup_teardown(name, start, NULL)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_unary_call_is_answered_with_one_response),
        CASE(an_even_stream_id_is_refused_and_the_connection_stays),
        CASE(an_id_that_does_not_increase_is_refused),
        CASE(a_used_id_ends_the_call_that_has_it),
        CASE(an_oversize_frame_is_discarded_and_answered),
        CASE(an_oversize_frame_ends_its_call),
        CASE(the_largest_frame_is_served),
        CASE(bytes_that_are_no_request_are_refused),
        CASE(an_unknown_service_or_method_is_unimplemented),
        CASE(a_name_with_a_nul_is_not_cut_there),
        CASE(data_on_an_unknown_stream_is_refused),
        CASE(a_data_close_with_bytes_is_refused),
        CASE(data_on_a_unary_call_is_refused),
        CASE(data_behind_the_end_is_refused),
        CASE(frames_of_unknown_types_are_ignored),
        CASE(a_server_stream_ends_with_an_empty_data_frame),
        CASE(a_client_stream_is_answered_with_one_response),
        CASE(a_bidirectional_stream_flows_both_ways),
        CASE(an_empty_data_frame_that_closes_is_an_empty_message),
        CASE(a_stream_may_end_while_its_caller_goes_on),
        CASE(what_a_stream_sends_before_it_fails_arrives),
        CASE(a_client_stream_may_be_answered_before_its_first_message),
        CASE(the_payload_of_a_streams_request_is_its_first_message),
        CASE(an_absent_payload_is_an_empty_message),
        CASE(a_handler_sees_who_calls_and_what_comes_with_it),
        CASE(metadata_is_bounded),
        CASE(a_deadline_ends_the_call_on_both_sides),
        CASE(a_failure_brings_its_details_and_is_text),
        CASE(long_failures_have_room_among_other_answers),
        CASE(a_call_may_fail_at_its_start_without_a_word),
        CASE(a_reply_over_the_frames_size_is_refused),
        CASE(answers_come_in_any_order),
        CASE(a_lost_connection_cancels_its_calls),
        CASE(a_stream_that_takes_nothing_is_ended_and_the_others_go_on),
        CASE(what_is_within_the_buffer_waits),
        SMALL(too_many_calls_are_refused),
        SMALL(a_message_over_the_limit_is_refused),
        SMALL(a_connection_may_be_silent),
        SMALL(a_frame_that_never_ends_costs_the_connection),
        SMALL(what_a_slow_peer_has_waiting_is_bounded),
        CASE(a_handler_is_told_when_it_may_send_again),
        CASE(a_peer_that_reads_no_answers_is_left),
        ENDS(a_drain_answers_what_lies_unread),
        ENDS(a_server_that_drains_closes_idle_connections_and_waits_for_calls),
        ENDS(a_server_that_closes_tells_the_callers),
        CASE(garbage_costs_only_its_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
