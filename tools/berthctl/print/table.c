/* SPDX-License-Identifier: Apache-2.0 */
/* Lays out lines of cells in columns. */
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config/text/utf8.h>

#include <sdk/base/memory.h>

#define PADDING 4

static char *copy_line(const char *text)
{
    char *copy = memory_copy(text);

    utf8_make_line(copy);
    return copy;
}

void table_add_coloured(struct table *table, enum table_colour colour, const char *text)
{
    struct table_line *line;

    if (!table->is_open) {
        table->lines = memory_grow(table->lines, table->count, sizeof(*table->lines));
        table->lines[table->count++] = (struct table_line){0};
        table->is_open = true;
    }
    line = &table->lines[table->count - 1];
    line->cells = memory_grow(line->cells, line->count, sizeof(*line->cells));
    line->cells[line->count++] = (struct table_cell){.text = copy_line(text), .colour = colour};
}

void table_add(struct table *table, const char *text)
{
    table_add_coloured(table, TABLE_PLAIN, text);
}

void table_end_line(struct table *table)
{
    if (!table->is_open)
        table_add(table, "");
    table->is_open = false;
}

/* In characters; a terminal's double widths are left out, as tabwriter does. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static bool has_column(const struct table *table, size_t line, size_t column)
{
    return column + 1 < table->lines[line].count;
}

/* The width of a column in the run of lines around `line` that have it. */
static size_t measure(const struct table *table, size_t line, size_t column, size_t *ret_end)
{
    size_t widest = 0;

    for (; line < table->count && has_column(table, line, column); line++) {
        size_t width = width_of(table->lines[line].cells[column].text);

        if (width > widest)
            widest = width;
    }
    *ret_end = line;
    return widest + PADDING;
}

static size_t count_columns(const struct table *table)
{
    size_t columns = 0;

    for (size_t i = 0; i < table->count; i++)
        if (table->lines[i].count > columns)
            columns = table->lines[i].count;
    return columns;
}

void table_print_coloured(FILE *out, bool with_colours, enum table_colour colour, const char *text)
{
    static const char *const codes[] = {"", "\033[32m", "\033[33m", "\033[31m", "\033[2m", "\033[1m"};

    if (with_colours && colour != TABLE_PLAIN && *text != '\0')
        fprintf(out, "%s%s\033[0m", codes[colour], text);
    else
        fputs(text, out);
}

/* `widths` and `ends` hold for each column how wide it is, and the first line for which that is not true. */
static void print_line(const struct table *table, size_t i, size_t *widths, size_t *ends, FILE *out,
                       bool with_colours)
{
    const struct table_line *line = &table->lines[i];

    for (size_t column = 0; column < line->count; column++) {
        const struct table_cell *cell = &line->cells[column];

        table_print_coloured(out, with_colours, cell->colour, cell->text);
        if (!has_column(table, i, column))
            continue;
        if (ends[column] <= i)
            widths[column] = measure(table, i, column, &ends[column]);
        fprintf(out, "%*s", (int)(widths[column] - width_of(cell->text)), "");
    }
    fputc('\n', out);
}

void table_print(const struct table *table, FILE *out, bool with_colours)
{
    size_t columns = count_columns(table);
    size_t *widths = memory_allocate(columns * 2 + 1, sizeof(*widths));

    for (size_t i = 0; i < table->count; i++)
        print_line(table, i, widths, widths + columns, out, with_colours);
    free(widths);
}

void table_finish(struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        for (size_t j = 0; j < table->lines[i].count; j++)
            free(table->lines[i].cells[j].text);
        free(table->lines[i].cells);
    }
    free(table->lines);
    *table = (struct table){0};
}

bool table_wants_colours(void)
{
    const char *none = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    if (none != NULL && *none != '\0')
        return false;
    return isatty(STDOUT_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}
