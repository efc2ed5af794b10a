/* SPDX-License-Identifier: Apache-2.0 */
/* What a call makes of servers that answer oddly, break off, or stall. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include "rpc_caller.h"

#define GRPC                                                                                                 \
    {":status", "200"},                                                                                      \
    {                                                                                                        \
        "content-type", "application/grpc"                                                                   \
    }

static struct caller c;
static struct outcome outcome;
static atomic_int resets;
static atomic_int frames;

static int start(void **state)
{
    resets = frames = 0;
    outcome = (struct outcome){0};
    caller_start(&c, "answers");
    caller_open(&c, NULL);
    return 0;
}

static int stop(void **state)
{
    caller_stop(&c);
    return 0;
}

static struct http2_peer *peer;
static uint32_t id;

/* What one answer consists of; `peer` and `id` are those of the call. */
static void (*answer)(void);

static void answer_and_wait(int listener)
{
    peer = http2_peer_accept(listener, false, 1000);
    id = script_await_call(peer);
    answer();
    while (http2_peer_read(peer, 5000))
        if (peer->type == PEER_RST_STREAM)
            resets++;
    http2_peer_close(peer);
}

static void answer_and_hang_up(int listener)
{
    peer = http2_peer_accept(listener, false, 1000);
    id = script_await_call(peer);
    answer();
    http2_peer_close(peer);
}

static void ask(void (*how)(void), void (*script)(int listener))
{
    answer = how;
    caller_play(&c, script);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
}

static void send_headers(uint8_t flags, const struct http2_field *fields, size_t count)
{
    http2_peer_send_headers(peer, flags, id, fields, count);
}

static void send_data(uint8_t flags, const void *bytes, size_t length)
{
    http2_peer_send_frame(peer, PEER_DATA, flags, id, bytes, length);
}

static void trailers_only(void)
{
    const struct http2_field all[] = {
        GRPC, {"grpc-status", "5"}, {"grpc-message", "no such %C3%A4"}, {"x-a", "1"}};

    send_headers(PEER_END_STREAM, all, 5);
}

static void trailers_alone_end_a_call_with_their_code_and_sentence(void **state)
{
    ask(trailers_only, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_NOT_FOUND);
    assert_string_equal(outcome.message, "no such \xc3\xa4");
    assert_int_equal(outcome.trailers, 1);
    assert_int_equal(outcome.messages, 0);
}

static void blanks_around_values(void)
{
    const struct http2_field all[] = {
        GRPC, {"grpc-status", " 5\t"}, {"grpc-message", " no such "}, {"x-a", "\t1 "}};

    send_headers(PEER_END_STREAM, all, 5);
}

static void blanks_around_the_values_of_an_answer_are_stripped(void **state)
{
    ask(blanks_around_values, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_NOT_FOUND);
    assert_string_equal(outcome.message, "no such");
}

static void data_of_no_stream(void)
{
    http2_peer_send_frame(peer, PEER_DATA, 0, 0, "x", 1);
}

static void a_server_that_breaks_http2_is_told_by_what_it_did(void **state)
{
    ask(data_of_no_stream, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_non_null(
        strstr(outcome.message, "the server violated HTTP/2 (PROTOCOL_ERROR: DATA: stream_id == 0)"));
}

static void data_first(void)
{
    send_data(0, "\0\0\0\0\1x", 6);
}

static void data_before_headers_is_an_error(void **state)
{
    ask(data_first, answer_and_wait);
    assert_int_not_equal(outcome.code, BERTH_OK);
    assert_int_equal(outcome.messages, 0);
}

static void half_a_message(void)
{
    const struct http2_field head[] = {GRPC};

    send_headers(0, head, 2);
    send_data(0, "\0\0\0\0\5he", 7);
}

static void a_server_that_hangs_up_inside_a_message_is_unavailable(void **state)
{
    ask(half_a_message, answer_and_hang_up);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(outcome.message, c.path));
    assert_int_equal(outcome.messages, 0);
}

static void half_a_message_and_a_good_end(void)
{
    const struct http2_field tail[] = {{"grpc-status", "0"}};

    half_a_message();
    send_headers(PEER_END_STREAM, tail, 1);
}

static void an_answer_that_ends_inside_a_message_is_internal_whatever_its_status(void **state)
{
    ask(half_a_message_and_a_good_end, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_INTERNAL);
}

static void end_without_status(void)
{
    const struct http2_field head[] = {GRPC};

    send_headers(0, head, 2);
    send_data(PEER_END_STREAM, "\0\0\0\0\1x", 6);
}

static void an_answer_without_a_status_is_internal(void **state)
{
    ask(end_without_status, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_INTERNAL);
    assert_string_equal(outcome.message, "the server ended the call without a status");
}

static void html(void)
{
    const struct http2_field head[] = {{":status", "200"}, {"content-type", "text/html"}};

    send_headers(0, head, 2);
    send_data(0, "<html>", 6);
}

static void a_web_page_is_no_answer(void **state)
{
    ask(html, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_UNKNOWN);
    assert_int_equal(outcome.messages, 0);
}

static void service_unavailable(void)
{
    const struct http2_field head[] = {{":status", "503"}, {"content-type", "text/plain"}};

    send_headers(PEER_END_STREAM, head, 2);
}

static void the_errors_of_a_proxy_are_mapped(void **state)
{
    ask(service_unavailable, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
}

static void a_number_that_is_no_code(void)
{
    const struct http2_field all[] = {GRPC, {"grpc-status", "1234567890123"}};

    send_headers(PEER_END_STREAM, all, 3);
}

static void a_status_that_is_no_code_is_unknown(void **state)
{
    ask(a_number_that_is_no_code, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_UNKNOWN);
}

static void informational_first(void)
{
    const struct http2_field early[] = {{":status", "103"}, {"link", "</x>"}};

    send_headers(0, early, 2);
    script_answer(peer, id, "done");
}

static void an_announcement_ahead_of_the_answer_is_passed_over(void **state)
{
    ask(informational_first, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_OK);
    assert_string_equal(outcome.text, "done");
    assert_int_equal(outcome.headers, 1);
}

static void four_gigabytes(void)
{
    const struct http2_field head[] = {GRPC};

    send_headers(0, head, 2);
    send_data(0, "\0\xff\xff\xff\xffx", 6);
}

static void a_message_of_4_gib_is_refused_before_it_comes_and_the_stream_reset(void **state)
{
    ask(four_gigabytes, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(outcome.message, "4294967295"));
    caller_run_for(&c, 50);
    berth_rpc_channel_close(c.channel, NULL, NULL);
    c.channel = NULL;
    uv_run(&c.loop, UV_RUN_DEFAULT);
    caller_end_play(&c);
    assert_int_equal(resets, 1);
}

static void a_large_header(void)
{
    static char value[8000];
    const struct http2_field all[] = {
        GRPC, {"x-1", value}, {"x-2", value}, {"x-3", value}, {"grpc-status", "0"}};

    memset(value, 'a', sizeof(value) - 1);
    send_headers(PEER_END_STREAM, all, 6);
}

static void headers_over_the_bound_are_resource_exhausted(void **state)
{
    ask(a_large_header, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_RESOURCE_EXHAUSTED);
}

static void bad_flag(void)
{
    const struct http2_field head[] = {GRPC};

    send_headers(0, head, 2);
    send_data(0, "\7\0\0\0\1x", 6);
}

static void a_message_with_an_unknown_flag_is_internal(void **state)
{
    ask(bad_flag, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_INTERNAL);
}

static void stall(void)
{
    const struct http2_field head[] = {GRPC};

    send_headers(0, head, 2);
}

static void a_stalled_answer_ends_at_the_deadline_and_the_server_hears_of_it(void **state)
{
    const struct berth_rpc_call_options options = {.timeout_ms = 100};

    answer = stall;
    caller_play(&c, answer_and_wait);
    caller_ask(&c, &outcome, &options, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_DEADLINE_EXCEEDED);
    assert_non_null(strstr(outcome.message, c.path));
    caller_run_for(&c, 50);
    berth_rpc_channel_close(c.channel, NULL, NULL);
    c.channel = NULL;
    uv_run(&c.loop, UV_RUN_DEFAULT);
    caller_end_play(&c);
    assert_int_equal(resets, 1);
}

static void nonsense(void)
{
    static const char page[] = "HTTP/1.1 400 Bad Request\r\n\r\n and so on and so on";

    http2_peer_send(peer, page, sizeof(page));
}

static void nonsense_ends_the_connection_and_its_calls(void **state)
{
    ask(nonsense, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
}

static void ten_messages(void)
{
    const struct http2_field head[] = {GRPC};
    const struct http2_field tail[] = {{"grpc-status", "0"}};

    send_headers(0, head, 2);
    for (int i = 0; i < 10; i++)
        send_data(0, "\0\0\0\0\1x", 6);
    send_headers(PEER_END_STREAM, tail, 1);
}

static void cancel(struct outcome *given)
{
    berth_rpc_call_cancel(given->call);
}

static void nothing_comes_after_a_cancel_inside_a_message(void **state)
{
    outcome.on_message = cancel;
    ask(ten_messages, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_CANCELLED);
    assert_int_equal(outcome.messages, 1);
}

static void pause_and_resume(struct outcome *given)
{
    berth_rpc_call_pause(given->call);
    berth_rpc_call_resume(given->call);
}

static void a_pause_that_is_taken_back_in_the_same_message_loses_none(void **state)
{
    outcome.on_message = pause_and_resume;
    ask(ten_messages, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_OK);
    assert_int_equal(outcome.messages, 10);
}

static void pause_it(struct outcome *given)
{
    berth_rpc_call_pause(given->call);
}

static void the_end_waits_for_messages_that_are_held_back(void **state)
{
    outcome.on_message = pause_it;
    answer = ten_messages;
    caller_play(&c, answer_and_wait);
    caller_ask(&c, &outcome, NULL, "x");
    for (unsigned i = 1; i <= 10; i++) {
        caller_run_for(&c, 50);
        assert_int_equal(outcome.messages, i);
        assert_true(i == 10 || !outcome.is_over);
        if (!outcome.is_over)
            berth_rpc_call_resume(outcome.call);
    }
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_OK);
}

static void a_channel_that_closes_ends_calls_that_hold_messages_back(void **state)
{
    outcome.on_message = pause_it;
    answer = ten_messages;
    caller_play(&c, answer_and_wait);
    caller_ask(&c, &outcome, NULL, "x");
    caller_run_for(&c, 50);
    assert_false(outcome.is_over);
    berth_rpc_channel_close(c.channel, NULL, NULL);
    c.channel = NULL;
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_CANCELLED);
}

static void use_everything(struct outcome *given)
{
    assert_int_equal(berth_rpc_call_send(given->call, "x", 1), BERTH_FAILED_PRECONDITION);
    assert_false(berth_rpc_call_can_send(given->call));
    berth_rpc_call_half_close(given->call);
    berth_rpc_call_pause(given->call);
    berth_rpc_call_resume(given->call);
    berth_rpc_call_fail(given->call, BERTH_ABORTED, "too late");
    berth_rpc_call_cancel(given->call);
}

static void every_operation_may_be_used_at_the_end_and_changes_nothing(void **state)
{
    outcome.on_end = use_everything;
    ask(ten_messages, answer_and_wait);
    assert_int_equal(outcome.code, BERTH_OK);
    assert_int_equal(outcome.messages, 10);
}

static struct outcome second;

static void ask_again_and_close(struct outcome *given)
{
    caller_ask(&c, &second, NULL, "x");
    berth_rpc_channel_close(c.channel, NULL, NULL);
    c.channel = NULL;
}

static void a_channel_may_be_closed_at_the_end_of_a_call(void **state)
{
    second = (struct outcome){0};
    outcome.on_end = ask_again_and_close;
    ask(ten_messages, answer_and_wait);
    caller_await(&c, &second, 1);
    assert_int_equal(second.code, BERTH_CANCELLED);
}

static struct http2_answer request;

static void note_request(int listener)
{
    request = (struct http2_answer){0};
    peer = http2_peer_accept(listener, false, 1000);
    peer->answer = &request;
    peer->answer_id = 1;
    id = script_await_call(peer);
    script_answer(peer, id, "done");
    while (http2_peer_read(peer, 5000))
        continue;
    http2_peer_close(peer);
}

static double milliseconds_of(const char *timeout)
{
    char *unit;
    double value = strtod(timeout, &unit);

    switch (*unit) {
    case 'n':
        return value / 1e6;
    case 'u':
        return value / 1e3;
    case 'm':
        return value;
    case 'S':
        return value * 1e3;
    default:
        return 0;
    }
}

static void a_deadline_is_sent_as_what_is_left_of_it(void **state)
{
    const struct berth_rpc_call_options options = {.timeout_ms = 5000};

    caller_ask(&c, &outcome, &options, "x");
    usleep(100 * 1000);
    caller_play(&c, note_request);
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_OK);
    assert_non_null(http2_answer_get(&request, "grpc-timeout"));
    assert_in_range(milliseconds_of(http2_answer_get(&request, "grpc-timeout")), 1000, 4900);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(trailers_alone_end_a_call_with_their_code_and_sentence),
        TEST(blanks_around_the_values_of_an_answer_are_stripped),
        TEST(a_server_that_breaks_http2_is_told_by_what_it_did),
        TEST(data_before_headers_is_an_error),
        TEST(a_server_that_hangs_up_inside_a_message_is_unavailable),
        TEST(an_answer_that_ends_inside_a_message_is_internal_whatever_its_status),
        TEST(an_answer_without_a_status_is_internal),
        TEST(a_web_page_is_no_answer),
        TEST(the_errors_of_a_proxy_are_mapped),
        TEST(a_status_that_is_no_code_is_unknown),
        TEST(an_announcement_ahead_of_the_answer_is_passed_over),
        TEST(a_message_of_4_gib_is_refused_before_it_comes_and_the_stream_reset),
        TEST(headers_over_the_bound_are_resource_exhausted),
        TEST(a_message_with_an_unknown_flag_is_internal),
        TEST(a_stalled_answer_ends_at_the_deadline_and_the_server_hears_of_it),
        TEST(nonsense_ends_the_connection_and_its_calls),
        TEST(nothing_comes_after_a_cancel_inside_a_message),
        TEST(a_pause_that_is_taken_back_in_the_same_message_loses_none),
        TEST(the_end_waits_for_messages_that_are_held_back),
        TEST(a_channel_that_closes_ends_calls_that_hold_messages_back),
        TEST(every_operation_may_be_used_at_the_end_and_changes_nothing),
        TEST(a_channel_may_be_closed_at_the_end_of_a_call),
        TEST(a_deadline_is_sent_as_what_is_left_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
