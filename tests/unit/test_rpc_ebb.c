/* SPDX-License-Identifier: Apache-2.0 */
/* When free memory is given back to the kernel: after a fall, once, and never while something is being
 * closed. */
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/base/ebb.h>

#define MIB ((uint64_t)1024 * 1024)
/* A fall is answered after a second. */
#define LONG_ENOUGH_MS 3000

static struct {
    uv_loop_t loop;
    uv_timer_t patience;
    struct deadlines deadlines;
    struct ebb ebb;
    struct budget all;
    struct budget part;
    unsigned dropped;
    unsigned stopped;
    bool is_over;
} f;

static void on_drop(struct ebb *ebb)
{
    f.dropped++;
}

static void on_stopped(struct ebb *ebb)
{
    f.stopped++;
}

static int set_up(void **state)
{
    memset(&f, 0, sizeof(f));
    f.all.limit = 1024 * MIB;
    f.part = (struct budget){.limit = 1024 * MIB, .parent = &f.all};
    assert_int_equal(uv_loop_init(&f.loop), 0);
    uv_timer_init(&f.loop, &f.patience);
    deadlines_init(&f.deadlines, &f.loop);
    ebb_watch(&f.ebb, &f.all, &f.loop, &f.deadlines, on_drop);
    return 0;
}

static int tear_down(void **state)
{
    deadlines_finish(&f.deadlines);
    uv_close((uv_handle_t *)&f.deadlines.timer, NULL);
    uv_close((uv_handle_t *)&f.patience, NULL);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    return 0;
}

static void on_late(uv_timer_t *timer)
{
    f.is_over = true;
}

/* Runs until it was done `count` times, or for long enough. */
static void run_until(uint64_t count)
{
    f.is_over = false;
    uv_timer_start(&f.patience, on_late, LONG_ENOUGH_MS, 0);
    while (!f.is_over && f.ebb.count < count)
        uv_run(&f.loop, UV_RUN_ONCE);
    uv_timer_stop(&f.patience);
}

static void rise_and_fall(uint64_t bytes)
{
    assert_true(budget_take(&f.part, bytes));
    budget_give(&f.part, bytes);
}

static void a_fall_from_a_height_is_answered_once(void **state)
{
    rise_and_fall(64 * MIB);
    assert_int_equal(f.dropped, 0);
    run_until(1);
    assert_int_equal(f.ebb.count, 1);
    assert_int_equal(f.dropped, 1);
    rise_and_fall(1024);
    assert_int_equal(f.ebb.deadline.place, 0);
    assert_true(ebb_stop(&f.ebb, on_stopped));
}

static void many_falls_are_answered_together(void **state)
{
    for (size_t i = 0; i < 1000; i++)
        rise_and_fall(16 * MIB);
    run_until(1);
    assert_int_equal(f.dropped, 1);
    assert_true(ebb_stop(&f.ebb, on_stopped));
}

static void what_was_never_high_and_what_stays_high_is_left_alone(void **state)
{
    rise_and_fall(EBB_HEIGHT_MIN - 1);
    assert_int_equal(f.ebb.deadline.place, 0);
    assert_true(budget_take(&f.part, 64 * MIB));
    budget_give(&f.part, 40 * MIB);
    assert_int_equal(f.ebb.deadline.place, 0);
    assert_true(ebb_stop(&f.ebb, on_stopped));
}

static void who_is_high_again_when_it_is_due_is_left_alone_until_the_next_fall(void **state)
{
    rise_and_fall(64 * MIB);
    assert_true(budget_take(&f.part, 64 * MIB));
    run_until(1);
    assert_int_equal(f.ebb.count, 0);
    budget_give(&f.part, 64 * MIB);
    run_until(1);
    assert_int_equal(f.ebb.count, 1);
    assert_true(ebb_stop(&f.ebb, on_stopped));
}

static void it_takes_no_more_than_its_share_of_the_time(void **state)
{
    rise_and_fall(64 * MIB);
    run_until(1);
    assert_true(f.ebb.next_ns >= uv_hrtime() + 90 * f.ebb.took_ns || f.ebb.took_ns * 100 < 50000000);
    f.ebb.next_ns = uv_hrtime() + UINT64_C(3600000000000);
    rise_and_fall(64 * MIB);
    assert_true(f.ebb.deadline.due_ns == f.ebb.next_ns);
    assert_true(ebb_stop(&f.ebb, on_stopped));
    assert_int_equal(f.ebb.deadline.place, 0);
    rise_and_fall(64 * MIB);
    assert_int_equal(f.ebb.deadline.place, 0);
}

static void stopping_waits_for_what_is_under_way(void **state)
{
    rise_and_fall(64 * MIB);
    while (!f.ebb.is_working)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_false(ebb_stop(&f.ebb, on_stopped));
    assert_int_equal(f.stopped, 0);
    while (f.stopped == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.stopped, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fall_from_a_height_is_answered_once),
        TEST(many_falls_are_answered_together),
        TEST(what_was_never_high_and_what_stays_high_is_left_alone),
        TEST(who_is_high_again_when_it_is_due_is_left_alone_until_the_next_fall),
        TEST(it_takes_no_more_than_its_share_of_the_time),
        TEST(stopping_waits_for_what_is_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
