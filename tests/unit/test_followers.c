/* SPDX-License-Identifier: Apache-2.0 */
/* Followers of the log: what they hear, from which thread, and what a slow one loses. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <core/state/state.h>

struct fixture {
    uv_loop_t loop;
    /* Followers alone do not keep the loop alive. */
    uv_timer_t alive;
    struct followers followers;
    struct berth_log_follower *follower;
    size_t told;
    char text[4096];
    /* Another that ends when it is told. */
    struct berth_log_follower *other;
};

static void on_timer(uv_timer_t *timer)
{
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    log_start(BERTH_LOG_INFO, LOG_TEXT, open("/dev/null", O_WRONLY | O_CLOEXEC));
    uv_loop_init(&fixture->loop);
    uv_timer_init(&fixture->loop, &fixture->alive);
    uv_timer_start(&fixture->alive, on_timer, 3600000, 0);
    followers_init(&fixture->followers, &fixture->loop, log_use_tap);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->follower != NULL)
        followers_remove(&fixture->followers, fixture->follower);
    followers_finish(&fixture->followers);
    uv_close((uv_handle_t *)&fixture->alive, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    log_start(BERTH_LOG_INFO, LOG_TEXT, STDERR_FILENO);
    free(fixture);
    return 0;
}

static void take_all(struct fixture *fixture)
{
    struct berth_log_line line;
    size_t used = strlen(fixture->text);

    while (followers_next(&fixture->followers, fixture->follower, &line) && used < 3000)
        used += (size_t)snprintf(fixture->text + used, sizeof(fixture->text) - used, "%s%s%s lost=%d;",
                                 line.uri != NULL ? line.uri : "", line.uri != NULL ? ": " : "", line.text,
                                 (int)line.lost);
}

static void on_lines(void *context)
{
    struct fixture *fixture = context;

    fixture->told++;
    take_all(fixture);
}

static void follow(struct fixture *fixture, int level, const char *uri, void (*on)(void *context))
{
    const struct berth_log_filter filter = {.size = sizeof(filter), .level = level, .uri = uri};

    fixture->follower = followers_add(&fixture->followers, &filter, on, fixture);
    assert_non_null(fixture->follower);
}

static void turn(struct fixture *fixture)
{
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

static void a_follower_hears_what_the_log_has_from_the_top_of_the_loop(void **state)
{
    struct fixture *fixture = *state;

    follow(fixture, -1, NULL, on_lines);
    log_write(BERTH_LOG_INFO, "io.a.v1.b", "first\x1b[2J");
    log_write(BERTH_LOG_DEBUG, "io.a.v1.b", "detail");
    log_write(BERTH_LOG_WARN, NULL, "second");
    assert_int_equal(fixture->told, 0);
    turn(fixture);
    assert_int_equal(fixture->told, 1);
    assert_string_equal(fixture->text, "io.a.v1.b: first [2J lost=0;second lost=0;");
}

static void it_may_want_more_than_the_log_has_of_one_plugin(void **state)
{
    struct fixture *fixture = *state;

    follow(fixture, BERTH_LOG_DEBUG, "io.a.v1.b", on_lines);
    log_write(BERTH_LOG_DEBUG, "io.a.v1.b", "detail");
    log_write(BERTH_LOG_DEBUG, "io.a.v1.other", "detail of another");
    log_write(BERTH_LOG_ERROR, NULL, "of the daemon");
    turn(fixture);
    assert_string_equal(fixture->text, "io.a.v1.b: detail lost=0;");
    followers_remove(&fixture->followers, fixture->follower);
    fixture->follower = NULL;
    assert_false(log_is_on(BERTH_LOG_DEBUG));
}

static void *write_lines(void *context)
{
    for (size_t i = 0; i < 100; i++)
        log_write(BERTH_LOG_INFO, "io.a.v1.thread", "x");
    return NULL;
}

static void lines_come_from_any_thread(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[4];

    follow(fixture, -1, NULL, on_lines);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    turn(fixture);
    assert_true(fixture->told >= 1);
    assert_int_equal(strlen(fixture->text) % strlen("io.a.v1.thread: x lost=0;"), 0);
}

static void be_slow(void *context)
{
    ((struct fixture *)context)->told++;
}

static void a_slow_one_loses_the_oldest_and_is_told_how_many(void **state)
{
    struct fixture *fixture = *state;
    struct berth_log_line line = {0};
    char text[1000];
    size_t taken = 0, lost = 0;

    follow(fixture, -1, NULL, be_slow);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%0900d", i);
        log_write(BERTH_LOG_INFO, NULL, text);
        turn(fixture);
    }
    assert_int_equal(fixture->told, 1);
    while (followers_next(&fixture->followers, fixture->follower, &line)) {
        taken++;
        lost += line.lost;
    }
    assert_int_equal(taken + lost, 1000);
    assert_in_range(taken, 50, 80);
    log_write(BERTH_LOG_INFO, NULL, "again");
    turn(fixture);
    assert_int_equal(fixture->told, 2);
}

static void end_both(void *context)
{
    struct fixture *fixture = context;

    followers_remove(&fixture->followers, fixture->follower);
    followers_remove(&fixture->followers, fixture->other);
    fixture->follower = fixture->other = NULL;
    fixture->told++;
}

static void followers_may_go_while_they_are_told(void **state)
{
    struct fixture *fixture = *state;

    follow(fixture, -1, NULL, end_both);
    fixture->other = fixture->follower;
    follow(fixture, -1, NULL, end_both);
    log_write(BERTH_LOG_INFO, NULL, "x");
    turn(fixture);
    assert_int_equal(fixture->told, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_follower_hears_what_the_log_has_from_the_top_of_the_loop),
        TEST(it_may_want_more_than_the_log_has_of_one_plugin),
        TEST(lines_come_from_any_thread),
        TEST(a_slow_one_loses_the_oldest_and_is_told_how_many),
        TEST(followers_may_go_while_they_are_told),
    };

    return cmocka_run_group_tests_name("followers", tests, NULL, NULL);
}
