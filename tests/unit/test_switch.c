/* SPDX-License-Identifier: Apache-2.0 */
/* Generations of a service change places: its methods, its calls, its interceptors. */
#include "router_stage.h"

static struct instance second = {.name = "second"};

/* One method more than `service`, and one less. */

static const struct router_method other_declared[] = {
    {"Unary", BERTH_METHOD_UNARY},
    {"Down", BERTH_METHOD_UNARY},
    {"Both", BERTH_METHOD_BIDI_STREAM},
    {"More", BERTH_METHOD_UNARY},
};
static const struct berth_method other_methods[] = {
    METHOD("More", BERTH_METHOD_UNARY),
    METHOD("Unary", BERTH_METHOD_UNARY),
    METHOD("Down", BERTH_METHOD_UNARY),
    METHOD("Both", BERTH_METHOD_BIDI_STREAM),
};
static const struct berth_service other_service = {
    .size = sizeof(other_service),
    .method_size = sizeof(other_methods[0]),
    .name = "test.Echo",
    .methods = other_methods,
    .method_count = 4,
};
static const struct router_service other_declaration = {
    .plugin = "io.test.v1.echo",
    .name = "test.Echo",
    .methods = other_declared,
    .method_count = 4,
};

static enum berth_code switch_to(const struct router_service *declaration, const struct berth_service *table,
                                 struct berth_error *err)
{
    const struct router_target target = {.service = "test.Echo",
                                         .declaration = declaration,
                                         .table = table,
                                         .instance = &second,
                                         .owner = &second};

    return router_switch(fixture.router, &(struct router_switch){.targets = &target, .target_count = 1}, err);
}

static uint64_t opened(const char *path)
{
    struct berth_method_info method;
    struct berth_route_info route;

    return fixture.interface->find(fixture.interface, path, "test", &method, &route) ? method.opened : 999;
}

static void a_generation_brings_its_own_methods(void **state)
{
    second.in_message = reply;
    open_path("/test.Echo/Up");
    assert_int_equal(switch_to(&other_declaration, &other_service, NULL), BERTH_OK);
    cancel();
    assert_events("start end(CANCELLED) ");
    open_path("/test.Echo/Up");
    assert_events("finish(UNIMPLEMENTED: unknown method Up for service test.Echo) ");
    open_path("/test.Echo/More");
    deliver_last("x");
    open_path("/test.Echo/Down");
    deliver_last("y");
    assert_events("start message(x) sent(pong) finish(OK) end(OK) "
                  "start message(y) sent(pong) finish(OK) end(OK) ");
}

static void counters_of_a_method_go_on(void **state)
{
    open_path("/test.Echo/Up");
    cancel();
    assert_int_equal(opened("/test.Echo/Up"), 1);
    switch_to(&other_declaration, &other_service, NULL);
    assert_int_equal(opened("/test.Echo/Up"), 999);
    assert_int_equal(opened("/test.Echo/Both"), 0);
    assert_int_equal(switch_to(&declared_service, &service, NULL), BERTH_OK);
    open_path("/test.Echo/Up");
    cancel();
    assert_int_equal(opened("/test.Echo/Up"), 2);
    router_remove(fixture.router, "test.Echo");
    assert_int_equal(router_declare(fixture.router, &declared_service, NULL), BERTH_OK);
    assert_int_equal(opened("/test.Echo/Up"), 2);
}

static void a_switch_that_fails_changes_nothing(void **state)
{
    const struct router_target targets[] = {
        {"test.Echo", &other_declaration, &other_service, &second, &second},
        {"test.Nowhere", NULL, &service, &second, &second},
    };
    struct berth_error err;

    assert_int_equal(switch_to(&other_declaration, &service, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "the code of /test.Echo/Down has another streaming kind"));
    assert_int_equal(
        router_switch(fixture.router, &(struct router_switch){.targets = targets, .target_count = 2}, &err),
        BERTH_FAILED_PRECONDITION);
    assert_string_equal(err.message, "service test.Nowhere is not declared");
    assert_int_equal(opened("/test.Echo/Up"), 0);
    assert_int_equal(opened("/test.Echo/More"), 999);
    open_path("/test.Echo/Up");
    assert_int_equal(router_owner_calls(fixture.router, &fixture.instance), 1);
    cancel();
}

static void calls_that_were_held_go_to_the_next_generation(void **state)
{
    struct berth_stream up = {0};

    second.in_message = reply;
    router_hold(fixture.router, "test.Echo", SIZE_MAX);
    open_path("/test.Echo/Unary");
    open_with(&up, "/test.Echo/Up");
    assert_events("paused paused ");
    switch_to(&other_declaration, &other_service, NULL);
    assert_events(
        "start resumed finish(UNAVAILABLE: service test.Echo: plugin io.test.v1.echo was replaced by "
        "a version without this method) ");
    deliver_last("x");
    assert_events("message(x) sent(pong) finish(OK) end(OK) ");
}

static void calls_go_on_where_they_were_if_a_change_is_given_up(void **state)
{
    router_hold(fixture.router, "test.Echo", SIZE_MAX);
    open_path("/test.Echo/Both");
    assert_events("paused ");
    router_release(fixture.router, "test.Echo");
    assert_int_equal(router_owner_calls(fixture.router, &fixture.instance), 1);
    assert_events("start resumed ");
    cancel();
}

static void on_held(void *context, const char *name, const char *plugin)
{
    event("%s-of-%s-is-called ", name, plugin);
}

static void the_first_call_that_waits_is_heard_of(void **state)
{
    struct berth_stream other = {0};

    router_observe(fixture.router, &(struct router_observer){.on_held = on_held});
    router_hold(fixture.router, "test.Echo", SIZE_MAX);
    open_path("/test.Echo/Both");
    open_with(&other, "/test.Echo/Both");
    assert_events("paused test.Echo-of-io.test.v1.echo-is-called paused ");
    router_set_gone(fixture.router, "test.Echo", BERTH_UNAVAILABLE, "gone");
}

static void a_service_that_was_removed_is_unknown_and_its_name_free(void **state)
{
    struct router_service theirs = declared_service;
    struct berth_stream held = {0};

    theirs.plugin = "io.test.v1.other";
    open_path("/test.Echo/Both");
    router_hold(fixture.router, "test.Echo", SIZE_MAX);
    open_with(&held, "/test.Echo/Both");
    router_remove(fixture.router, "test.Echo");
    assert_events(
        "start paused finish(UNAVAILABLE: service test.Echo of plugin io.test.v1.echo was removed) ");
    open_with(&held, "/test.Echo/Both");
    assert_events("finish(UNIMPLEMENTED: unknown service test.Echo) ");
    assert_null(router_find_exporter(fixture.router, "test.Echo"));
    assert_int_equal(router_declare(fixture.router, &theirs, NULL), BERTH_OK);
    assert_string_equal(router_find_exporter(fixture.router, "test.Echo"), "io.test.v1.other");
    assert_null(router_find_owner(fixture.router, "test.Echo"));
    switch_to(NULL, &service, NULL);
    assert_ptr_equal(router_find_owner(fixture.router, "test.Echo"), &second);
    assert_int_equal(router_owner_calls(fixture.router, &fixture.instance), 1);
    assert_int_equal(router_owner_calls(fixture.router, &second), 0);
    cancel();
}

/* Two generations may have the same instance, or none. */
static void calls_belong_to_their_owner_whatever_its_instance(void **state)
{
    static const int old, new;
    struct berth_stream streams[2] = {{0}};

    router_set_live(fixture.router, "test.Echo", &service, &fixture.instance, &old, NULL);
    open_with(&streams[0], "/test.Echo/Both");
    router_set_live(fixture.router, "test.Echo", &service, &fixture.instance, &new, NULL);
    open_with(&streams[1], "/test.Echo/Both");
    router_end_calls(fixture.router, &old, "replaced");
    assert_events("start start finish(UNAVAILABLE: replaced) end(UNAVAILABLE) ");
    assert_int_equal(router_owner_calls(fixture.router, &new), 1);
    fixture.interface->cancel(streams[1].call, BERTH_CANCELLED);
}

static enum berth_code ask(void *self, struct berth_call *call, void **ret_state, struct berth_error *err)
{
    event("ask-%s ", (const char *)self);
    return BERTH_OK;
}

static enum berth_code ask_later(void *self, struct berth_call *call, void **ret_state,
                                 struct berth_error *err)
{
    event("ask-%s ", (const char *)self);
    return BERTH_PENDING;
}

static void tell(void *self, struct berth_call *call, void *state, enum berth_code code, const char *message)
{
    event("tell-%s ", (const char *)self);
}

static const struct berth_interceptor guard = {
    .size = sizeof(guard), .name = "guard", .on_start = ask, .on_finish = tell};
static const struct berth_interceptor slow = {
    .size = sizeof(slow), .name = "slow", .on_start = ask_later, .on_finish = tell};

static const void *add(const struct berth_interceptor *interceptor, const char *name, size_t order)
{
    void *self = (void *)(uintptr_t)name;

    assert_int_equal(router_add_interceptor(fixture.router, interceptor, self, order, name, NULL), BERTH_OK);
    return name;
}

static void on_idle(void *context)
{
    event("idle ");
}

static void an_interceptor_that_is_replaced_keeps_its_calls(void **state)
{
    static char name[] = "new";
    const struct router_hook new = {&guard, name, name, 1};
    struct berth_stream later = {0};
    const void *old = add(&guard, "old", 1);

    add(&guard, "last", 2);
    open_path("/test.Echo/Both");
    router_switch(
        fixture.router,
        &(struct router_switch){.hooks = &new, .hook_count = 1, .retired = &old, .retired_count = 1}, NULL);
    router_when_idle(fixture.router, old, on_idle, NULL);
    open_with(&later, "/test.Echo/Both");
    assert_events("ask-old ask-last start ask-new ask-last start ");
    cancel();
    assert_events("tell-last tell-old end(CANCELLED) idle ");
    fixture.interface->cancel(later.call, BERTH_CANCELLED);
    assert_events("tell-last tell-new end(CANCELLED) ");
}

static void calls_that_an_interceptor_has_to_admit_hold_its_owner(void **state)
{
    const void *owner = add(&slow, "slow", 1);

    open_path("/test.Echo/Both");
    assert_int_equal(router_owner_calls(fixture.router, owner), 1);
    router_when_idle(fixture.router, owner, on_idle, NULL);
    assert_events("ask-slow paused ");
    router_admit(fixture.router, owner, fixture.stream.call, BERTH_OK, NULL, NULL);
    assert_events("start resumed idle ");
    cancel();
    open_path("/test.Echo/Both");
    events[0] = '\0';
    router_when_idle(fixture.router, owner, on_idle, NULL);
    cancel();
    assert_events("tell-slow idle ");
}

static void no_call_passes_while_the_gate_is_closed(void **state)
{
    struct berth_stream other = {0};

    add(&guard, "old", 1);
    router_close_gate(fixture.router);
    open_path("/test.Echo/Both");
    open_with(&other, "/test.Echo/Unary");
    assert_events("paused paused ");
    router_remove_interceptors(fixture.router, "old");
    add(&guard, "new", 1);
    add(&guard, "more", 1);
    fixture.interface->cancel(other.call, BERTH_CANCELLED);
    assert_events("");
    router_open_gate(fixture.router);
    assert_events("ask-new ask-more start resumed ");
    cancel();
    assert_events("tell-more tell-new end(CANCELLED) ");
}

static size_t reversed(void *context, const void *owner)
{
    return strcmp(owner, "a") == 0 ? 2 : 1;
}

static void interceptors_take_the_order_of_another_plan(void **state)
{
    add(&guard, "a", 1);
    add(&guard, "b", 2);
    router_order_interceptors(fixture.router, reversed, NULL);
    open_path("/test.Echo/Both");
    assert_events("ask-b ask-a start ");
    cancel();
}

static size_t order_of_living(void *context, const void *owner)
{
    assert_non_null(owner);
    assert_string_not_equal(owner, "a");
    return 0;
}

/* A call that began before keeps the chain, and so the hook of what is gone. */
static void an_interceptor_that_was_removed_has_no_place_in_another_plan(void **state)
{
    char gone[] = "a";

    add(&guard, gone, 1);
    add(&guard, "b", 2);
    open_path("/test.Echo/Both");
    router_remove_interceptors(fixture.router, gone);
    router_order_interceptors(fixture.router, order_of_living, NULL);
    cancel();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_generation_brings_its_own_methods),
        TEST(counters_of_a_method_go_on),
        TEST(a_switch_that_fails_changes_nothing),
        TEST(calls_that_were_held_go_to_the_next_generation),
        TEST(calls_go_on_where_they_were_if_a_change_is_given_up),
        TEST(the_first_call_that_waits_is_heard_of),
        TEST(a_service_that_was_removed_is_unknown_and_its_name_free),
        TEST(calls_belong_to_their_owner_whatever_its_instance),
        TEST(an_interceptor_that_is_replaced_keeps_its_calls),
        TEST(calls_that_an_interceptor_has_to_admit_hold_its_owner),
        TEST(no_call_passes_while_the_gate_is_closed),
        TEST(interceptors_take_the_order_of_another_plan),
        TEST(an_interceptor_that_was_removed_has_no_place_in_another_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
