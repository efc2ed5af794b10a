/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <tests/cmocka.h>
#include <pthread.h>

#include <core/base/running.h>

static struct running_plugin *heron, *stork;
static struct running_thread loop_thread;
static struct running_box box;
static struct running_word slow_word;
static uint64_t slow_took_ns;
static unsigned slow_count;

static void on_slow(const struct running_word *word, uint64_t took_ns)
{
    slow_word = *word;
    slow_took_ns = took_ns;
    slow_count++;
}

static void spin(unsigned ms)
{
    uint64_t start = running_ticks();

    while (running_ticks_to_ns(running_ticks() - start) < (uint64_t)ms * 1000000u)
        ;
}

static int set_up(void **state)
{
    static const struct running_limits limits = {.slow_ns = 250000000u, .on_slow = on_slow};

    loop_thread = (struct running_thread){0};
    slow_count = 0;
    heron = running_add("io.example.v1.heron", "heron", "1.0.0", "/plugins/heron.so");
    stork = running_add("io.example.v1.stork", "stork", "2.0.0", "/plugins/stork.so");
    running_thread_begin(&loop_thread, true);
    running_limit(&limits);
    running_use_box(&box);
    return 0;
}

static int tear_down(void **state)
{
    running_use_box(NULL);
    running_thread_end();
    return 0;
}

static void the_innermost_entry_is_what_runs(void **state)
{
    struct running_word word;

    assert_false(running_look(&loop_thread, &word));
    running_enter(heron, RUNNING_HANDLER, "/a.B/C");
    running_enter(stork, RUNNING_INTERCEPTOR, "/a.B/C");
    assert_true(running_look(&loop_thread, &word));
    assert_ptr_equal(word.owner, stork);
    assert_int_equal(word.doing, RUNNING_INTERCEPTOR);
    running_leave();
    assert_true(running_look(&loop_thread, &word));
    assert_ptr_equal(word.owner, heron);
    assert_string_equal(word.detail, "/a.B/C");
    running_leave();
    assert_false(running_look(&loop_thread, &word));
}

static void time_is_charged_to_the_innermost_plugin_alone(void **state)
{
    uint64_t start = running_ticks();

    running_enter(heron, RUNNING_INIT, NULL);
    spin(5);
    running_enter(stork, RUNNING_HANDLER, NULL);
    spin(15);
    running_leave();
    running_leave();
    assert_true(heron->ticks + stork->ticks <= running_ticks() - start);
    assert_true(running_ticks_to_ns(heron->ticks) >= 4000000u);
    assert_true(running_ticks_to_ns(stork->ticks) >= 14000000u);
    assert_int_equal(heron->entries, 1);
    assert_int_equal(slow_count, 0);
}

/* What a tick is worth is known better with each look, and these are so many that each look tells. */
static void the_time_of_a_plugin_never_goes_back(void **state)
{
    uint64_t last = 0;

    heron->ticks = UINT64_C(1) << 50;
    for (size_t i = 0; i < 100000; i++) {
        uint64_t now = running_plugin_ns(heron);

        assert_true(now >= last);
        last = now;
    }
    assert_true(last > 0);
}

static void an_entry_that_took_too_long_is_told_with_its_own_time(void **state)
{
    running_enter(heron, RUNNING_HANDLER, "/a.B/C");
    running_enter(stork, RUNNING_INTERCEPTOR, "/a.B/C");
    spin(300);
    running_leave();
    running_leave();
    assert_int_equal(slow_count, 1);
    assert_ptr_equal(slow_word.owner, stork);
    assert_int_equal(slow_word.doing, RUNNING_INTERCEPTOR);
    assert_true(slow_took_ns >= 250000000u);
    assert_int_equal(stork->slow, 1);
    assert_int_equal(heron->slow, 0);
}

static void the_black_box_shows_what_runs_on_the_loop(void **state)
{
    running_enter(heron, RUNNING_CLOSE, NULL);
    assert_int_equal(box.owner, heron->index);
    assert_int_equal(box.doing, RUNNING_CLOSE);
    assert_ptr_equal(running_get(box.owner), heron);
    running_leave();
    assert_int_equal(box.owner, 0);
    assert_int_equal(box.doing, RUNNING_NOTHING);
    assert_null(running_get(0));
    assert_null(running_get(running_count() + 1));
}

static void entries_deeper_than_the_word_goes_are_counted(void **state)
{
    struct running_word word;

    for (int i = 0; i < 3 * RUNNING_DEPTH_MAX; i++)
        running_enter(i < RUNNING_DEPTH_MAX ? heron : stork, RUNNING_HANDLER, NULL);
    assert_true(running_look(&loop_thread, &word));
    assert_ptr_equal(word.owner, heron);
    for (int i = 0; i < 3 * RUNNING_DEPTH_MAX; i++)
        running_leave();
    assert_false(running_look(&loop_thread, &word));
}

static void all_entries_of_plugins_are_seen_with_their_deadlines(void **state)
{
    struct running_word words[RUNNING_DEPTH_MAX];
    char text[64];

    running_allow(1);
    assert_int_equal(running_look_all(&loop_thread, words), 0);
    running_enter(heron, RUNNING_INIT, NULL);
    running_allow(5000);
    running_enter(NULL, RUNNING_NOTHING, NULL);
    running_enter(stork, RUNNING_HANDLER, "/a.B/C");
    assert_int_equal(running_look_all(&loop_thread, words), 2);
    assert_ptr_equal(words[0].owner, stork);
    assert_int_equal(words[0].limit_ns, 0);
    assert_ptr_equal(words[1].owner, heron);
    assert_int_equal(words[1].limit_ns, 5000);
    assert_true(words[1].since <= words[0].since);
    running_describe(&words[0], text, sizeof(text));
    assert_string_equal(text, "handler /a.B/C of io.example.v1.stork");
    running_describe(&words[1], text, sizeof(text));
    assert_string_equal(text, "init of io.example.v1.heron");
    running_describe(&words[1], text, 8);
    assert_string_equal(text, "init of");
    for (int i = 0; i < 3; i++)
        running_leave();
    running_enter(stork, RUNNING_INIT, NULL);
    assert_int_equal(running_look_all(&loop_thread, words), 1);
    assert_int_equal(words[0].limit_ns, 0);
    running_leave();
}

/* More than a turn's first, so that the next are sampled. */
static void crowd(void)
{
    running_stamp_often(&loop_thread, true);
    running_begin_turn();
    for (int i = 0; i < 8; i++) {
        running_enter(stork, RUNNING_HANDLER, NULL);
        running_leave();
    }
}

static void many_entries_of_a_turn_are_sampled_and_cost_what_they_cost(void **state)
{
    struct running_word word;
    unsigned timed = 0;

    crowd();
    for (int i = 0; i < 20000; i++) {
        uint64_t start = running_ticks();

        running_enter(heron, RUNNING_HANDLER, NULL);
        running_look(&loop_thread, &word);
        timed += word.since != 0;
        while (running_ticks() - start < 20000)
            ;
        running_leave();
    }
    assert_true(running_stamp(&loop_thread));
    assert_int_equal(heron->entries, 20000);
    assert_in_range(timed, 20000 / RUNNING_SAMPLE * 8 / 10, 20000 / RUNNING_SAMPLE * 12 / 10);
    /* Those in which the machine does something else count too. */
    assert_true(heron->ticks > 20000u * 20000u / 10 * 7);
}

static atomic_bool is_over;

static void *stamp_often(void *argument)
{
    while (!atomic_load(&is_over)) {
        running_stamp(&loop_thread);
        nanosleep(&(struct timespec){.tv_nsec = RUNNING_STAMP_MS * 1000000}, NULL);
    }
    return NULL;
}

static void an_entry_that_is_not_timed_but_lasts_is_told_all_the_same(void **state)
{
    pthread_t thread;
    struct running_word word;

    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, stamp_often, NULL), 0);
    crowd();
    do {
        running_enter(heron, RUNNING_HANDLER, "/a.B/C");
        running_look(&loop_thread, &word);
        if (word.since == 0)
            spin(600);
        running_leave();
    } while (word.since != 0);
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    assert_int_equal(slow_count, 1);
    assert_ptr_equal(slow_word.owner, heron);
    assert_string_equal(slow_word.detail, "/a.B/C");
    assert_in_range(slow_took_ns, 250000000u, 2000000000u);
    assert_true(running_ticks_to_ns(heron->ticks) >= 250000000u);
}

static void *look_on(void *argument)
{
    unsigned torn = 0;
    struct running_word word;

    assert_false(running_is_loop());
    while (!atomic_load(&is_over))
        if (running_look(&loop_thread, &word) && (word.owner == heron) != (word.doing == RUNNING_INIT))
            torn++;
    return (void *)(uintptr_t)torn;
}

static void another_thread_never_sees_half_an_entry(void **state)
{
    pthread_t thread;
    void *torn;

    assert_true(running_is_loop());
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, look_on, NULL), 0);
    for (int i = 0; i < 300000; i++) {
        running_enter(heron, RUNNING_INIT, NULL);
        running_leave();
        running_enter(stork, RUNNING_HANDLER, NULL);
        running_leave();
    }
    atomic_store(&is_over, true);
    pthread_join(thread, &torn);
    assert_int_equal((uintptr_t)torn, 0);
}

static void a_further_generation_leads_to_its_plugin_by_its_own_file(void **state)
{
    char path[32];

    assert_null(running_find_by_file("/copies/2/heron.so", NULL));
    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof(path), "/copies/%d/heron.so", i);
        running_add_file(heron, path);
        running_add_file(stork, path);
        assert_ptr_equal(running_find_by_file(path, stork), stork);
        assert_ptr_equal(running_find_by_file(path, heron), heron);
        running_remove_file(path);
        assert_null(running_find_by_file(path, NULL));
    }
}

static void a_uri_leads_to_its_latest_record_and_from_there_to_the_others(void **state)
{
    /* More URIs than the table has places. */
    enum { URIS = 1000, VERSIONS = 3 };
    struct running_plugin *all[URIS][VERSIONS];
    char uri[32], version[8];

    for (int j = 0; j < VERSIONS; j++)
        for (int i = 0; i < URIS; i++) {
            snprintf(uri, sizeof(uri), "io.many.v1.p%d", i);
            snprintf(version, sizeof(version), "1.%d.0", j);
            all[i][j] = running_add(uri, "many", version, j == 2 ? "/plugins/new.so" : "/plugins/many.so");
        }
    for (int i = 0; i < URIS; i++) {
        struct running_plugin *plugin;

        snprintf(uri, sizeof(uri), "io.many.v1.p%d", i);
        plugin = running_find(uri);
        for (int j = VERSIONS; j-- > 0; plugin = running_find_before(plugin))
            assert_ptr_equal(plugin, all[i][j]);
        assert_null(plugin);
        assert_ptr_equal(running_find_version(uri, "1.1.0", "/plugins/many.so"), all[i][1]);
        assert_ptr_equal(running_find_version(uri, "1.2.0", "/plugins/new.so"), all[i][2]);
        assert_null(running_find_version(uri, "1.2.0", "/plugins/many.so"));
        assert_null(running_find_version(uri, NULL, "/plugins/many.so"));
    }
    assert_null(running_find("io.many.v1.p"));
    assert_ptr_equal(running_find_version("io.bare.v1.a", NULL, "/bare.so"), NULL);
    assert_non_null(running_add("io.bare.v1.a", "bare", NULL, "/bare.so"));
    assert_non_null(running_find_version("io.bare.v1.a", NULL, "/bare.so"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_innermost_entry_is_what_runs),
        TEST(time_is_charged_to_the_innermost_plugin_alone),
        TEST(the_time_of_a_plugin_never_goes_back),
        TEST(an_entry_that_took_too_long_is_told_with_its_own_time),
        TEST(the_black_box_shows_what_runs_on_the_loop),
        TEST(entries_deeper_than_the_word_goes_are_counted),
        TEST(all_entries_of_plugins_are_seen_with_their_deadlines),
        TEST(many_entries_of_a_turn_are_sampled_and_cost_what_they_cost),
        TEST(an_entry_that_is_not_timed_but_lasts_is_told_all_the_same),
        TEST(a_further_generation_leads_to_its_plugin_by_its_own_file),
        TEST(a_uri_leads_to_its_latest_record_and_from_there_to_the_others),
        TEST(another_thread_never_sees_half_an_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
