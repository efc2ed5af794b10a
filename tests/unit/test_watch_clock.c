/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>
#include <unistd.h>

#include <tests/cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <core/base/running.h>
#include <core/watch/watch.h>

#define MS 1000000u

static uv_loop_t loop;
static struct watch_clock watch;
static struct running_thread running;
static uv_timer_t timer;
static uv_pipe_t reader;
static int writer;

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static int set_up(void **state)
{
    running = (struct running_thread){0};
    running_thread_begin(&running, true);
    assert_int_equal(uv_loop_init(&loop), 0);
    watch = (struct watch_clock){0};
    watch_clock_start(&watch, &loop);
    return 0;
}

static int tear_down(void **state)
{
    watch_clock_stop(&watch);
    uv_run(&loop, UV_RUN_DEFAULT);
    running_thread_end();
    return uv_loop_close(&loop);
}

static void on_timer_naps(uv_timer_t *handle)
{
    nap((unsigned)(uintptr_t)handle->data);
    uv_close((uv_handle_t *)handle, NULL);
}

static void start_timer(unsigned due_ms, unsigned nap_ms)
{
    uv_timer_init(&loop, &timer);
    timer.data = (void *)(uintptr_t)nap_ms;
    uv_timer_start(&timer, on_timer_naps, due_ms, 0);
}

static void waiting_is_not_busy_and_its_handles_keep_no_loop_alive(void **state)
{
    struct watch_times times;

    start_timer(200, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    times = watch_clock_read(&watch);
    assert_true(times.turns >= 1);
    assert_true(times.busy_ns < 100 * MS);
    assert_true(times.longest_ns < 100 * MS);
}

static void a_callback_that_blocks_makes_a_long_turn_that_is_nobodys(void **state)
{
    struct watch_times times;

    start_timer(20, 60);
    uv_run(&loop, UV_RUN_DEFAULT);
    times = watch_clock_read(&watch);
    assert_in_range(times.busy_ns, 59 * MS, 1000 * MS);
    assert_true(times.longest_ns >= 59 * MS);
    assert_int_equal(times.lag_ns, times.longest_ns);
    assert_true(times.unattributed_ns >= 59 * MS);
    assert_true(times.cpu_ns > 0);
}

static void on_timer_enters(uv_timer_t *handle)
{
    running_enter(handle->data, RUNNING_HANDLER, "/a.B/C");
    nap(60);
    running_leave();
    uv_close((uv_handle_t *)handle, NULL);
}

static void what_a_plugin_took_is_not_unattributed(void **state)
{
    struct running_plugin *heron = running_add("io.example.v1.heron", "heron", "1.0.0", "/plugins/heron.so");
    struct watch_times times;

    uv_timer_init(&loop, &timer);
    timer.data = heron;
    uv_timer_start(&timer, on_timer_enters, 1, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    times = watch_clock_read(&watch);
    assert_true(times.busy_ns >= 59 * MS);
    assert_true(times.unattributed_ns < times.busy_ns - 50 * MS);
}

static struct watch_state seen[2];

static void *look_twice(void *argument)
{
    nap(100);
    seen[0] = watch_clock_look(&watch);
    nap(200);
    seen[1] = watch_clock_look(&watch);
    return NULL;
}

static void another_thread_sees_it_wait_and_then_stuck_in_a_timer(void **state)
{
    uint64_t start_ms = uv_hrtime() / MS;
    pthread_t thread;

    start_timer(200, 300);
    pthread_create(&thread, NULL, look_twice, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    assert_true(seen[0].is_polling);
    assert_false(seen[1].is_polling);
    assert_in_range(seen[1].since_ms, start_ms + 190, start_ms + 300);
    assert_true(seen[1].moves > seen[0].moves);
}

static void on_allocate(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    static char space[16];

    *ret_buffer = uv_buf_init(space, sizeof(space));
}

static void on_read_naps(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    nap(300);
    uv_close((uv_handle_t *)stream, NULL);
}

static void *write_and_look(void *argument)
{
    nap(100);
    assert_int_equal(write(writer, "x", 1), 1);
    return look_twice(NULL);
}

static void another_thread_sees_it_stuck_in_io_though_nothing_of_ours_ran_since_the_poll(void **state)
{
    uint64_t start_ms = uv_hrtime() / MS;
    int ends[2];
    pthread_t thread;

    assert_int_equal(pipe(ends), 0);
    writer = ends[1];
    uv_pipe_init(&loop, &reader, 0);
    assert_int_equal(uv_pipe_open(&reader, ends[0]), 0);
    uv_read_start((uv_stream_t *)&reader, on_allocate, on_read_naps);
    pthread_create(&thread, NULL, write_and_look, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    close(ends[1]);
    assert_false(seen[0].is_polling);
    assert_in_range(seen[0].since_ms, start_ms + 90, start_ms + 200);
    assert_true(seen[0].moves < seen[1].moves || !seen[1].is_polling);
}

static void *await_move(void *argument)
{
    struct pollfd wake = {.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN};

    nap(50);
    watch_clock_await(&watch, wake.fd);
    assert_int_equal(poll(&wake, 1, 10000), 1);
    *(uint64_t *)argument = watch_clock_end_await(&watch);
    watch_clock_await(&watch, wake.fd);
    assert_int_equal(watch_clock_end_await(&watch), 0);
    close(wake.fd);
    return NULL;
}

static void who_waits_for_it_is_woken_by_a_timer_before_that_runs(void **state)
{
    uint64_t start_ms = uv_hrtime() / MS, moved_ms = 0;
    pthread_t thread;

    start_timer(200, 300);
    pthread_create(&thread, NULL, await_move, &moved_ms);
    uv_run(&loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    assert_in_range(moved_ms, start_ms + 190, start_ms + 400);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(waiting_is_not_busy_and_its_handles_keep_no_loop_alive),
        TEST(a_callback_that_blocks_makes_a_long_turn_that_is_nobodys),
        TEST(what_a_plugin_took_is_not_unattributed),
        TEST(another_thread_sees_it_wait_and_then_stuck_in_a_timer),
        TEST(another_thread_sees_it_stuck_in_io_though_nothing_of_ours_ran_since_the_poll),
        TEST(who_waits_for_it_is_woken_by_a_timer_before_that_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
