/* SPDX-License-Identifier: Apache-2.0 */
/* The host's view of running calls: the last of an instance, and ending them all. */
#include "router_stage.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_call_of_an_instance_is_heard_of),
        TEST(ending_the_calls_of_an_instance_ends_all_of_them),
        TEST(a_call_in_the_middle_of_a_callback_counts_until_it_returns),
    };

    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
