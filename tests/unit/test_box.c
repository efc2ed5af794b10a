/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <core/crash/crash.h>
#include <tests/cmocka.h>

#include "scratch.h"

static char folder[PATH_MAX];
static struct running_thread running;
static struct running_plugin *heron;

static int begin(void **state)
{
    scratch_create(folder);
    heron = running_add("io.example.v1.heron", "heron", "1.0", "/p/heron.so");
    return 0;
}

static int end(void **state)
{
    scratch_remove(folder);
    return 0;
}

static void open_box(bool has_died, struct box_death *death)
{
    struct berth_error error;
    bool died;

    assert_int_equal(box_open(folder, &died, death, &error), BERTH_OK);
    assert_int_equal(died, has_died);
}

/* A run that is killed while its loop, or another thread, is in a plugin. */
static void run_and_die(bool is_loop)
{
    struct box_death death;
    pid_t child = fork();

    if (child == 0) {
        open_box(false, &death);
        running_thread_begin(&running, is_loop);
        box_begin();
        running_enter(heron, is_loop ? RUNNING_INIT : RUNNING_PREPARE, NULL);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void who_ran_is_found_after_sigkill_and_only_once(void **state)
{
    struct box_death death = {.uri = ""};

    for (int i = 0; i < 2; i++) {
        run_and_die(i == 0);
        open_box(true, &death);
        assert_string_equal(death.uri, "io.example.v1.heron");
        /* In prepare it may have been killed from outside. */
        assert_int_equal(death.counts, i == 0);
        assert_string_equal(death.what, i == 0 ? "ended in init" : "ended in prepare");
        assert_non_null(strstr(death.sentence, i == 0 ? "in init of io.example.v1.heron (heron.so)"
                                                      : "in prepare of io.example.v1.heron (heron.so)"));
        box_close();
        open_box(false, &death);
        box_close();
    }
}

/* As a thread that is stuck in prepare while the daemon ends. */
static void a_plugin_may_return_after_the_box_was_closed(void **state)
{
    struct box_death death;

    open_box(false, &death);
    running_thread_begin(&running, false);
    box_begin();
    running_enter(heron, RUNNING_PREPARE, NULL);
    box_close();
    running_leave();
    running_thread_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_ran_is_found_after_sigkill_and_only_once, begin, end),
        cmocka_unit_test_setup_teardown(a_plugin_may_return_after_the_box_was_closed, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
