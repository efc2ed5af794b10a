/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of every kind from a ttrpc client to a ttrpc server. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <sdk/rpc/ttrpc/frame.h>

#include "ttrpc_pair.h"

static void echo_comes_back(void **state)
{
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "hello");
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    assert_string_equal(f.text, "hello|");
    assert_int_equal(f.headers, 0);
    assert_string_equal(f.trailers, "");
}

static void echo_null_comes_back(void **state)
{
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "");
    run_until_over(1);
    assert_int_equal(f.messages, 1);
    assert_int_equal(f.received, 0);
    assert_int_equal(f.code, BERTH_OK);
}

static void echo_stream_comes_back_message_by_message(void **state)
{
    call("/t.T/Chat", BERTH_METHOD_BIDI_STREAM);
    tell(f.call, "one");
    await_text("one|");
    tell(f.call, "two");
    tell(f.call, "three");
    await_text("one|two|three|");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_ended(BERTH_OK, "");
}

static void echo_null_stream_comes_back(void **state)
{
    call("/t.T/Chat", BERTH_METHOD_BIDI_STREAM);
    for (int i = 0; i < 10; i++)
        tell(f.call, "");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_int_equal(f.messages, 10);
    assert_int_equal(f.received, 0);
}

static void a_stream_without_messages_ends(void **state)
{
    berth_rpc_call_half_close(call("/t.T/Chat", BERTH_METHOD_BIDI_STREAM));
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    berth_rpc_call_half_close(call("/t.T/Sum", BERTH_METHOD_CLIENT_STREAM));
    run_until_over(2);
    assert_string_equal(f.text, "0|");
}

static void divide_sends_a_stream(void **state)
{
    ask("/t.T/Divide", BERTH_METHOD_SERVER_STREAM, "abc");
    run_until_over(1);
    assert_string_equal(f.text, "a|b|c|");
    assert_ended(BERTH_OK, "");
}

static void an_empty_payload_begins_a_stream(void **state)
{
    ask("/t.T/Divide", BERTH_METHOD_SERVER_STREAM, "");
    run_until_over(1);
    assert_int_equal(f.messages, 0);
    assert_ended(BERTH_OK, "");
}

static void sum_takes_a_stream(void **state)
{
    call("/t.T/Sum", BERTH_METHOD_CLIENT_STREAM);
    tell(f.call, "abc");
    run_for(10);
    tell(f.call, "de");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_string_equal(f.text, "5|");
}

static void a_failure_arrives_with_code_sentence_and_details(void **state)
{
    ask("/t.T/Refuse", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_NOT_FOUND, "no such thing");
    assert_int_equal(f.messages, 0);
    assert_string_equal(f.trailers, "grpc-status-details-bin[21] ");
}

static void an_unknown_method_is_unimplemented(void **state)
{
    ask("/t.T/Nope", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_UNIMPLEMENTED, "method Nope");
    ask("/no.Such/Nope", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_ended(BERTH_UNIMPLEMENTED, "service no.Such");
}

static void metadata_and_deadline_reach_the_handler(void **state)
{
    const struct berth_metadata metadata[] = {
        {"containerd-namespace-ttrpc", "ns", 2}, {"k", "1", 1}, {"k", "\xc3\xbc", 2}};

    call_with((struct berth_rpc_call_options){
        .path = "/t.T/Echo", .metadata = metadata, .metadata_count = 3, .timeout_ms = 60000});
    tell(f.call, "x");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_int_equal(f.code, BERTH_OK);
    assert_string_equal(f.seen, "containerd-namespace-ttrpc=ns k=1 k=\xc3\xbc ttrpc deadline=1");
}

static void metadata_that_is_no_text_is_refused(void **state)
{
    const struct berth_metadata metadata[] = {{"k-bin", "\xff", 1}};
    const struct berth_metadata upper[] = {{"K", "v", 1}};
    struct berth_rpc_call_options options = {
        .size = sizeof(options), .path = "/t.T/Echo", .metadata = metadata, .metadata_count = 1};
    struct berth_error err;

    assert_int_equal(berth_rpc_call_start(f.channel, &options, &caller, NULL, &f.call, &err),
                     BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "k-bin"));
    options.metadata = upper;
    assert_int_equal(berth_rpc_call_start(f.channel, &options, &caller, NULL, &f.call, &err),
                     BERTH_INVALID_ARGUMENT);
}

static void many_calls_share_a_connection(void **state)
{
    for (int i = 0; i < 1000; i++)
        ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1000);
    assert_int_equal(f.messages, 1000);
    assert_int_equal(f.code, BERTH_OK);
}

static void a_message_fits_a_frame_or_is_refused(void **state)
{
    static char big[TTRPC_DATA_MAX + 1];

    call("/t.T/Echo", BERTH_METHOD_UNARY);
    assert_int_equal(berth_rpc_call_send(f.call, big, TTRPC_DATA_MAX), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(berth_rpc_call_send(f.call, big, TTRPC_DATA_MAX - 64), BERTH_OK);
    assert_int_equal(berth_rpc_call_send(f.call, big, 1), BERTH_FAILED_PRECONDITION);
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    assert_int_equal(f.received, TTRPC_DATA_MAX - 64);
    call("/t.T/Sum", BERTH_METHOD_CLIENT_STREAM);
    assert_int_equal(berth_rpc_call_send(f.call, big, TTRPC_DATA_MAX + 1), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(berth_rpc_call_send(f.call, big, TTRPC_DATA_MAX), BERTH_OK);
    berth_rpc_call_half_close(f.call);
    run_until_over(2);
    assert_non_null(strstr(f.text, "4194304"));
}

static void a_deadline_ends_the_call_here_and_there(void **state)
{
    call_with((struct berth_rpc_call_options){.path = "/t.T/Never", .timeout_ms = 50});
    tell(f.call, "x");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_int_equal(f.code, BERTH_DEADLINE_EXCEEDED);
    run_for(100);
    assert_int_equal(f.ends, 1);
    assert_int_equal(f.last_end, BERTH_DEADLINE_EXCEEDED);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "late answers are harmless");
    run_until_over(2);
    assert_int_equal(f.code, BERTH_OK);
}

static void a_cancelled_call_hears_nothing_more(void **state)
{
    f.cancels = true;
    f.to_send = 100;
    ask("/t.T/Blocks", BERTH_METHOD_SERVER_STREAM, "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_CANCELLED);
    assert_int_equal(f.messages, 1);
    f.cancels = false;
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_int_equal(f.code, BERTH_OK);
    assert_int_equal(f.messages, 2);
}

static void a_long_stream_waits_for_room(void **state)
{
    f.to_send = 1000;
    ask("/t.T/Blocks", BERTH_METHOD_SERVER_STREAM, "x");
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    assert_int_equal(f.received, (size_t)1000 * PAIR_BLOCK);
}

static void a_paused_caller_gets_what_waits_when_it_resumes(void **state)
{
    f.pauses = true;
    ask("/t.T/Divide", BERTH_METHOD_SERVER_STREAM, "abcdef");
    await_text("a|");
    run_for(50);
    for (unsigned i = 2; i <= 6; i++) {
        assert_string_equal(f.text + 2 * (size_t)(i - 1), "");
        assert_int_equal(f.over, 0);
        berth_rpc_call_resume(f.call);
        while (f.messages < i)
            run_for(5);
    }
    assert_string_equal(f.text, "a|b|c|d|e|f|");
    run_until_over(1);
    assert_ended(BERTH_OK, "");
}

static void a_caller_that_takes_nothing_loses_its_call_and_no_other(void **state)
{
    f.pauses = true;
    f.to_send = 1000;
    ask("/t.T/Blocks", BERTH_METHOD_SERVER_STREAM, "x");
    run_until_over(1);
    assert_ended(BERTH_RESOURCE_EXHAUSTED, "stream buffer full: the caller is not reading its messages");
    f.pauses = false;
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_ended(BERTH_OK, "");
}

static void a_slow_handler_slows_its_caller(void **state)
{
    char block[1024] = {0};

    call("/t.T/Slow", BERTH_METHOD_CLIENT_STREAM);
    for (int i = 0; i < 200; i++)
        assert_int_equal(berth_rpc_call_send(f.call, block, sizeof(block)), BERTH_OK);
    berth_rpc_call_half_close(f.call);
    for (int i = 0; i < 400 && f.over == 0; i++) {
        run_for(1);
        if (f.paused != NULL)
            berth_call_resume(f.paused);
    }
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    assert_string_equal(f.text, "204800|");
}

static void the_calls_of_a_server_that_goes_are_unavailable(void **state)
{
    ask("/t.T/Never", BERTH_METHOD_UNARY, "x");
    while (f.starts == 0)
        run_for(5);
    berth_rpc_server_close(f.server, NULL, NULL);
    f.server = NULL;
    run_until_over(1);
    assert_ended(BERTH_UNAVAILABLE, "the server is shutting down");
}

static void on_drained(void *context)
{
    f.is_drained = true;
}

static void a_drain_waits_for_the_calls_that_run(void **state)
{
    call("/t.T/Sum", BERTH_METHOD_CLIENT_STREAM);
    tell(f.call, "abc");
    while (f.starts == 0)
        run_for(5);
    berth_rpc_server_drain(f.server, on_drained, NULL);
    run_for(20);
    assert_false(f.is_drained);
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    for (int i = 0; i < 2000 && !f.is_drained; i++)
        run_for(5);
    assert_true(f.is_drained);
}

static void connections_do_not_pile_up(void **state)
{
    struct berth_rpc_server_stats stats = {.size = sizeof(stats)};

    for (unsigned i = 0; i < 20; i++) {
        const struct berth_rpc_channel_options options = {
            .size = sizeof(options), .address = f.path, .protocol = BERTH_RPC_TTRPC};
        struct berth_error err;

        ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
        run_until_over(i + 1);
        berth_rpc_channel_close(f.channel, NULL, NULL);
        assert_int_equal(berth_rpc_channel_create(&f.loop, &options, &f.channel, &err), BERTH_OK);
    }
    for (int i = 0; i < 2000 && (i == 0 || stats.connections > 0); i++) {
        run_for(5);
        berth_rpc_server_get_stats(f.server, &stats);
    }
    assert_int_equal(stats.connections_accepted, 20);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.calls, 0);
    assert_int_equal(stats.calls_ended[BERTH_OK], 20);
}

static void one_server_listens_for_both_protocols(void **state)
{
    char path[80];
    const struct berth_rpc_unix_options where = {.size = sizeof(where), .path = path};
    const struct berth_rpc_channel_options options = {.size = sizeof(options), .address = path};
    struct berth_rpc_channel *ttrpc = f.channel;
    struct berth_error err;

    snprintf(path, sizeof(path), "%s.grpc", f.path);
    assert_int_equal(berth_rpc_server_listen_unix(f.server, &where, &err), BERTH_OK);
    assert_int_equal(berth_rpc_channel_create(&f.loop, &options, &f.channel, &err), BERTH_OK);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "grpc");
    run_until_over(1);
    assert_non_null(strstr(f.seen, " grpc deadline=0"));
    berth_rpc_channel_close(f.channel, NULL, NULL);
    f.channel = ttrpc;
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "ttrpc");
    run_until_over(2);
    assert_string_equal(f.seen, "ttrpc deadline=0");
    assert_string_equal(f.text, "grpc|ttrpc|");
    strncat(path, ".lock", sizeof(path) - strlen(path) - 1);
    unlink(path);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, ttrpc_pair_start, ttrpc_pair_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(echo_comes_back),
        CASE(echo_null_comes_back),
        CASE(echo_stream_comes_back_message_by_message),
        CASE(echo_null_stream_comes_back),
        CASE(a_stream_without_messages_ends),
        CASE(divide_sends_a_stream),
        CASE(an_empty_payload_begins_a_stream),
        CASE(sum_takes_a_stream),
        CASE(a_failure_arrives_with_code_sentence_and_details),
        CASE(an_unknown_method_is_unimplemented),
        CASE(metadata_and_deadline_reach_the_handler),
        CASE(metadata_that_is_no_text_is_refused),
        CASE(many_calls_share_a_connection),
        CASE(a_message_fits_a_frame_or_is_refused),
        CASE(a_deadline_ends_the_call_here_and_there),
        CASE(a_cancelled_call_hears_nothing_more),
        CASE(a_long_stream_waits_for_room),
        CASE(a_paused_caller_gets_what_waits_when_it_resumes),
        CASE(a_caller_that_takes_nothing_loses_its_call_and_no_other),
        CASE(a_slow_handler_slows_its_caller),
        CASE(the_calls_of_a_server_that_goes_are_unavailable),
        CASE(a_drain_waits_for_the_calls_that_run),
        CASE(connections_do_not_pile_up),
        CASE(one_server_listens_for_both_protocols),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
