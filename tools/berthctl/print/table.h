/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of cells in columns that are as wide as they need be, laid out as Go's text/tabwriter does. */
#ifndef BERTHCTL_PRINT_TABLE_H
#define BERTHCTL_PRINT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_colour {
    TABLE_PLAIN,
    TABLE_GREEN,
    TABLE_YELLOW,
    TABLE_RED,
    TABLE_FAINT,
    TABLE_BOLD,
};

struct table_cell {
    char *text;
    enum table_colour colour;
};

struct table_line {
    struct table_cell *cells;
    size_t count;
};

/** Zero-initialise. */
struct table {
    struct table_line *lines;
    size_t count;
    /** The last line may take more cells. */
    bool is_open;
};

/**
 * Adds a cell to the line; a control character in it becomes a space. A cell belongs to a column only where
 * another follows it: a line that ends its columns ends in "". These abort when memory is out.
 */
void table_add(struct table *table, const char *text);
void table_add_coloured(struct table *table, enum table_colour colour, const char *text);
void table_end_line(struct table *table);

/** A column is as wide as the widest cell among neighbouring lines that have it, and four spaces more. */
void table_print(const struct table *table, FILE *out, bool with_colours);
void table_finish(struct table *table);

/** Writes a text on its own with a colour. */
void table_print_coloured(FILE *out, bool with_colours, enum table_colour colour, const char *text);
/** Are colours wanted on standard output? A terminal, and neither NO_COLOR nor TERM=dumb (no-color.org). */
bool table_wants_colours(void);

#endif
