/* SPDX-License-Identifier: Apache-2.0 */
/* Where berthctl looks for a user's daemon: where that user's berthd listens. */
#include <tools/berthctl/daemon/address.h>

#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <tests/cmocka.h>

#define NOBODY 65534

static int become_a_user(void **state)
{
    unsetenv("BERTH_ADDRESS");
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("XDG_DATA_HOME");
    setenv("HOME", "/home/anna", 1);
    return geteuid() == 0 ? seteuid(NOBODY) : 0;
}

/* A process that changed its user may not be looked into, by the leak checker either, unless it says so. */
static int become_oneself(void **state)
{
    return seteuid(getuid()) == 0 ? prctl(PR_SET_DUMPABLE, 1) : -1;
}

static void assert_address(const char *expected)
{
    char *address = address_find();

    assert_string_equal(expected, address);
    free(address);
}

static void the_runtime_folder_is_taken_where_there_is_one(void **state)
{
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_address("/run/user/7/berth/berth.sock");
}

static void without_a_runtime_folder_it_is_below_the_data(void **state)
{
    assert_address("/home/anna/.local/share/berth/run/berth.sock");
    setenv("XDG_DATA_HOME", "/data", 1);
    assert_address("/data/berth/run/berth.sock");
}

static void a_relative_folder_counts_as_none(void **state)
{
    setenv("XDG_RUNTIME_DIR", "run", 1);
    setenv("XDG_DATA_HOME", "data", 1);
    assert_address("/home/anna/.local/share/berth/run/berth.sock");
}

static void the_address_that_is_named_comes_first(void **state)
{
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    setenv("BERTH_ADDRESS", "/else/where.sock", 1);
    assert_address("/else/where.sock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_runtime_folder_is_taken_where_there_is_one, become_a_user,
                                        become_oneself),
        cmocka_unit_test_setup_teardown(without_a_runtime_folder_it_is_below_the_data, become_a_user,
                                        become_oneself),
        cmocka_unit_test_setup_teardown(a_relative_folder_counts_as_none, become_a_user, become_oneself),
        cmocka_unit_test_setup_teardown(the_address_that_is_named_comes_first, become_a_user, become_oneself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
