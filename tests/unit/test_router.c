/* SPDX-License-Identifier: Apache-2.0 */
/* The host's view of running calls: the last of an instance, and ending them all. */
#include "router_stage.h"

static void on_idle(void *context)
{
    event("idle ");
}

static void the_last_call_of_an_instance_is_heard_of(void **state)
{
    open_path("/test.Echo/Both");
    router_when_idle(fixture.router, &fixture.instance, on_idle, NULL);
    assert_int_equal(router_owner_calls(fixture.router, &fixture.instance), 1);
    assert_events("start ");
    cancel();
    assert_events("end(CANCELLED) idle ");
    router_when_idle(fixture.router, &fixture.instance, on_idle, NULL);
    assert_events("idle ");
    open_path("/test.Echo/Both");
    router_when_idle(fixture.router, &fixture.instance, on_idle, NULL);
    router_when_idle(fixture.router, &fixture.instance, NULL, NULL);
    cancel();
    assert_events("start end(CANCELLED) ");
}

static void ending_the_calls_of_an_instance_ends_all_of_them(void **state)
{
    struct instance second = {.name = "second"};
    struct berth_stream streams[3] = {{0}};

    open_with(&streams[0], "/test.Echo/Both");
    open_with(&streams[1], "/test.Echo/Down");
    set_live(&second);
    open_with(&streams[2], "/test.Echo/Both");
    assert_events("start start start ");
    router_end_calls(fixture.router, &fixture.instance, "it stops");
    assert_events("finish(UNAVAILABLE: it stops) end(UNAVAILABLE) finish(UNAVAILABLE: it stops) "
                  "end(UNAVAILABLE) ");
    assert_int_equal(router_owner_calls(fixture.router, &second), 1);
    fixture.interface->cancel(streams[2].call, BERTH_CANCELLED);
    assert_events("end(CANCELLED) ");
}

static void end_all_inside(struct berth_call *call)
{
    router_end_calls(fixture.router, &fixture.instance, "it stops");
    event("%zu-left ", router_owner_calls(fixture.router, &fixture.instance));
}

static void a_call_in_the_middle_of_a_callback_counts_until_it_returns(void **state)
{
    struct berth_stream other = {0};

    fixture.instance.in_message = end_all_inside;
    open_path("/test.Echo/Both");
    open_with(&other, "/test.Echo/Down");
    router_when_idle(fixture.router, &fixture.instance, on_idle, NULL);
    deliver("x");
    assert_events("start start message(x) finish(UNAVAILABLE: it stops) end(UNAVAILABLE) "
                  "finish(UNAVAILABLE: it stops) 1-left end(UNAVAILABLE) idle ");
}

static void on_enter(void *context, const void *owner, enum router_part part, const struct berth_call *call)
{
    event("%s<", (const char *)owner);
}

static void on_leave(void *context, const void *owner, const struct berth_call *call)
{
    event(">%s ", (const char *)owner);
}

static void on_change(void *context)
{
    event("%s ", (const char *)context);
}

static enum berth_code let_pass(void *self, struct berth_call *call, void **ret_state,
                                struct berth_error *err)
{
    event("ask");
    return BERTH_OK;
}

static void look_at_reply(void *self, struct berth_call *call, void *state, const void *message,
                          size_t length)
{
    event("look");
}

static void the_observer_hears_whose_code_runs(void **state)
{
    static const struct berth_interceptor hooks = {
        .size = sizeof(hooks), .name = "hooks", .on_start = let_pass, .on_reply = look_at_reply};
    static char changed[] = "changed";
    static const struct router_observer observer = {
        .context = changed, .on_enter = on_enter, .on_leave = on_leave, .on_change = on_change};
    router_observe(fixture.router, &observer);
    router_add_interceptor(fixture.router, &hooks, NULL, 0, "guard", NULL);
    router_set_live(fixture.router, "test.Echo", &service, &fixture.instance, "echo", NULL);
    assert_events("changed ");
    fixture.instance.in_message = send_one;
    open_path("/test.Echo/Both");
    deliver("x");
    cancel();
    assert_events("guard<ask>guard echo<start >echo echo<message(x) guard<look>guard sent(one) send=OK >echo "
                  "echo<end(CANCELLED) >echo ");
}

struct counted {
    const char *path;
    struct berth_method_info info;
};

static bool find_method(void *context, const struct berth_method_info *method)
{
    struct counted *counted = context;

    if (strcmp(method->path, counted->path) == 0)
        counted->info = *method;
    return strcmp(method->path, counted->path) != 0;
}

static struct berth_method_info method_at(const char *path)
{
    const struct berth_router *router = router_interface(fixture.router);
    struct counted counted = {.path = path};

    router->each_method(router, find_method, &counted);
    return counted.info;
}

static void calls_and_their_bytes_are_counted_by_method_and_code(void **state)
{
    struct berth_method_info counts;

    fixture.instance.in_message = send_one;
    open_path("/test.Echo/Both");
    deliver("four");
    counts = method_at("/test.Echo/Both");
    assert_int_equal(counts.opened, 1);
    assert_int_equal(counts.in_flight, 1);
    assert_int_equal(counts.messages_received, 1);
    assert_int_equal(counts.bytes_received, 4);
    assert_int_equal(counts.messages_sent, 1);
    assert_int_equal(counts.bytes_sent, 3);
    assert_int_equal(counts.kind, BERTH_METHOD_BIDI_STREAM);
    assert_string_equal(counts.service, "test.Echo");
    assert_string_equal(counts.method, "Both");
    cancel();
    counts = method_at("/test.Echo/Both");
    assert_int_equal(counts.in_flight, 0);
    assert_int_equal(counts.ended[BERTH_CANCELLED], 1);
    assert_int_equal(counts.abandoned, 1);
    assert_int_equal(counts.ended[BERTH_OK], 0);
    counts = method_at("/test.Echo/Unary");
    assert_int_equal(counts.opened, 0);
    router_set_gone(fixture.router, "test.Echo", BERTH_UNAVAILABLE, "it stopped");
    open_path("/test.Echo/Both");
    counts = method_at("/test.Echo/Both");
    assert_int_equal(counts.opened, 2);
    assert_int_equal(counts.ended[BERTH_UNAVAILABLE], 1);
}

static void finish_as_cancelled(struct berth_call *call)
{
    berth_call_finish(call, BERTH_CANCELLED, NULL);
}

static void a_handler_that_ends_a_call_as_cancelled_has_not_been_abandoned(void **state)
{
    struct berth_method_info method;

    fixture.instance.in_message = finish_as_cancelled;
    open_path("/test.Echo/Both");
    deliver("x");
    method = method_at("/test.Echo/Both");
    assert_int_equal(method.ended[BERTH_CANCELLED], 1);
    assert_int_equal(method.abandoned, 0);
}

static void a_service_is_provided_by_its_own_table(void **state)
{
    static const struct berth_method deaf[] = {{.name = "Unary", .kind = BERTH_METHOD_UNARY}};
    static const struct berth_method nameless[] = {METHOD("", BERTH_METHOD_BIDI_STREAM)};
    struct berth_service table = service;
    struct berth_error err;

    assert_int_equal(router_provide(fixture.router, "io.test.v1.other", &table, NULL, &err),
                     BERTH_ALREADY_EXISTS);
    table.name = "test.Own";
    assert_int_equal(router_provide(fixture.router, "io.test.v1.other", &table, &fixture.instance, &err),
                     BERTH_OK);
    fixture.instance.in_message = reply;
    open_path("/test.Own/Unary");
    deliver_last("x");
    assert_events("start message(x) sent(pong) finish(OK) end(OK) ");
    table.name = "test.Odd";
    table.method_count = 1;
    table.methods = deaf;
    assert_int_equal(router_provide(fixture.router, "io.test.v1.other", &table, NULL, &err),
                     BERTH_INVALID_ARGUMENT);
    table.methods = nameless;
    assert_int_equal(router_provide(fixture.router, "io.test.v1.other", &table, NULL, &err),
                     BERTH_INVALID_ARGUMENT);
}

static void a_method_is_found_by_its_path_where_the_transport_may_carry_it(void **state)
{
    const struct berth_router *router = fixture.interface;
    struct berth_method_info method;
    struct berth_route_info route;

    assert_int_equal(router_declare(fixture.router, &narrow_service, NULL), BERTH_OK);
    assert_true(router->find(router, "/test.Narrow/Both", "ttrpc", &method, &route));
    assert_string_equal(route.service, "test.Narrow");
    assert_false(route.live);
    assert_false(router->find(router, "/test.Narrow/Both", "http", &method, &route));
    assert_true(router->find(router, "/test.Echo/Both", "http", &method, &route));
    assert_string_equal(method.path, "/test.Echo/Both");
    assert_ptr_equal(method.path, method_at("/test.Echo/Both").path);
    assert_int_equal(method.kind, BERTH_METHOD_BIDI_STREAM);
    assert_string_equal(route.service, "test.Echo");
    assert_true(route.live);
    assert_int_equal(route.descriptors_length, 11);
    assert_false(router->find(router, "/test.Echo/None", "grpc", &method, &route));
    assert_false(router->find(router, "test.Echo/Both", "grpc", &method, &route));
    assert_false(router->find(router, "", "grpc", &method, &route));
    router_set_gone(fixture.router, "test.Echo", BERTH_UNAVAILABLE, "it stopped");
    assert_true(router->find(router, "/test.Echo/Both", "grpc", &method, &route));
    assert_false(route.live);
    assert_null(route.descriptors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_call_of_an_instance_is_heard_of),
        TEST(ending_the_calls_of_an_instance_ends_all_of_them),
        TEST(a_call_in_the_middle_of_a_callback_counts_until_it_returns),
        TEST(the_observer_hears_whose_code_runs),
        TEST(a_handler_that_ends_a_call_as_cancelled_has_not_been_abandoned),
        TEST(calls_and_their_bytes_are_counted_by_method_and_code),
        TEST(a_service_is_provided_by_its_own_table),
        TEST(a_method_is_found_by_its_path_where_the_transport_may_carry_it),
    };

    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
