/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are written whole or not at all. */
#include <sdk/base/text_file.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tests/cmocka.h>

struct folder {
    char path[64];
    char file[96];
    char kept[128];
    char next[128];
};

static int set_up(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    if (folder == NULL)
        return 1;
    strcpy(folder->path, "/tmp/berth-text-file-XXXXXX");
    if (mkdtemp(folder->path) == NULL)
        return 1;
    snprintf(folder->file, sizeof(folder->file), "%s/a.yaml", folder->path);
    snprintf(folder->kept, sizeof(folder->kept), "%s.bak", folder->file);
    snprintf(folder->next, sizeof(folder->next), "%s.new", folder->file);
    *state = folder;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *folder = *state;

    unlink(folder->file);
    unlink(folder->kept);
    unlink(folder->next);
    rmdir(folder->path);
    free(folder);
    return 0;
}

static void expect_text(const char *path, const char *text)
{
    char found[128] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    found[fread(found, 1, sizeof(found) - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(found, text);
}

static void a_file_that_is_there_is_not_overwritten(void **state)
{
    const struct folder *folder = *state;
    struct berth_error err;

    assert_int_equal(text_file_create(folder->file, 0644, "one\n", &err), BERTH_OK);
    assert_int_equal(text_file_create(folder->file, 0644, "two\n", &err), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, folder->file));
    expect_text(folder->file, "one\n");
}

static void a_file_is_made_with_the_mode_that_was_asked_for(void **state)
{
    const struct folder *folder = *state;
    struct berth_error err;
    struct stat status;

    assert_int_equal(text_file_create(folder->file, 0600, "secret\n", &err), BERTH_OK);
    assert_int_equal(stat(folder->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
}

static void replacing_keeps_the_old_file_and_its_mode(void **state)
{
    const struct folder *folder = *state;
    struct berth_error err;
    struct stat status;

    assert_int_equal(text_file_create(folder->file, 0644, "one\n", &err), BERTH_OK);
    assert_int_equal(chmod(folder->file, 0640), 0);
    assert_int_equal(text_file_replace(folder->file, "two\n", &err), BERTH_OK);
    assert_int_equal(text_file_replace(folder->file, "three\n", &err), BERTH_OK);
    expect_text(folder->file, "three\n");
    expect_text(folder->kept, "two\n");
    assert_int_equal(stat(folder->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_not_equal(access(folder->next, F_OK), 0);
}

static void a_record_is_replaced_and_what_a_crash_left_is_overwritten(void **state)
{
    const struct folder *folder = *state;
    struct berth_error err;
    struct stat status;

    assert_int_equal(text_file_create(folder->next, 0644, "half", &err), BERTH_OK);
    assert_int_equal(text_file_keep(folder->file, "one\n", NULL, &err), BERTH_OK);
    assert_int_equal(stat(folder->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    status.st_mode = 0640;
    assert_int_equal(text_file_keep(folder->file, "two\n", &status, &err), BERTH_OK);
    expect_text(folder->file, "two\n");
    assert_int_equal(stat(folder->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_not_equal(access(folder->next, F_OK), 0);
    assert_int_not_equal(access(folder->kept, F_OK), 0);
    assert_int_equal(unlink(folder->file), 0);
    assert_int_equal(mkdir(folder->file, 0700), 0);
    assert_int_not_equal(text_file_keep(folder->file, "three\n", NULL, &err), BERTH_OK);
    assert_non_null(strstr(err.message, folder->file));
    assert_int_not_equal(access(folder->next, F_OK), 0);
    assert_int_equal(rmdir(folder->file), 0);
}

static void what_cannot_be_written_changes_nothing(void **state)
{
    const struct folder *folder = *state;
    struct berth_error err;

    assert_int_equal(text_file_replace(folder->file, "x", &err), BERTH_NOT_FOUND);
    assert_int_equal(text_file_create(folder->file, 0644, "one\n", &err), BERTH_OK);
    assert_int_equal(mkdir(folder->next, 0700), 0);
    assert_int_equal(text_file_replace(folder->file, "two\n", &err), BERTH_ALREADY_EXISTS);
    expect_text(folder->file, "one\n");
    assert_int_equal(rmdir(folder->next), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_that_is_there_is_not_overwritten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_made_with_the_mode_that_was_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replacing_keeps_the_old_file_and_its_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_is_replaced_and_what_a_crash_left_is_overwritten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_changes_nothing, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
