/* SPDX-License-Identifier: Apache-2.0 */
/* Collects the problems found in files, each with its place, so they can all be reported at once. */
#include "diagnostics.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

/* Longer messages are cut: they may quote text of any length from a file. */
enum {
    MESSAGE_MAX = 4096,
};

static char *copy_text(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        abort();
    return copy;
}

static struct config_diagnostic *add_item(struct config_diagnostics *diagnostics)
{
    size_t count = diagnostics->count;

    if (count >= CONFIG_DIAGNOSTICS_MAX) {
        diagnostics->dropped++;
        return NULL;
    }
    if ((count & (count - 1)) == 0) {
        size_t capacity = count == 0 ? 1 : count * 2;

        diagnostics->items = realloc(diagnostics->items, capacity * sizeof(*diagnostics->items));
        if (diagnostics->items == NULL)
            abort();
    }
    diagnostics->count++;
    return &diagnostics->items[count];
}

/* NULL if there is no room for more. */
static struct config_diagnostic *add_message(struct config_diagnostics *diagnostics,
                                             enum config_severity severity, const struct config_mark *mark,
                                             const char *format, va_list arguments)
{
    struct config_diagnostic *item;
    char message[MESSAGE_MAX];

    if (severity == CONFIG_ERROR)
        diagnostics->error_count++;
    item = add_item(diagnostics);
    if (item == NULL)
        return NULL;
    vsnprintf(message, sizeof(message), format, arguments);
    utf8_make_line(message);
    *item = (struct config_diagnostic){.severity = severity, .message = copy_text(message)};
    if (mark != NULL && mark->file != NULL)
        item->mark = (struct config_mark){copy_text(mark->file), mark->line, mark->column};
    return item;
}

void config_diagnostics_vadd(struct config_diagnostics *diagnostics, enum config_severity severity,
                             const struct config_mark *mark, const char *format, va_list arguments)
{
    add_message(diagnostics, severity, mark, format, arguments);
}

void config_diagnostics_add(struct config_diagnostics *diagnostics, enum config_severity severity,
                            const struct config_mark *mark, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_message(diagnostics, severity, mark, format, arguments);
    va_end(arguments);
}

void config_diagnostics_add_deprecation(struct config_diagnostics *diagnostics, const char *setting,
                                        const struct config_mark *mark, const char *format, ...)
{
    struct config_diagnostic *item;
    va_list arguments;

    va_start(arguments, format);
    item = add_message(diagnostics, CONFIG_WARNING, mark, format, arguments);
    va_end(arguments);
    if (item == NULL)
        return;
    item->deprecated = copy_text(setting);
    utf8_make_line(item->deprecated);
}

static int compare_numbers(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_places(const void *a, const void *b)
{
    const struct config_mark *left = &((const struct config_diagnostic *)a)->mark;
    const struct config_mark *right = &((const struct config_diagnostic *)b)->mark;
    int order = strcmp(left->file == NULL ? "" : left->file, right->file == NULL ? "" : right->file);

    if (order == 0)
        order = compare_numbers(left->line, right->line);
    return order != 0 ? order : compare_numbers(left->column, right->column);
}

enum config_severity config_diagnostics_of_unknown(const struct config_diagnostics *diagnostics)
{
    return diagnostics->forgives_unknown ? CONFIG_WARNING : CONFIG_ERROR;
}

void config_diagnostics_sort(struct config_diagnostics *diagnostics)
{
    if (diagnostics->count > 1)
        qsort(diagnostics->items, diagnostics->count, sizeof(*diagnostics->items), compare_places);
}

char *config_diagnostic_format(const struct config_diagnostic *diagnostic)
{
    const struct config_mark *mark = &diagnostic->mark;
    char *line;
    int length;

    if (mark->file == NULL)
        return copy_text(diagnostic->message);
    if (mark->line == 0)
        length = asprintf(&line, "%s: %s", mark->file, diagnostic->message);
    else
        length = asprintf(&line, "%s:%u:%u: %s", mark->file, mark->line, mark->column, diagnostic->message);
    if (length < 0)
        abort();
    utf8_make_line(line);
    return line;
}

void config_diagnostics_finish(struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        free((char *)diagnostics->items[i].mark.file);
        free(diagnostics->items[i].message);
        free(diagnostics->items[i].deprecated);
    }
    free(diagnostics->items);
    *diagnostics = (struct config_diagnostics){0};
}
