/* SPDX-License-Identifier: Apache-2.0 */
/* Files and their imports: order, provenance, bounds, cycles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <config/tree/load.h>

/* A folder of its own, which is the working directory, for each test. */
static int enter_folder(void **state)
{
    char folder[] = "/tmp/berth-load-XXXXXX";

    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        return -1;
    *state = strdup(folder);
    return mkdir("conf.d", 0700);
}

static int leave_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", (char *)*state);
    free(*state);
    return chdir("/") != 0 || system(command) != 0 ? -1 : 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct config_tree *load(const char *path, struct config_diagnostics *diagnostics)
{
    bool is_complete;

    *diagnostics = (struct config_diagnostics){0};
    return config_load(path, false, diagnostics, &is_complete);
}

static void assert_value(const struct config_tree *tree, const char *key, const char *text, const char *file,
                         unsigned line)
{
    const struct config_node *node = config_node_find(config_tree_root(tree), key);

    assert_non_null(node);
    assert_string_equal(node->text, text);
    assert_string_equal(node->mark.file, file);
    assert_int_equal(node->mark.line, line);
}

static void assert_refused(const char *path, const char *expected)
{
    struct config_diagnostics diagnostics = {0};
    bool is_complete;
    char *line;

    config_tree_destroy(config_load(path, false, &diagnostics, &is_complete));
    assert_false(is_complete);
    assert_int_equal(diagnostics.error_count, 1);
    line = config_diagnostic_format(&diagnostics.items[0]);
    assert_string_equal(line, expected);
    free(line);
    config_diagnostics_finish(&diagnostics);
}

static void imports_are_laid_upon_the_file_sorted_and_later_wins(void **state)
{
    struct config_diagnostics diagnostics;
    struct config_tree *tree;

    write_file("main.yaml", "imports: [conf.d/*.yaml, last.yaml]\na: main\nb: main\nc: main\nd: main\n");
    write_file("conf.d/20-b.yaml", "b: twenty\nc: twenty\n");
    write_file("conf.d/10-a.yaml", "b: ten\nc: ten\nd: ten\n");
    write_file("conf.d/ignored.txt", "b: [\n");
    write_file("last.yaml", "\nc: last\n");
    tree = load("main.yaml", &diagnostics);
    assert_non_null(tree);
    assert_value(tree, "a", "main", "main.yaml", 2);
    assert_value(tree, "b", "twenty", "conf.d/20-b.yaml", 1);
    assert_value(tree, "c", "last", "last.yaml", 2);
    assert_value(tree, "d", "ten", "conf.d/10-a.yaml", 3);
    config_tree_destroy(tree);
}

static void imported_files_import_relative_to_themselves(void **state)
{
    struct config_diagnostics diagnostics;
    struct config_tree *tree;
    char path[128];

    write_file("main.yaml", "imports: [conf.d/a.yaml]\nx: main\n");
    write_file("conf.d/a.yaml", "imports: [b.yaml]\nx: a\nz: a\n");
    write_file("conf.d/b.yaml", "x: b\n");
    snprintf(path, sizeof(path), "%s/main.yaml", (char *)*state);
    tree = load(path, &diagnostics);
    assert_non_null(tree);
    snprintf(path, sizeof(path), "%s/conf.d/b.yaml", (char *)*state);
    assert_value(tree, "x", "b", path, 1);
    assert_int_equal(config_node_find(config_tree_root(tree), "imports")->count, 1);
    config_tree_destroy(tree);
}

static void the_same_file_may_be_imported_twice(void **state)
{
    struct config_diagnostics diagnostics;
    struct config_tree *tree;

    write_file("main.yaml", "imports: [a.yaml, b.yaml, a.yaml]\n");
    write_file("a.yaml", "x: a\n");
    write_file("b.yaml", "x: b\n");
    tree = load("main.yaml", &diagnostics);
    assert_non_null(tree);
    assert_value(tree, "x", "a", "a.yaml", 1);
    config_tree_destroy(tree);
}

static void a_folder_with_wildcards_in_its_name_is_taken_literally(void **state)
{
    struct config_diagnostics diagnostics;
    struct config_tree *tree;

    assert_int_equal(mkdir("[x]*", 0700), 0);
    write_file("[x]*/main.yaml", "imports: ['*.inc']\n");
    write_file("[x]*/a.inc", "x: a\n");
    tree = load("[x]*/main.yaml", &diagnostics);
    assert_non_null(tree);
    assert_value(tree, "x", "a", "[x]*/a.inc", 1);
    config_tree_destroy(tree);
}

static void a_cycle_is_refused_with_its_path(void **state)
{
    write_file("main.yaml", "imports: [a.yaml]\n");
    write_file("a.yaml", "x: 1\nimports: [./conf.d/../main.yaml]\n");
    assert_refused("main.yaml", "a.yaml:2:11: import cycle: main.yaml -> "
                                "a.yaml -> ./conf.d/../main.yaml");
    write_file("self.yaml", "imports: ['s*.yaml']\n");
    assert_refused("self.yaml", "self.yaml:1:11: import cycle: self.yaml -> self.yaml");
}

static void imports_that_nest_too_deep_are_refused(void **state)
{
    char name[32], text[64];

    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "%d.yaml", i);
        snprintf(text, sizeof(text), "imports: [%d.yaml]\n", i + 1);
        write_file(name, text);
    }
    assert_refused("0.yaml", "8.yaml:1:10: imports nested deeper than 8 levels (via 8.yaml)");
}

/* Eight levels of ten imports each would be a hundred million files. */
static void imports_that_multiply_are_bounded(void **state)
{
    struct config_diagnostics diagnostics;
    char name[32], text[256];

    for (int i = 0; i < 8; i++) {
        size_t length = (size_t)sprintf(text, "imports: [");

        for (int j = 0; j < 10; j++)
            length += (size_t)sprintf(text + length, "%d.yaml, ", i + 1);
        sprintf(text + length, "]\n");
        snprintf(name, sizeof(name), "%d.yaml", i);
        write_file(name, text);
    }
    write_file("8.yaml", "x: 1\n");
    config_tree_destroy(load("0.yaml", &diagnostics));
    assert_int_equal(diagnostics.error_count, 1);
    assert_non_null(strstr(diagnostics.items[0].message, "too many or too large"));
    config_diagnostics_finish(&diagnostics);
}

static void what_is_wrong_in_several_files_is_said_at_once_and_the_others_are_read(void **state)
{
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree;
    bool is_complete;

    write_file("main.yaml", "imports: [missing.yaml, 'conf.d/*.yaml', {}]\n");
    write_file("conf.d/a.yaml", "x: [\n");
    write_file("conf.d/b.yaml", "- x\n");
    write_file("conf.d/c.yaml", "x: c\n");
    tree = config_load("main.yaml", false, &diagnostics, &is_complete);
    assert_false(is_complete);
    assert_int_equal(diagnostics.error_count, 4);
    assert_value(tree, "x", "c", "conf.d/c.yaml", 1);
    config_tree_destroy(tree);
    config_diagnostics_finish(&diagnostics);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    assert_refused("none.yaml", "none.yaml: cannot be opened: No such file or directory");
    assert_refused("conf.d", "conf.d: is a directory");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_refused("fifo", "fifo: not a regular file");
    write_file("main.yaml", "imports: x\n");
    assert_refused("main.yaml",
                   "main.yaml:1:10: imports: expected a list of patterns, such as [conf.d/*.yaml]");
    write_file("main.yaml", "imports: [nothing.yaml]\n");
}

static void an_import_that_cannot_be_read_is_named_where_it_is_written(void **state)
{
    static const struct {
        const char *import, *expected;
    } cases[] = {
        {"nothing.yaml", "nothing.yaml: cannot be opened: No such file or directory"},
        {"a\\b.yaml", "a\\b.yaml: cannot be opened: No such file or directory"},
        {".", ".: is a directory"},
        {"conf.d", "conf.d: is a directory"},
        {"con*.d", "conf.d: is a directory"},
        {"/dev/null", "/dev/null: not a regular file"},
        {"loop", "loop: cannot be opened: Too many levels of symbolic links"},
        {"loop/*.yaml", "loop/*.yaml: directory loop cannot be read: Too many levels of symbolic links"},
        {"large", "large: too large: 100MiB, at most 4MiB; split it up with imports"},
    };

    assert_int_equal(symlink("loop", "loop"), 0);
    write_file("large", "");
    assert_int_equal(truncate("large", 100 * 1024 * 1024), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128], expected[256];

        snprintf(text, sizeof(text), "imports: ['%s']\n", cases[i].import);
        snprintf(expected, sizeof(expected), "main.yaml:1:11: %s", cases[i].expected);
        write_file("main.yaml", text);
        assert_refused("main.yaml", expected);
    }
}

/* Root may read all, so it becomes nobody for a moment. */
static void a_pattern_in_an_unreadable_folder_is_an_error(void **state)
{
    bool is_root = geteuid() == 0;

    write_file("main.yaml", "imports: ['conf.d/*.yaml']\n");
    write_file("conf.d/a.yaml", "x: a\n");
    assert_int_equal(chmod("conf.d", 0), 0);
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(is_root ? seteuid(65534) : 0, 0);
    assert_refused("main.yaml",
                   "main.yaml:1:11: conf.d/*.yaml: directory conf.d cannot be read: Permission denied");
    assert_int_equal(is_root ? seteuid(0) : 0, 0);
    assert_int_equal(chmod("conf.d", 0700), 0);
}

static void a_pattern_may_match_nothing_and_a_main_file_be_missing(void **state)
{
    bool is_complete;
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree;

    write_file("main.yaml", "imports: [nothing.d/*.yaml]\n");
    tree = load("main.yaml", &diagnostics);
    assert_non_null(tree);
    config_tree_destroy(tree);
    tree = config_load("missing.yaml", true, &diagnostics, &is_complete);
    assert_true(is_complete);
    assert_non_null(tree);
    assert_null(config_tree_root(tree));
    config_tree_destroy(tree);
    assert_int_equal(diagnostics.count, 0);
}

static void a_file_of_100_mb_is_refused_without_being_read(void **state)
{
    write_file("main.yaml", "");
    assert_int_equal(truncate("main.yaml", 100 * 1024 * 1024), 0);
    assert_refused("main.yaml", "main.yaml: too large: 100MiB, at most 4MiB; split it up with imports");
}

/* /proc says of its files that they are empty. */
static void a_file_that_lies_about_its_size_is_bounded_all_the_same(void **state)
{
    struct config_diagnostics diagnostics = {0};
    size_t length;

    assert_null(config_load_bytes("/proc/kallsyms", 1000, &diagnostics, &length));
    assert_int_equal(diagnostics.error_count, 1);
    config_diagnostics_finish(&diagnostics);
}

int main(void)
{
#define in_folder(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
    const struct CMUnitTest tests[] = {
        in_folder(imports_are_laid_upon_the_file_sorted_and_later_wins),
        in_folder(imported_files_import_relative_to_themselves),
        in_folder(the_same_file_may_be_imported_twice),
        in_folder(a_folder_with_wildcards_in_its_name_is_taken_literally),
        in_folder(a_cycle_is_refused_with_its_path),
        in_folder(imports_that_nest_too_deep_are_refused),
        in_folder(imports_that_multiply_are_bounded),
        in_folder(what_is_wrong_in_several_files_is_said_at_once_and_the_others_are_read),
        in_folder(files_that_cannot_be_read_are_named),
        in_folder(an_import_that_cannot_be_read_is_named_where_it_is_written),
        in_folder(a_pattern_in_an_unreadable_folder_is_an_error),
        in_folder(a_pattern_may_match_nothing_and_a_main_file_be_missing),
        in_folder(a_file_of_100_mb_is_refused_without_being_read),
        in_folder(a_file_that_lies_about_its_size_is_bounded_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
