/* SPDX-License-Identifier: Apache-2.0 */
/* The fake host fails an author's test for each defect of the fixture `bad`, with a sentence that names it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/testing.h>
#include <berth/types/store.h>

static struct berth_testing *start(const char *defect, const char *when)
{
    struct berth_testing *testing;
    struct berth_error err;
    char settings[128];

    snprintf(settings, sizeof(settings), "{defect: %s, when: %s}", defect, when);
    testing = berth_testing_create(&berth_module, NULL, settings, &err);
    if (testing == NULL)
        fail_msg("%s", err.message);
    return testing;
}

static void run(struct berth_testing *testing)
{
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    berth_testing_advance(testing, 100);
    for (int i = 0; i < 2; i++)
        berth_testing_call_destroy(berth_testing_unary(testing, "/berth.test.Bad/Do", "x", 1));
}

/* Ends the test of the plugin. `fault` is all that it is blamed for; NULL: nothing. */
static void end(struct berth_testing *testing, const char *fault)
{
    struct berth_error err = {.message = ""};
    enum berth_code code = berth_testing_destroy(testing, &err);

    assert_string_equal(err.message, fault != NULL ? fault : "");
    assert_int_equal(code, fault != NULL ? BERTH_FAILED_PRECONDITION : BERTH_OK);
}

static void each_defect_is_a_fault_with_its_sentence(void **state)
{
    static const struct {
        const char *defect, *when, *fault;
    } cases[] = {
        {"none", "init", NULL},
        {"wrong_thread", "init",
         "called berth_add_export from a thread other than the loop's: use berth_post\n"
         "called berth_fail from a thread other than the loop's: use berth_post"},
        {"wrong_thread", "handler",
         "replied to a call from a thread other than the loop's; ignored (/berth.test.Bad/Do)"},
        {"stale_reply", "handler", "replied to a call that has ended; ignored (/berth.test.Bad/Do)"},
        {"stale_reply", "timer", NULL},
        {"double_reply", "handler", "replied to a call twice; ignored (/berth.test.Bad/Do)"},
        {"made_up_code", "handler",
         "finished a call with invalid code 99; sending UNKNOWN instead (/berth.test.Bad/Do)"},
        {"leaked_handle", "init", "a handle was left open in the loop: uv_timer_t"},
        {"uv_run", "init", "init called uv_run on the loop, which is not the plugin's"},
        {"uv_run", "handler",
         "handler /berth.test.Bad/Do called uv_run on the loop, which is not the plugin's"},
        {"uv_run", "timer", "a callback of the loop called uv_run on the loop, which is not the plugin's"},
        {"uv_stop", "close", "close called uv_stop on the loop, which is not the plugin's"},
        {"uv_stop", "timer", "a callback of the loop called uv_stop on the loop, which is not the plugin's"},
        {"uv_loop_close", "init", NULL},
        {"uv_loop_close", "close", NULL},
        {"work", "timer", NULL},
        {"forgotten_leave", "timer",
         "callback work called berth_enter, but not berth_leave before it returned"},
        {"forgotten_leave", "init",
         "callback work called berth_enter, but not berth_leave before it returned"},
        {"unentered_leave", "timer", "called berth_leave without berth_enter"},
        {"unentered_leave", "handler", "called berth_leave without berth_enter"},
        {"post", "handler", NULL},
        {"post", "close", NULL},
        {"print", "check", "check printed to standard output: use berth_log"},
        {"print", "prepare", "prepare printed to standard output: use berth_log"},
        {"print", "init", "init printed to standard output: use berth_log"},
        {"print", "close", "close printed to standard output: use berth_log"},
        {"print", "handler", "handler /berth.test.Bad/Do printed to standard output: use berth_log"},
        {"print_start", "timer", "a callback of the loop printed to standard output: use berth_log"},
        {"print_error", "handler", "handler /berth.test.Bad/Do printed to standard error: use berth_log"},
        {"print_on_thread", "init", "a thread printed to standard output: use berth_log"},
        {"print_on_thread", "timer", "a thread printed to standard output: use berth_log"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_testing *testing = start(cases[i].defect, cases[i].when);

        run(testing);
        end(testing, cases[i].fault);
    }
}

/* Whatever it left behind is put back, or a later test would start with it. */
static void what_belongs_to_the_process_is_not_the_plugins_to_change(void **state)
{
    static const struct {
        const char *defect, *when, *fault;
    } cases[] = {
        {"signal", "init", "init changed the handler of SIGTERM, which belongs to the daemon"},
        {"mask", "serve", "serve changed the signal mask"},
        {"cwd", "close", "close changed the working directory"},
        {"umask", "prepare", "prepare changed the umask"},
        {"locale", "init", "init changed the locale"},
        {"environment", "init", "init changed the environment variable "},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_testing *testing = start(cases[i].defect, cases[i].when);
        struct berth_error err = {.message = ""};

        run(testing);
        assert_int_equal(berth_testing_destroy(testing, &err), BERTH_FAILED_PRECONDITION);
        if (strstr(err.message, cases[i].fault) == NULL)
            fail_msg("%s in %s: %s", cases[i].defect, cases[i].when, err.message);
    }
}

static void what_is_posted_runs_until_close_begins(void **state)
{
    struct berth_testing *testing = start("post", "init");

    run(testing);
    assert_true(berth_testing_has_logged(testing, "posted: OK"));
    assert_true(berth_testing_has_logged(testing, "a posted function ran"));
    end(testing, NULL);
}

static void a_callback_that_takes_too_long_is_a_fault(void **state)
{
    static const char *const when[] = {"init", "handler", "timer"};
    static const char *const blamed[] = {"init blocked the loop for 0.3 s",
                                         "handler /berth.test.Bad/Do blocked the loop for 0.3 s",
                                         "a callback of the loop blocked the loop for 0.3 s"};

    for (size_t i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
        struct berth_testing *testing = start("nap", when[i]);
        struct berth_error err = {.message = ""};

        berth_testing_set_callback_limit(testing, 100);
        run(testing);
        assert_int_equal(berth_testing_destroy(testing, &err), BERTH_FAILED_PRECONDITION);
        assert_memory_equal(err.message, blamed[i], strlen(blamed[i]) - strlen("0.3 s"));

        testing = start("nap", when[i]);
        run(testing);
        end(testing, NULL);
    }
}

static unsigned open_snapshots;

static enum berth_code begin(void *instance, struct berth_store_txn **ret_txn, struct berth_error *err)
{
    open_snapshots++;
    *ret_txn = (struct berth_store_txn *)&open_snapshots;
    return BERTH_OK;
}

static void end_snapshot(struct berth_store_txn *txn)
{
    open_snapshots--;
}

static const struct berth_store store = {.size = sizeof(store), .begin = begin, .end = end_snapshot};

static void a_snapshot_that_is_not_ended_is_a_fault(void **state)
{
    struct berth_testing *testing = start("leaked_snapshot", "handler");

    berth_testing_provide(testing, BERTH_STORE_TYPE ".memory", &store, NULL);
    run(testing);
    assert_int_equal(open_snapshots, 2);
    end(testing, "handler /berth.test.Bad/Do returned without ending a snapshot of the store");
}

/* In a process of its own: @return its status, or a signal's number below 0. */
static int run_apart(const char *defect, const char *when, char *output, size_t size)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    int ends[2], status = 0;
    size_t used = 0;
    ssize_t length;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct berth_testing *testing;
        struct berth_error err = {.message = ""};

        /* Not cmocka's, nor a sanitizer's. */
        for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
            signal(signals[i], SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        close(ends[1]);
        testing = start(defect, when);
        if (strcmp(defect, "hang") == 0 || strcmp(defect, "pthread_exit") == 0)
            berth_testing_set_callback_limit(testing, 20);
        run(testing);
        berth_testing_destroy(testing, &err);
        fprintf(stderr, "%s", err.message);
        _exit(3);
    }
    close(ends[1]);
    while (used + 1 < size && (length = read(ends[0], output + used, size - 1 - used)) > 0)
        used += (size_t)length;
    output[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Some of them would pass the test otherwise, or never end. */
static void a_callback_that_ends_the_process_or_hangs_fails_the_test(void **state)
{
    static const struct {
        const char *defect, *when, *line;
    } cases[] = {
        {"exit", "prepare", "prepare called exit, which would end the daemon"},
        {"exit", "init", "init called exit, which would end the daemon"},
        {"exit", "handler", "handler /berth.test.Bad/Do called exit, which would end the daemon"},
        {"exit", "timer", "a callback of the loop called exit, which would end the daemon"},
        {"_exit", "check", "check called _exit, which would end the daemon"},
        {"_exit", "prepare", "prepare called _exit, which would end the daemon"},
        {"_exit", "handler", "handler /berth.test.Bad/Do called _exit, which would end the daemon"},
        {"_exit", "timer", "a callback of the loop called _exit, which would end the daemon"},
        {"hang", "prepare", "prepare has not returned for 20 times as long as a callback may take"},
        {"hang", "close", "close has not returned for 20 times as long as a callback may take"},
        {"hang", "handler", "handler has not returned for 20 times as long as a callback may take"},
        {"hang", "timer",
         "a callback of the loop has not returned for 20 times as long as a callback may take"},
        {"pthread_exit", "init", "init has not returned for 20 times as long as a callback may take"},
    };
    char output[512], line[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(line, sizeof(line), "berth-testing: %s\n", cases[i].line);
        assert_int_equal(run_apart(cases[i].defect, cases[i].when, output, sizeof(output)), 70);
        assert_string_equal(output, line);
    }
}

static void a_callback_that_crashes_crashes_the_test(void **state)
{
    static const struct {
        const char *defect, *when;
        int signal;
    } cases[] = {
        {"crash", "init", SIGSEGV},       {"crash", "handler", SIGSEGV},
        {"crash", "timer", SIGSEGV},      {"crash", "prepare", SIGSEGV},
        {"overflow", "handler", SIGSEGV}, {"call_null", "init", SIGSEGV},
        {"trap", "handler", SIGILL},      {"abort", "serve", SIGABRT},
        {"assert_uv", "init", SIGABRT},   {"thread_destructor", "prepare", SIGSEGV},
    };
    char output[4096];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status = run_apart(cases[i].defect, cases[i].when, output, sizeof(output));

        if (status != -cases[i].signal)
            fail_msg("%s in %s: %d instead of %d: %s", cases[i].defect, cases[i].when, status,
                     -cases[i].signal, output);
    }
}

static void what_is_left_behind_in_the_process_is_a_fault(void **state)
{
    char output[256];

    assert_int_equal(run_apart("thread", "init", output, sizeof(output)), 3);
    assert_non_null(strstr(output, "a thread was left behind: "));
    assert_int_equal(run_apart("thread_destructor", "init", output, sizeof(output)), 3);
    assert_string_equal(output, "a thread-specific key with a destructor was left behind");
}

static void a_child_that_returns_is_a_fault_and_one_that_ends_is_none(void **state)
{
    static const struct {
        const char *defect, *when, *fault;
    } cases[] = {
        {"fork", "init", "init forked, and the child returned into the daemon: use uv_spawn"},
        {"fork", "handler",
         "handler /berth.test.Bad/Do forked, and the child returned into the daemon: use uv_spawn"},
        {"fork", "timer",
         "a callback of the loop forked, and the child returned into the daemon: use uv_spawn"},
        {"fork_exit", "init", NULL},
        {"fork_exit", "handler", NULL},
        {"fork_crash", "init", NULL},
    };
    char output[512];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(run_apart(cases[i].defect, cases[i].when, output, sizeof(output)), 3);
        if (cases[i].fault != NULL)
            assert_string_equal(output, cases[i].fault);
        /* A sanitizer has something to say when the child exits. */
        else
            assert_null(strstr(output, "forked"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_defect_is_a_fault_with_its_sentence),
        cmocka_unit_test(what_belongs_to_the_process_is_not_the_plugins_to_change),
        cmocka_unit_test(what_is_posted_runs_until_close_begins),
        cmocka_unit_test(a_callback_that_takes_too_long_is_a_fault),
        cmocka_unit_test(a_snapshot_that_is_not_ended_is_a_fault),
        cmocka_unit_test(a_callback_that_ends_the_process_or_hangs_fails_the_test),
        cmocka_unit_test(a_callback_that_crashes_crashes_the_test),
        cmocka_unit_test(what_is_left_behind_in_the_process_is_a_fault),
        cmocka_unit_test(a_child_that_returns_is_a_fault_and_one_that_ends_is_none),
    };

    return cmocka_run_group_tests_name("testing_strict", tests, NULL, NULL);
}
