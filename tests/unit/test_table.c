/* SPDX-License-Identifier: Apache-2.0 */
/* Columns as Go's tabwriter lays them out, byte by byte. */
#include <tools/berthctl/print/table.h>

#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

/* Lines end in '\n', cells in '\t'; as tabwriter reads them. */
static void expect(const char *input, const char *expected)
{
    struct table table = {0};
    char *text = NULL, cell[64];
    size_t length, used = 0;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    for (; *input != '\0'; input++) {
        if (*input != '\t' && *input != '\n') {
            cell[used++] = *input;
            continue;
        }
        cell[used] = '\0';
        used = 0;
        table_add(&table, cell);
        if (*input == '\n')
            table_end_line(&table);
    }
    table_print(&table, out, false);
    table_finish(&table);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    expect("TYPE\tID\tPLATFORMS\tSTATUS\t\nio.containerd.content.v1\tcontent\t-\tok\t\n",
           "TYPE                        ID         PLATFORMS    STATUS    \n"
           "io.containerd.content.v1    content    -            ok        \n");
}

static void the_last_cell_of_a_line_makes_no_column(void **state)
{
    expect("a\tb\nlonger\tc\nvery long indeed\nx\ty\n",
           "a         b\nlonger    c\nvery long indeed\nx    y\n");
}

static void a_column_ends_where_a_line_lacks_it(void **state)
{
    expect("a\tb\tc\nlonger\td\nx\ty\tz\n", "a         b    c\nlonger    d\nx         y    z\n");
    expect("a\tlong cell\tc\nx\tb\nx\ty\tz\n", "a    long cell    c\nx    b\nx    y    z\n");
}

static void widths_count_characters(void **state)
{
    expect("gr\xc3\xbc\xc3\x9f\tx\nabcd\ty\n", "gr\xc3\xbc\xc3\x9f    x\nabcd    y\n");
}

static void empty_lines_and_tables_are_fine(void **state)
{
    expect("", "");
    expect("\n", "\n");
    expect("a\tb\n\na\tb\n", "a    b\n\na    b\n");
}

static void what_drives_a_terminal_does_not_get_through(void **state)
{
    struct table table = {0};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    table_add(&table, "\033[2J\r\n\tx\x7f\xc2\x9b"
                      "31m");
    table_end_line(&table);
    table_print(&table, out, true);
    table_finish(&table);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, " [2J   x   31m\n");
    free(text);
}

static void what_would_reorder_a_line_does_not_get_through(void **state)
{
    struct table table = {0};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    table_add(&table, "a\u202eb\u2069\xff");
    table_end_line(&table);
    table_print(&table, out, false);
    table_finish(&table);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "a   b   ?\n");
    free(text);
}

static void colours_do_not_widen_a_column(void **state)
{
    struct table table = {0};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    table_add_coloured(&table, TABLE_GREEN, "ok");
    table_add(&table, "x");
    table_end_line(&table);
    table_print(&table, out, true);
    table_finish(&table);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "\033[32mok\033[0m    x\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(the_last_cell_of_a_line_makes_no_column),
        cmocka_unit_test(a_column_ends_where_a_line_lacks_it),
        cmocka_unit_test(widths_count_characters),
        cmocka_unit_test(empty_lines_and_tables_are_fine),
        cmocka_unit_test(what_drives_a_terminal_does_not_get_through),
        cmocka_unit_test(what_would_reorder_a_line_does_not_get_through),
        cmocka_unit_test(colours_do_not_widen_a_column),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
