/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tests/cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>

#include <core/base/log.h>
#include <core/watch/watch.h>

#define MS 1000000u
/* Long enough for a machine that is busy otherwise. */
#define BLOCK_MS 800

static uv_loop_t loop;
static struct watch_clock watch;
static struct running_thread running;
static struct running_plugin *heron;
static uv_timer_t timer;
static int log_fd = -1;
/* What the log had when the callback of the test was about to return. */
static char meanwhile[4096], after[4096];
static atomic_uint signs;

/* Whatever interrupts it. */
static inline __attribute__((always_inline)) void nap_here(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    while (nanosleep(&left, &left) != 0)
        ;
}

static void nap(unsigned ms)
{
    nap_here(ms);
}

static void spin(unsigned ms)
{
    uint64_t start = uv_hrtime();

    while (uv_hrtime() - start < ms * (uint64_t)MS)
        ;
}

static void read_log(char *text)
{
    ssize_t length = pread(log_fd, text, sizeof(after) - 1, 0);

    text[length > 0 ? length : 0] = '\0';
}

static void on_sign(void)
{
    atomic_fetch_add(&signs, 1);
}

/* The test itself is the module of the plugin. */
static int set_up(void **state)
{
    if (heron == NULL)
        heron = running_add("io.example.v1.heron", "heron", "1.0.0", "");
    heron->slow = heron->ticks = 0;
    heron->slow_lines.told = heron->slow_lines.blocked_ns = 0;
    atomic_store(&heron->stalls, 0);
    atomic_store(&signs, 0);
    log_fd = memfd_create("log", 0);
    log_start(BERTH_LOG_INFO, LOG_TEXT, log_fd);
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
    log_start(BERTH_LOG_INFO, LOG_TEXT, STDERR_FILENO);
    close(log_fd);
    return uv_loop_close(&loop);
}

static void on_quiet(uv_timer_t *handle)
{
    uv_close((uv_handle_t *)handle, NULL);
}

/* Calls `on_timer` once from the loop, and lets that be quiet for a while before and after. */
static void run(uv_timer_cb on_timer, struct watchdog_options options)
{
    uv_timer_t quiet;
    struct watchdog *watchdog;

    options.clock = &watch;
    options.running = &running;
    options.on_alive = on_sign;
    watchdog = watchdog_start(&options);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, 150, 0);
    uv_timer_init(&loop, &quiet);
    uv_timer_start(&quiet, on_quiet, 200, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_timer_init(&loop, &quiet);
    uv_timer_start(&quiet, on_quiet, 100, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    watchdog_stop(watchdog);
    uv_run(&loop, UV_RUN_DEFAULT);
    watchdog_destroy(watchdog);
    read_log(after);
}

static const struct watchdog_options of_100_ms = {.limits.stall_after_ns = 100 * MS};

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("\"%s\" is in:\n%s", part, text);
}

static void end(uv_timer_t *handle)
{
    read_log(meanwhile);
    uv_close((uv_handle_t *)handle, NULL);
}

static void on_timer_handles(uv_timer_t *handle)
{
    running_enter(heron, RUNNING_HANDLER, "/a.B/C");
    nap(BLOCK_MS);
    running_leave();
    end(handle);
}

static void a_handler_that_sleeps_is_named_while_it_does_and_when_it_returns(void **state)
{
    run(on_timer_handles,
        (struct watchdog_options){.limits = {.warn_after_ns = 50 * MS, .stall_after_ns = 100 * MS}});
    assert_has(meanwhile, "the loop has been stuck for ");
    assert_has(meanwhile, " ms in handler /a.B/C of io.example.v1.heron\n");
    assert_lacks(meanwhile, "the loop resumed");
    assert_has(after, "handler /a.B/C of io.example.v1.heron blocked the loop for ");
    assert_has(after, "the loop resumed after ");
    assert_int_equal(heron->stalls, 1);
    assert_int_equal(heron->slow, 1);
    assert_int_equal(watch.unattributed_stalls, 0);
}

__attribute__((noinline)) static void work_hard(void)
{
    spin(BLOCK_MS);
    __asm__ volatile("");
}

static void on_timer_works(uv_timer_t *handle)
{
    running_enter(heron, RUNNING_HANDLER, "/a.B/C");
    work_hard();
    running_leave();
    end(handle);
}

static void a_handler_that_works_is_named_with_its_function(void **state)
{
    run(on_timer_works, of_100_ms);
    assert_has(meanwhile, " in handler /a.B/C of io.example.v1.heron (test_watchdog+0x");
}

static void on_timer_sleeps(uv_timer_t *handle)
{
    nap_here(BLOCK_MS);
    end(handle);
}

static void what_libuv_calls_itself_is_named_by_its_stack(void **state)
{
    run(on_timer_sleeps, of_100_ms);
    assert_has(meanwhile, "the loop has been stuck for ");
    assert_has(meanwhile, " in a callback of io.example.v1.heron (test_watchdog+0x");
    assert_has(meanwhile, ", on_timer_sleeps)\n");
    assert_int_equal(heron->stalls, 1);
}

static uv_async_t async;

static void on_async(uv_async_t *handle)
{
    nap(BLOCK_MS);
    read_log(meanwhile);
    uv_close((uv_handle_t *)handle, NULL);
}

static void *send_later(void *argument)
{
    nap(50);
    uv_async_send(&async);
    return NULL;
}

static void a_callback_of_io_is_seen_though_nothing_of_ours_ran_since_the_poll(void **state)
{
    pthread_t thread;

    uv_async_init(&loop, &async, on_async);
    pthread_create(&thread, NULL, send_later, NULL);
    run(end, of_100_ms);
    pthread_join(thread, NULL);
    assert_has(after, " in a callback of io.example.v1.heron (test_watchdog+0x");
    assert_has(after, "the loop resumed after ");
}

static void on_timer_serves_many(uv_timer_t *handle)
{
    for (int i = 0; i < BLOCK_MS / 5; i++) {
        running_enter(heron, RUNNING_HANDLER, "/a.B/C");
        spin(5);
        running_leave();
    }
    end(handle);
}

static void one_of_many_short_entries_is_not_blamed(void **state)
{
    run(on_timer_serves_many, (struct watchdog_options){.limits.stall_after_ns = BLOCK_MS / 2 * MS});
    assert_has(meanwhile, "the loop has been busy for ");
    assert_lacks(meanwhile, "stuck");
    assert_int_equal(heron->stalls, 0);
    assert_int_equal(watch.unattributed_stalls, 1);
}

/* Else this process had died. */
static void a_loop_that_is_merely_busy_is_not_aborted(void **state)
{
    run(on_timer_serves_many, (struct watchdog_options){.limits = {.stall_after_ns = 100 * MS,
                                                                   .abort_after_ns = BLOCK_MS / 2 * MS}});
    assert_has(meanwhile, "the loop has been busy for ");
    assert_lacks(after, "aborting");
}

static void on_timer_inits(uv_timer_t *handle)
{
    running_enter(heron, RUNNING_INIT, NULL);
    running_allow(100 * MS);
    nap(BLOCK_MS);
    running_leave();
    end(handle);
}

static void a_step_beyond_its_deadline_is_told_once_while_it_is_stuck(void **state)
{
    run(on_timer_inits, (struct watchdog_options){.limits.stall_after_ns = 0});
    assert_has(meanwhile, "io.example.v1.heron: init has not returned within 100ms (timeouts.init)");
    assert_lacks(strstr(meanwhile, "timeouts.init") + 1, "timeouts.init");
    assert_lacks(after, "the loop resumed");
}

static unsigned signs_meanwhile;

static void on_timer_inits_in_time(uv_timer_t *handle)
{
    unsigned before = atomic_load(&signs);

    running_enter(heron, RUNNING_INIT, NULL);
    running_allow(10000u * (uint64_t)MS);
    nap(BLOCK_MS);
    running_leave();
    signs_meanwhile = atomic_load(&signs) - before;
    end(handle);
}

static void on_timer_counts_signs(uv_timer_t *handle)
{
    unsigned before = atomic_load(&signs);

    on_timer_handles(handle);
    signs_meanwhile = atomic_load(&signs) - before;
}

static void signs_of_life_come_from_the_loop_and_while_a_step_is_within_its_deadline(void **state)
{
    const struct watchdog_options options = {.limits.stall_after_ns = 100 * MS, .alive_us = 100000};

    run(on_timer_inits_in_time, options);
    assert_in_range(signs_meanwhile, 3, 40);
    /* Of the loop itself: 150 ms before, 100 ms after, one each 50 ms. */
    assert_true(atomic_load(&signs) >= signs_meanwhile + 4);
    run(on_timer_counts_signs, options);
    assert_int_equal(signs_meanwhile, 0);
}

static void on_timer_blocks_often(uv_timer_t *handle)
{
    for (int i = 0; i < 40; i++) {
        running_enter(heron, RUNNING_HANDLER, "/a.B/C");
        nap(2);
        running_leave();
    }
    nap(1000);
    running_enter(heron, RUNNING_HANDLER, "/a.B/C");
    nap(2);
    running_leave();
    end(handle);
}

static void who_blocks_often_does_not_flood_the_log(void **state)
{
    const char *second;

    run(on_timer_blocks_often, (struct watchdog_options){.limits.warn_after_ns = MS});
    assert_int_equal(heron->slow, 41);
    second = strstr(strstr(after, "blocked the loop for") + 1, "blocked the loop for");
    assert_non_null(second);
    assert_has(second, " ms; 39 more slow calls since the last report\n");
    assert_lacks(second + 1, "blocked the loop for");
}

/* @return how often the watchdog's thread has gone to sleep. */
static unsigned long count_sleeps(void)
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;
    unsigned long found = 0;

    while ((entry = readdir(folder)) != NULL) {
        char path[300], text[4096];
        FILE *file;
        size_t length;

        snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file == NULL)
            continue;
        length = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
        text[length] = '\0';
        if (strstr(text, "berth-watchdog") != NULL)
            found = strtoul(strstr(text, "\nvoluntary_ctxt_switches:") + 25, NULL, 10);
    }
    closedir(folder);
    return found;
}

static unsigned long sleeps[2];

static void *count_twice(void *argument)
{
    nap(700);
    sleeps[0] = count_sleeps();
    nap(700);
    sleeps[1] = count_sleeps();
    return NULL;
}

static void the_thread_wakes_once_a_limit_while_the_loop_waits(void **state)
{
    struct watchdog *watchdog = watchdog_start(
        &(struct watchdog_options){.clock = &watch, .running = &running, .limits.stall_after_ns = 100 * MS});
    pthread_t thread;

    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, end, 1600, 0);
    pthread_create(&thread, NULL, count_twice, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    watchdog_stop(watchdog);
    uv_run(&loop, UV_RUN_DEFAULT);
    watchdog_destroy(watchdog);
    assert_true(sleeps[0] > 0);
    assert_in_range(sleeps[1] - sleeps[0], 1, 8);
}

static void on_timer_blocks_with_other_limits(uv_timer_t *handle)
{
    watchdog_limit(handle->data,
                   &(struct watchdog_limits){.warn_after_ns = 50 * MS, .stall_after_ns = 100 * MS});
    running_enter(heron, RUNNING_HANDLER, "/a.B/C");
    nap(BLOCK_MS);
    running_leave();
    end(handle);
}

static void limits_may_change_while_it_watches(void **state)
{
    struct watchdog *watchdog = watchdog_start(&(struct watchdog_options){
        .clock = &watch, .running = &running, .limits.stall_after_ns = 3600000 * MS});

    uv_timer_init(&loop, &timer);
    timer.data = watchdog;
    uv_timer_start(&timer, on_timer_blocks_with_other_limits, 50, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    watchdog_limit(watchdog, &(struct watchdog_limits){.warn_after_ns = 0});
    running_enter(heron, RUNNING_HANDLER, "/a.B/D");
    nap(BLOCK_MS);
    running_leave();
    watchdog_stop(watchdog);
    uv_run(&loop, UV_RUN_DEFAULT);
    watchdog_destroy(watchdog);
    read_log(after);
    assert_has(meanwhile, " ms in handler /a.B/C of io.example.v1.heron\n");
    assert_has(after, "handler /a.B/C of io.example.v1.heron blocked the loop for ");
    assert_lacks(after, "/a.B/D");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_handler_that_sleeps_is_named_while_it_does_and_when_it_returns),
        TEST(a_handler_that_works_is_named_with_its_function),
        TEST(what_libuv_calls_itself_is_named_by_its_stack),
        TEST(a_callback_of_io_is_seen_though_nothing_of_ours_ran_since_the_poll),
        TEST(one_of_many_short_entries_is_not_blamed),
        TEST(a_loop_that_is_merely_busy_is_not_aborted),
        TEST(a_step_beyond_its_deadline_is_told_once_while_it_is_stuck),
        TEST(signs_of_life_come_from_the_loop_and_while_a_step_is_within_its_deadline),
        TEST(who_blocks_often_does_not_flood_the_log),
        TEST(limits_may_change_while_it_watches),
        TEST(the_thread_wakes_once_a_limit_while_the_loop_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
