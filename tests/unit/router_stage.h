/* SPDX-License-Identifier: Apache-2.0 */
/* A router with a fake server on one side and fake handlers on the other; both write down what they hear. */
#ifndef TESTS_ROUTER_STAGE_H
#define TESTS_ROUTER_STAGE_H

#include <stdlib.h>
#include <string.h>
#include <tests/cmocka.h>

#include <berth/plugin.h>
#include <sdk/calls/router.h>

/* What happened, in order, as words: "start message(hi) end(OK)". */
static char events[4096];

__attribute__((format(printf, 1, 2))) static inline void event(const char *format, ...)
{
    size_t length = strlen(events);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(events + length, sizeof(events) - length, format, arguments);
    va_end(arguments);
}

static inline void assert_events(const char *expected)
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
    const char *refusal;
};

static inline enum berth_code stream_send(struct berth_stream *stream, const void *message, size_t length)
{
    event("sent(%.*s) ", (int)length, (const char *)message);
    if (stream->cancel_in_send)
        stream->router->cancel(stream->call, BERTH_CANCELLED);
    return stream->send_code;
}

static inline bool stream_can_send(struct berth_stream *stream)
{
    return !stream->full;
}

static inline enum berth_code stream_add_header(struct berth_stream *stream, const char *key,
                                                const void *value, size_t length)
{
    event("header(%s=%.*s) ", key, (int)length, (const char *)value);
    return BERTH_OK;
}

static inline enum berth_code stream_add_trailer(struct berth_stream *stream, const char *key,
                                                 const void *value, size_t length)
{
    event("trailer(%s=%.*s) ", key, (int)length, (const char *)value);
    return BERTH_OK;
}

static inline enum berth_code stream_send_headers(struct berth_stream *stream)
{
    event("headers ");
    return BERTH_OK;
}

static inline void stream_finish(struct berth_stream *stream, enum berth_code code, const char *message,
                                 const void *details, size_t details_length)
{
    event("finish(%s%s%s) ", berth_code_name(code), message == NULL ? "" : ": ",
          message == NULL ? "" : message);
}

static inline void stream_pause(struct berth_stream *stream)
{
    event("paused ");
}

static inline void stream_resume(struct berth_stream *stream)
{
    const char *message = stream->resume_with;

    event("resumed ");
    stream->resume_with = NULL;
    if (message != NULL)
        stream->router->deliver(stream->call, message, strlen(message));
}

static inline const char *stream_refusal(struct berth_stream *stream)
{
    return stream->refusal;
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
    .refusal = stream_refusal,
};

/* The handlers' side: an instance says what its handlers do. */
struct instance {
    const char *name;
    /** What on_start and on_message do, beside writing it down. */
    void (*in_start)(struct berth_call *call);
    void (*in_message)(struct berth_call *call);
};

static inline void on_start(struct berth_call *call)
{
    struct instance *instance = call->instance;

    event("start ");
    if (instance->in_start != NULL)
        instance->in_start(call);
}

static inline void on_message(struct berth_call *call, const void *message, size_t length)
{
    struct instance *instance = call->instance;

    event("message(%.*s) ", (int)length, (const char *)message);
    if (instance->in_message != NULL)
        instance->in_message(call);
}

static inline void on_half_close(struct berth_call *call)
{
    event("half_close ");
}

static inline void on_writable(struct berth_call *call)
{
    event("writable ");
}

/* Does its on_end do what it may not? */
static bool ends_quietly;

static inline void on_end(struct berth_call *call, enum berth_code code)
{
    if (ends_quietly) {
        event("end(%s) ", berth_code_name(code));
        return;
    }
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

static const struct router_method declared_methods[] = {
    {"Unary", BERTH_METHOD_UNARY},
    {"Down", BERTH_METHOD_SERVER_STREAM},
    {"Up", BERTH_METHOD_CLIENT_STREAM},
    {"Both", BERTH_METHOD_BIDI_STREAM},
};

static const struct router_service declared_service = {
    .plugin = "io.test.v1.echo",
    .name = "test.Echo",
    .methods = declared_methods,
    .method_count = 4,
};

static const char *const transports[] = {"grpc", "ttrpc"};

static const struct router_service narrow_service = {
    .plugin = "io.test.v1.echo",
    .name = "test.Narrow",
    .methods = declared_methods,
    .method_count = 4,
    .transports = transports,
    .transport_count = 2,
};

static struct fixture {
    struct router *router;
    const struct berth_router *interface;
    struct instance instance;
    struct berth_stream stream;
} fixture;

static inline void declare(void)
{
    fixture.router = router_create();
    fixture.interface = router_interface(fixture.router);
    fixture.stream.router = fixture.interface;
    assert_int_equal(router_declare(fixture.router, &declared_service, NULL), BERTH_OK);
}

static inline void set_live(struct instance *instance)
{
    struct berth_error err;

    assert_int_equal(router_set_live(fixture.router, "test.Echo", &service, instance, instance, &err),
                     BERTH_OK);
}

static inline int set_up(void **state)
{
    memset(&fixture, 0, sizeof(fixture));

    events[0] = '\0';
    declare();
    set_live(&fixture.instance);
    return 0;
}

static inline int tear_down(void **state)
{
    router_destroy(fixture.router);
    return 0;
}

static inline struct berth_call *open_over(struct berth_stream *stream, const char *path,
                                           const char *transport)
{
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = path,
        .transport = transport,
        .stream = stream,
        .stream_ops = &stream_ops,
    };

    stream->call = fixture.interface->open(fixture.interface, &request);
    return stream->call;
}

static inline struct berth_call *open_with(struct berth_stream *stream, const char *path)
{
    return open_over(stream, path, "test");
}

static inline struct berth_call *open_path(const char *path)
{
    return open_with(&fixture.stream, path);
}

static inline void deliver(const char *message)
{
    fixture.interface->deliver(fixture.stream.call, message, strlen(message));
}

static inline void deliver_last(const char *message)
{
    fixture.interface->deliver_last(fixture.stream.call, message, strlen(message));
}

static inline void half_close(void)
{
    fixture.interface->half_close(fixture.stream.call);
}

static inline void cancel(void)
{
    fixture.interface->cancel(fixture.stream.call, BERTH_CANCELLED);
}

/* What handlers do. */
static inline void reply(struct berth_call *call)
{
    berth_call_reply(call, "pong", 4);
}

static inline void send_one(struct berth_call *call)
{
    event("send=%s ", berth_code_name(berth_call_send(call, "one", 3)));
}

static inline void send_twice(struct berth_call *call)
{
    send_one(call);
    send_one(call);
}

static inline void finish_well(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
    event("after-finish ");
}

static inline void finish_badly(struct berth_call *call)
{
    berth_call_finish(call, BERTH_NOT_FOUND, "no such thing");
}

static inline void finish_twice(struct berth_call *call)
{
    finish_badly(call);
    finish_badly(call);
}

static inline void finish_outside_the_enum(struct berth_call *call)
{
    berth_call_finish(call, BERTH_SKIP, "odd");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
