/* SPDX-License-Identifier: Apache-2.0 */
/* The router under a storm: servers, handlers and interceptors do anything they may, in any order and inside
 * each other; every call ends once, on both sides. */
#include <stdlib.h>
#include <string.h>
#include <tests/cmocka.h>

#include <berth/plugin.h>
#include <sdk/calls/router.h>

#define STREAMS 24
#define ROUNDS 4000
#define DEPTH_MAX 6

struct berth_stream {
    struct berth_call *call;
    /* The server's view: opened, and neither finished nor cancelled. */
    bool open, paused, half_closed, opening;
};

static struct router *router;
static const struct berth_router *interface;
static struct berth_stream streams[STREAMS];
/* The handlers' view: calls between on_start and on_end. */
static struct berth_call *running[STREAMS * 2];
static size_t running_count, started, ended, intercepted, released;
static unsigned depth;
static uint32_t seed;
static int instances[2];

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void handle(struct berth_call *call);

static enum berth_code stream_send(struct berth_stream *stream, const void *message, size_t length)
{
    assert_true(stream->open);
    return any(8) == 0 ? BERTH_RESOURCE_EXHAUSTED : BERTH_OK;
}

static bool stream_can_send(struct berth_stream *stream)
{
    assert_true(stream->open);
    return any(2) == 0;
}

static enum berth_code stream_add(struct berth_stream *stream, const char *key, const void *value,
                                  size_t length)
{
    assert_true(stream->open);
    return BERTH_OK;
}

static enum berth_code stream_send_headers(struct berth_stream *stream)
{
    assert_true(stream->open);
    return BERTH_OK;
}

static void stream_finish(struct berth_stream *stream, enum berth_code code, const char *message,
                          const void *details, size_t details_length)
{
    assert_true(stream->open);
    assert_in_range(code, 0, BERTH_UNAUTHENTICATED);
    stream->open = false;
}

static void stream_pause(struct berth_stream *stream)
{
    assert_true(stream->open);
    assert_false(stream->paused);
    stream->paused = true;
}

static void stream_resume(struct berth_stream *stream)
{
    assert_true(stream->open);
    assert_true(stream->paused);
    stream->paused = false;
    if (!stream->opening && !stream->half_closed && any(2) == 0)
        interface->deliver(stream->call, "late", 4);
}

static const struct berth_stream_ops stream_ops = {
    .size = sizeof(stream_ops),
    .send = stream_send,
    .can_send = stream_can_send,
    .add_header = stream_add,
    .add_trailer = stream_add,
    .send_headers = stream_send_headers,
    .finish = stream_finish,
    .pause = stream_pause,
    .resume = stream_resume,
};

static void on_start(struct berth_call *call)
{
    started++;
    running[running_count++] = call;
    handle(call);
}

static void on_message(struct berth_call *call, const void *message, size_t length)
{
    handle(call);
}

static void on_event(struct berth_call *call)
{
    handle(call);
}

static void on_end(struct berth_call *call, enum berth_code code)
{
    size_t i = 0;

    while (i < running_count && running[i] != call)
        i++;
    assert_true(i < running_count);
    running[i] = running[--running_count];
    ended++;
    berth_call_resume(call);
    assert_false(berth_call_can_send(call));
}

#define METHOD(method, its_kind)                                                                             \
    {                                                                                                        \
        .name = method, .kind = its_kind, .on_start = on_start, .on_message = on_message,                    \
        .on_half_close = on_event, .on_writable = on_event, .on_end = on_end                                 \
    }

static const struct berth_method methods[] = {
    METHOD("0", BERTH_METHOD_UNARY),
    METHOD("1", BERTH_METHOD_SERVER_STREAM),
    METHOD("2", BERTH_METHOD_CLIENT_STREAM),
    METHOD("3", BERTH_METHOD_BIDI_STREAM),
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "test.Storm",
    .methods = methods,
    .method_count = 4,
};

static const struct router_method declared_methods[] = {
    {"0", BERTH_METHOD_UNARY},
    {"1", BERTH_METHOD_SERVER_STREAM},
    {"2", BERTH_METHOD_CLIENT_STREAM},
    {"3", BERTH_METHOD_BIDI_STREAM},
};

static struct berth_call *waiting[STREAMS * 2];
static size_t waiting_count;

static enum berth_code hook_start(void *self, struct berth_call *call, void **ret_state,
                                  struct berth_error *err)
{
    switch (any(6)) {
    case 0:
        return berth_error_set(err, BERTH_PERMISSION_DENIED, "no");
    case 1:
        waiting[waiting_count++] = call;
        intercepted++;
        return BERTH_PENDING;
    default:
        intercepted++;
        return BERTH_OK;
    }
}

static void hook_finish(void *self, struct berth_call *call, void *state, enum berth_code code,
                        const char *message)
{
    released++;
    for (size_t i = 0; i < waiting_count; i++)
        if (waiting[i] == call)
            waiting[i--] = waiting[--waiting_count];
}

static const struct berth_interceptor hooks = {
    .size = sizeof(hooks),
    .name = "hook",
    .on_start = hook_start,
    .on_finish = hook_finish,
};

static void admit_one(void)
{
    struct berth_call *call;

    if (waiting_count == 0)
        return;
    call = waiting[any((uint32_t)waiting_count)];
    for (size_t i = 0; i < waiting_count; i++)
        if (waiting[i] == call)
            waiting[i--] = waiting[--waiting_count];
    if (any(3) != 0) {
        router_admit(router, NULL, call, BERTH_OK, NULL, NULL);
        return;
    }
    released++;
    router_admit(router, NULL, call, BERTH_UNAUTHENTICATED, "no", NULL);
}

/* Another generation, with other methods and interceptors, and sometimes with a mistake. */
static void switch_generations(void)
{
    static const struct berth_service shorter = {
        .size = sizeof(shorter),
        .method_size = sizeof(methods[0]),
        .name = "test.Storm",
        .methods = methods,
        .method_count = 3,
    };
    static const struct router_service declared[] = {
        {"io.test.v1.storm", "test.Storm", declared_methods, 4, NULL, 0},
        {"io.test.v1.storm", "test.Storm", declared_methods, 3, NULL, 0},
    };
    const void *owner = &instances[any(2)], *retired = &instances[any(2)];
    uint32_t which = any(2);
    const struct router_target target = {.service = "test.Storm",
                                         .declaration = &declared[which],
                                         .table = which + any(10) / 9 == 1 ? &shorter : &service,
                                         .instance = (void *)owner,
                                         .owner = owner};
    const struct router_hook hook = {&hooks, NULL, owner, any(3)};

    router_switch(router,
                  &(struct router_switch){.targets = &target,
                                          .target_count = 1,
                                          .hooks = &hook,
                                          .hook_count = any(2),
                                          .retired = &retired,
                                          .retired_count = any(2)},
                  NULL);
}

static void declare_again(void)
{
    static const struct router_service other = {
        "io.test.v1.other", "test.Storm", declared_methods, 2, NULL, 0};

    router_remove(router, "test.Storm");
    assert_int_equal(router_declare(router, &other, NULL), BERTH_OK);
}

static size_t any_order(void *context, const void *owner)
{
    return any(3);
}

static void change_route(void)
{
    uint32_t which;

    switch (any(16)) {
    case 8:
    case 9:
        switch_generations();
        break;
    case 10:
        declare_again();
        break;
    case 11:
        router_release(router, "test.Storm");
        break;
    case 12:
        router_close_gate(router);
        break;
    case 13:
        router_open_gate(router);
        break;
    case 14:
        if (any(8) == 0)
            router_remove_interceptors(router, &instances[any(2)]);
        break;
    case 15:
        router_order_interceptors(router, any_order, NULL);
        break;
    case 0:
        router_hold(router, "test.Storm", any(4));
        break;
    case 1:
        router_set_gone(router, "test.Storm", BERTH_UNAVAILABLE, "gone");
        break;
    case 2:
        router_end_calls(router, &instances[any(2)], "it stops");
        break;
    default:
        which = any(2);
        router_set_live(router, "test.Storm", &service, &instances[which], &instances[which], NULL);
        break;
    }
}

/* What a handler does with a call, inside its callbacks or from the loop; may end it. */
static void handle(struct berth_call *call)
{
    if (depth >= DEPTH_MAX)
        return;
    depth++;
    switch (any(12)) {
    case 0:
        berth_call_finish(call, (enum berth_code)any(18), "done");
        break;
    case 1:
        berth_call_reply(call, "r", 1);
        break;
    case 2:
        berth_call_send(call, "m", 1);
        break;
    case 3:
        berth_call_pause(call);
        break;
    case 4:
    case 5:
        berth_call_resume(call);
        break;
    case 6:
        berth_call_annotate(call, "k", "v");
        berth_call_add_header(call, "h", "v", 1);
        break;
    case 7:
        berth_call_send_headers(call);
        break;
    case 8:
        change_route();
        break;
    case 9:
        admit_one();
        break;
    default:
        break;
    }
    depth--;
}

static void open_stream(struct berth_stream *stream)
{
    static const char *const paths[] = {"/test.Storm/0", "/test.Storm/1", "/test.Storm/2", "/test.Storm/3"};
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = paths[any(4)],
        .transport = "test",
        .stream = stream,
        .stream_ops = &stream_ops,
    };

    *stream = (struct berth_stream){.open = true, .opening = true};
    stream->call = interface->open(interface, &request);
    stream->opening = false;
    assert_true((stream->call != NULL) == stream->open);
}

static void serve(struct berth_stream *stream)
{
    switch (stream->open ? any(7) : 0) {
    case 0:
        if (!stream->open)
            open_stream(stream);
        break;
    case 1:
    case 2:
        if (!stream->paused && !stream->half_closed)
            interface->deliver(stream->call, "m", 1);
        break;
    case 3:
        if (!stream->paused && !stream->half_closed) {
            stream->half_closed = true;
            interface->deliver_last(stream->call, "m", 1);
        }
        break;
    case 4:
        if (!stream->half_closed) {
            stream->half_closed = true;
            interface->half_close(stream->call);
        }
        break;
    case 5:
        interface->writable(stream->call);
        break;
    default:
        if (any(4) == 0) {
            stream->open = false;
            interface->cancel(stream->call, BERTH_CANCELLED);
        }
        break;
    }
}

static void on_idle(void *context)
{
    *(size_t *)context += 1;
}

static void storm(uint32_t its_seed)
{
    const struct router_service declared = {"io.test.v1.storm", "test.Storm", declared_methods, 4, NULL, 0};
    size_t idle = 0;

    seed = its_seed;
    router = router_create();
    interface = router_interface(router);
    assert_int_equal(router_declare(router, &declared, NULL), BERTH_OK);
    router_set_live(router, "test.Storm", &service, &instances[0], &instances[0], NULL);
    router_add_interceptor(router, &hooks, NULL, 1, &instances[0], NULL);
    router_add_interceptor(router, &hooks, NULL, 2, &instances[1], NULL);
    for (size_t round = 0; round < ROUNDS; round++) {
        serve(&streams[any(STREAMS)]);
        if (running_count > 0 && any(3) == 0)
            handle(running[any((uint32_t)running_count)]);
        if (any(10) == 0)
            change_route();
        if (any(6) == 0)
            admit_one();
    }
    router_remove_interceptors(router, &instances[any(2)]);
    for (size_t i = 0; i < STREAMS; i++)
        if (streams[i].open) {
            streams[i].open = false;
            interface->cancel(streams[i].call, BERTH_CANCELLED);
        }
    router_when_idle(router, &instances[0], on_idle, &idle);
    router_when_idle(router, &instances[1], on_idle, &idle);
    assert_int_equal(idle, 2);
    router_destroy(router);
    assert_int_equal(running_count, 0);
    assert_int_equal(waiting_count, 0);
}

static void every_call_ends_once_on_both_sides(void **state)
{
    for (uint32_t i = 1; i <= 50; i++)
        storm(i);
    assert_true(started > 1000);
    assert_int_equal(started, ended);
    assert_int_equal(intercepted, released);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_ends_once_on_both_sides),
    };

    return cmocka_run_group_tests_name("router_storm", tests, NULL, NULL);
}
