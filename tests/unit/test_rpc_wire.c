/* SPDX-License-Identifier: Apache-2.0 */
/* What a gRPC server must do, frame by frame: each test is one requirement of the protocol. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <tests/cmocka.h>

#include "http2_wire.h"

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
    const struct http2_field connect[] = {{":method", "CONNECT"}, {":authority", "x:1"}};
    const struct http2_field no_te[] = {{":method", "POST"},
                                        {":scheme", "http"},
                                        {":path", "/t.T/Echo"},
                                        {":authority", "x"},
                                        {"content-type", "application/grpc"}};

    http2_peer_send_headers(peer, PEER_END_STREAM, 1, get, 5);
    http2_peer_await(peer, 1, &answer);
    assert_header(":status", "405");
    assert_status("13", NULL);
    http2_peer_send_headers(peer, PEER_END_STREAM, 5, connect, 2);
    http2_peer_await(peer, 5, &answer);
    assert_header(":status", "405");
    http2_peer_send_headers(peer, 0, 7, no_te, 5);
    send_data(PEER_END_STREAM, 7, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 7, &answer);
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
         {":authority", "x"},
         {"b", "a\x01z"},
         {"te", "trailers"}},
        {{":method", "POST"},
         {":scheme", "http"},
         {":path", "/t.T/Echo"},
         {":authority", "x"},
         {"b@", "x"},
         {"te", "trailers"}},
        {{":method", "POST"},
         {":scheme", "http"},
         {":path", "/t.T/Echo"},
         {":authority", "x"},
         {"b", "x"},
         {"te", "deflate"}},
        {{":method", "POST"},
         {":scheme", "http"},
         {":path", "/t.T/Echo"},
         {":authority", "x"},
         {"content-length", "5"},
         {"te", "trailers"}},
    };
    struct http2_peer *by_unix = peer;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            http2_peer_send_headers(peer, PEER_END_STREAM, (uint32_t)i * 2 + 1, bad[i], 6);
            http2_peer_await(peer, (uint32_t)i * 2 + 1, &answer);
            assert_true(answer.is_reset);
            assert_int_equal(answer.reset_error, 1);
        }
        assert_echo_still_works(101);
        if (round == 0)
            peer = http2_peer_open_tcp(wire_port());
    }
    http2_peer_close(peer);
    peer = by_unix;
}

/* What socat, kubelet, grpc-java, grpc-dart and others put there; on TCP it names the host (RFC 9113 8.3.1).
 */
static void row_3_on_a_unix_socket_the_authority_may_be_anything(void **state)
{
    static const char *const cases[] = {"localhost",        "",    "/run/x.sock", "%2Frun%2Fx.sock",
                                        "unix:/run/x.sock", "a b", "x:y:z",       "@abstract",
                                        "\xc3\xbc"};
    const struct http2_field none[] = {{":method", "POST"},
                                       {":scheme", "http"},
                                       {":path", "/t.T/Echo"},
                                       {"content-type", "application/grpc"}};
    struct http2_peer *by_unix = peer;

    for (size_t i = 0; i <= sizeof(cases) / sizeof(cases[0]); i++) {
        bool has_none = i == sizeof(cases) / sizeof(cases[0]);
        struct http2_field fields[] = {
            none[0], none[1], none[2], {":authority", has_none ? "" : cases[i]}, none[3]};
        uint32_t id = (uint32_t)i * 2 + 1;

        http2_peer_send_headers(peer, 0, id, has_none ? none : fields, has_none ? 4 : 5);
        send_data(PEER_END_STREAM, id, "\0\0\0\0\0", 5);
        http2_peer_await(peer, id, &answer);
        assert_status("0", NULL);
    }
    peer = http2_peer_open_tcp(wire_port());
    http2_peer_send_headers(peer, PEER_END_STREAM, 1, none, 4);
    http2_peer_await(peer, 1, &answer);
    assert_true(answer.is_reset);
    assert_int_equal(answer.reset_error, 1);
    assert_echo_still_works(3);
    http2_peer_close(peer);
    peer = by_unix;
}

/* What breaks HTTP behind the headers ends the call, on both. */
static void row_3_a_request_that_goes_on_malformed_is_cancelled(void **state)
{
    static const struct http2_field trailer = {"x-a", "b"};
    static const struct http2_field pseudo = {":path", "/"};
    const struct http2_field length = {"content-length", "7"};
    struct http2_peer *by_unix = peer;
    int expected = 0;

    for (int round = 0; round < 2; round++) {
        for (uint32_t id = 1; id < 11; id += 2) {
            http2_peer_call(peer, 0, id, "/t.T/Silent", &length, id < 7 ? 1 : 0);
            if (id == 1)
                send_data(0, id, "\0\0\0\0\3abc", 8);
            else if (id == 3)
                send_data(PEER_END_STREAM, id, "\0\0\0\0\1a", 6);
            else if (id == 5)
                http2_peer_send_headers(peer, PEER_END_STREAM, id, &trailer, 1);
            else
                http2_peer_send_headers(peer, id == 7 ? 0 : PEER_END_STREAM, id, id == 7 ? &trailer : &pseudo,
                                        1);
            http2_peer_await(peer, id, &answer);
            assert_true(answer.is_reset);
            assert_int_equal(answer.reset_error, 1);
            await(&cancelled, ++expected);
        }
        http2_peer_call(peer, 0, 21, "/t.T/Silent", &length, 1);
        send_data(0, 21, "\0\0\0\0\2ab", 7);
        http2_peer_send_headers(peer, PEER_END_STREAM, 21, &trailer, 1);
        http2_peer_await(peer, 21, &answer);
        assert_status("0", NULL);
        if (round == 0)
            peer = http2_peer_open_tcp(wire_port());
    }
    http2_peer_close(peer);
    peer = by_unix;
}

/* gRPC over HTTP/2, Custom-Metadata: a server may strip them, and grpc-go serves such calls. */
static void row_8_blanks_around_values_are_stripped(void **state)
{
    const struct http2_field sent[] = {
        {"x-a", " v w\t"}, {"x-b", "\t \t"}, {"x-c-bin", " YWI "}, {"grpc-timeout", " 5S "}};
    struct http2_peer *by_unix = peer;

    for (int round = 0; round < 2; round++) {
        http2_peer_call(peer, 0, 1, "/t.T/Return", sent, sizeof(sent) / sizeof(sent[0]));
        send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
        http2_peer_await(peer, 1, &answer);
        assert_status("0", NULL);
        assert_header("x-a", "v w");
        assert_header("x-b", "");
        assert_header("x-c-bin", "YWI");
        if (round == 0)
            peer = http2_peer_open_tcp(wire_port());
    }
    http2_peer_close(peer);
    peer = by_unix;
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
    http2_peer_call(peer, 0, 1, "/t.T/Stop", NULL, 0);
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
        const char *http;
    } cases[] = {
        {"1", "13", "400"},          {"S", "13", "400"},        {"", "13", "400"},
        {"123456789S", "13", "400"}, {"-1S", "13", "400"},      {"1s", "13", "400"},
        {"0S", "4", "200"},          {"99999999H", "0", "200"}, {"1H", "0", "200"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct http2_field timeout = {"grpc-timeout", cases[i].value};
        uint32_t id = (uint32_t)i * 2 + 1;

        http2_peer_call(peer, 0, id, "/t.T/Echo", &timeout, 1);
        send_data(PEER_END_STREAM, id, "\0\0\0\0\0", 5);
        http2_peer_await(peer, id, &answer);
        assert_header(":status", cases[i].http);
        assert_status(cases[i].code, NULL);
        if (strcmp(cases[i].http, "400") == 0)
            assert_int_equal(answer.header_frames, 1);
    }
}

static void row_9_at_its_deadline_a_call_ends_and_its_handler_hears_so(void **state)
{
    const struct http2_field timeout = {"grpc-timeout", "50m"};

    http2_peer_call(peer, 0, 1, "/t.T/Never", &timeout, 1);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status("4", NULL);
    await(&overdue, 1);
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

static void row_13_a_server_that_closes_says_unavailable(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Never", NULL, 0);
    await(&started, 1);
    wire_end(false);
    http2_peer_await(peer, 1, &answer);
    assert_status("14", NULL);
    await(&cancelled, 1);
}

static void row_14_a_reset_cancels_the_handler(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Never", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    await(&started, 1);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 1, "\0\0\0\x8", 4);
    await(&cancelled, 1);
    assert_echo_still_works(3);
}

static void row_14_a_lost_connection_cancels_every_handler(void **state)
{
    for (uint32_t id = 1; id < 20; id += 2) {
        http2_peer_call(peer, 0, id, "/t.T/Never", NULL, 0);
        send_data(PEER_END_STREAM, id, "\0\0\0\0\0", 5);
    }
    await(&started, 10);
    http2_peer_close(peer);
    peer = NULL;
    await(&cancelled, 10);
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

static void row_7_a_sentence_is_percent_encoded_utf8(void **state)
{
    static const struct {
        const char *said;
        const char *sent;
    } cases[] = {
        {"\5plain ~ text", "plain ~ text"},
        {"\5"
         "100 %",
         "100 %25"},
        {"\5"
         "a\nb\x7f",
         "a%0Ab%7F"},
        {"\5\xc3\xbc\xe2\x82\xac", "%C3%BC%E2%82%AC"},
        {"\5no\xff"
         "text",
         "no%EF%BF%BDtext"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char message[64] = {0, 0, 0, 0, (char)strlen(cases[i].said)};
        uint32_t id = (uint32_t)i * 2 + 1;

        memcpy(message + 5, cases[i].said, strlen(cases[i].said));
        http2_peer_call(peer, 0, id, "/t.T/Say", NULL, 0);
        send_data(PEER_END_STREAM, id, message, 5 + strlen(cases[i].said));
        http2_peer_await(peer, id, &answer);
        assert_status("5", cases[i].sent);
    }
}

static void assert_field(size_t *at, const char *name, const char *value)
{
    while (*at < answer.header_count && strcmp(answer.headers[*at][0], name) != 0)
        (*at)++;
    if (*at == answer.header_count)
        fail_msg("no further %s", name);
    assert_string_equal(answer.headers[(*at)++][1], value);
}

static void row_8_metadata_keeps_its_order_and_binary_values_travel_unpadded(void **state)
{
    const struct http2_field sent[] = {
        {"x-a", "1"},         {"x-raw-bin", "YQ=="}, {"x-a", "2, 3"},        {"x-raw-bin", "YWI,YWJj"},
        {"x_odd.name-0", ""}, {"x-odd", "\xc3\xbc"}, {"x-inner", "a\tb  c"},
    };
    static const struct http2_field expected[] = {
        {"x-a", "1"},          {"x-raw-bin", "YQ"},  {"x-a", "2, 3"},       {"x-raw-bin", "YWI"},
        {"x-raw-bin", "YWJj"}, {"x_odd.name-0", ""}, {"x-odd", "\xc3\xbc"}, {"x-inner", "a\tb  c"},
    };
    size_t at = 0;

    http2_peer_call(peer, 0, 1, "/t.T/Return", sent, sizeof(sent) / sizeof(sent[0]));
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status("0", NULL);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_field(&at, expected[i].name, expected[i].value);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        char name[64];

        snprintf(name, sizeof(name), "trailer-%s", expected[i].name);
        assert_field(&at, name, expected[i].value);
    }
}

static void row_8_reserved_names_are_not_metadata_and_bad_base64_is_internal(void **state)
{
    const struct http2_field reserved = {"grpc-future", "x"};
    const struct http2_field bad = {"x-bin", "!"};

    http2_peer_call(peer, 0, 1, "/t.T/Return", &reserved, 1);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status("0", NULL);
    assert_null(http2_answer_get(&answer, "grpc-future"));
    http2_peer_call(peer, 0, 3, "/t.T/Return", &bad, 1);
    http2_peer_await(peer, 3, &answer);
    assert_header(":status", "200");
    assert_status("13", NULL);
}

/* Of gRPC's statuscodes.md: those that a library never makes by itself are left to handlers. */
static void row_13_the_library_makes_only_codes_of_its_own(void **state)
{
    static const struct {
        const char *path;
        struct http2_field field;
        const char *bytes;
        size_t length;
        const char *code;
    } cases[] = {
        {"/t.T/Nothing", {"x", "x"}, "", 0, "12"},
        {"/no.Such/Echo", {"x", "x"}, "", 0, "12"},
        {"/t.T/Echo", {"grpc-encoding", "lzma"}, "", 0, "12"},
        {"/t.T/Echo", {"grpc-timeout", "soon"}, "", 0, "13"},
        {"/t.T/Echo", {"x-bin", "?"}, "", 0, "13"},
        {"/t.T/Echo", {"x", "x"}, "", 0, "13"},
        {"/t.T/Echo", {"x", "x"}, "\7\0\0\0\0", 5, "13"},
        {"/t.T/Echo", {"x", "x"}, "\1\0\0\0\0", 5, "13"},
        {"/t.T/Echo", {"grpc-encoding", "gzip"}, "\1\0\0\0\1x", 6, "13"},
        {"/t.T/Echo", {"x", "x"}, "\0\xff\0\0\0", 5, "8"},
        {"/t.T/Echo", {"grpc-timeout", "0n"}, "\0\0\0\0\0", 5, "4"},
        {"/t.T/Never", {"grpc-timeout", "1m"}, "\0\0\0\0\0", 5, "4"},
        {"/t.T/Say", {"x", "x"}, "\0\0\0\0\1\x4d", 6, "2"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t id = (uint32_t)i * 2 + 1;

        http2_peer_call(peer, 0, id, cases[i].path, &cases[i].field, 1);
        send_data(PEER_END_STREAM, id, cases[i].bytes, cases[i].length);
        http2_peer_await(peer, id, &answer);
        assert_status(cases[i].code, NULL);
    }
}

static void row_25_the_answers_of_one_turn_leave_in_one_write(void **state)
{
    static uint8_t bytes[1 << 16];
    struct pollfd readable = {.fd = peer->fd, .events = POLLIN};
    size_t ends = 0;
    ssize_t length;

    assert_echo_still_works(1);
    http2_peer_cork(peer);
    for (uint32_t id = 3; id < 3 + 2 * 32; id += 2) {
        http2_peer_call(peer, 0, id, "/t.T/Echo", NULL, 0);
        send_data(PEER_END_STREAM, id, "\0\0\0\0\2ok", 7);
    }
    http2_peer_uncork(peer);
    assert_int_equal(poll(&readable, 1, 5000), 1);
    length = recv(peer->fd, bytes, sizeof(bytes), 0);
    for (ssize_t at = 0; at + 9 <= length;) {
        ends += bytes[at + 3] == PEER_HEADERS && (bytes[at + 4] & PEER_END_STREAM) != 0;
        at += 9 + ((ssize_t)bytes[at] << 16 | (ssize_t)bytes[at + 1] << 8 | bytes[at + 2]);
    }
    assert_int_equal(ends, 32);
}

static void row_26_no_code_of_a_handler_becomes_an_http_error(void **state)
{
    for (unsigned char code = 1; code <= 16; code++) {
        char message[] = {0, 0, 0, 0, 1, (char)code};
        char number[4];
        uint32_t id = code * 2u - 1;

        snprintf(number, sizeof(number), "%u", code);
        http2_peer_call(peer, 0, id, "/t.T/Say", NULL, 0);
        send_data(PEER_END_STREAM, id, message, 6);
        http2_peer_await(peer, id, &answer);
        assert_header(":status", "200");
        assert_status(number, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name, options) cmocka_unit_test_setup_teardown(name, options, wire_stop)
        ROW(a_unary_call_is_headers_message_trailers, wire_start),
        ROW(row_1_what_is_no_grpc_gets_415_and_grpc_variants_are_echoed, wire_start),
        ROW(row_2_another_method_than_post_gets_405_and_a_missing_te_is_taken, wire_start),
        ROW(row_3_malformed_http_is_reset_and_the_connection_lives, wire_start),
        ROW(row_3_on_a_unix_socket_the_authority_may_be_anything, wire_start),
        ROW(row_3_a_request_that_goes_on_malformed_is_cancelled, wire_start),
        ROW(row_8_blanks_around_values_are_stripped, wire_start),
        ROW(row_4_unknown_paths_are_unimplemented, wire_start),
        ROW(row_5_an_answer_without_messages_is_one_frame, wire_start),
        ROW(row_5_a_sentence_that_is_too_long_is_cut, wire_start),
        ROW(row_5_an_answer_that_cannot_be_sent_is_reset, wire_start),
        ROW(row_6_an_early_end_is_followed_by_a_reset_without_error, wire_start),
        ROW(row_9_a_malformed_timeout_is_internal_and_none_left_is_exceeded, wire_start),
        ROW(row_9_at_its_deadline_a_call_ends_and_its_handler_hears_so, wire_start),
        ROW(row_10_messages_may_be_cut_at_every_byte, wire_start),
        ROW(row_10_bad_framing_is_internal, wire_start),
        ROW(row_11_a_size_of_4_gib_is_refused_before_it_comes, wire_start),
        ROW(row_13_a_server_that_closes_says_unavailable, wire_start),
        ROW(row_14_a_reset_cancels_the_handler, wire_start),
        ROW(row_14_a_lost_connection_cancels_every_handler, wire_start),
        ROW(row_23_headers_may_come_before_the_request_has_ended, wire_start),
        ROW(row_7_a_sentence_is_percent_encoded_utf8, wire_start),
        ROW(row_8_metadata_keeps_its_order_and_binary_values_travel_unpadded, wire_start),
        ROW(row_8_reserved_names_are_not_metadata_and_bad_base64_is_internal, wire_start),
        ROW(row_13_the_library_makes_only_codes_of_its_own, wire_start),
        ROW(row_25_the_answers_of_one_turn_leave_in_one_write, wire_start),
        ROW(row_26_no_code_of_a_handler_becomes_an_http_error, wire_start),
#undef ROW
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
