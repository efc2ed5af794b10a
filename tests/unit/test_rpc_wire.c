/* SPDX-License-Identifier: Apache-2.0 */
/* What a gRPC server must do, frame by frame: each test is one requirement of the protocol. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#include "http2_peer.h"

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
static struct http2_peer *peer;
static struct http2_answer answer;
static atomic_int started;
static atomic_int cancelled;
static atomic_int overdue;

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
    {.name = "Wordy", .kind = BERTH_METHOD_UNARY, .on_message = say_too_much},
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

static int start_with(const struct berth_rpc_server_options *options)
{
    const struct berth_rpc_service_entry entry = {.service = &service};
    struct berth_rpc_unix_options where = {.size = sizeof(where), .path = served.path};
    struct berth_error err;

    served.drains = false;
    started = cancelled = overdue = 0;
    snprintf(served.path, sizeof(served.path), "/tmp/rpc-wire-%ld", (long)getpid());
    uv_loop_init(&served.loop);
    uv_async_init(&served.loop, &served.order, on_order);
    if (berth_rpc_services_create(&entry, 1, &served.services, &err) != BERTH_OK ||
        berth_rpc_server_create(&served.loop, options, berth_rpc_services_router(served.services),
                                &served.server, &err) != BERTH_OK ||
        berth_rpc_server_listen_unix(served.server, &where, &err) != BERTH_OK) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    uv_thread_create(&served.thread, run, NULL);
    peer = http2_peer_open(served.path, false);
    return 0;
}

static int start(void **state)
{
    return start_with(NULL);
}

static int start_small(void **state)
{
    return start_with(&(struct berth_rpc_server_options){
        .size = sizeof(struct berth_rpc_server_options),
        .max_connections = 2,
        .max_concurrent_streams = 2,
        .max_header_list_bytes = 2000,
        .max_recv_message_bytes = 1000,
        .max_queued_bytes = 1024 * 1024,
        .handshake_timeout_ms = 200,
        .write_timeout_ms = 300,
    });
}

static int stop(void **state)
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

static bool eventually(const atomic_int *counter, int value)
{
    for (int i = 0; i < 500 && *counter != value; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    return *counter == value;
}

static void assert_header(const char *name, const char *value)
{
    const char *found = http2_answer_get(&answer, name);

    if (found == NULL)
        fail_msg("no %s", name);
    assert_string_equal(found, value);
}

static void assert_status(const char *code, const char *message)
{
    assert_header("grpc-status", code);
    if (message != NULL)
        assert_header("grpc-message", message);
}

static void send_data(uint8_t flags, uint32_t id, const char *bytes, size_t length)
{
    http2_peer_send_frame(peer, PEER_DATA, flags, id, bytes, length);
}

static void assert_echo_still_works(uint32_t id)
{
    http2_peer_call(peer, 0, id, "/t.T/Echo", NULL, 0);
    send_data(PEER_END_STREAM, id, "\0\0\0\0\2ok", 7);
    http2_peer_await(peer, id, &answer);
    assert_status("0", NULL);
    assert_int_equal(answer.length, 7);
    assert_memory_equal(answer.data, "\0\0\0\0\2ok", 7);
}

static void a_unary_call_is_headers_message_trailers(void **state)
{
    assert_echo_still_works(1);
    assert_int_equal(answer.header_frames, 2);
    assert_header(":status", "200");
    assert_header("content-type", "application/grpc");
}

static void row_1_what_is_no_grpc_gets_415_and_grpc_variants_are_echoed(void **state)
{
    static const struct {
        const char *type;
        const char *status;
    } cases[] = {
        {"application/grpc", "200"},     {"application/grpc+proto", "200"}, {"application/grpc;x=y", "200"},
        {"application/grpc-web", "415"}, {"application/json", "415"},       {"", "415"},
        {"application/grp", "415"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct http2_field fields[] = {{":method", "POST"},    {":scheme", "http"},
                                             {":path", "/t.T/Echo"}, {":authority", "x"},
                                             {"te", "trailers"},     {"content-type", cases[i].type}};
        uint32_t id = (uint32_t)i * 2 + 1;

        http2_peer_send_headers(peer, 0, id, fields, 6);
        send_data(PEER_END_STREAM, id, "\0\0\0\0\0", 5);
        http2_peer_await(peer, id, &answer);
        assert_header(":status", cases[i].status);
        if (strcmp(cases[i].status, "200") == 0)
            assert_header("content-type", cases[i].type);
        else
            assert_status("3", NULL);
    }
}

static void row_2_another_method_than_post_gets_405_and_a_missing_te_is_taken(void **state)
{
    const struct http2_field get[] = {{":method", "GET"},
                                      {":scheme", "http"},
                                      {":path", "/t.T/Echo"},
                                      {":authority", "x"},
                                      {"content-type", "application/grpc"}};
    const struct http2_field no_te[] = {{":method", "POST"},
                                        {":scheme", "http"},
                                        {":path", "/t.T/Echo"},
                                        {":authority", "x"},
                                        {"content-type", "application/grpc"}};

    http2_peer_send_headers(peer, PEER_END_STREAM, 1, get, 5);
    http2_peer_await(peer, 1, &answer);
    assert_header(":status", "405");
    assert_status("13", NULL);
    http2_peer_send_headers(peer, 0, 3, no_te, 5);
    send_data(PEER_END_STREAM, 3, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 3, &answer);
    assert_status("0", NULL);
}

static void row_3_malformed_http_is_reset_and_the_connection_lives(void **state)
{
    static const struct http2_field bad[][6] = {
        {{":method", "POST"},
         {":scheme", "http"},
         {":path", "/t.T/Echo"},
         {":authority", "x"},
         {"connection", "close"},
         {"te", "trailers"}},
        {{":method", "POST"},
         {":scheme", "http"},
         {":path", "/t.T/Echo"},
         {":authority", "x"},
         {":authority", "y"},
         {"te", "trailers"}},
        {{":method", "POST"},
         {":scheme", "http"},
         {":path", "/t.T/Echo"},
         {":authority", "x"},
         {"Upper", "x"},
         {"te", "trailers"}},
        {{":method", "POST"},
         {":path", "/t.T/Echo"},
         {":authority", "x"},
         {"a", "x"},
         {"b", "x"},
         {"te", "trailers"}},
        {{":method", "POST"},
         {":scheme", "http"},
         {":path", "no-slash"},
         {":authority", "x"},
         {"b", "x"},
         {"te", "trailers"}},
        {{":method", "POST"},
         {":scheme", "http"},
         {":path", "/t.T/Echo"},
         {"a", "x"},
         {"b", "x"},
         {"te", "trailers"}},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        http2_peer_send_headers(peer, PEER_END_STREAM, (uint32_t)i * 2 + 1, bad[i], 6);
        http2_peer_await(peer, (uint32_t)i * 2 + 1, &answer);
        assert_true(answer.is_reset);
        assert_int_equal(answer.reset_error, 1);
    }
    assert_echo_still_works(101);
}

static void row_4_unknown_paths_are_unimplemented(void **state)
{
    static const char *const cases[][2] = {
        {"/t.T/Nothing", "unknown method Nothing for service t.T"},
        {"/t.t/Echo", "unknown service t.t"},
        {"/t.T/echo", "unknown method echo for service t.T"},
        {"/bad", "malformed method name: \"/bad\""},
        {"/", "malformed method name: \"/\""},
        {"//", "unknown service "},
        {"/t.T/", "unknown method  for service t.T"},
        {"/a/t.T/Echo", "unknown service a/t.T"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t id = (uint32_t)i * 2 + 1;

        http2_peer_call(peer, PEER_END_STREAM, id, cases[i][0], NULL, 0);
        http2_peer_await(peer, id, &answer);
        assert_header(":status", "200");
        assert_status("12", cases[i][1]);
    }
}

static void row_5_an_answer_without_messages_is_one_frame(void **state)
{
    http2_peer_call(peer, PEER_END_STREAM, 1, "/t.T/Silent", NULL, 0);
    http2_peer_await(peer, 1, &answer);
    assert_int_equal(answer.header_frames, 1);
    assert_true(answer.is_ended);
    assert_header(":status", "200");
    assert_status("0", NULL);
}

static void row_5_a_sentence_that_is_too_long_is_cut(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Wordy", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status("10", NULL);
    assert_non_null(http2_answer_get(&answer, "grpc-message"));
}

static void row_5_an_answer_that_cannot_be_sent_is_reset(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Wordy", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\1x", 6);
    http2_peer_await(peer, 1, &answer);
    assert_true(answer.is_reset);
    assert_echo_still_works(3);
}

static void row_6_an_early_end_is_followed_by_a_reset_without_error(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Early", NULL, 0);
    send_data(0, 1, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status("10", "enough");
    assert_true(http2_peer_await_frame(peer, PEER_RST_STREAM, 2000));
    assert_int_equal(peer->payload[3], 0);
    send_data(0, 1, "\0\0\0\0\0", 5);
    assert_echo_still_works(3);
}

static void row_9_a_malformed_timeout_is_internal_and_none_left_is_exceeded(void **state)
{
    static const struct {
        const char *value;
        const char *code;
    } cases[] = {
        {"1", "13"},  {"S", "13"}, {"", "13"},         {"123456789S", "13"}, {"-1S", "13"},
        {"1s", "13"}, {"0S", "4"}, {"99999999H", "0"}, {"1H", "0"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct http2_field timeout = {"grpc-timeout", cases[i].value};
        uint32_t id = (uint32_t)i * 2 + 1;

        http2_peer_call(peer, 0, id, "/t.T/Echo", &timeout, 1);
        send_data(PEER_END_STREAM, id, "\0\0\0\0\0", 5);
        http2_peer_await(peer, id, &answer);
        assert_header(":status", "200");
        assert_status(cases[i].code, NULL);
    }
}

static void row_9_at_its_deadline_a_call_ends_and_its_handler_hears_so(void **state)
{
    const struct http2_field timeout = {"grpc-timeout", "50m"};

    http2_peer_call(peer, 0, 1, "/t.T/Never", &timeout, 1);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status("4", NULL);
    assert_true(eventually(&overdue, 1));
}

static void row_10_messages_may_be_cut_at_every_byte(void **state)
{
    static const char bytes[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\2de";

    http2_peer_call(peer, 0, 1, "/t.T/Chat", NULL, 0);
    for (size_t i = 0; i < sizeof(bytes) - 1; i++)
        send_data(0, 1, bytes + i, 1);
    send_data(PEER_END_STREAM, 1, NULL, 0);
    http2_peer_await(peer, 1, &answer);
    assert_status("0", NULL);
    assert_int_equal(answer.length, sizeof(bytes) - 1);
    assert_memory_equal(answer.data, bytes, sizeof(bytes) - 1);
}

static void row_10_bad_framing_is_internal(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"\2\0\0\0\0", 5}, {"\xff\0\0\0\1x", 6},           {"\0\0\0\0\3ab", 7}, {"\0\0\0", 3},
        {"", 0},           {"\0\0\0\0\1a\0\0\0\0\1b", 12}, {"\0\0\0\0\0\0", 6},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t id = (uint32_t)i * 2 + 1;

        http2_peer_call(peer, 0, id, "/t.T/Echo", NULL, 0);
        send_data(PEER_END_STREAM, id, cases[i].bytes, cases[i].length);
        http2_peer_await(peer, id, &answer);
        assert_status("13", NULL);
    }
}

static void row_11_a_size_of_4_gib_is_refused_before_it_comes(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Echo", NULL, 0);
    send_data(0, 1, "\0\xff\xff\xff\xff", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status("8", "grpc: received message larger than max (4294967295 vs. 16777216)");
    assert_echo_still_works(3);
}

static void row_12_compression_that_is_not_there_is_said_so(void **state)
{
    const struct http2_field gzip = {"grpc-encoding", "gzip"};
    const struct http2_field identity = {"grpc-encoding", "identity"};

    http2_peer_call(peer, 0, 1, "/t.T/Echo", &gzip, 1);
    send_data(PEER_END_STREAM, 1, "\1\0\0\0\1x", 6);
    http2_peer_await(peer, 1, &answer);
    assert_status("12", "grpc: Decompressor is not installed for grpc-encoding \"gzip\"");
    assert_header("grpc-accept-encoding", "identity");
    http2_peer_call(peer, 0, 3, "/t.T/Echo", NULL, 0);
    send_data(PEER_END_STREAM, 3, "\1\0\0\0\1x", 6);
    http2_peer_await(peer, 3, &answer);
    assert_status("13", NULL);
    http2_peer_call(peer, 0, 5, "/t.T/Echo", &identity, 1);
    send_data(PEER_END_STREAM, 5, "\0\0\0\0\1x", 6);
    http2_peer_await(peer, 5, &answer);
    assert_status("0", NULL);
}

static void row_14_a_reset_cancels_the_handler(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Never", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    assert_true(eventually(&started, 1));
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 1, "\0\0\0\x8", 4);
    assert_true(eventually(&cancelled, 1));
    assert_echo_still_works(3);
}

static void row_14_a_lost_connection_cancels_every_handler(void **state)
{
    for (uint32_t id = 1; id < 20; id += 2) {
        http2_peer_call(peer, 0, id, "/t.T/Never", NULL, 0);
        send_data(PEER_END_STREAM, id, "\0\0\0\0\0", 5);
    }
    assert_true(eventually(&started, 10));
    http2_peer_close(peer);
    peer = NULL;
    assert_true(eventually(&cancelled, 10));
}

static void row_15_a_handler_that_takes_nothing_stops_its_peer_and_no_other(void **state)
{
    static const char block[16384];
    uint32_t window = 1 << 20;

    http2_peer_call(peer, 0, 1, "/t.T/Hold", NULL, 0);
    assert_true(eventually(&started, 1));
    for (uint32_t sent = 0; sent < window; sent += sizeof(block))
        send_data(0, 1, block, sizeof(block));
    http2_peer_call(peer, 0, 3, "/t.T/Echo", NULL, 0);
    send_data(PEER_END_STREAM, 3, "\0\0\0\0\0", 5);
    memset(&answer, 0, sizeof(answer));
    while (peer->id != 3 || peer->type != PEER_DATA) {
        assert_true(http2_peer_read(peer, 2000));
        assert_false(peer->type == PEER_WINDOW_UPDATE && peer->id == 1);
    }
    assert_int_equal(peer->settings[4], window);
}

static void row_15_what_waits_for_a_peer_is_bounded(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Fill", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 0, "\0\x40\0\0", 4);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 1, "\0\x40\0\0", 4);
    http2_peer_await(peer, 1, &answer);
    assert_status("8", "15");
}

static void row_16_settings_name_the_bounds(void **state)
{
    assert_true(http2_peer_read(peer, 2000));
    assert_true(peer->has_settings);
    assert_int_equal(peer->settings[3], 256);
    assert_int_equal(peer->settings[6], 16 * 1024);
}

static void row_16_headers_over_the_bound_are_refused_and_the_connection_lives(void **state)
{
    static char big[12 * 1024];
    const struct http2_field more[] = {{"x-a", big}, {"x-b", big}};

    memset(big, 'x', sizeof(big) - 1);
    http2_peer_call(peer, PEER_END_STREAM, 1, "/t.T/Echo", more, 2);
    http2_peer_await(peer, 1, &answer);
    assert_status("8", NULL);
    assert_echo_still_works(3);
}

/* As long as the peer has not confirmed the bound; behind that it breaks the protocol. */
static void row_16_streams_over_the_bound_are_refused(void **state)
{
    for (uint32_t id = 1; id <= 3; id += 2)
        http2_peer_call(peer, 0, id, "/t.T/Never", NULL, 0);
    http2_peer_call(peer, 0, 5, "/t.T/Echo", NULL, 0);
    http2_peer_await(peer, 5, &answer);
    assert_true(answer.is_reset);
    assert_int_equal(answer.reset_error, 7);
}

static void row_16_what_other_clients_announce_is_taken(void **state)
{
    http2_peer_send_frame(
        peer, PEER_SETTINGS, 0, 0,
        "\0\2\0\0\0\0\0\3\0\0\0\0\0\4\0\x3f\xff\xff\0\5\0\x3f\xff\xff\0\6\0\0\x20\0\xfe\3\0\0\0\1", 36);
    assert_echo_still_works(1);
}

static void row_17_pings_are_answered_and_too_many_end_the_connection(void **state)
{
    http2_peer_send_frame(peer, PEER_PING, 0, 0, "12345678", 8);
    assert_true(http2_peer_await_frame(peer, PEER_PING, 2000));
    assert_memory_equal(peer->payload, "12345678", 8);
    for (int i = 0; i < 3; i++)
        http2_peer_send_frame(peer, PEER_PING, 0, 0, "12345678", 8);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_int_equal(peer->payload[7], 11);
    assert_memory_equal(peer->payload + 8, "too_many_pings", 14);
    assert_false(http2_peer_read(peer, 2000));
}

static void row_17_pings_behind_answers_are_forgiven(void **state)
{
    for (uint32_t id = 1; id < 40; id += 2) {
        http2_peer_send_frame(peer, PEER_PING, 0, 0, "bdpprobe", 8);
        assert_echo_still_works(id);
    }
}

static void row_19_a_drain_says_goaway_twice_and_finishes_what_runs(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Chat", NULL, 0);
    assert_true(http2_peer_await_frame(peer, PEER_HEADERS, 2000));
    served.drains = true;
    uv_async_send(&served.order);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_memory_equal(peer->payload, "\x7f\xff\xff\xff\0\0\0\0", 8);
    assert_true(http2_peer_read(peer, 2000));
    assert_int_equal(peer->type, PEER_PING);
    http2_peer_call(peer, 0, 3, "/t.T/Silent", NULL, 0);
    http2_peer_send_frame(peer, PEER_PING, PEER_ACK, 0, peer->payload, 8);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_memory_equal(peer->payload, "\0\0\0\3\0\0\0\0", 8);
    send_data(PEER_END_STREAM, 3, NULL, 0);
    http2_peer_await(peer, 3, &answer);
    assert_status("0", NULL);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\1x", 6);
    http2_peer_await(peer, 1, &answer);
    assert_int_equal(answer.length, 6);
    assert_status("0", NULL);
    assert_false(http2_peer_read(peer, 2000));
}

static void row_20_rapid_resets_end_the_connection_and_leave_nothing(void **state)
{
    for (uint32_t id = 1; id < 2 * 1500; id += 2) {
        http2_peer_call(peer, PEER_END_STREAM, id, "/t.T/Silent", NULL, 0);
        http2_peer_send_frame(peer, PEER_RST_STREAM, 0, id, "\0\0\0\x8", 4);
    }
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    http2_peer_close(peer);
    peer = http2_peer_open(served.path, false);
    assert_echo_still_works(1);
}

static void row_20_making_the_server_reset_is_counted_too(void **state)
{
    for (uint32_t id = 1; id < 2 * 1500; id += 2) {
        http2_peer_call(peer, 0, id, "/t.T/Silent", NULL, 0);
        http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, id, "\0\0\0\0", 4);
    }
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
}

/* Nothing is read, so that the end is seen by the socket alone. */
static void row_20_a_peer_that_reads_nothing_piles_up_nothing(void **state)
{
    struct pollfd ended = {.fd = peer->fd, .events = 0};

    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 0, "\0\x40\0\0", 4);
    http2_peer_call(peer, 0, 1, "/t.T/Fill", NULL, 0);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 1, "\0\x40\0\0", 4);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    for (uint32_t id = 3; id < 2 * 20000 && poll(&ended, 1, 0) == 0; id += 2)
        http2_peer_call(peer, 0, id, "/t.T/Never", NULL, 0);
    assert_int_equal(poll(&ended, 1, 5000), 1);
    assert_int_not_equal(ended.revents & POLLHUP, 0);
}

static void row_21_endless_continuations_end_the_connection(void **state)
{
    http2_peer_send_frame(peer, PEER_HEADERS, PEER_END_STREAM, 1, NULL, 0);
    for (int i = 0; i < 20; i++)
        http2_peer_send_frame(peer, PEER_CONTINUATION, 0, 1, NULL, 0);
    while (http2_peer_read(peer, 2000))
        assert_int_not_equal(peer->type, PEER_HEADERS);
    http2_peer_close(peer);
    peer = http2_peer_open(served.path, false);
    assert_echo_still_works(1);
}

static void row_22_a_peer_that_says_nothing_is_closed(void **state)
{
    struct http2_peer *mute = http2_peer_open(served.path, true);

    while (http2_peer_read(mute, 2000))
        continue;
    http2_peer_close(mute);
    assert_echo_still_works(1);
}

static void row_22_garbage_is_closed(void **state)
{
    struct http2_peer *other = http2_peer_open(served.path, true);

    http2_peer_send(other, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    while (http2_peer_read(other, 2000))
        continue;
    http2_peer_close(other);
    assert_echo_still_works(1);
}

static void row_22_frames_without_data_are_counted(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Silent", NULL, 0);
    for (int i = 0; i < 1500; i++)
        send_data(0, 1, NULL, 0);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
}

static void row_22_connections_over_the_bound_are_closed_and_there_is_room_again(void **state)
{
    struct http2_peer *second = http2_peer_open(served.path, false);
    struct http2_peer *third;

    assert_true(http2_peer_read(second, 2000));
    third = http2_peer_open(served.path, false);
    assert_false(http2_peer_read(third, 2000));
    http2_peer_close(third);
    http2_peer_close(second);
    nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    http2_peer_close(peer);
    peer = http2_peer_open(served.path, false);
    assert_echo_still_works(1);
}

static void row_22_some_descriptors_are_left_to_others(void **state)
{
    struct http2_peer *peers[48] = {NULL};
    struct rlimit before, limit;
    bool is_refused = false;
    size_t count = 0;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = (struct rlimit){.rlim_cur = 80, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (!is_refused && count < 48) {
        struct pollfd ended = {.fd = -1};

        peers[count] = http2_peer_open(served.path, true);
        ended.fd = peers[count++]->fd;
        is_refused = poll(&ended, 1, 50) == 1 && (ended.revents & POLLHUP) != 0;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(is_refused);
    assert_true(peers[count - 1]->fd < 75);
    while (count > 0)
        http2_peer_close(peers[--count]);
    assert_echo_still_works(1);
}

static void row_23_headers_may_come_before_the_request_has_ended(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Chat", NULL, 0);
    assert_true(http2_peer_await_frame(peer, PEER_HEADERS, 2000));
    assert_int_equal(peer->id, 1);
    send_data(0, 1, "\0\0\0\0\1x", 6);
    assert_true(http2_peer_await_frame(peer, PEER_DATA, 2000));
    assert_int_equal(peer->length, 6);
}

static void row_13_a_server_that_closes_says_unavailable(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Never", NULL, 0);
    assert_true(eventually(&started, 1));
    uv_async_send(&served.order);
    http2_peer_await(peer, 1, &answer);
    assert_status("14", NULL);
    assert_true(eventually(&cancelled, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name, options) cmocka_unit_test_setup_teardown(name, options, stop)
        ROW(a_unary_call_is_headers_message_trailers, start),
        ROW(row_1_what_is_no_grpc_gets_415_and_grpc_variants_are_echoed, start),
        ROW(row_2_another_method_than_post_gets_405_and_a_missing_te_is_taken, start),
        ROW(row_3_malformed_http_is_reset_and_the_connection_lives, start),
        ROW(row_4_unknown_paths_are_unimplemented, start),
        ROW(row_5_an_answer_without_messages_is_one_frame, start),
        ROW(row_5_a_sentence_that_is_too_long_is_cut, start),
        ROW(row_5_an_answer_that_cannot_be_sent_is_reset, start),
        ROW(row_6_an_early_end_is_followed_by_a_reset_without_error, start),
        ROW(row_9_a_malformed_timeout_is_internal_and_none_left_is_exceeded, start),
        ROW(row_9_at_its_deadline_a_call_ends_and_its_handler_hears_so, start),
        ROW(row_10_messages_may_be_cut_at_every_byte, start),
        ROW(row_10_bad_framing_is_internal, start),
        ROW(row_11_a_size_of_4_gib_is_refused_before_it_comes, start),
        ROW(row_12_compression_that_is_not_there_is_said_so, start),
        ROW(row_13_a_server_that_closes_says_unavailable, start),
        ROW(row_14_a_reset_cancels_the_handler, start),
        ROW(row_14_a_lost_connection_cancels_every_handler, start),
        ROW(row_15_a_handler_that_takes_nothing_stops_its_peer_and_no_other, start),
        ROW(row_15_what_waits_for_a_peer_is_bounded, start_small),
        ROW(row_16_settings_name_the_bounds, start),
        ROW(row_16_headers_over_the_bound_are_refused_and_the_connection_lives, start),
        ROW(row_16_streams_over_the_bound_are_refused, start_small),
        ROW(row_16_what_other_clients_announce_is_taken, start),
        ROW(row_17_pings_are_answered_and_too_many_end_the_connection, start),
        ROW(row_17_pings_behind_answers_are_forgiven, start),
        ROW(row_19_a_drain_says_goaway_twice_and_finishes_what_runs, start),
        ROW(row_20_rapid_resets_end_the_connection_and_leave_nothing, start),
        ROW(row_20_making_the_server_reset_is_counted_too, start),
        ROW(row_20_a_peer_that_reads_nothing_piles_up_nothing, start),
        ROW(row_21_endless_continuations_end_the_connection, start),
        ROW(row_22_a_peer_that_says_nothing_is_closed, start_small),
        ROW(row_22_garbage_is_closed, start),
        ROW(row_22_frames_without_data_are_counted, start),
        ROW(row_22_connections_over_the_bound_are_closed_and_there_is_room_again, start_small),
        ROW(row_22_some_descriptors_are_left_to_others, start),
        ROW(row_23_headers_may_come_before_the_request_has_ended, start),
#undef ROW
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
