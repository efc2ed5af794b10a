/* SPDX-License-Identifier: Apache-2.0 */
/* Whole directories of modules, good ones and bad ones. */
#include <core/manifest/manifest.h>
#include <core/scan/scan.h>

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include <tests/cmocka.h>

#include "scratch.h"

/* Two plugin directories side by side, and a path below them. */
static struct place {
    char root[PATH_MAX];
    char first[PATH_MAX + 16];
    char second[PATH_MAX + 16];
    char path[2 * PATH_MAX];
} place;

static int set_up(void **state)
{
    scratch_create(place.root);
    snprintf(place.first, sizeof(place.first), "%s/first", place.root);
    snprintf(place.second, sizeof(place.second), "%s/second", place.root);
    assert_int_equal(mkdir(place.first, 0755), 0);
    assert_int_equal(mkdir(place.second, 0755), 0);
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(place.root);
    return 0;
}

static const char *below(const char *name)
{
    snprintf(place.path, sizeof(place.path), "%s/%s", place.root, name);
    return place.path;
}

static void write_file(const char *name, const void *bytes, size_t length)
{
    int fd = open(below(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

static char *read_fixture(const char *fixture, size_t *ret_length)
{
    char path[PATH_MAX];
    char *bytes = malloc(1 << 20);
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s.so", getenv("BERTH_FIXTURES"), fixture);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(bytes);
    *ret_length = fread(bytes, 1, 1 << 20, file);
    assert_true(*ret_length > 0 && *ret_length < 1 << 20);
    fclose(file);
    return bytes;
}

static void put(const char *fixture, const char *name)
{
    size_t length;
    char *bytes = read_fixture(fixture, &length);

    write_file(name, bytes, length);
    free(bytes);
}

/* What the last scan found in its files. */
static struct catalog catalog;

static void scan_both(struct scan *scan)
{
    const char *const directories[] = {place.first, place.second};

    catalog_read(directories, 2, NULL, NULL, scan, &catalog);
}

static const struct manifest *manifest_of(const struct scan_file *file)
{
    for (size_t i = 0; i < catalog.manifest_count; i++)
        if (catalog.manifests[i]->file == file)
            return catalog.manifests[i];
    return NULL;
}

static void finish(struct scan *scan)
{
    catalog_finish(&catalog);
    scan_finish(scan);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static void a_name_that_is_no_text_is_shown_as_a_line(void **state)
{
    struct scan scan;

    put("good", "first/a\xff\n.so");
    write_file("first/b\xff\n.so", "no module", 9);
    scan_both(&scan);
    assert_int_equal(scan.count, 2);
    assert_true(ends_with(scan.files[0].path, "/first/a\xff\n.so"));
    assert_true(ends_with(scan.files[0].shown, "/first/a? .so"));
    assert_string_equal(manifest_of(&scan.files[0])->path, scan.files[0].shown);
    assert_true(ends_with(scan.files[1].shown, "/first/b? .so"));
    assert_non_null(strstr(scan.files[1].reason, "/first/b? .so: "));
    finish(&scan);
}

/* What a file was before counts, also where there is none by now; and it is judged as files are. */
static void a_pin_stands_in_for_a_file(void **state)
{
    const char *const directories[] = {place.first, place.second};
    struct catalog_fallback fallback = {0};
    struct scan_pin pins[2] = {{.held_back = "9.0.0"}, {0}};
    char paths[2][3 * PATH_MAX];
    struct scan scan;

    put("good", "kept");
    put("standalone", "first/b.so");
    put("twin_a", "first/c.so");
    for (int i = 0; i < 2; i++) {
        pins[i].fd = open(below("kept"), O_RDONLY | O_CLOEXEC);
        snprintf(paths[i], sizeof(paths[i]), "%s/%s", place.first, i == 0 ? "b.so" : "a.so");
        pins[i].path = paths[i];
        assert_int_equal(fstat(pins[i].fd, &pins[i].opened), 0);
        pins[i].status = pins[i].opened;
    }
    fallback.pins = pins;
    fallback.pin_count = 1;
    catalog_read(directories, 2, NULL, &fallback, &scan, &catalog);
    assert_int_equal(scan.count, 2);
    assert_true(ends_with(scan.files[0].path, "/first/b.so"));
    assert_string_equal(scan.files[0].held_back, "9.0.0");
    assert_string_equal(manifest_of(&scan.files[0])->module, "good");
    assert_null(scan.files[1].held_back);
    assert_int_equal(scan.warning_count, 1);
    assert_non_null(
        strstr(scan.warnings[0], "b.so: good 1.0.0 is used, held back from 9.0.0 on disk by a rollback"));
    finish(&scan);

    /* In the order of names, as if it were there. */
    fallback.pin_count = 2;
    catalog_read(directories, 2, NULL, &fallback, &scan, &catalog);
    assert_int_equal(scan.count, 3);
    assert_true(ends_with(scan.files[0].path, "/first/a.so"));
    assert_string_equal(scan.files[0].held_back, "");
    finish(&scan);

    /* Overwritten, or written by somebody else: then the file counts, and the pin says why. */
    assert_int_equal(chmod(below("kept"), 0666), 0);
    catalog_read(directories, 2, NULL, &fallback, &scan, &catalog);
    assert_string_equal(manifest_of(&scan.files[1])->module, "standalone");
    assert_non_null(strstr(pins[0].objection, "/first/b.so: is not trusted"));
    finish(&scan);
    assert_int_equal(chmod(below("kept"), 0644), 0);
    assert_int_equal(truncate(below("kept"), 100), 0);
    catalog_read(directories, 2, NULL, &fallback, &scan, &catalog);
    assert_string_equal(manifest_of(&scan.files[1])->module, "standalone");
    assert_non_null(strstr(pins[0].objection, "/first/b.so: its earlier content was overwritten"));
    finish(&scan);
    for (int i = 0; i < 2; i++) {
        free(pins[i].objection);
        close(pins[i].fd);
    }
}

static void files_come_by_directory_and_then_by_the_bytes_of_their_names(void **state)
{
    struct scan scan;

    put("good", "second/a.so");
    put("standalone", "first/z.so");
    put("twin_a", "first/B.so");
    put("twin_b", "first/a.so");
    scan_both(&scan);
    assert_int_equal(scan.count, 4);
    assert_int_equal(scan.warning_count, 0);
    assert_true(ends_with(scan.files[0].path, "/first/B.so"));
    assert_true(ends_with(scan.files[1].path, "/first/a.so"));
    assert_true(ends_with(scan.files[2].path, "/first/z.so"));
    assert_true(ends_with(scan.files[3].path, "/second/a.so"));
    assert_string_equal(manifest_of(&scan.files[3])->module, "good");
    assert_string_equal(manifest_of(&scan.files[3])->path, scan.files[3].path);
    finish(&scan);
}

static void names_that_do_not_end_in_so_are_no_modules(void **state)
{
    struct scan scan;

    put("good", "first/good.so.1");
    put("good", "first/good");
    put("good", "first/.so");
    write_file("first/README", "text", 4);
    scan_both(&scan);
    assert_int_equal(scan.count, 0);
    assert_int_equal(scan.warning_count, 0);
    finish(&scan);
}

static const struct rejected_case {
    const char *fixture;
    enum berth_code code;
    const char *piece;
} rejected_cases[] = {
    {"no_note", BERTH_NOT_FOUND, "has no berth note"},
    {"note_type_2", BERTH_INVALID_ARGUMENT, "has type 2, this host reads type 1"},
    {"note_huge", BERTH_INVALID_ARGUMENT, "the maximum is 65536"},
    {"note_empty", BERTH_INVALID_ARGUMENT, "note: the manifest is empty"},
    {"note_no_yaml", BERTH_INVALID_ARGUMENT, ": note:2:"},
    {"note_alias_bomb", BERTH_INVALID_ARGUMENT, ": note:2:4: "},
};

static void a_bad_file_costs_that_file_only_and_its_reason_is_kept(void **state)
{
    struct scan scan;

    for (size_t i = 0; i < sizeof(rejected_cases) / sizeof(rejected_cases[0]); i++) {
        const struct rejected_case *rejected = &rejected_cases[i];

        put(rejected->fixture, "first/bad.so");
        put("good", "first/good.so");
        scan_both(&scan);
        assert_int_equal(scan.count, 2);
        if (scan.files[0].code != rejected->code || strstr(scan.files[0].reason, rejected->piece) == NULL)
            fail_msg("%s: %s: %s", rejected->fixture, berth_code_name(scan.files[0].code),
                     scan.files[0].reason);
        assert_int_equal(strncmp(scan.files[0].reason, scan.files[0].path, strlen(scan.files[0].path)), 0);
        assert_null(strchr(scan.files[0].reason, '\n'));
        assert_null(manifest_of(&scan.files[0]));
        assert_non_null(manifest_of(&scan.files[1]));
        assert_null(scan.files[1].reason);
        finish(&scan);
        unlink(below("first/bad.so"));
    }
}

static void what_a_manifest_has_too_much_is_ignored_with_a_few_warnings(void **state)
{
    struct scan scan;

    put("note_newer", "first/newer.so");
    put("note_unknown_key", "first/typo.so");
    scan_both(&scan);
    assert_int_equal(scan.count, 2);
    assert_non_null(manifest_of(&scan.files[0]));
    assert_non_null(manifest_of(&scan.files[1]));
    assert_int_equal(scan.warning_count, 10);
    assert_non_null(
        strstr(scan.warnings[0], "newer.so: note:3:1: a manifest has no key \"k01\"; ignoring it"));
    assert_true(ends_with(scan.warnings[8], "/first/newer.so: note: and 3 more warnings about this file"));
    assert_non_null(strstr(scan.warnings[9], "did you mean \"requires\"?"));
    finish(&scan);
}

static void a_folder_of_modules_from_the_future_is_no_flood_of_warnings(void **state)
{
    struct scan scan;

    for (int i = 0; i < 70; i++) {
        char name[32];

        snprintf(name, sizeof(name), "first/%02d.so", i);
        put("note_unknown_key", name);
    }
    scan_both(&scan);
    assert_int_equal(scan.count, 70);
    assert_int_equal(scan.warning_count, 65);
    assert_string_equal(scan.warnings[64], "and 6 more warnings about manifests");
    finish(&scan);
}

static void a_file_that_may_not_be_trusted_is_not_even_read(void **state)
{
    struct scan scan;

    put("good", "first/good.so");
    assert_int_equal(chmod(place.path, 0666), 0);
    assert_int_equal(symlink("/bin/sh", below("first/out.so")), 0);
    scan_both(&scan);
    assert_int_equal(scan.count, 2);
    assert_int_equal(scan.files[0].code, BERTH_PERMISSION_DENIED);
    assert_int_equal(scan.files[1].code, BERTH_PERMISSION_DENIED);
    assert_null(manifest_of(&scan.files[0]));
    assert_true(ends_with(scan.files[1].path, "/first/out.so"));
    finish(&scan);
}

static void a_file_met_twice_is_taken_once_with_a_warning_that_names_both(void **state)
{
    struct scan scan;

    put("good", "first/good.so");
    assert_int_equal(symlink("good.so", below("first/a.so")), 0);
    put("standalone", "second/b.so");
    scan_both(&scan);
    assert_int_equal(scan.count, 2);
    assert_true(ends_with(scan.files[0].path, "/first/good.so"));
    assert_int_equal(scan.warning_count, 1);
    assert_non_null(strstr(scan.warnings[0], "/first/good.so: same file as "));
    assert_non_null(strstr(scan.warnings[0], "/first/a.so; used once"));
    finish(&scan);
}

static void a_hard_link_in_another_directory_is_the_same_file(void **state)
{
    char original[2 * PATH_MAX];
    struct scan scan;

    put("good", "first/good.so");
    memcpy(original, place.path, sizeof(original));
    assert_int_equal(link(original, below("second/other.so")), 0);
    scan_both(&scan);
    assert_int_equal(scan.count, 1);
    assert_int_equal(scan.warning_count, 1);
    assert_non_null(strstr(scan.warnings[0], "/second/other.so: same file as "));
    finish(&scan);
}

static void a_directory_given_twice_is_read_once(void **state)
{
    const char *directories[] = {place.first, place.first, place.second};
    struct scan scan;

    put("good", "first/good.so");
    assert_int_equal(rmdir(place.second), 0);
    assert_int_equal(symlink("first", place.second), 0);
    catalog_read(directories, 3, NULL, NULL, &scan, &catalog);
    assert_int_equal(scan.count, 1);
    assert_int_equal(scan.warning_count, 2);
    assert_non_null(strstr(scan.warnings[0], "same plugin directory as "));
    assert_non_null(strstr(scan.warnings[1], "/second: same plugin directory as "));
    finish(&scan);
}

static void a_bad_directory_costs_that_directory_only(void **state)
{
    const char *directories[] = {"/nowhere/at/all", place.first, "/dev/null", place.second};
    struct scan scan;

    put("good", "first/bad.so");
    put("good", "second/good.so");
    assert_int_equal(chmod(place.first, 0777), 0);
    catalog_read(directories, 4, NULL, NULL, &scan, &catalog);
    assert_int_equal(scan.count, 1);
    assert_non_null(manifest_of(&scan.files[0]));
    assert_int_equal(scan.warning_count, 0);
    assert_int_equal(scan.rejection_count, 3);
    assert_int_equal(scan.rejections[0].directory, 0);
    assert_true(scan.rejections[0].is_missing);
    assert_string_equal(scan.rejections[0].reason, "/nowhere/at/all: no such directory");
    assert_int_equal(scan.rejections[1].directory, 1);
    assert_false(scan.rejections[1].is_missing);
    assert_non_null(strstr(scan.rejections[1].reason, "everybody may write to it (mode 0777"));
    assert_int_equal(scan.rejections[2].directory, 2);
    assert_false(scan.rejections[2].is_missing);
    assert_non_null(strstr(scan.rejections[2].reason, "/dev/null: is not a directory"));
    finish(&scan);
}

static void a_stripped_module_keeps_its_manifest(void **state)
{
    char command[5 * PATH_MAX];
    struct scan scan;

    put("good", "first/good.so");
    snprintf(command, sizeof(command), "strip --strip-all '%s' && chmod 644 '%s'", place.path, place.path);
    assert_int_equal(system(command), 0);
    scan_both(&scan);
    assert_int_equal(scan.count, 1);
    assert_non_null(manifest_of(&scan.files[0]));
    finish(&scan);
}

static void a_module_cut_anywhere_never_breaks_the_scan(void **state)
{
    size_t length;
    char *bytes = read_fixture("good", &length);
    struct scan scan;

    for (size_t cut = 0; cut < length; cut += 97) {
        write_file("first/cut.so", bytes, cut);
        assert_int_equal(truncate(place.path, (off_t)cut), 0);
        scan_both(&scan);
        assert_int_equal(scan.count, 1);
        assert_true((manifest_of(&scan.files[0]) == NULL) == (scan.files[0].reason != NULL));
        finish(&scan);
    }
    free(bytes);
}

static void many_files_keep_the_order_of_their_names(void **state)
{
    size_t length;
    char *bytes = read_fixture("good", &length);
    struct scan scan;

    for (int i = 0; i < 300; i++) {
        char name[32];

        snprintf(name, sizeof(name), "first/m%03d.so", i);
        write_file(name, bytes, i % 50 == 7 ? 100 : length);
    }
    scan_both(&scan);
    assert_int_equal(scan.count, 300);
    for (size_t i = 0; i < scan.count; i++) {
        char end[32];

        snprintf(end, sizeof(end), "/m%03zu.so", i);
        assert_true(ends_with(scan.files[i].path, end));
        assert_true((manifest_of(&scan.files[i]) == NULL) == (i % 50 == 7));
    }
    finish(&scan);
    free(bytes);
}

static void no_constructor_runs(void **state)
{
    char mark[2 * PATH_MAX];
    struct scan scan;

    put("constructor_marks", "first/marks.so");
    put("constructor_crashes", "first/crashes.so");
    snprintf(mark, sizeof(mark), "%s/mark", place.root);
    setenv("BERTH_FIXTURE_MARK", mark, 1);
    scan_both(&scan);
    unsetenv("BERTH_FIXTURE_MARK");
    assert_int_equal(scan.count, 2);
    assert_non_null(manifest_of(&scan.files[0]));
    assert_non_null(manifest_of(&scan.files[1]));
    assert_int_equal(access(mark, F_OK), -1);
    finish(&scan);
}

#define test_in_place(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_place(files_come_by_directory_and_then_by_the_bytes_of_their_names),
        test_in_place(a_pin_stands_in_for_a_file),
        test_in_place(a_name_that_is_no_text_is_shown_as_a_line),
        test_in_place(names_that_do_not_end_in_so_are_no_modules),
        test_in_place(a_bad_file_costs_that_file_only_and_its_reason_is_kept),
        test_in_place(what_a_manifest_has_too_much_is_ignored_with_a_few_warnings),
        test_in_place(a_folder_of_modules_from_the_future_is_no_flood_of_warnings),
        test_in_place(a_file_that_may_not_be_trusted_is_not_even_read),
        test_in_place(a_file_met_twice_is_taken_once_with_a_warning_that_names_both),
        test_in_place(a_hard_link_in_another_directory_is_the_same_file),
        test_in_place(a_directory_given_twice_is_read_once),
        test_in_place(a_bad_directory_costs_that_directory_only),
        test_in_place(a_stripped_module_keeps_its_manifest),
        test_in_place(a_module_cut_anywhere_never_breaks_the_scan),
        test_in_place(many_files_keep_the_order_of_their_names),
        test_in_place(no_constructor_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
