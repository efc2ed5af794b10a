/* SPDX-License-Identifier: Apache-2.0 */
/* What a gRPC server must do, frame by frame: each test is one requirement of the protocol. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "wire_server.h"

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

static void row_13_a_server_that_closes_says_unavailable(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Never", NULL, 0);
    assert_true(eventually(&started, 1));
    wire_end(false);
    http2_peer_await(peer, 1, &answer);
    assert_status("14", NULL);
    assert_true(eventually(&cancelled, 1));
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

static void row_23_headers_may_come_before_the_request_has_ended(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Chat", NULL, 0);
    assert_true(http2_peer_await_frame(peer, PEER_HEADERS, 2000));
    assert_int_equal(peer->id, 1);
    send_data(0, 1, "\0\0\0\0\1x", 6);
    assert_true(http2_peer_await_frame(peer, PEER_DATA, 2000));
    assert_int_equal(peer->length, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name, options) cmocka_unit_test_setup_teardown(name, options, wire_stop)
        ROW(a_unary_call_is_headers_message_trailers, wire_start),
        ROW(row_1_what_is_no_grpc_gets_415_and_grpc_variants_are_echoed, wire_start),
        ROW(row_2_another_method_than_post_gets_405_and_a_missing_te_is_taken, wire_start),
        ROW(row_3_malformed_http_is_reset_and_the_connection_lives, wire_start),
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
#undef ROW
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
