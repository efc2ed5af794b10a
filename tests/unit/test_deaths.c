/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <core/crash/crash.h>
#include <tests/cmocka.h>

#include "scratch.h"

#define HERON "io.example.v1.heron"
#define STORK "io.example.v1.stork"

static const struct deaths_limit three = {.count = 3, .within_ns = UINT64_C(600000000000)};
static struct death items[DEATHS_MAX];
static struct deaths deaths;

static int begin(void **state)
{
    deaths = (struct deaths){.items = items};
    return 0;
}

static bool is_quarantined(const char *uri)
{
    for (size_t i = 0; i < deaths.count; i++)
        if (deaths.items[i].is_quarantine && strcmp(deaths.items[i].uri, uri) == 0)
            return true;
    return false;
}

static void the_third_death_within_the_time_is_one_too_many(void **state)
{
    assert_false(deaths_add(&deaths, HERON, "SIGSEGV in init", 1000, &three));
    assert_false(deaths_add(&deaths, STORK, "SIGSEGV in init", 1001, &three));
    assert_false(deaths_add(&deaths, HERON, "SIGSEGV in init", 1599, &three));
    assert_true(deaths_add(&deaths, HERON, "SIGABRT in serve", 1600, &three));
    assert_true(is_quarantined(HERON));
    assert_false(is_quarantined(STORK));
    assert_string_equal(deaths.items[deaths.count - 1].what,
                        "killed the daemon 3 times within 10m, last: SIGABRT in serve");
    assert_false(deaths_add(&deaths, HERON, "SIGABRT in serve", 1601, &three));
}

static void deaths_too_far_apart_do_not_count(void **state)
{
    for (int64_t i = 0; i < 20; i++)
        assert_false(deaths_add(&deaths, HERON, "SIGSEGV", 1000 + i * 301, &three));
    assert_false(is_quarantined(HERON));
}

/* The clock may have been set back. */
static void deaths_in_the_future_do_not_count(void **state)
{
    deaths_add(&deaths, HERON, "SIGSEGV", 9000, &three);
    deaths_add(&deaths, HERON, "SIGSEGV", 9001, &three);
    assert_false(deaths_add(&deaths, HERON, "SIGSEGV", 100, &three));
}

static void a_limit_of_none_quarantines_nobody(void **state)
{
    static const struct deaths_limit none = {.count = 0, .within_ns = 1000000000};

    for (int i = 0; i < 10; i++)
        assert_false(deaths_add(&deaths, HERON, "SIGSEGV", 1000, &none));
}

static void the_list_is_bounded_and_quarantines_outlast_deaths(void **state)
{
    char uri[64];

    for (int i = 0; i < 3; i++)
        deaths_add(&deaths, HERON, "SIGSEGV", 1000, &three);
    for (int i = 0; i < 3 * DEATHS_MAX; i++) {
        snprintf(uri, sizeof(uri), "io.example.v1.number-%d", i);
        deaths_add(&deaths, uri, "SIGSEGV", 2000 + i, &three);
        assert_in_range(deaths.count, 1, DEATHS_MAX);
    }
    assert_true(is_quarantined(HERON));
    assert_string_equal(deaths.items[deaths.count - 1].uri, uri);
}

static void one_or_all_are_forgotten(void **state)
{
    for (int i = 0; i < 3; i++) {
        deaths_add(&deaths, HERON, "SIGSEGV", 1000, &three);
        deaths_add(&deaths, STORK, "SIGSEGV", 1000, &three);
    }
    assert_int_equal(deaths_forget(&deaths, "io.example.v1.nobody"), 0);
    assert_int_equal(deaths_forget(&deaths, HERON), 1);
    assert_false(is_quarantined(HERON));
    assert_true(is_quarantined(STORK));
    assert_int_equal(deaths_forget(&deaths, NULL), 1);
    assert_int_equal(deaths.count, 0);
}

static void what_is_written_is_read_again(void **state)
{
    char folder[PATH_MAX];
    struct deaths read;
    struct berth_error error;

    scratch_create(folder);
    assert_int_equal(deaths_read(folder, &read, &error), BERTH_OK);
    assert_int_equal(read.count, 0);
    deaths_finish(&read);
    for (int i = 0; i < 3; i++)
        deaths_add(&deaths, HERON, "SIGSEGV in handler", 1000, &three);
    assert_int_equal(deaths_write(folder, &deaths, &error), BERTH_OK);
    assert_int_equal(deaths_read(folder, &read, &error), BERTH_OK);
    assert_int_equal(read.count, 4);
    for (size_t i = 0; i < read.count; i++) {
        assert_int_equal(read.items[i].time_s, 1000);
        assert_int_equal(read.items[i].is_quarantine, i == 3);
        assert_string_equal(read.items[i].uri, HERON);
        assert_string_equal(read.items[i].what, items[i].what);
    }
    deaths_finish(&read);
    scratch_remove(folder);
}

static void a_link_is_not_followed(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 8];
    struct deaths read;
    struct berth_error error;

    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/deaths", folder);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_int_equal(deaths_read(folder, &read, &error), BERTH_UNAVAILABLE);
    assert_int_equal(read.count, 0);
    deaths_finish(&read);
    scratch_remove(folder);
}

/* It may be only for now that it cannot be read; and somebody wrote it. */
static void a_file_that_cannot_be_read_is_not_replaced(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 8];
    struct deaths read;
    struct berth_error error;

    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/deaths", folder);
    assert_int_equal(deaths_note(folder, HERON, "SIGSEGV in init", &three, &error), BERTH_OK);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(deaths_note(folder, STORK, "SIGSEGV in init", &three, &error), BERTH_PERMISSION_DENIED);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(deaths_note(folder, STORK, "SIGABRT in serve", &three, &error), BERTH_OK);
    assert_int_equal(deaths_read(folder, &read, &error), BERTH_OK);
    assert_int_equal(read.count, 2);
    assert_string_equal(read.items[0].uri, HERON);
    assert_string_equal(read.items[1].what, "SIGABRT in serve");
    deaths_finish(&read);
    scratch_remove(folder);
}

static void write_file(const char *path, const char *bytes, size_t length)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void assert_file(const char *path, const char *expected)
{
    char found[1024] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    found[fread(found, 1, sizeof(found) - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(found, expected);
}

/* Another version may have written them. */
static void lines_that_cannot_be_read_are_kept(void **state)
{
    static const char text[] = "later 5 of a version to come\n\n1 hang " HERON " what\n2 death " HERON
                               " SIGSEGV\n3 death " HERON "\n4 death " STORK " a\0b\nno end of line";
    char folder[PATH_MAX], path[PATH_MAX + 8], sentence[BERTH_ERROR_MAX];
    struct deaths read;
    struct berth_error error;

    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/deaths", folder);
    write_file(path, text, sizeof(text) - 1);
    assert_int_equal(deaths_read(folder, &read, &error), BERTH_OK);
    assert_int_equal(read.count, 2);
    assert_string_equal(read.items[0].uri, HERON);
    assert_string_equal(read.items[1].what, "a?b");
    assert_int_equal(read.other_count, 4);
    assert_true(deaths_describe_others(&read, folder, sentence));
    assert_non_null(strstr(sentence, "/deaths: cannot read 4 lines; leaving them as they are"));
    assert_int_equal(deaths_forget(&read, STORK), 0);
    assert_int_equal(deaths_write(folder, &read, &error), BERTH_OK);
    deaths_finish(&read);
    assert_file(path, "2 death " HERON " SIGSEGV\nlater 5 of a version to come\n1 hang " HERON
                      " what\n3 death " HERON "\nno end of line\n");
    scratch_remove(folder);
}

static void only_so_many_of_them_are_kept(void **state)
{
    static char text[120 * 1000];
    char folder[PATH_MAX], path[PATH_MAX + 8], sentence[BERTH_ERROR_MAX];
    struct deaths read;
    struct berth_error error;

    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/deaths", folder);
    memset(text, 'x', sizeof(text));
    for (size_t i = 999; i < sizeof(text); i += 1000)
        text[i] = '\n';
    write_file(path, text, sizeof(text));
    assert_int_equal(deaths_read(folder, &read, &error), BERTH_OK);
    assert_int_equal(read.count, 0);
    assert_int_equal(read.other_count, 16);
    assert_int_equal(read.lost_count, 104);
    assert_true(deaths_describe_others(&read, folder, sentence));
    assert_non_null(strstr(sentence, "dropping 104 more"));
    deaths_finish(&read);
    assert_false(deaths_describe_others(&read, folder, sentence));
    scratch_remove(folder);
}

/* Root lifts a quarantine of a daemon that runs as somebody else. */
static void the_file_stays_the_daemons(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 8];
    struct deaths read;
    struct berth_error error;
    struct stat status;

    if (geteuid() != 0)
        skip();
    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/deaths", folder);
    assert_int_equal(chown(folder, 65534, 65534), 0);
    deaths_add(&deaths, HERON, "SIGSEGV", 1000, &three);
    assert_int_equal(deaths_write(folder, &deaths, &error), BERTH_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_uid, 65534);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(deaths_read(folder, &read, &error), BERTH_OK);
    assert_int_equal(read.count, 1);
    deaths_finish(&read);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_third_death_within_the_time_is_one_too_many, begin),
        cmocka_unit_test_setup(deaths_too_far_apart_do_not_count, begin),
        cmocka_unit_test_setup(deaths_in_the_future_do_not_count, begin),
        cmocka_unit_test_setup(a_limit_of_none_quarantines_nobody, begin),
        cmocka_unit_test_setup(the_list_is_bounded_and_quarantines_outlast_deaths, begin),
        cmocka_unit_test_setup(one_or_all_are_forgotten, begin),
        cmocka_unit_test_setup(what_is_written_is_read_again, begin),
        cmocka_unit_test_setup(a_link_is_not_followed, begin),
        cmocka_unit_test_setup(a_file_that_cannot_be_read_is_not_replaced, begin),
        cmocka_unit_test_setup(lines_that_cannot_be_read_are_kept, begin),
        cmocka_unit_test_setup(only_so_many_of_them_are_kept, begin),
        cmocka_unit_test_setup(the_file_stays_the_daemons, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
