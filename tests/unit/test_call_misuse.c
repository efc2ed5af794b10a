/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that are used after their end, twice, with a made-up code, or on another thread. */
#include "router_stage.h"

#include <pthread.h>

static char seen_path[64];
static const void *seen_caller;

static void on_misuse(void *context, const void *owner, const struct berth_call *call, const char *what,
                      const void *caller)
{
    event("[%s %s] ", owner != NULL ? (const char *)owner : "somebody", what);
    snprintf(seen_path, sizeof(seen_path), "%s", call != NULL ? call->path : "");
    seen_caller = caller;
}

static int set_up_watched(void **state)
{
    static const struct router_observer observer = {.on_misuse = on_misuse};
    set_up(state);
    router_observe(fixture.router, &observer);
    router_set_live(fixture.router, "test.Echo", &service, &fixture.instance, "echo", NULL);
    ends_quietly = true;
    seen_caller = NULL;
    return 0;
}

/* What would be the caller's of another call, were the memory of this one at once that of the next. */
static void reply_late(struct berth_call *stale)
{
    struct berth_call *call = open_path("/test.Echo/Unary");

    assert_ptr_not_equal(call, stale);
    berth_call_reply(stale, "stale", 5);
    assert_events("start [echo replied to a call that has ended; ignored] ");
    deliver_last("x");
    assert_events("message(x) sent(pong) finish(OK) end(OK) ");
}

static void a_reply_to_an_ended_call_reaches_none_of_the_next_1024(void **state)
{
    struct berth_call *stale = open_path("/test.Echo/Unary");

    cancel();
    fixture.instance.in_message = reply;
    assert_events("start end(CANCELLED) ");
    for (int i = 0; i < 1024; i++)
        reply_late(stale);
}

static void where_none_is_used_again_it_reaches_nobody_in_2000(void **state)
{
    struct berth_call *stale;

    router_set_rest(fixture.router, SIZE_MAX);
    stale = open_path("/test.Echo/Unary");
    cancel();
    fixture.instance.in_message = reply;
    assert_events("start end(CANCELLED) ");
    for (int i = 0; i < 2000; i++)
        reply_late(stale);
}

static void an_ended_call_can_still_be_read_and_refuses_everything(void **state)
{
    const struct berth_metadata metadata = {"user", "me", 2};
    const struct berth_peer peer = {.size = sizeof(peer), .address = "unix:pid=7"};
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = "/test.Echo/Both",
        .transport = "test",
        .peer = &peer,
        .metadata = &metadata,
        .metadata_count = 1,
        .stream = &fixture.stream,
        .stream_ops = &stream_ops,
    };
    struct berth_call *call = fixture.interface->open(fixture.interface, &request);

    call->state = &fixture;
    fixture.interface->cancel(call, BERTH_CANCELLED);
    assert_events("start end(CANCELLED) ");
    assert_string_equal(call->path, "/test.Echo/Both");
    assert_string_equal(call->service, "test.Echo");
    assert_string_equal(call->method, "Both");
    assert_string_equal(call->transport, "test");
    assert_string_equal(call->peer->address, "unknown");
    assert_null(berth_call_metadata(call, "user"));
    assert_null(call->instance);
    assert_null(call->state);

    assert_false(berth_call_can_send(call));
    assert_int_equal(berth_call_add_header(call, "a", "b", 1), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_call_add_trailer(call, "a", "b", 1), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_call_send_headers(call), BERTH_FAILED_PRECONDITION);
    assert_events("[echo checked for room to send on a call that has ended; ignored] "
                  "[echo added a header to a call that has ended; ignored] "
                  "[echo added a trailer to a call that has ended; ignored] "
                  "[echo sent the headers of a call that has ended; ignored] ");
    berth_call_pause(call);
    berth_call_resume(call);
    assert_int_equal(berth_call_annotate(call, "a", "b"), BERTH_FAILED_PRECONDITION);
    assert_null(berth_call_annotation(call, "a"));
    assert_events("[echo paused a call that has ended; ignored] "
                  "[echo resumed a call that has ended; ignored] "
                  "[echo annotated a call that has ended; ignored] "
                  "[echo asked for an annotation of a call that has ended; ignored] ");
    assert_int_equal(berth_call_compress(call, true), BERTH_FAILED_PRECONDITION);
    assert_false(berth_call_came_compressed(call));
    berth_call_finish(call, BERTH_OK, NULL);
    assert_events("[echo set the compression of a call that has ended; ignored] "
                  "[echo asked for the compression of a call that has ended; ignored] "
                  "[echo finished a call that has ended; ignored] ");
    assert_string_equal(seen_path, "/test.Echo/Both");
    assert_non_null(seen_caller);
}

/* A server's name for its transport goes with the server. */
static struct berth_call *open_and_cancel_over(const char *transport)
{
    char *name = strdup(transport);
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = "/test.Echo/Both",
        .transport = name,
        .stream = &fixture.stream,
        .stream_ops = &stream_ops,
    };
    struct berth_call *call = fixture.interface->open(fixture.interface, &request);

    fixture.interface->cancel(call, BERTH_CANCELLED);
    memset(name, '?', strlen(name));
    free(name);
    assert_events("start end(CANCELLED) ");
    return call;
}

static void an_ended_call_keeps_the_name_of_its_transport(void **state)
{
    struct berth_call *carried = open_and_cancel_over("carrier-pigeon"), *sent = open_and_cancel_over("post");

    assert_string_equal(carried->transport, "carrier-pigeon");
    assert_string_equal(sent->transport, "post");
    assert_ptr_equal(open_and_cancel_over("post")->transport, sent->transport);
}

static void a_server_that_makes_up_transports_costs_no_memory(void **state)
{
    const char *transport = NULL;
    char name[16];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "made-up-%d", i);
        transport = open_and_cancel_over(name)->transport;
        assert_string_equal(transport, i < 64 ? name : "other");
    }
    assert_string_equal(open_and_cancel_over("made-up-7")->transport, "made-up-7");
}

static void a_server_that_goes_on_after_the_end_is_refused(void **state)
{
    struct berth_call *call = open_path("/test.Echo/Both");

    berth_call_finish(call, BERTH_OK, NULL);
    assert_events("start finish(OK) end(OK) ");
    fixture.interface->deliver(call, "x", 1);
    fixture.interface->half_close(call);
    fixture.interface->writable(call);
    fixture.interface->cancel(call, BERTH_CANCELLED);
    assert_events("[echo delivered a message to a call that has ended; ignored] "
                  "[echo half-closed a call that has ended; ignored] "
                  "[echo reported room to send on a call that has ended; ignored] "
                  "[echo cancelled a call that has ended; ignored] ");
}

static void reply_twice(struct berth_call *call)
{
    berth_call_reply(call, "one", 3);
    berth_call_reply(call, "two", 3);
}

static void send_and_reply(struct berth_call *call)
{
    berth_call_send(call, "one", 3);
    berth_call_reply(call, "two", 3);
}

static void a_second_reply_is_reported_once_and_goes_nowhere(void **state)
{
    fixture.instance.in_message = reply_twice;
    open_path("/test.Echo/Unary");
    deliver_last("x");
    assert_events("start message(x) sent(one) finish(OK) [echo replied to a call twice; ignored] end(OK) ");

    fixture.instance.in_message = send_and_reply;
    open_path("/test.Echo/Unary");
    deliver_last("x");
    assert_events("start message(x) sent(one) [echo replied to a call twice; ignored] "
                  "finish(FAILED_PRECONDITION: the handler had replied already) end(FAILED_PRECONDITION) ");

    fixture.instance.in_message = finish_twice;
    open_path("/test.Echo/Both");
    deliver("x");
    assert_events("start message(x) finish(NOT_FOUND: no such thing) [echo finished a call twice; ignored] "
                  "end(NOT_FOUND) ");
}

static void finish_with_99(struct berth_call *call)
{
    berth_call_finish(call, (enum berth_code)99, "odd");
}

static void a_made_up_code_is_reported_and_becomes_unknown(void **state)
{
    fixture.instance.in_message = finish_with_99;
    open_path("/test.Echo/Both");
    deliver("x");
    assert_events("start message(x) [echo finished a call with invalid code 99; sending "
                  "UNKNOWN instead] finish(UNKNOWN: odd) end(UNKNOWN) ");
}

static void send_and_finish(struct berth_call *call)
{
    berth_call_send(call, "one", 3);
    berth_call_reply(call, "two", 3);
    berth_call_finish(call, BERTH_OK, NULL);
}

static void a_handler_that_has_not_heard_of_the_cancellation_does_nothing_wrong(void **state)
{
    struct berth_call *call;

    fixture.stream.cancel_in_send = true;
    fixture.instance.in_message = send_and_finish;
    open_path("/test.Echo/Both");
    deliver("x");
    assert_events("start message(x) sent(one) end(CANCELLED) ");

    call = open_path("/test.Echo/Both");
    berth_call_send(call, "one", 3);
    berth_call_reply(call, "two", 3);
    assert_events("start sent(one) end(CANCELLED) ");
}

static void refuse_reply(void *self, struct berth_call *call, void *state, const void *message, size_t length)
{
    berth_call_finish(call, BERTH_PERMISSION_DENIED, "no");
}

static void a_handler_whose_call_an_interceptor_has_ended_does_nothing_wrong(void **state)
{
    static const struct berth_interceptor refusing = {
        .size = sizeof(refusing), .name = "refusing", .on_reply = refuse_reply};
    router_add_interceptor(fixture.router, &refusing, NULL, 0, "guard", NULL);
    fixture.instance.in_message = reply;
    open_path("/test.Echo/Unary");
    deliver_last("x");
    assert_events("start message(x) finish(PERMISSION_DENIED: no) end(PERMISSION_DENIED) ");
}

static enum berth_code wait_for_answer(void *self, struct berth_call *call, void **ret_state,
                                       struct berth_error *err)
{
    return *(const enum berth_code *)self;
}

static void an_interceptor_answers_once_and_with_a_code(void **state)
{
    static const struct berth_interceptor waiting = {
        .size = sizeof(waiting), .name = "waiting", .on_start = wait_for_answer};
    enum berth_code code = (enum berth_code)BERTH_PENDING;
    struct berth_call *call;

    router_add_interceptor(fixture.router, &waiting, &code, 0, "guard", NULL);
    call = open_path("/test.Echo/Both");
    router_admit(fixture.router, "guard", call, BERTH_OK, NULL, &code);
    router_admit(fixture.router, "guard", call, BERTH_OK, NULL, &code);
    assert_events("paused start resumed [guard admitted a call twice; ignored] ");
    assert_ptr_equal(seen_caller, &code);
    cancel();
    router_admit(fixture.router, "guard", call, BERTH_OK, NULL, &code);
    assert_events("end(CANCELLED) [guard admitted a call that has ended; ignored] ");

    code = (enum berth_code)99;
    assert_null(open_path("/test.Echo/Both"));
    assert_events("[guard answered a call with invalid code 99; sending UNKNOWN instead] "
                  "finish(UNKNOWN: refused by waiting) ");
}

/* Whatever it does is refused, and the call goes on. */
static void *use_elsewhere(void *context)
{
    struct berth_call *call = fixture.stream.call;

    berth_call_reply(call, "x", 1);
    berth_call_finish(call, BERTH_ABORTED, NULL);
    fixture.interface->cancel(call, BERTH_CANCELLED);
    assert_null(open_path("/test.Echo/Both"));
    fixture.stream.call = call;
    return NULL;
}

static void another_thread_changes_nothing(void **state)
{
    pthread_t thread;

    fixture.instance.in_message = reply;
    open_path("/test.Echo/Unary");
    assert_int_equal(pthread_create(&thread, NULL, use_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    assert_events("start [echo replied to a call from a thread other than the loop's; ignored] "
                  "[echo finished a call from a thread other than the loop's; ignored] "
                  "[echo cancelled a call from a thread other than the loop's; ignored] "
                  "[somebody opened a call from a thread other than the loop's; ignored] "
                  "finish(INTERNAL: the server opened the call from a thread other than the loop's) ");
    deliver_last("y");
    assert_events("message(y) sent(pong) finish(OK) end(OK) ");
}

static void *half_close_elsewhere(void *context)
{
    half_close();
    return NULL;
}

static void nobody_asks_for_the_thread_where_nobody_listens(void **state)
{
    static const struct router_observer nothing;
    pthread_t thread;

    router_observe(fixture.router, &nothing);
    open_path("/test.Echo/Unary");
    assert_int_equal(pthread_create(&thread, NULL, half_close_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    assert_events("start finish(INTERNAL: cardinality violation: received no request message from "
                  "non-client-streaming RPC) end(INTERNAL) ");
}

#define WATCHED(name) cmocka_unit_test_setup_teardown(name, set_up_watched, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCHED(a_reply_to_an_ended_call_reaches_none_of_the_next_1024),
        WATCHED(where_none_is_used_again_it_reaches_nobody_in_2000),
        WATCHED(an_ended_call_can_still_be_read_and_refuses_everything),
        WATCHED(an_ended_call_keeps_the_name_of_its_transport),
        WATCHED(a_server_that_makes_up_transports_costs_no_memory),
        WATCHED(a_server_that_goes_on_after_the_end_is_refused),
        WATCHED(a_second_reply_is_reported_once_and_goes_nowhere),
        WATCHED(a_made_up_code_is_reported_and_becomes_unknown),
        WATCHED(a_handler_that_has_not_heard_of_the_cancellation_does_nothing_wrong),
        WATCHED(a_handler_whose_call_an_interceptor_has_ended_does_nothing_wrong),
        WATCHED(an_interceptor_answers_once_and_with_a_code),
        WATCHED(another_thread_changes_nothing),
        WATCHED(nobody_asks_for_the_thread_where_nobody_listens),
    };

    return cmocka_run_group_tests_name("call_misuse", tests, NULL, NULL);
}
