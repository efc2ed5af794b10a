/* SPDX-License-Identifier: Apache-2.0 */
/* The router with a fake server on one side and fake handlers on the other; both write down what they hear.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <berth/plugin.h>
#include <core/router.h>

/* What happened, in order, as words: "start message(hi) end(OK)". */
static char events[4096];

__attribute__((format(printf, 1, 2))) static void event(const char *format, ...)
{
    size_t length = strlen(events);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(events + length, sizeof(events) - length, format, arguments);
    va_end(arguments);
}

static void assert_events(const char *expected)
{
    assert_string_equal(events, expected);
    events[0] = '\0';
}

/* The server's side. */
struct berth_stream {
    const struct berth_router *router;
    struct berth_call *call;
    bool cancel_in_send;
    bool full;
    const char *resume_with;
    enum berth_code send_code;
};

static enum berth_code stream_send(struct berth_stream *stream, const void *message, size_t length)
{
    event("sent(%.*s) ", (int)length, (const char *)message);
    if (stream->cancel_in_send)
        stream->router->cancel(stream->call, BERTH_CANCELLED);
    return stream->send_code;
}

static bool stream_can_send(struct berth_stream *stream)
{
    return !stream->full;
}

static enum berth_code stream_add_header(struct berth_stream *stream, const char *key, const void *value,
                                         size_t length)
{
    event("header(%s=%.*s) ", key, (int)length, (const char *)value);
    return BERTH_OK;
}

static enum berth_code stream_add_trailer(struct berth_stream *stream, const char *key, const void *value,
                                          size_t length)
{
    event("trailer(%s=%.*s) ", key, (int)length, (const char *)value);
    return BERTH_OK;
}

static enum berth_code stream_send_headers(struct berth_stream *stream)
{
    event("headers ");
    return BERTH_OK;
}

static void stream_finish(struct berth_stream *stream, enum berth_code code, const char *message,
                          const void *details, size_t details_length)
{
    event("finish(%s%s%s) ", berth_code_name(code), message == NULL ? "" : ": ",
          message == NULL ? "" : message);
}

static void stream_pause(struct berth_stream *stream)
{
    event("paused ");
}

static void stream_resume(struct berth_stream *stream)
{
    const char *message = stream->resume_with;

    event("resumed ");
    stream->resume_with = NULL;
    if (message != NULL)
        stream->router->deliver(stream->call, message, strlen(message));
}

static const struct berth_stream_ops stream_ops = {
    .size = sizeof(stream_ops),
    .send = stream_send,
    .can_send = stream_can_send,
    .add_header = stream_add_header,
    .add_trailer = stream_add_trailer,
    .send_headers = stream_send_headers,
    .finish = stream_finish,
    .pause = stream_pause,
    .resume = stream_resume,
};

/* The handlers' side: an instance says what its handlers do. */
struct instance {
    const char *name;
    /** What on_start and on_message do, beside writing it down. */
    void (*in_start)(struct berth_call *call);
    void (*in_message)(struct berth_call *call);
};

static void on_start(struct berth_call *call)
{
    struct instance *instance = call->instance;

    event("start ");
    if (instance->in_start != NULL)
        instance->in_start(call);
}

static void on_message(struct berth_call *call, const void *message, size_t length)
{
    struct instance *instance = call->instance;

    event("message(%.*s) ", (int)length, (const char *)message);
    if (instance->in_message != NULL)
        instance->in_message(call);
}

static void on_half_close(struct berth_call *call)
{
    event("half_close ");
}

static void on_writable(struct berth_call *call)
{
    event("writable ");
}

static void on_end(struct berth_call *call, enum berth_code code)
{
    assert_int_equal(berth_call_send(call, "late", 4), BERTH_FAILED_PRECONDITION);
    berth_call_finish(call, BERTH_OK, NULL);
    event("end(%s) ", berth_code_name(code));
}

#define METHOD(method, its_kind)                                                                             \
    {                                                                                                        \
        .name = method, .kind = its_kind, .on_start = on_start, .on_message = on_message,                    \
        .on_half_close = on_half_close, .on_writable = on_writable, .on_end = on_end                         \
    }

static const struct berth_method methods[] = {
    METHOD("Unary", BERTH_METHOD_UNARY),
    METHOD("Down", BERTH_METHOD_SERVER_STREAM),
    METHOD("Up", BERTH_METHOD_CLIENT_STREAM),
    METHOD("Both", BERTH_METHOD_BIDI_STREAM),
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "test.Echo",
    .methods = methods,
    .method_count = 4,
    .descriptors = "descriptors",
    .descriptors_length = 11,
};

static const struct manifest_method manifest_methods[] = {
    {"Unary", BERTH_METHOD_UNARY},
    {"Down", BERTH_METHOD_SERVER_STREAM},
    {"Up", BERTH_METHOD_CLIENT_STREAM},
    {"Both", BERTH_METHOD_BIDI_STREAM},
};

static const struct manifest_service manifest_service = {
    .name = "test.Echo",
    .methods = manifest_methods,
    .method_count = 4,
};

static const char *const transports[] = {"grpc", "ttrpc"};

static const struct manifest_service narrow_manifest_service = {
    .name = "test.Narrow",
    .methods = manifest_methods,
    .method_count = 4,
    .transports = transports,
    .transport_count = 2,
};

static const struct manifest_plugin plugin = {.uri = "io.test.v1.echo"};

struct fixture {
    struct router *router;
    const struct berth_router *interface;
    struct instance instance;
    struct berth_stream stream;
};

static void declare(struct fixture *fixture)
{
    fixture->router = router_create();
    fixture->interface = router_interface(fixture->router);
    fixture->stream.router = fixture->interface;
    assert_int_equal(router_declare(fixture->router, &plugin, &manifest_service, NULL), BERTH_OK);
}

static void set_live(struct fixture *fixture, struct instance *instance, uint64_t generation)
{
    struct berth_error err;

    assert_int_equal(router_set_live(fixture->router, "test.Echo", &service, instance, generation, &err),
                     BERTH_OK);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    events[0] = '\0';
    declare(fixture);
    set_live(fixture, &fixture->instance, 1);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    router_destroy(fixture->router);
    free(fixture);
    return 0;
}

static struct berth_call *open_over(struct fixture *fixture, struct berth_stream *stream, const char *path,
                                    const char *transport)
{
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = path,
        .transport = transport,
        .stream = stream,
        .stream_ops = &stream_ops,
    };

    stream->call = fixture->interface->open(fixture->interface, &request);
    return stream->call;
}

static struct berth_call *open_with(struct fixture *fixture, struct berth_stream *stream, const char *path)
{
    return open_over(fixture, stream, path, "test");
}

static struct berth_call *open_path(struct fixture *fixture, const char *path)
{
    return open_with(fixture, &fixture->stream, path);
}

static void deliver(struct fixture *fixture, const char *message)
{
    fixture->interface->deliver(fixture->stream.call, message, strlen(message));
}

static void deliver_last(struct fixture *fixture, const char *message)
{
    fixture->interface->deliver_last(fixture->stream.call, message, strlen(message));
}

static void half_close(struct fixture *fixture)
{
    fixture->interface->half_close(fixture->stream.call);
}

static void cancel(struct fixture *fixture)
{
    fixture->interface->cancel(fixture->stream.call, BERTH_CANCELLED);
}

/* What handlers do. */
static void reply(struct berth_call *call)
{
    berth_call_reply(call, "pong", 4);
}

static void send_one(struct berth_call *call)
{
    event("send=%s ", berth_code_name(berth_call_send(call, "one", 3)));
}

static void send_twice(struct berth_call *call)
{
    send_one(call);
    send_one(call);
}

static void finish_well(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
    event("after-finish ");
}

static void finish_badly(struct berth_call *call)
{
    berth_call_finish(call, BERTH_NOT_FOUND, "no such thing");
}

static void finish_twice(struct berth_call *call)
{
    finish_badly(call);
    finish_badly(call);
}

static void finish_outside_the_enum(struct berth_call *call)
{
    berth_call_finish(call, BERTH_SKIP, "odd");
}

static void a_unary_call_goes_there_and_back(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = reply;
    assert_non_null(open_path(fixture, "/test.Echo/Unary"));
    deliver(fixture, "ping");
    assert_events("start ");
    half_close(fixture);
    assert_events("message(ping) sent(pong) finish(OK) end(OK) ");
}

static void a_last_message_reaches_a_unary_handler_at_once(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = reply;
    open_path(fixture, "/test.Echo/Unary");
    deliver_last(fixture, "ping");
    assert_events("start message(ping) sent(pong) finish(OK) end(OK) ");
}

static void an_empty_message_is_a_message(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = reply;
    open_path(fixture, "/test.Echo/Unary");
    deliver(fixture, "");
    half_close(fixture);
    assert_events("start message() sent(pong) finish(OK) end(OK) ");
}

static void a_unary_call_without_a_message_is_refused(void **state)
{
    struct fixture *fixture = *state;

    open_path(fixture, "/test.Echo/Unary");
    half_close(fixture);
    assert_events("start finish(INTERNAL: cardinality violation: received no request message from "
                  "non-client-streaming RPC) end(INTERNAL) ");
}

static void a_second_message_of_a_unary_call_is_refused(void **state)
{
    struct fixture *fixture = *state;

    open_path(fixture, "/test.Echo/Down");
    deliver(fixture, "one");
    deliver_last(fixture, "two");
    assert_events("start finish(INTERNAL: cardinality violation: received multiple request messages for "
                  "non-client-streaming RPC) end(INTERNAL) ");
}

static void a_unary_handler_cannot_send_twice(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = send_twice;
    open_path(fixture, "/test.Echo/Unary");
    deliver_last(fixture, "");
    assert_events("start message() sent(one) send=OK send=FAILED_PRECONDITION ");
    cancel(fixture);
    assert_events("end(CANCELLED) ");
}

static void a_streaming_handler_can(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = send_twice;
    open_path(fixture, "/test.Echo/Down");
    deliver_last(fixture, "");
    assert_events("start message() sent(one) send=OK sent(one) send=OK ");
    berth_call_finish(fixture->stream.call, BERTH_OK, NULL);
    assert_events("finish(OK) end(OK) ");
}

static void a_good_end_without_a_reply_is_a_bad_one(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = finish_well;
    open_path(fixture, "/test.Echo/Unary");
    deliver_last(fixture, "");
    assert_events("start message() finish(INTERNAL: the handler ended the call well, but without a reply) "
                  "after-finish end(INTERNAL) ");
}

static void a_reply_that_is_too_large_ends_the_call_with_its_code(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = reply;
    fixture->stream.send_code = BERTH_RESOURCE_EXHAUSTED;
    open_path(fixture, "/test.Echo/Unary");
    deliver_last(fixture, "");
    assert_events("start message() sent(pong) finish(RESOURCE_EXHAUSTED: the reply is larger than this "
                  "server sends) end(RESOURCE_EXHAUSTED) ");
}

static void messages_stream_in_as_they_come(void **state)
{
    struct fixture *fixture = *state;

    open_path(fixture, "/test.Echo/Both");
    deliver(fixture, "a");
    deliver(fixture, "b");
    deliver_last(fixture, "c");
    fixture->interface->writable(fixture->stream.call);
    half_close(fixture);
    assert_events("start message(a) message(b) message(c) half_close writable ");
    berth_call_finish(fixture->stream.call, BERTH_OK, NULL);
    assert_events("finish(OK) end(OK) ");
}

static void finishing_in_on_start_leaves_no_call(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_start = finish_badly;
    assert_null(open_path(fixture, "/test.Echo/Unary"));
    assert_events("start finish(NOT_FOUND: no such thing) end(NOT_FOUND) ");
}

static void on_end_waits_for_the_running_callback(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = finish_well;
    open_path(fixture, "/test.Echo/Down");
    deliver_last(fixture, "");
    assert_events("start message() finish(OK) after-finish end(OK) ");
}

static void finishing_twice_ends_once(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = finish_twice;
    open_path(fixture, "/test.Echo/Both");
    deliver(fixture, "");
    assert_events("start message() finish(NOT_FOUND: no such thing) end(NOT_FOUND) ");
}

static void a_code_outside_the_enum_becomes_unknown(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = finish_outside_the_enum;
    open_path(fixture, "/test.Echo/Both");
    deliver(fixture, "");
    assert_events("start message() finish(UNKNOWN: odd) end(UNKNOWN) ");
}

static void a_cancelled_call_ends_without_the_stream(void **state)
{
    struct fixture *fixture = *state;

    open_path(fixture, "/test.Echo/Both");
    fixture->interface->cancel(fixture->stream.call, BERTH_DEADLINE_EXCEEDED);
    assert_events("start end(DEADLINE_EXCEEDED) ");
}

static void a_cancel_inside_send_ends_after_the_callback(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = send_twice;
    fixture->stream.cancel_in_send = true;
    open_path(fixture, "/test.Echo/Both");
    deliver(fixture, "");
    assert_events("start message() sent(one) send=FAILED_PRECONDITION send=FAILED_PRECONDITION "
                  "end(CANCELLED) ");
}

static void a_cancel_inside_a_send_from_the_loop_frees_nothing_under_the_handler(void **state)
{
    struct fixture *fixture = *state;
    struct berth_stream other = {.router = fixture->interface};
    struct berth_call *call = open_path(fixture, "/test.Echo/Both");

    fixture->stream.cancel_in_send = true;
    assert_int_equal(berth_call_send(call, "x", 1), BERTH_FAILED_PRECONDITION);
    assert_false(berth_call_can_send(call));
    berth_call_reply(call, "y", 1);
    assert_events("start sent(x) end(CANCELLED) ");

    open_path(fixture, "/test.Echo/Both");
    assert_int_equal(berth_call_send(fixture->stream.call, "x", 1), BERTH_FAILED_PRECONDITION);
    assert_events("start sent(x) ");
    open_with(fixture, &other, "/test.Echo/Both");
    assert_events("end(CANCELLED) start ");
    fixture->interface->cancel(other.call, BERTH_CANCELLED);
    assert_events("end(CANCELLED) ");
}

static void unknown_paths_are_refused_in_the_words_that_clients_know(void **state)
{
    static const struct {
        const char *path;
        const char *events;
    } cases[] = {
        {"/test.Echo/Nope", "finish(UNIMPLEMENTED: unknown method Nope for service test.Echo) "},
        {"/test.Nope/Unary", "finish(UNIMPLEMENTED: unknown service test.Nope) "},
        {"/bad", "finish(UNIMPLEMENTED: malformed method name: \"/bad\") "},
        {"bad/Unary", "finish(UNIMPLEMENTED: malformed method name: \"bad/Unary\") "},
        {"", "finish(UNIMPLEMENTED: malformed method name: \"\") "},
        {"/", "finish(UNIMPLEMENTED: malformed method name: \"/\") "},
        {"/test.Echo/Unary/", "finish(UNIMPLEMENTED: unknown service test.Echo/Unary) "},
        {"/test.echo/Unary", "finish(UNIMPLEMENTED: unknown service test.echo) "},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(open_path(*state, cases[i].path));
        assert_events(cases[i].events);
    }
}

static void a_path_of_any_length_is_refused(void **state)
{
    char path[100000];

    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[50000] = '/';
    path[sizeof(path) - 1] = '\0';
    assert_null(open_path(*state, path));
    events[40] = '\0';
    assert_events("finish(UNIMPLEMENTED: unknown service xx");
}

static void a_declared_service_is_unavailable_until_it_is_live(void **state)
{
    struct fixture fixture = {0};

    declare(&fixture);
    assert_null(open_path(&fixture, "/test.Echo/Unary"));
    assert_events("finish(UNAVAILABLE: service test.Echo is not there: its plugin io.test.v1.echo has not "
                  "started) ");
    router_destroy(fixture.router);
}

static void a_service_is_declared_once(void **state)
{
    struct fixture *fixture = *state;
    struct berth_error err;

    assert_int_equal(router_declare(fixture->router, &plugin, &manifest_service, &err), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, "test.Echo is exported by io.test.v1.echo already"));
}

static void a_table_that_differs_from_its_manifest_never_gets_live(void **state)
{
    static const struct berth_method unknown[] = {
        METHOD("Unary", BERTH_METHOD_UNARY), METHOD("Down", BERTH_METHOD_SERVER_STREAM),
        METHOD("Up", BERTH_METHOD_CLIENT_STREAM), METHOD("Bath", BERTH_METHOD_BIDI_STREAM)};
    static const struct berth_method kinds[] = {
        METHOD("Unary", BERTH_METHOD_BIDI_STREAM), METHOD("Down", BERTH_METHOD_SERVER_STREAM),
        METHOD("Up", BERTH_METHOD_CLIENT_STREAM), METHOD("Both", BERTH_METHOD_BIDI_STREAM)};
    static const struct berth_method deaf[] = {{.name = "Unary", .kind = BERTH_METHOD_UNARY},
                                               METHOD("Down", BERTH_METHOD_SERVER_STREAM),
                                               METHOD("Up", BERTH_METHOD_CLIENT_STREAM),
                                               METHOD("Both", BERTH_METHOD_BIDI_STREAM)};
    const struct {
        const struct berth_method *methods;
        size_t count;
        uint32_t method_size;
        const char *reason;
    } cases[] = {
        {unknown, 4, sizeof(methods[0]), "its manifest names the method /test.Echo/Both, its code has none"},
        {kinds, 4, sizeof(methods[0]), "differ on how many messages /test.Echo/Unary carries"},
        {deaf, 4, sizeof(methods[0]), "the code of /test.Echo/Unary has no on_message"},
        {methods, 3, sizeof(methods[0]), "its manifest names 4 methods of test.Echo, its code has 3"},
        {methods, 4, 8, "the table of test.Echo is too small"},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_service table = service;
        struct berth_error err;

        table.methods = cases[i].methods;
        table.method_count = cases[i].count;
        table.method_size = cases[i].method_size;
        assert_int_equal(router_set_live(fixture->router, "test.Echo", &table, NULL, 2, &err),
                         BERTH_FAILED_PRECONDITION);
        assert_non_null(strstr(err.message, cases[i].reason));
    }
    assert_int_equal(router_set_live(fixture->router, "test.Nope", &service, NULL, 2, NULL),
                     BERTH_FAILED_PRECONDITION);
}

static void a_module_with_wider_methods_is_served(void **state)
{
    struct fixture *fixture = *state;
    struct {
        struct berth_method method;
        void *of_a_later_sdk;
    } wide[4];
    struct berth_service table = service;

    for (size_t i = 0; i < 4; i++) {
        wide[i].method = methods[3 - i];
        wide[i].of_a_later_sdk = NULL;
    }
    table.methods = &wide[0].method;
    table.method_size = sizeof(wide[0]);
    assert_int_equal(router_set_live(fixture->router, "test.Echo", &table, &fixture->instance, 2, NULL),
                     BERTH_OK);
    fixture->instance.in_message = reply;
    open_path(fixture, "/test.Echo/Unary");
    deliver_last(fixture, "x");
    assert_events("start message(x) sent(pong) finish(OK) end(OK) ");
}

static void calls_of_a_gone_service_hear_why(void **state)
{
    struct fixture *fixture = *state;
    struct berth_stream late = {.router = fixture->interface};

    open_path(fixture, "/test.Echo/Both");
    router_set_gone(fixture->router, "test.Echo", BERTH_UNAVAILABLE, "io.test.v1.echo failed: no disk");
    assert_null(open_with(fixture, &late, "/test.Echo/Unary"));
    assert_events("start finish(UNAVAILABLE: io.test.v1.echo failed: no disk) ");
    deliver(fixture, "still here");
    assert_events("message(still here) ");
    cancel(fixture);
    assert_events("end(CANCELLED) ");
}

static void a_call_stays_on_the_generation_it_began_on(void **state)
{
    struct fixture *fixture = *state;
    struct instance second = {.in_message = reply};
    struct berth_stream late = {.router = fixture->interface};

    fixture->instance.in_message = finish_badly;
    open_path(fixture, "/test.Echo/Both");
    set_live(fixture, &second, 2);
    open_with(fixture, &late, "/test.Echo/Both");
    assert_int_equal(router_calls(fixture->router, "test.Echo", 1), 1);
    assert_int_equal(router_calls(fixture->router, "test.Echo", 2), 1);
    assert_events("start start ");
    deliver(fixture, "a");
    assert_events("message(a) finish(NOT_FOUND: no such thing) end(NOT_FOUND) ");
    assert_int_equal(router_calls(fixture->router, "test.Echo", 1), 0);
    fixture->interface->deliver(late.call, "b", 1);
    assert_events("message(b) sent(pong) finish(OK) end(OK) ");
}

static void held_calls_wait_for_the_next_generation(void **state)
{
    struct fixture *fixture = *state;
    struct instance second = {.in_message = reply};
    struct berth_stream other = {.router = fixture->interface};
    struct berth_stream third = {.router = fixture->interface};

    router_hold(fixture->router, "test.Echo", 2);
    assert_non_null(open_path(fixture, "/test.Echo/Unary"));
    assert_non_null(open_with(fixture, &other, "/test.Echo/Both"));
    assert_null(open_with(fixture, &third, "/test.Echo/Both"));
    assert_events("paused paused finish(UNAVAILABLE: service test.Echo: its plugin io.test.v1.echo is being "
                  "started, and 2 calls wait for it already: try again) ");
    other.resume_with = "late";
    set_live(fixture, &second, 2);
    assert_events("start resumed start resumed message(late) sent(pong) finish(OK) end(OK) ");
    deliver_last(fixture, "x");
    assert_events("message(x) sent(pong) finish(OK) end(OK) ");
}

static void what_came_while_held_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct instance second = {.in_message = reply};
    struct berth_stream other = {.router = fixture->interface};

    router_hold(fixture->router, "test.Echo", 2);
    open_path(fixture, "/test.Echo/Unary");
    deliver_last(fixture, "x");
    open_with(fixture, &other, "/test.Echo/Both");
    fixture->interface->half_close(other.call);
    assert_events("paused paused ");
    set_live(fixture, &second, 2);
    assert_events("start resumed message(x) sent(pong) finish(OK) end(OK) start resumed half_close ");
    fixture->interface->cancel(other.call, BERTH_CANCELLED);
    assert_events("end(CANCELLED) ");
}

static void a_held_call_can_be_cancelled(void **state)
{
    struct fixture *fixture = *state;

    router_hold(fixture->router, "test.Echo", 1);
    open_path(fixture, "/test.Echo/Unary");
    cancel(fixture);
    assert_non_null(open_path(fixture, "/test.Echo/Unary"));
    cancel(fixture);
    assert_events("paused paused ");
}

static void held_calls_end_when_the_service_goes(void **state)
{
    struct fixture *fixture = *state;

    router_hold(fixture->router, "test.Echo", 1);
    open_path(fixture, "/test.Echo/Unary");
    router_set_gone(fixture->router, "test.Echo", BERTH_UNAVAILABLE, "it failed");
    assert_events("paused finish(UNAVAILABLE: it failed) ");
}

static void a_message_before_its_time_ends_a_stream(void **state)
{
    struct fixture *fixture = *state;

    router_hold(fixture->router, "test.Echo", 1);
    open_path(fixture, "/test.Echo/Both");
    deliver(fixture, "x");
    assert_events(
        "paused finish(INTERNAL: the server delivered a message of a call that it was asked to pause) ");
}

static void pausing_reaches_the_server_once(void **state)
{
    struct fixture *fixture = *state;

    open_path(fixture, "/test.Echo/Both");
    berth_call_pause(fixture->stream.call);
    berth_call_pause(fixture->stream.call);
    fixture->stream.resume_with = "x";
    berth_call_resume(fixture->stream.call);
    berth_call_resume(fixture->stream.call);
    assert_events("start paused resumed message(x) ");
    cancel(fixture);
}

static void a_paused_unary_handler_gets_its_message_when_it_resumes(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_start = berth_call_pause;
    fixture->instance.in_message = reply;
    open_path(fixture, "/test.Echo/Unary");
    deliver_last(fixture, "x");
    assert_events("start paused ");
    berth_call_resume(fixture->stream.call);
    assert_events("resumed message(x) sent(pong) finish(OK) end(OK) ");
}

static void resuming_may_end_the_call(void **state)
{
    struct fixture *fixture = *state;

    fixture->instance.in_message = finish_badly;
    open_path(fixture, "/test.Echo/Both");
    berth_call_pause(fixture->stream.call);
    fixture->stream.resume_with = "x";
    berth_call_resume(fixture->stream.call);
    assert_events("start paused resumed message(x) finish(NOT_FOUND: no such thing) end(NOT_FOUND) ");
}

static void headers_and_trailers_keep_to_their_time(void **state)
{
    struct fixture *fixture = *state;
    struct berth_call *call = open_path(fixture, "/test.Echo/Down");

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
    cancel(fixture);
}

static void a_call_tells_who_calls_and_outlives_the_request(void **state)
{
    struct fixture *fixture = *state;
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
        .stream = &fixture->stream,
        .stream_ops = &stream_ops,
    };
    struct berth_call *call = fixture->interface->open(fixture->interface, &request);

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
    fixture->interface->cancel(call, BERTH_OK);
    assert_events("start end(CANCELLED) ");
}

static void a_peer_of_an_older_server_has_no_certificate(void **state)
{
    struct fixture *fixture = *state;
    const struct berth_peer peer = {.size = offsetof(struct berth_peer, tls_subject),
                                    .address = "old",
                                    .tls_subject = "not there",
                                    .tls_name_count = 9};
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = "/test.Echo/Both",
        .transport = "test",
        .peer = &peer,
        .stream = &fixture->stream,
        .stream_ops = &stream_ops,
    };
    struct berth_call *call = fixture->interface->open(fixture->interface, &request);

    assert_string_equal(call->peer->address, "old");
    assert_null(call->peer->tls_subject);
    assert_int_equal(call->peer->tls_name_count, 0);
    fixture->interface->cancel(call, BERTH_OK);
}

static void annotations_are_kept_and_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct berth_call *call = open_path(fixture, "/test.Echo/Both");

    assert_null(berth_call_annotation(call, "namespace"));
    berth_call_annotate(call, "namespace", "one");
    berth_call_annotate(call, "lease", "l");
    berth_call_annotate(call, "namespace", "two");
    assert_string_equal(berth_call_annotation(call, "namespace"), "two");
    assert_string_equal(berth_call_annotation(call, "lease"), "l");
    cancel(fixture);
}

static void on_idle(void *context)
{
    event("idle ");
}

static void the_last_call_of_an_instance_is_heard_of(void **state)
{
    struct fixture *fixture = *state;

    open_path(fixture, "/test.Echo/Both");
    router_when_idle(fixture->router, &fixture->instance, on_idle, NULL);
    assert_int_equal(router_instance_calls(fixture->router, &fixture->instance), 1);
    assert_events("start ");
    cancel(fixture);
    assert_events("end(CANCELLED) idle ");
    router_when_idle(fixture->router, &fixture->instance, on_idle, NULL);
    assert_events("idle ");
    open_path(fixture, "/test.Echo/Both");
    router_when_idle(fixture->router, &fixture->instance, on_idle, NULL);
    router_when_idle(fixture->router, &fixture->instance, NULL, NULL);
    cancel(fixture);
    assert_events("start end(CANCELLED) ");
}

static void ending_the_calls_of_an_instance_ends_all_of_them(void **state)
{
    struct fixture *fixture = *state;
    struct instance second = {.name = "second"};
    struct berth_stream streams[3] = {{0}};

    open_with(fixture, &streams[0], "/test.Echo/Both");
    open_with(fixture, &streams[1], "/test.Echo/Down");
    set_live(fixture, &second, 2);
    open_with(fixture, &streams[2], "/test.Echo/Both");
    assert_events("start start start ");
    router_end_calls(fixture->router, &fixture->instance, "it stops");
    assert_events("finish(UNAVAILABLE: it stops) end(UNAVAILABLE) finish(UNAVAILABLE: it stops) "
                  "end(UNAVAILABLE) ");
    assert_int_equal(router_instance_calls(fixture->router, &second), 1);
    fixture->interface->cancel(streams[2].call, BERTH_CANCELLED);
    assert_events("end(CANCELLED) ");
}

static struct fixture *ending;

static void end_all_inside(struct berth_call *call)
{
    router_end_calls(ending->router, &ending->instance, "it stops");
    event("%zu-left ", router_instance_calls(ending->router, &ending->instance));
}

static void a_call_in_the_middle_of_a_callback_counts_until_it_returns(void **state)
{
    struct berth_stream other = {0};

    ending = *state;
    ending->instance.in_message = end_all_inside;
    open_path(ending, "/test.Echo/Both");
    open_with(ending, &other, "/test.Echo/Down");
    router_when_idle(ending->router, &ending->instance, on_idle, NULL);
    deliver(ending, "x");
    assert_events("start start message(x) finish(UNAVAILABLE: it stops) end(UNAVAILABLE) "
                  "finish(UNAVAILABLE: it stops) 1-left end(UNAVAILABLE) idle ");
}

static bool on_route(void *context, const struct berth_route_info *route)
{
    event("%s of %s %s %.*s ", route->service, route->plugin, route->live ? "live" : "down",
          (int)route->descriptors_length, (const char *)route->descriptors);
    return true;
}

static void routes_are_listed_with_their_state(void **state)
{
    struct fixture *fixture = *state;

    fixture->interface->each(fixture->interface, on_route, NULL);
    router_set_gone(fixture->router, "test.Echo", BERTH_UNAVAILABLE, "gone");
    fixture->interface->each(fixture->interface, on_route, NULL);
    assert_events("test.Echo of io.test.v1.echo live descriptors test.Echo of io.test.v1.echo down  ");
}

static void a_service_goes_over_the_transports_that_its_plugin_names(void **state)
{
    static const char *const carried_by[] = {"grpc", "ttrpc", "test"};
    struct fixture *fixture = *state;

    router_declare(fixture->router, &plugin, &narrow_manifest_service, NULL);
    router_set_live(fixture->router, "test.Narrow", &service, &fixture->instance, 1, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(open_over(fixture, &fixture->stream, "/test.Narrow/Both", carried_by[i]));
        assert_string_equal(fixture->stream.call->transport, carried_by[i]);
        cancel(fixture);
        assert_events("start end(CANCELLED) ");
    }
}

static void over_another_transport_a_service_is_unknown(void **state)
{
    struct fixture *fixture = *state;

    router_declare(fixture->router, &plugin, &narrow_manifest_service, NULL);
    router_set_live(fixture->router, "test.Narrow", &service, &fixture->instance, 1, NULL);
    assert_null(open_over(fixture, &fixture->stream, "/test.Narrow/Both", "tcp"));
    assert_null(open_over(fixture, &fixture->stream, "/test.Narrow/Nope", "tcp"));
    assert_null(open_over(fixture, &fixture->stream, "/test.Narrow/Both", "grp"));
    assert_events("finish(UNIMPLEMENTED: unknown service test.Narrow) "
                  "finish(UNIMPLEMENTED: unknown service test.Narrow) "
                  "finish(UNIMPLEMENTED: unknown service test.Narrow) ");
    assert_null(open_over(fixture, &fixture->stream, "/test.Narrow/Nope", "grpc"));
    assert_events("finish(UNIMPLEMENTED: unknown method Nope for service test.Narrow) ");
}

static bool on_transports(void *context, const struct berth_route_info *route)
{
    if (route->transports == NULL)
        event("%s over all ", route->service);
    for (size_t i = 0; i < route->transport_count; i++)
        event("%s over %s ", route->service, route->transports[i]);
    return true;
}

static void routes_tell_their_transports(void **state)
{
    struct fixture *fixture = *state;

    router_declare(fixture->router, &plugin, &narrow_manifest_service, NULL);
    fixture->interface->each(fixture->interface, on_transports, NULL);
    assert_events("test.Echo over all test.Narrow over grpc test.Narrow over ttrpc ");
}

static void many_services_are_all_found(void **state)
{
    struct fixture *fixture = *state;
    char names[500][32];

    for (size_t i = 0; i < 500; i++) {
        struct manifest_service more = {.name = names[i], .methods = manifest_methods, .method_count = 4};

        snprintf(names[i], sizeof(names[i]), "test.S%zu", i);
        assert_int_equal(router_declare(fixture->router, &plugin, &more, NULL), BERTH_OK);
        assert_int_equal(router_set_live(fixture->router, names[i], &service, &fixture->instance, 1, NULL),
                         BERTH_OK);
    }
    for (size_t i = 0; i < 500; i++) {
        char path[64];

        snprintf(path, sizeof(path), "/%.40s/Both", names[i]);
        assert_non_null(open_path(fixture, path));
        assert_string_equal(fixture->stream.call->service, names[i]);
        cancel(fixture);
        events[0] = '\0';
    }
}

/* An interceptor whose on_start answers with `code`. */
struct guard {
    const char *name;
    enum berth_code code;
    struct berth_call *pending;
    void *state;
    void (*in_start)(struct guard *guard, struct berth_call *call);
};

static enum berth_code guard_start(void *self, struct berth_call *call, void **ret_state,
                                   struct berth_error *err)
{
    struct guard *guard = self;

    event("%s-start ", guard->name);
    *ret_state = guard->state = strdup(guard->name);
    guard->pending = call;
    if (guard->in_start != NULL)
        guard->in_start(guard, call);
    if (guard->code == BERTH_OK || guard->code == BERTH_PENDING)
        return guard->code;
    free(*ret_state);
    return berth_error_set(err, guard->code, "%s says no", guard->name);
}

static void guard_message(void *self, struct berth_call *call, void *state, const void *message,
                          size_t length)
{
    event("%s-message ", (const char *)state);
}

static void guard_finish(void *self, struct berth_call *call, void *state, enum berth_code code,
                         const char *message)
{
    event("%s-finish(%s) ", (const char *)state, berth_code_name(code));
    if (berth_call_add_trailer(call, "guard", state, strlen(state)) != BERTH_OK)
        event("no-trailer ");
    free(state);
}

static const struct berth_interceptor guard_hooks = {
    .size = sizeof(guard_hooks),
    .name = "guard",
    .on_start = guard_start,
    .on_message = guard_message,
    .on_finish = guard_finish,
};

static void add_guard(struct fixture *fixture, struct guard *guard, size_t order)
{
    assert_int_equal(router_add_interceptor(fixture->router, &guard_hooks, guard, order, guard, NULL),
                     BERTH_OK);
}

static void interceptors_stand_around_a_call_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct guard a = {.name = "a"}, b = {.name = "b"};

    add_guard(fixture, &b, 7);
    add_guard(fixture, &a, 3);
    fixture->instance.in_message = reply;
    open_path(fixture, "/test.Echo/Unary");
    deliver_last(fixture, "x");
    assert_events("a-start b-start start a-message b-message message(x) sent(pong) b-finish(OK) "
                  "trailer(guard=b) a-finish(OK) trailer(guard=a) finish(OK) end(OK) ");
}

static void watcher_message(void *self, struct berth_call *call, void *state, const void *message,
                            size_t length)
{
    event("%s-in(%.*s) ", (const char *)self, (int)length, (const char *)message);
}

static void watcher_reply(void *self, struct berth_call *call, void *state, const void *message,
                          size_t length)
{
    event("%s-out(%.*s) ", (const char *)self, (int)length, (const char *)message);
}

static const struct berth_interceptor watcher_hooks = {
    .size = sizeof(watcher_hooks),
    .name = "watcher",
    .on_message = watcher_message,
    .on_reply = watcher_reply,
};

static void add_watcher(struct fixture *fixture, const char *name, size_t order,
                        const struct berth_interceptor *hooks)
{
    assert_int_equal(
        router_add_interceptor(fixture->router, hooks, (void *)(uintptr_t)name, order, name, NULL), BERTH_OK);
}

static void messages_are_seen_both_ways_by_all_interceptors(void **state)
{
    struct fixture *fixture = *state;

    add_watcher(fixture, "a", 1, &watcher_hooks);
    add_watcher(fixture, "b", 2, &watcher_hooks);
    fixture->instance.in_message = send_twice;
    open_path(fixture, "/test.Echo/Both");
    deliver(fixture, "x");
    assert_events("start a-in(x) b-in(x) message(x) b-out(one) a-out(one) sent(one) send=OK "
                  "b-out(one) a-out(one) sent(one) send=OK ");
    router_remove_interceptors(fixture->router, "b");
    deliver(fixture, "y");
    assert_events("a-in(y) message(y) a-out(one) sent(one) send=OK a-out(one) sent(one) send=OK ");
    cancel(fixture);
    assert_events("end(CANCELLED) ");
}

static void an_interceptor_of_an_older_sdk_is_not_asked_about_replies(void **state)
{
    struct berth_interceptor older = watcher_hooks;
    struct fixture *fixture = *state;

    older.size = offsetof(struct berth_interceptor, on_reply);
    add_watcher(fixture, "a", 1, &older);
    fixture->instance.in_message = reply;
    open_path(fixture, "/test.Echo/Unary");
    deliver_last(fixture, "x");
    assert_events("start a-in(x) message(x) sent(pong) finish(OK) end(OK) ");
}

static void refuse_reply(void *self, struct berth_call *call, void *state, const void *message, size_t length)
{
    event("%s-out ", (const char *)self);
    berth_call_finish(call, BERTH_PERMISSION_DENIED, "that does not leave");
}

static void an_interceptor_may_keep_a_reply_from_leaving(void **state)
{
    static const struct berth_interceptor refusing = {
        .size = sizeof(refusing), .name = "refusing", .on_reply = refuse_reply};
    struct fixture *fixture = *state;

    add_watcher(fixture, "a", 1, &watcher_hooks);
    add_watcher(fixture, "b", 2, &refusing);
    fixture->instance.in_message = send_twice;
    open_path(fixture, "/test.Echo/Down");
    deliver_last(fixture, "x");
    assert_events("start a-in(x) message(x) b-out finish(PERMISSION_DENIED: that does not leave) "
                  "send=FAILED_PRECONDITION send=FAILED_PRECONDITION end(PERMISSION_DENIED) ");
}

static void send_in_reply(void *self, struct berth_call *call, void *state, const void *message,
                          size_t length)
{
    event("nested=%s ", berth_code_name(berth_call_send(call, "more", 4)));
}

static void an_interceptor_sends_nothing_of_its_own(void **state)
{
    static const struct berth_interceptor sending = {
        .size = sizeof(sending), .name = "sending", .on_reply = send_in_reply};
    struct fixture *fixture = *state;

    add_watcher(fixture, "a", 1, &sending);
    fixture->instance.in_message = send_one;
    open_path(fixture, "/test.Echo/Both");
    deliver(fixture, "x");
    assert_events("start message(x) nested=FAILED_PRECONDITION sent(one) send=OK ");
    cancel(fixture);
}

static void a_refusal_is_heard_by_those_before_it(void **state)
{
    struct fixture *fixture = *state;
    struct guard a = {.name = "a"}, b = {.name = "b", .code = BERTH_PERMISSION_DENIED}, c = {.name = "c"};

    add_guard(fixture, &a, 1);
    add_guard(fixture, &b, 2);
    add_guard(fixture, &c, 3);
    assert_null(open_path(fixture, "/test.Echo/Unary"));
    assert_events("a-start b-start a-finish(PERMISSION_DENIED) trailer(guard=a) "
                  "finish(PERMISSION_DENIED: b says no) ");
}

static void a_pending_call_goes_on_when_it_is_admitted(void **state)
{
    struct fixture *fixture = *state;
    struct guard a = {.name = "a", .code = BERTH_PENDING}, b = {.name = "b"};

    add_guard(fixture, &a, 1);
    add_guard(fixture, &b, 2);
    fixture->instance.in_message = reply;
    assert_non_null(open_path(fixture, "/test.Echo/Unary"));
    deliver_last(fixture, "x");
    assert_events("a-start paused ");
    router_admit(fixture->router, a.pending, BERTH_OK, NULL);
    assert_events("b-start start resumed a-message b-message message(x) sent(pong) b-finish(OK) "
                  "trailer(guard=b) a-finish(OK) trailer(guard=a) finish(OK) end(OK) ");
}

static void only_the_first_admission_counts(void **state)
{
    struct fixture *fixture = *state;
    struct guard a = {.name = "a", .code = BERTH_PENDING};

    add_guard(fixture, &a, 1);
    open_path(fixture, "/test.Echo/Both");
    router_admit(fixture->router, a.pending, BERTH_OK, NULL);
    router_admit(fixture->router, a.pending, BERTH_PERMISSION_DENIED, "too late");
    assert_events("a-start paused start resumed ");
    cancel(fixture);
    assert_events("a-finish(CANCELLED) no-trailer end(CANCELLED) ");
}

static void a_pending_call_can_be_refused_later(void **state)
{
    struct fixture *fixture = *state;
    struct guard a = {.name = "a"}, b = {.name = "b", .code = BERTH_PENDING};

    add_guard(fixture, &a, 1);
    add_guard(fixture, &b, 2);
    open_path(fixture, "/test.Echo/Both");
    router_admit(fixture->router, b.pending, BERTH_UNAUTHENTICATED, "who are you");
    free(b.state);
    assert_events("a-start b-start paused a-finish(UNAUTHENTICATED) trailer(guard=a) "
                  "finish(UNAUTHENTICATED: who are you) ");
}

static void a_pending_call_can_be_cancelled(void **state)
{
    struct fixture *fixture = *state;
    struct guard a = {.name = "a", .code = BERTH_PENDING};

    add_guard(fixture, &a, 1);
    open_path(fixture, "/test.Echo/Both");
    cancel(fixture);
    assert_events("a-start paused a-finish(CANCELLED) no-trailer ");
}

static struct fixture *admitting;

static void admit_at_once(struct guard *guard, struct berth_call *call)
{
    router_admit(admitting->router, call, BERTH_OK, NULL);
}

static void an_admission_inside_on_start_counts(void **state)
{
    struct guard a = {.name = "a", .code = BERTH_PENDING, .in_start = admit_at_once};

    admitting = *state;
    add_guard(admitting, &a, 1);
    open_path(admitting, "/test.Echo/Both");
    assert_events("a-start start ");
    cancel(admitting);
    assert_events("a-finish(CANCELLED) no-trailer end(CANCELLED) ");
}

static void refuse_at_once(struct guard *guard, struct berth_call *call)
{
    free(guard->state);
    router_admit(admitting->router, call, BERTH_PERMISSION_DENIED, "not you");
}

static void a_refusal_inside_on_start_stands_whatever_it_returns(void **state)
{
    struct guard a = {.name = "a", .code = BERTH_OK, .in_start = refuse_at_once};

    admitting = *state;
    add_guard(admitting, &a, 1);
    assert_null(open_path(admitting, "/test.Echo/Both"));
    assert_events("a-start finish(PERMISSION_DENIED: not you) ");
}

static void finish_inside(struct guard *guard, struct berth_call *call)
{
    berth_call_finish(call, BERTH_ABORTED, "not today");
}

static enum berth_code ending_start(void *self, struct berth_call *call, void **ret_state,
                                    struct berth_error *err)
{
    finish_inside(self, call);
    return BERTH_OK;
}

static void an_interceptor_may_end_the_call_inside_on_start(void **state)
{
    static const struct berth_interceptor hooks = {
        .size = sizeof(hooks), .name = "ending", .on_start = ending_start, .on_finish = guard_finish};
    struct fixture *fixture = *state;
    struct guard a = {.name = "a"};

    add_guard(fixture, &a, 1);
    router_add_interceptor(fixture->router, &hooks, NULL, 2, &hooks, NULL);
    assert_null(open_path(fixture, "/test.Echo/Both"));
    assert_events("a-start a-finish(ABORTED) trailer(guard=a) finish(ABORTED: not today) ");
}

static void a_removed_interceptor_lets_go_of_running_calls(void **state)
{
    struct fixture *fixture = *state;
    struct guard a = {.name = "a"}, b = {.name = "b"};
    struct berth_stream late = {0};

    add_guard(fixture, &a, 1);
    add_guard(fixture, &b, 2);
    open_path(fixture, "/test.Echo/Both");
    assert_events("a-start b-start start ");
    router_remove_interceptors(fixture->router, &a);
    assert_events("a-finish(UNAVAILABLE) trailer(guard=a) ");
    deliver(fixture, "x");
    open_with(fixture, &late, "/test.Echo/Both");
    cancel(fixture);
    fixture->interface->cancel(late.call, BERTH_CANCELLED);
    assert_events("b-message message(x) b-start start b-finish(CANCELLED) no-trailer end(CANCELLED) "
                  "b-finish(CANCELLED) no-trailer end(CANCELLED) ");
}

static void a_call_that_waits_for_a_removed_interceptor_ends(void **state)
{
    struct fixture *fixture = *state;
    struct guard a = {.name = "a", .code = BERTH_PENDING};

    add_guard(fixture, &a, 1);
    open_path(fixture, "/test.Echo/Both");
    router_remove_interceptors(fixture->router, &a);
    assert_events("a-start paused a-finish(UNAVAILABLE) trailer(guard=a) "
                  "finish(UNAVAILABLE: the interceptor's plugin goes) ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
        TEST(unknown_paths_are_refused_in_the_words_that_clients_know),
        TEST(a_path_of_any_length_is_refused),
        TEST(a_declared_service_is_unavailable_until_it_is_live),
        TEST(a_service_is_declared_once),
        TEST(a_table_that_differs_from_its_manifest_never_gets_live),
        TEST(a_module_with_wider_methods_is_served),
        TEST(calls_of_a_gone_service_hear_why),
        TEST(a_call_stays_on_the_generation_it_began_on),
        TEST(held_calls_wait_for_the_next_generation),
        TEST(what_came_while_held_is_kept),
        TEST(a_held_call_can_be_cancelled),
        TEST(held_calls_end_when_the_service_goes),
        TEST(a_message_before_its_time_ends_a_stream),
        TEST(pausing_reaches_the_server_once),
        TEST(a_paused_unary_handler_gets_its_message_when_it_resumes),
        TEST(resuming_may_end_the_call),
        TEST(headers_and_trailers_keep_to_their_time),
        TEST(a_call_tells_who_calls_and_outlives_the_request),
        TEST(a_peer_of_an_older_server_has_no_certificate),
        TEST(annotations_are_kept_and_replaced),
        TEST(the_last_call_of_an_instance_is_heard_of),
        TEST(ending_the_calls_of_an_instance_ends_all_of_them),
        TEST(a_call_in_the_middle_of_a_callback_counts_until_it_returns),
        TEST(routes_are_listed_with_their_state),
        TEST(a_service_goes_over_the_transports_that_its_plugin_names),
        TEST(over_another_transport_a_service_is_unknown),
        TEST(routes_tell_their_transports),
        TEST(many_services_are_all_found),
        TEST(interceptors_stand_around_a_call_in_order),
        TEST(messages_are_seen_both_ways_by_all_interceptors),
        TEST(an_interceptor_of_an_older_sdk_is_not_asked_about_replies),
        TEST(an_interceptor_may_keep_a_reply_from_leaving),
        TEST(an_interceptor_sends_nothing_of_its_own),
        TEST(a_refusal_is_heard_by_those_before_it),
        TEST(a_pending_call_goes_on_when_it_is_admitted),
        TEST(only_the_first_admission_counts),
        TEST(a_pending_call_can_be_refused_later),
        TEST(a_pending_call_can_be_cancelled),
        TEST(an_admission_inside_on_start_counts),
        TEST(a_refusal_inside_on_start_stands_whatever_it_returns),
        TEST(an_interceptor_may_end_the_call_inside_on_start),
        TEST(a_removed_interceptor_lets_go_of_running_calls),
        TEST(a_call_that_waits_for_a_removed_interceptor_ends),
    };

    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
