/* SPDX-License-Identifier: Apache-2.0 */
/* Calls from one plugin to a service of the same router, on a loop. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "router_stage.h"

#include <berth/namespace.h>
#include <sdk/calls/outgoing.h>

#define LARGE (10u * 1024 * 1024)
#define CHUNK (32u * 1024)

static struct outgoings room;
static struct outgoing_caller caller;
static uv_loop_t loop;
static struct berth_outgoing *outgoing;
static bool room_is_closed;
static size_t received, end_count, rooms;
static char misuse[512];

static void note_headers(void *context, struct berth_outgoing *call, const struct berth_metadata *metadata,
                         size_t count)
{
    event("headers(%zu) ", count);
}

static void note_message(void *context, struct berth_outgoing *call, const void *message, size_t length)
{
    received += length;
    if (length < 64)
        event("reply(%.*s) ", (int)length, (const char *)message);
}

static void note_writable(void *context, struct berth_outgoing *call)
{
    rooms++;
}

static void note_end(void *context, struct berth_outgoing *call, enum berth_code code, const char *message,
                     const struct berth_metadata *trailers, size_t count)
{
    end_count++;
    event("over(%s%s%s) ", berth_code_name(code), *message == '\0' ? "" : ": ", message);
    for (size_t i = 0; i < count; i++)
        event("%s=%.*s ", trailers[i].key, (int)trailers[i].value_length, trailers[i].value);
}

static const struct berth_outgoing_handlers handlers = {
    .size = sizeof(handlers),
    .on_headers = note_headers,
    .on_message = note_message,
    .on_writable = note_writable,
    .on_end = note_end,
};

static void on_room_closed(void *context)
{
    room_is_closed = true;
}

static void on_misuse(void *context, const void *owner, const struct berth_call *call, const char *what,
                      const void *address)
{
    snprintf(misuse, sizeof(misuse), "%s", what);
}

static int set_up_room(void **state)
{
    set_up(state);
    uv_loop_init(&loop);
    ends_quietly = true;
    outgoings_init(&room, fixture.router, &loop, 16);
    outgoing_caller_init(&caller, &room, "io.test.v1.caller", "caller");
    router_observe(fixture.router, &(struct router_observer){.on_misuse = on_misuse});
    room_is_closed = false;
    received = end_count = rooms = 0;
    misuse[0] = '\0';
    return 0;
}

static int tear_down_room(void **state)
{
    outgoing_caller_close(&caller, false);
    outgoing_caller_finish(&caller);
    outgoings_close(&room, on_room_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(room_is_closed);
    assert_int_equal(uv_loop_close(&loop), 0);
    return tear_down(state);
}

static void run(void)
{
    for (int i = 0; i < 8; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void start_with(const struct berth_outgoing_options *options)
{
    struct berth_error err;

    assert_int_equal(outgoing_start(&caller, options, &handlers, NULL, &outgoing, &err), BERTH_OK);
}

static void start(const char *path)
{
    start_with(&(struct berth_outgoing_options){.size = sizeof(struct berth_outgoing_options), .path = path});
}

static void say(const char *text)
{
    assert_int_equal(berth_outgoing_send(outgoing, text, strlen(text)), BERTH_OK);
}

static void answer(struct berth_call *call)
{
    berth_call_add_trailer(call, "mood", "good", 4);
    berth_call_reply(call, "yes", 3);
}

static void nothing_runs_before_the_loop_and_a_reply_comes_back(void **state)
{
    fixture.instance.in_message = answer;
    start("/test.Echo/Unary");
    say("hello");
    berth_outgoing_half_close(outgoing);
    assert_events("");
    run();
    assert_events("start message(hello) end(OK) headers(0) reply(yes) over(OK) mood=good ");
    assert_int_equal(outgoing_caller_count(&caller), 0);
}

static void refuse_with_details(struct berth_call *call)
{
    berth_call_finish_with_details(call, BERTH_NOT_FOUND, "no such ship", "\x08\x05", 2);
}

static void an_error_brings_its_message_and_details(void **state)
{
    fixture.instance.in_message = refuse_with_details;
    start("/test.Echo/Unary");
    say("x");
    berth_outgoing_half_close(outgoing);
    run();
    assert_events("start message(x) end(NOT_FOUND) over(NOT_FOUND: no such ship) "
                  "grpc-status-details-bin=\x08\x05 ");
}

static void a_path_that_nobody_serves_ends_the_call(void **state)
{
    start("/test.Nobody/Here");
    run();
    assert_events("over(UNIMPLEMENTED: unknown service test.Nobody) ");
    router_set_gone(fixture.router, "test.Echo", BERTH_UNAVAILABLE, "it has crashed");
    start("/test.Echo/Unary");
    run();
    assert_events("over(UNAVAILABLE: it has crashed) ");
}

static void a_service_is_reached_whatever_its_transports_are(void **state)
{
    struct instance narrow = {.name = "narrow"};
    struct berth_service table = service;
    struct berth_error err;

    table.name = "test.Narrow";
    router_declare(fixture.router, &narrow_service, &err);
    router_set_live(fixture.router, "test.Narrow", &table, &narrow, NULL, &err);
    start("/test.Narrow/Both");
    run();
    assert_events("start ");
}

static void a_held_call_waits_until_its_target_lives_or_its_deadline(void **state)
{
    router_hold(fixture.router, "test.Echo", 10);
    fixture.instance.in_message = answer;
    start("/test.Echo/Unary");
    say("first");
    berth_outgoing_half_close(outgoing);
    run();
    assert_events("");
    set_live(&fixture.instance);
    run();
    assert_events("start message(first) end(OK) headers(0) reply(yes) over(OK) mood=good ");
    router_hold(fixture.router, "test.Echo", 10);
    start_with(&(struct berth_outgoing_options){
        .size = sizeof(struct berth_outgoing_options), .path = "/test.Echo/Unary", .timeout_ms = 5});
    while (end_count < 2)
        uv_run(&loop, UV_RUN_ONCE);
    assert_events("over(DEADLINE_EXCEEDED: deadline exceeded) ");
}

static void the_target_ends_during_the_call(void **state)
{
    start("/test.Echo/Both");
    say("x");
    run();
    router_end_calls(fixture.router, &fixture.instance, "it stops");
    run();
    assert_events("start message(x) end(UNAVAILABLE) over(UNAVAILABLE: it stops) ");
}

static void cancelling_tells_the_handler_and_then_the_caller(void **state)
{
    start("/test.Echo/Both");
    run();
    berth_outgoing_cancel(outgoing);
    assert_int_equal(berth_outgoing_send(outgoing, "x", 1), BERTH_FAILED_PRECONDITION);
    assert_events("start ");
    run();
    assert_events("end(CANCELLED) over(CANCELLED: the caller cancelled the call) ");
    start("/test.Echo/Both");
    berth_outgoing_cancel(outgoing);
    run();
    assert_events("over(CANCELLED: the caller cancelled the call) ");
}

static void closing_a_caller_ends_its_calls_at_once_and_refuses_new_ones(void **state)
{
    struct berth_error err;
    struct berth_outgoing_options options = {.size = sizeof(options), .path = "/test.Echo/Both"};

    start("/test.Echo/Both");
    run();
    start("/test.Echo/Unary");
    assert_int_equal(outgoing_caller_close(&caller, true), 2);
    assert_events("start over(CANCELLED: the calling plugin is closing) "
                  "end(CANCELLED) over(CANCELLED: the calling plugin is closing) ");
    assert_int_equal(outgoing_start(&caller, &options, &handlers, NULL, NULL, &err), BERTH_UNAVAILABLE);
}

static struct berth_call *seen;
static uint64_t due_ns;

static void look(struct berth_call *call)
{
    const struct berth_metadata *name = berth_call_metadata(call, "containerd-namespace");
    const struct berth_metadata *trace = berth_call_metadata(call, "traceparent");

    event("%s from %s ", call->transport, call->peer->address);
    event("pid=%d namespace=%s trace=%.55s deadline=%d ", call->peer->pid == getpid(),
          name == NULL ? "none" : name->value, trace == NULL ? "none" : trace->value,
          call->deadline_ns == due_ns);
    seen = call;
}

static void the_handler_sees_who_calls_and_for_whom(void **state)
{
    static const struct berth_metadata sent[] = {
        {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 55}};
    const uint64_t hour_ns = UINT64_C(3600) * 1000 * 1000 * 1000;
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = "/test.Echo/Both",
        .transport = "grpc",
        .metadata = sent,
        .metadata_count = 1,
        .deadline_ns = due_ns = uv_hrtime() + hour_ns,
        .stream = &fixture.stream,
        .stream_ops = &stream_ops,
    };
    struct berth_call *parent = fixture.interface->open(fixture.interface, &request);

    fixture.instance.in_start = look;
    berth_call_annotate(parent, BERTH_NAMESPACE_ANNOTATION, "k8s.io");
    start_with(&(struct berth_outgoing_options){
        .size = sizeof(struct berth_outgoing_options), .path = "/test.Echo/Both", .parent = parent});
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_events("start start plugin from plugin:io.test.v1.caller pid=1 namespace=k8s.io "
                  "trace=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 deadline=1 ");
    fixture.interface->cancel(parent, BERTH_CANCELLED);
    assert_events("end(CANCELLED) ");
}

static size_t taken;

static void take(struct berth_call *call)
{
    seen = call;
    taken++;
    if (taken == 3)
        berth_call_pause(call);
}

static void a_paused_target_stops_the_caller(void **state)
{
    static char text[CHUNK];
    size_t sent = 0;

    taken = 0;
    fixture.instance.in_message = take;
    start("/test.Echo/Both");
    memset(text, 'a', sizeof(text));
    while (berth_outgoing_can_send(outgoing)) {
        assert_int_equal(berth_outgoing_send(outgoing, text, sizeof(text)), BERTH_OK);
        sent++;
        run();
    }
    assert_int_equal(taken, 3);
    assert_in_range(sent, 4, 40);
    events[0] = '\0';
    berth_call_resume(seen);
    run();
    assert_int_equal(taken, sent);
    assert_int_equal(rooms, 1);
    events[0] = '\0';
}

static struct berth_call *flood;

static void pour(struct berth_call *call)
{
    static char text[CHUNK];

    flood = call;
    memset(text, 'b', sizeof(text));
    while (berth_call_can_send(call)) {
        assert_int_equal(berth_call_send(call, text, sizeof(text)), BERTH_OK);
        taken++;
    }
}

static void a_paused_caller_stops_the_target(void **state)
{
    taken = 0;
    fixture.instance.in_start = pour;
    start("/test.Echo/Both");
    berth_outgoing_pause(outgoing);
    run();
    assert_in_range(taken, 2, 40);
    assert_int_equal(received, 0);
    events[0] = '\0';
    berth_outgoing_resume(outgoing);
    run();
    assert_int_equal(received, taken * CHUNK);
    assert_events("writable ");
    /* The queue itself is bounded, whatever can_send says. */
    berth_outgoing_pause(outgoing);
    {
        char *large = calloc(1, LARGE);
        enum berth_code code;

        for (taken = 0; (code = berth_call_send(flood, large, LARGE)) == BERTH_OK; taken++)
            ;
        assert_int_equal(code, BERTH_RESOURCE_EXHAUSTED);
        assert_int_equal(taken, 3);
        assert_non_null(strstr(berth_call_refusal(flood), "too much is queued"));
        free(large);
    }
}

static void reply_large(struct berth_call *call)
{
    char *large = calloc(1, LARGE);

    berth_call_reply(call, large, LARGE);
    free(large);
}

static void ten_mebibytes_come_back(void **state)
{
    fixture.instance.in_message = reply_large;
    start("/test.Echo/Unary");
    say("x");
    berth_outgoing_half_close(outgoing);
    run();
    assert_int_equal(received, LARGE);
    assert_events("start message(x) end(OK) headers(0) over(OK) ");
}

static void what_cannot_be_sent_starts_no_call(void **state)
{
    static const struct {
        const char *path;
        struct berth_metadata item;
    } cases[] = {
        {"", {0}},
        {"no/slash", {0}},
        {"/half", {0}},
        {"/test.Echo/Unary", {"Upper", "x", 1}},
        {"/test.Echo/Unary", {"grpc-timeout", "x", 1}},
        {"/test.Echo/Unary", {"line", "a\nb", 3}},
        {"/test.Echo/Unary", {NULL, "x", 1}},
    };
    struct berth_error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct berth_outgoing_options options = {
            .size = sizeof(options),
            .path = cases[i].path,
            .metadata = &cases[i].item,
            .metadata_count = i < 3 ? 0 : 1,
        };

        assert_int_equal(outgoing_start(&caller, &options, &handlers, NULL, NULL, &err),
                         BERTH_INVALID_ARGUMENT);
    }
    run();
    assert_events("");
}

static void more_calls_than_allowed_are_refused(void **state)
{
    const struct berth_outgoing_options options = {.size = sizeof(options), .path = "/test.Echo/Both"};
    struct berth_error err;

    for (size_t i = 0; i < BERTH_OUTGOING_CALLS_MAX; i++)
        assert_int_equal(outgoing_start(&caller, &options, NULL, NULL, NULL, &err), BERTH_OK);
    assert_int_equal(outgoing_start(&caller, &options, NULL, NULL, NULL, &err), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(outgoing_caller_close(&caller, true), BERTH_OUTGOING_CALLS_MAX);
}

static void late_and_double_uses_are_reported(void **state)
{
    fixture.instance.in_message = answer;
    start("/test.Echo/Unary");
    say("x");
    berth_outgoing_half_close(outgoing);
    assert_int_equal(berth_outgoing_send(outgoing, "y", 1), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(misuse, "after half-closing it"));
    run();
    events[0] = '\0';
    assert_int_equal(berth_outgoing_send(outgoing, "z", 1), BERTH_FAILED_PRECONDITION);
    assert_string_equal(misuse,
                        "sent a message to the outgoing call /test.Echo/Unary, which has ended; ignored");
    berth_outgoing_cancel(outgoing);
    run();
    assert_events("");
}

/* Its handler calls the service itself: many levels, but never on one stack. */
static unsigned depth;

static void call_itself(struct berth_call *call)
{
    depth++;
    assert_int_equal(depth, 1);
    if (outgoing_caller_count(&caller) < BERTH_OUTGOING_CALLS_MAX) {
        start("/test.Echo/Both");
        say("again");
    }
    depth--;
}

static void a_plugin_that_calls_itself_for_ever_hits_the_limit(void **state)
{
    const struct berth_outgoing_options options = {.size = sizeof(options), .path = "/test.Echo/Both"};
    struct berth_error err;

    fixture.instance.in_message = call_itself;
    start("/test.Echo/Both");
    say("first");
    while (outgoing_caller_count(&caller) < BERTH_OUTGOING_CALLS_MAX) {
        events[0] = '\0';
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    events[0] = '\0';
    assert_int_equal(outgoing_start(&caller, &options, NULL, NULL, NULL, &err), BERTH_RESOURCE_EXHAUSTED);
}

static void close_caller(struct berth_call *call)
{
    assert_int_equal(outgoing_caller_close(&caller, true), 1);
}

/* Else the handler would send to a stream whose memory is another's by then. */
static void a_caller_that_is_closed_while_its_call_begins_leaves_no_call_behind(void **state)
{
    fixture.instance.in_start = close_caller;
    start("/test.Echo/Both");
    run();
    assert_events("start over(CANCELLED: the calling plugin is closing) end(CANCELLED) ");
    assert_true(router_is_idle(fixture.router, NULL));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_room, tear_down_room)
    static const struct CMUnitTest tests[] = {
        CASE(nothing_runs_before_the_loop_and_a_reply_comes_back),
        CASE(an_error_brings_its_message_and_details),
        CASE(a_path_that_nobody_serves_ends_the_call),
        CASE(a_service_is_reached_whatever_its_transports_are),
        CASE(a_held_call_waits_until_its_target_lives_or_its_deadline),
        CASE(the_target_ends_during_the_call),
        CASE(cancelling_tells_the_handler_and_then_the_caller),
        CASE(closing_a_caller_ends_its_calls_at_once_and_refuses_new_ones),
        CASE(a_caller_that_is_closed_while_its_call_begins_leaves_no_call_behind),
        CASE(the_handler_sees_who_calls_and_for_whom),
        CASE(a_paused_target_stops_the_caller),
        CASE(a_paused_caller_stops_the_target),
        CASE(ten_mebibytes_come_back),
        CASE(what_cannot_be_sent_starts_no_call),
        CASE(more_calls_than_allowed_are_refused),
        CASE(late_and_double_uses_are_reported),
        CASE(a_plugin_that_calls_itself_for_ever_hits_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
