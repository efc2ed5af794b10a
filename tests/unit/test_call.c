/* SPDX-License-Identifier: Apache-2.0 */
/* One call between a server and a handler: messages, ends, pauses, metadata, and what may happen inside what.
 */
#include "router_stage.h"

static void a_unary_call_goes_there_and_back(void **state)
{
    fixture.instance.in_message = reply;
    assert_non_null(open_path("/test.Echo/Unary"));
    deliver("ping");
    assert_events("start ");
    half_close();
    assert_events("message(ping) sent(pong) finish(OK) end(OK) ");
}

static void a_last_message_reaches_a_unary_handler_at_once(void **state)
{
    fixture.instance.in_message = reply;
    open_path("/test.Echo/Unary");
    deliver_last("ping");
    assert_events("start message(ping) sent(pong) finish(OK) end(OK) ");
}

static void an_empty_message_is_a_message(void **state)
{
    fixture.instance.in_message = reply;
    open_path("/test.Echo/Unary");
    deliver("");
    half_close();
    assert_events("start message() sent(pong) finish(OK) end(OK) ");
}

static void a_unary_call_without_a_message_is_refused(void **state)
{
    open_path("/test.Echo/Unary");
    half_close();
    assert_events("start finish(INTERNAL: cardinality violation: received no request message from "
                  "non-client-streaming RPC) end(INTERNAL) ");
}

static void a_second_message_of_a_unary_call_is_refused(void **state)
{
    open_path("/test.Echo/Down");
    deliver("one");
    deliver_last("two");
    assert_events("start finish(INTERNAL: cardinality violation: received multiple request messages for "
                  "non-client-streaming RPC) end(INTERNAL) ");
}

static void a_unary_handler_cannot_send_twice(void **state)
{
    fixture.instance.in_message = send_twice;
    open_path("/test.Echo/Unary");
    deliver_last("");
    assert_events("start message() sent(one) send=OK send=FAILED_PRECONDITION ");
    cancel();
    assert_events("end(CANCELLED) ");
}

static void a_streaming_handler_can(void **state)
{
    fixture.instance.in_message = send_twice;
    open_path("/test.Echo/Down");
    deliver_last("");
    assert_events("start message() sent(one) send=OK sent(one) send=OK ");
    berth_call_finish(fixture.stream.call, BERTH_OK, NULL);
    assert_events("finish(OK) end(OK) ");
}

static void a_good_end_without_a_reply_is_a_bad_one(void **state)
{
    fixture.instance.in_message = finish_well;
    open_path("/test.Echo/Unary");
    deliver_last("");
    assert_events("start message() finish(INTERNAL: the handler finished the call with OK but sent no reply) "
                  "after-finish end(INTERNAL) ");
}

static void a_reply_that_is_too_large_ends_the_call_with_its_code(void **state)
{
    fixture.instance.in_message = reply;
    fixture.stream.send_code = BERTH_RESOURCE_EXHAUSTED;
    open_path("/test.Echo/Unary");
    deliver_last("");
    assert_events("start message() sent(pong) finish(RESOURCE_EXHAUSTED: the server cannot send the message) "
                  "end(RESOURCE_EXHAUSTED) ");
    fixture.stream.refusal = "over the limit (3)";
    open_path("/test.Echo/Unary");
    deliver_last("");
    assert_events("start message() sent(pong) finish(RESOURCE_EXHAUSTED: over the limit (3)) "
                  "end(RESOURCE_EXHAUSTED) ");
}

static void messages_stream_in_as_they_come(void **state)
{
    open_path("/test.Echo/Both");
    deliver("a");
    deliver("b");
    deliver_last("c");
    fixture.interface->writable(fixture.stream.call);
    half_close();
    assert_events("start message(a) message(b) message(c) half_close writable ");
    berth_call_finish(fixture.stream.call, BERTH_OK, NULL);
    assert_events("finish(OK) end(OK) ");
}

static void finishing_in_on_start_leaves_no_call(void **state)
{
    fixture.instance.in_start = finish_badly;
    assert_null(open_path("/test.Echo/Unary"));
    assert_events("start finish(NOT_FOUND: no such thing) end(NOT_FOUND) ");
}

static void on_end_waits_for_the_running_callback(void **state)
{
    fixture.instance.in_message = finish_well;
    open_path("/test.Echo/Down");
    deliver_last("");
    assert_events("start message() finish(OK) after-finish end(OK) ");
}

static void finishing_twice_ends_once(void **state)
{
    fixture.instance.in_message = finish_twice;
    open_path("/test.Echo/Both");
    deliver("");
    assert_events("start message() finish(NOT_FOUND: no such thing) end(NOT_FOUND) ");
}

static void a_code_outside_the_enum_becomes_unknown(void **state)
{
    fixture.instance.in_message = finish_outside_the_enum;
    open_path("/test.Echo/Both");
    deliver("");
    assert_events("start message() finish(UNKNOWN: odd) end(UNKNOWN) ");
}

static void a_cancelled_call_ends_without_the_stream(void **state)
{
    open_path("/test.Echo/Both");
    fixture.interface->cancel(fixture.stream.call, BERTH_DEADLINE_EXCEEDED);
    assert_events("start end(DEADLINE_EXCEEDED) ");
}

static void a_cancel_inside_send_ends_after_the_callback(void **state)
{
    fixture.instance.in_message = send_twice;
    fixture.stream.cancel_in_send = true;
    open_path("/test.Echo/Both");
    deliver("");
    assert_events("start message() sent(one) send=FAILED_PRECONDITION send=FAILED_PRECONDITION "
                  "end(CANCELLED) ");
}

static void a_cancel_inside_a_send_from_the_loop_frees_nothing_under_the_handler(void **state)
{
    struct berth_stream other = {.router = fixture.interface};
    struct berth_call *call = open_path("/test.Echo/Both");

    fixture.stream.cancel_in_send = true;
    assert_int_equal(berth_call_send(call, "x", 1), BERTH_FAILED_PRECONDITION);
    assert_false(berth_call_can_send(call));
    berth_call_reply(call, "y", 1);
    assert_events("start sent(x) end(CANCELLED) ");

    open_path("/test.Echo/Both");
    assert_int_equal(berth_call_send(fixture.stream.call, "x", 1), BERTH_FAILED_PRECONDITION);
    assert_events("start sent(x) ");
    open_with(&other, "/test.Echo/Both");
    assert_events("end(CANCELLED) start ");
    fixture.interface->cancel(other.call, BERTH_CANCELLED);
    assert_events("end(CANCELLED) ");
}

static void a_message_before_its_time_ends_a_stream(void **state)
{
    router_hold(fixture.router, "test.Echo", 1);
    open_path("/test.Echo/Both");
    deliver("x");
    assert_events("paused finish(INTERNAL: the server delivered a message on a paused call) ");
}

static void pausing_reaches_the_server_once(void **state)
{
    open_path("/test.Echo/Both");
    berth_call_pause(fixture.stream.call);
    berth_call_pause(fixture.stream.call);
    fixture.stream.resume_with = "x";
    berth_call_resume(fixture.stream.call);
    berth_call_resume(fixture.stream.call);
    assert_events("start paused resumed message(x) ");
    cancel();
}

static void a_paused_unary_handler_gets_its_message_when_it_resumes(void **state)
{
    fixture.instance.in_start = berth_call_pause;
    fixture.instance.in_message = reply;
    open_path("/test.Echo/Unary");
    deliver_last("x");
    assert_events("start paused ");
    berth_call_resume(fixture.stream.call);
    assert_events("resumed message(x) sent(pong) finish(OK) end(OK) ");
}

static void resuming_may_end_the_call(void **state)
{
    fixture.instance.in_message = finish_badly;
    open_path("/test.Echo/Both");
    berth_call_pause(fixture.stream.call);
    fixture.stream.resume_with = "x";
    berth_call_resume(fixture.stream.call);
    assert_events("start paused resumed message(x) finish(NOT_FOUND: no such thing) end(NOT_FOUND) ");
}

static void headers_and_trailers_keep_to_their_time(void **state)
{
    struct berth_call *call = open_path("/test.Echo/Down");

    assert_int_equal(berth_call_add_header(call, "a-bin", "1", 1), BERTH_OK);
    assert_int_equal(berth_call_add_header(call, "Upper", "1", 1), BERTH_INVALID_ARGUMENT);
    assert_int_equal(berth_call_add_header(call, "", "1", 1), BERTH_INVALID_ARGUMENT);
    assert_int_equal(berth_call_add_header(call, "grpc-status", "1", 1), BERTH_INVALID_ARGUMENT);
    assert_int_equal(berth_call_add_trailer(call, "grpc-status", "1", 1), BERTH_INVALID_ARGUMENT);
    assert_int_equal(berth_call_send_headers(call), BERTH_OK);
    assert_int_equal(berth_call_send_headers(call), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_call_add_header(call, "b", "1", 1), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_call_add_trailer(call, "c", "2", 1), BERTH_OK);
    assert_events("start header(a-bin=1) headers trailer(c=2) ");
    cancel();
}

static void a_call_tells_who_calls_and_outlives_the_request(void **state)
{
    struct berth_metadata metadata[] = {{"user", "me", 2}, {"blob-bin", "\0\1", 2}};
    char address[] = "unix:pid=7";
    const char *names[] = {"DNS:a.example", "URI:spiffe://a/b"};
    struct berth_peer peer = {.size = sizeof(peer),
                              .address = address,
                              .pid = 7,
                              .uid = 0,
                              .gid = 1,
                              .tls_subject = "CN=a",
                              .tls_names = names,
                              .tls_name_count = 2};
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = "/test.Echo/Both",
        .transport = "test",
        .peer = &peer,
        .deadline_ns = 42,
        .metadata = metadata,
        .metadata_count = 2,
        .stream = &fixture.stream,
        .stream_ops = &stream_ops,
    };
    struct berth_call *call = fixture.interface->open(fixture.interface, &request);

    memset(metadata, 0, sizeof(metadata));
    memset(address, 0, sizeof(address));
    memset(&peer, 0, sizeof(peer));
    memset(names, 0, sizeof(names));
    assert_string_equal(call->service, "test.Echo");
    assert_string_equal(call->method, "Both");
    assert_string_equal(call->path, "/test.Echo/Both");
    assert_int_equal(call->kind, BERTH_METHOD_BIDI_STREAM);
    assert_int_equal(call->deadline_ns, 42);
    assert_string_equal(call->peer->address, "unix:pid=7");
    assert_int_equal(call->peer->pid, 7);
    assert_int_equal(call->peer->gid, 1);
    assert_string_equal(call->peer->tls_subject, "CN=a");
    assert_int_equal(call->peer->tls_name_count, 2);
    assert_string_equal(call->peer->tls_names[1], "URI:spiffe://a/b");
    assert_string_equal(berth_call_metadata(call, "user")->value, "me");
    assert_memory_equal(berth_call_metadata(call, "blob-bin")->value, "\0\1\0", 3);
    assert_null(berth_call_metadata(call, "nope"));
    fixture.interface->cancel(call, BERTH_OK);
    assert_events("start end(CANCELLED) ");
}

static void a_peer_of_an_older_server_has_no_certificate(void **state)
{
    const struct berth_peer peer = {.size = offsetof(struct berth_peer, tls_subject),
                                    .address = "old",
                                    .tls_subject = "not there",
                                    .tls_name_count = 9};
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = "/test.Echo/Both",
        .transport = "test",
        .peer = &peer,
        .stream = &fixture.stream,
        .stream_ops = &stream_ops,
    };
    struct berth_call *call = fixture.interface->open(fixture.interface, &request);

    assert_string_equal(call->peer->address, "old");
    assert_null(call->peer->tls_subject);
    assert_int_equal(call->peer->tls_name_count, 0);
    fixture.interface->cancel(call, BERTH_OK);
}

static void annotations_are_kept_and_replaced(void **state)
{
    struct berth_call *call = open_path("/test.Echo/Both");

    assert_null(berth_call_annotation(call, "namespace"));
    berth_call_annotate(call, "namespace", "one");
    berth_call_annotate(call, "lease", "l");
    berth_call_annotate(call, "namespace", "two");
    assert_string_equal(berth_call_annotation(call, "namespace"), "two");
    assert_string_equal(berth_call_annotation(call, "lease"), "l");
    cancel();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_unary_call_goes_there_and_back),
        TEST(a_last_message_reaches_a_unary_handler_at_once),
        TEST(an_empty_message_is_a_message),
        TEST(a_unary_call_without_a_message_is_refused),
        TEST(a_second_message_of_a_unary_call_is_refused),
        TEST(a_unary_handler_cannot_send_twice),
        TEST(a_streaming_handler_can),
        TEST(a_good_end_without_a_reply_is_a_bad_one),
        TEST(a_reply_that_is_too_large_ends_the_call_with_its_code),
        TEST(messages_stream_in_as_they_come),
        TEST(finishing_in_on_start_leaves_no_call),
        TEST(on_end_waits_for_the_running_callback),
        TEST(finishing_twice_ends_once),
        TEST(a_code_outside_the_enum_becomes_unknown),
        TEST(a_cancelled_call_ends_without_the_stream),
        TEST(a_cancel_inside_send_ends_after_the_callback),
        TEST(a_cancel_inside_a_send_from_the_loop_frees_nothing_under_the_handler),
        TEST(a_message_before_its_time_ends_a_stream),
        TEST(pausing_reaches_the_server_once),
        TEST(a_paused_unary_handler_gets_its_message_when_it_resumes),
        TEST(resuming_may_end_the_call),
        TEST(headers_and_trailers_keep_to_their_time),
        TEST(a_call_tells_who_calls_and_outlives_the_request),
        TEST(a_peer_of_an_older_server_has_no_certificate),
        TEST(annotations_are_kept_and_replaced),
    };

    return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
