/* SPDX-License-Identifier: Apache-2.0 */
/* What a ttrpc server must do, frame by frame: each test is one rule of the protocol, or of what Go makes of
 * it. */
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/ttrpc/message.h>

#include "ttrpc_wire.h"

#define SECOND INT64_C(1000000000)

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
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Greet");
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
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Greet");
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

static void a_failure_brings_its_details_and_is_text(void **state)
{
    call(1, 0, "/t.T/Fail");
    await_failure(1, BERTH_NOT_FOUND, "no \xef\xbf\xbd such");
    assert_int_equal(answer.length, 2 + 2 + 2 + 11 + 4);
}

static void a_call_may_fail_at_its_start_without_a_word(void **state)
{
    call(1, 0, "/t.T/FailEarly");
    await_failure(1, BERTH_UNIMPLEMENTED, "");
}

static void answers_come_in_any_order(void **state)
{
    call(1, 0, "/t.T/Never");
    assert_alive(3);
    assert_alive(5);
    assert_int_equal(ended, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, ttrpc_wire_start, ttrpc_wire_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_unary_call_is_answered_with_one_response),
        CASE(an_even_stream_id_is_refused_and_the_connection_stays),
        CASE(an_id_that_does_not_increase_is_refused),
        CASE(a_used_id_ends_the_call_that_has_it),
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
        CASE(a_failure_brings_its_details_and_is_text),
        CASE(a_call_may_fail_at_its_start_without_a_word),
        CASE(answers_come_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
