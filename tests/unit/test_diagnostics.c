/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostics: one line each, in the order of files and lines, bounded. */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <config/text/diagnostics.h>

static void assert_line(const struct config_diagnostics *diagnostics, size_t i, const char *expected)
{
    char *line = config_diagnostic_format(&diagnostics->items[i]);

    assert_string_equal(line, expected);
    free(line);
}

static void a_place_stands_before_the_message(void **state)
{
    struct config_diagnostics diagnostics = {0};
    char file[] = "a.yaml";
    struct config_mark mark = {file, 7, 3};
    struct config_mark whole = {.file = file};

    config_diagnostics_add(&diagnostics, CONFIG_ERROR, &mark, "wrong: %d", 5);
    config_diagnostics_add(&diagnostics, CONFIG_WARNING, &whole, "odd");
    config_diagnostics_add(&diagnostics, CONFIG_ERROR, NULL, "nowhere");
    file[0] = 'z';
    assert_line(&diagnostics, 0, "a.yaml:7:3: wrong: 5");
    assert_line(&diagnostics, 1, "a.yaml: odd");
    assert_line(&diagnostics, 2, "nowhere");
    assert_int_equal(diagnostics.count, 3);
    assert_int_equal(diagnostics.error_count, 2);
    config_diagnostics_finish(&diagnostics);
    assert_int_equal(diagnostics.count, 0);
}

static void they_are_sorted_by_file_line_and_column(void **state)
{
    static const struct config_mark marks[] = {
        {"b", 1, 1}, {"a", 10, 1}, {"a", 9, 5}, {"a", 9, 4}, {NULL, 0, 0}};
    struct config_diagnostics diagnostics = {0};

    for (size_t i = 0; i < 5; i++)
        config_diagnostics_add(&diagnostics, CONFIG_ERROR, &marks[i], "x");
    config_diagnostics_sort(&diagnostics);
    assert_line(&diagnostics, 0, "x");
    assert_line(&diagnostics, 1, "a:9:4: x");
    assert_line(&diagnostics, 2, "a:9:5: x");
    assert_line(&diagnostics, 3, "a:10:1: x");
    assert_line(&diagnostics, 4, "b:1:1: x");
    config_diagnostics_finish(&diagnostics);
}

static void those_past_the_bound_are_only_counted(void **state)
{
    struct config_diagnostics diagnostics = {0};

    for (size_t i = 0; i < CONFIG_DIAGNOSTICS_MAX + 5; i++)
        config_diagnostics_add(&diagnostics, CONFIG_ERROR, NULL, "%zu", i);
    assert_int_equal(diagnostics.count, CONFIG_DIAGNOSTICS_MAX);
    assert_int_equal(diagnostics.dropped, 5);
    assert_int_equal(diagnostics.error_count, CONFIG_DIAGNOSTICS_MAX + 5);
    config_diagnostics_finish(&diagnostics);
}

static void a_message_is_one_line_and_steers_no_terminal(void **state)
{
    struct config_diagnostics diagnostics = {0};

    config_diagnostics_add(&diagnostics, CONFIG_ERROR, NULL, "%s", "a\nb\x1b[31mc");
    config_diagnostics_add(&diagnostics, CONFIG_ERROR, &(struct config_mark){"e\n\x1b[1m.yaml", 1, 2},
                           "d\xc2\x9b\u202e!\xff");
    assert_line(&diagnostics, 0, "a b [31mc");
    assert_line(&diagnostics, 1, "e  [1m.yaml:1:2: d     !?");
    config_diagnostics_finish(&diagnostics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_stands_before_the_message),
        cmocka_unit_test(they_are_sorted_by_file_line_and_column),
        cmocka_unit_test(those_past_the_bound_are_only_counted),
        cmocka_unit_test(a_message_is_one_line_and_steers_no_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
