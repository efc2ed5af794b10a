/* SPDX-License-Identifier: Apache-2.0 */
/* An exception that leaves a callback ends an author's test. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/testing.h>

static void an_exception_that_nobody_catches_ends_the_test(void **state)
{
    char output[256];
    int ends[2], status = 0;
    ssize_t length;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct berth_testing *testing;
        struct berth_error err;

        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        testing = berth_testing_create(&berth_module, NULL, NULL, &err);
        if (testing != NULL)
            berth_testing_start(testing, &err);
        _exit(0);
    }
    close(ends[1]);
    length = read(ends[0], output, sizeof(output) - 1);
    output[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(output, "terminate called"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exception_that_nobody_catches_ends_the_test),
    };

    return cmocka_run_group_tests_name("testing_throws", tests, NULL, NULL);
}
