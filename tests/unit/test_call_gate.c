/* SPDX-License-Identifier: Apache-2.0 */
/* What a call passes before its handler hears of it: routes that are declared, live, held and gone. */
#include "router_stage.h"

static void a_declared_service_is_unavailable_until_it_is_live(void **state)
{
    router_destroy(fixture.router);
    declare();
    assert_null(open_path("/test.Echo/Unary"));
    assert_events("finish(UNAVAILABLE: service test.Echo is unavailable: plugin io.test.v1.echo has not "
                  "started) ");
}

static void calls_of_a_gone_service_hear_why(void **state)
{
    struct berth_stream late = {.router = fixture.interface};

    open_path("/test.Echo/Both");
    router_set_gone(fixture.router, "test.Echo", BERTH_UNAVAILABLE, "io.test.v1.echo failed: no disk");
    assert_null(open_with(&late, "/test.Echo/Unary"));
    assert_events("start finish(UNAVAILABLE: io.test.v1.echo failed: no disk) ");
    deliver("still here");
    assert_events("message(still here) ");
    cancel();
    assert_events("end(CANCELLED) ");
}

static void a_call_stays_on_the_generation_it_began_on(void **state)
{
    struct instance second = {.in_message = reply};
    struct berth_stream late = {.router = fixture.interface};

    fixture.instance.in_message = finish_badly;
    open_path("/test.Echo/Both");
    set_live(&second);
    open_with(&late, "/test.Echo/Both");
    assert_int_equal(router_owner_calls(fixture.router, &fixture.instance), 1);
    assert_int_equal(router_owner_calls(fixture.router, &second), 1);
    assert_events("start start ");
    deliver("a");
    assert_events("message(a) finish(NOT_FOUND: no such thing) end(NOT_FOUND) ");
    assert_int_equal(router_owner_calls(fixture.router, &fixture.instance), 0);
    fixture.interface->deliver(late.call, "b", 1);
    assert_events("message(b) sent(pong) finish(OK) end(OK) ");
}

static void held_calls_wait_for_the_next_generation(void **state)
{
    struct instance second = {.in_message = reply};
    struct berth_stream other = {.router = fixture.interface};
    struct berth_stream third = {.router = fixture.interface};

    router_hold(fixture.router, "test.Echo", 2);
    assert_non_null(open_path("/test.Echo/Unary"));
    assert_non_null(open_with(&other, "/test.Echo/Both"));
    assert_null(open_with(&third, "/test.Echo/Both"));
    assert_events(
        "paused paused finish(RESOURCE_EXHAUSTED: service test.Echo: plugin io.test.v1.echo is starting and "
        "2 calls are already waiting for it; retry later) ");
    other.resume_with = "late";
    set_live(&second);
    assert_events("start resumed start resumed message(late) sent(pong) finish(OK) end(OK) ");
    deliver_last("x");
    assert_events("message(x) sent(pong) finish(OK) end(OK) ");
}

static void what_came_while_held_is_kept(void **state)
{
    struct instance second = {.in_message = reply};
    struct berth_stream other = {.router = fixture.interface};

    router_hold(fixture.router, "test.Echo", 2);
    open_path("/test.Echo/Unary");
    deliver_last("x");
    open_with(&other, "/test.Echo/Both");
    fixture.interface->half_close(other.call);
    assert_events("paused paused ");
    set_live(&second);
    assert_events("start resumed message(x) sent(pong) finish(OK) end(OK) start resumed half_close ");
    fixture.interface->cancel(other.call, BERTH_CANCELLED);
    assert_events("end(CANCELLED) ");
}

static void a_held_call_can_be_cancelled(void **state)
{
    router_hold(fixture.router, "test.Echo", 1);
    open_path("/test.Echo/Unary");
    cancel();
    assert_non_null(open_path("/test.Echo/Unary"));
    cancel();
    assert_events("paused paused ");
}

static void held_calls_end_when_the_service_goes(void **state)
{
    router_hold(fixture.router, "test.Echo", 1);
    open_path("/test.Echo/Unary");
    router_set_gone(fixture.router, "test.Echo", BERTH_UNAVAILABLE, "it failed");
    assert_events("paused finish(UNAVAILABLE: it failed) ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_declared_service_is_unavailable_until_it_is_live),
        TEST(calls_of_a_gone_service_hear_why),
        TEST(a_call_stays_on_the_generation_it_began_on),
        TEST(held_calls_wait_for_the_next_generation),
        TEST(what_came_while_held_is_kept),
        TEST(a_held_call_can_be_cancelled),
        TEST(held_calls_end_when_the_service_goes),
    };

    return cmocka_run_group_tests_name("call_gate", tests, NULL, NULL);
}
