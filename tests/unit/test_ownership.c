/* SPDX-License-Identifier: Apache-2.0 */
/* Whose the folders of a base are, and giving them away. */
#include <core/worker/ownership.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include "scratch.h"

/* Nobody on a system of ours; only root can give anything to it. */
#define OTHER 54321

static char base[PATH_MAX];

static int set_up(void **state)
{
    scratch_create(base);
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(base);
    return 0;
}

static const char *in_base(const char *name)
{
    static char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/%s", base, name);
    return path;
}

static bool is_ours(void)
{
    return ownership_is_uniform(base, geteuid(), getegid());
}

static void folders_of_one_owner_are_uniform_and_files_and_links_do_not_count(void **state)
{
    FILE *file;

    assert_true(is_ours());
    assert_true(ownership_is_uniform(base, OTHER, OTHER));
    assert_int_equal(symlink("/", in_base("link")), 0);
    file = fopen(in_base("file"), "we");
    assert_non_null(file);
    fclose(file);
    assert_true(ownership_is_uniform(base, OTHER, OTHER));
    assert_int_equal(mkdir(in_base("a"), 0700), 0);
    assert_int_equal(mkdir(in_base("b"), 0700), 0);
    assert_true(is_ours());
    assert_false(ownership_is_uniform(base, OTHER, getegid()));
    assert_false(ownership_is_uniform(base, geteuid(), OTHER));
}

static void a_base_that_does_not_exist_has_no_folders_and_one_that_cannot_be_read_may_have_any(void **state)
{
    assert_true(ownership_is_uniform(in_base("missing"), OTHER, OTHER));
    fclose(fopen(in_base("file"), "we"));
    assert_false(ownership_is_uniform(in_base("file"), geteuid(), getegid()));
}

static void one_folder_given_away_is_seen_until_it_is_taken_back(void **state)
{
    struct berth_error err;
    struct stat status;

    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir(in_base("a"), 0700), 0);
    assert_int_equal(ownership_give(in_base("b"), OTHER, OTHER, true, &err), BERTH_OK);
    assert_int_equal(mkdir(in_base("b/inner"), 0700), 0);
    assert_false(is_ours());
    assert_int_equal(ownership_give(in_base("b"), 0, 0, false, &err), BERTH_OK);
    assert_true(is_ours());
    /* Only the folder's own owner says that it was given, so it is the last to change. */
    assert_int_equal(lchown(in_base("b/inner"), OTHER, OTHER), 0);
    assert_true(is_ours());
    assert_int_equal(lchown(in_base("b"), OTHER, OTHER), 0);
    assert_int_equal(ownership_give(in_base("b"), 0, 0, false, &err), BERTH_OK);
    assert_int_equal(stat(in_base("b/inner"), &status), 0);
    assert_int_equal(status.st_uid, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(folders_of_one_owner_are_uniform_and_files_and_links_do_not_count),
        TEST(a_base_that_does_not_exist_has_no_folders_and_one_that_cannot_be_read_may_have_any),
        TEST(one_folder_given_away_is_seen_until_it_is_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
