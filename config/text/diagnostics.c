/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The problems found in files, each with its place, so that all can be reported at once; and what was
 * probably meant.
 */
#include "diagnostics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

#include "utf8.h"

/* Longer messages are cut: they may quote text of any length from a file. */
enum {
    MESSAGE_MAX = 4096,
};

static struct config_diagnostic *add_item(struct config_diagnostics *diagnostics)
{
    size_t count = diagnostics->count;

    if (count >= CONFIG_DIAGNOSTICS_MAX) {
        diagnostics->dropped++;
        return NULL;
    }
    diagnostics->items = memory_grow(diagnostics->items, count, sizeof(*diagnostics->items));
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
    *item = (struct config_diagnostic){.severity = severity, .message = memory_copy(message)};
    if (mark != NULL && mark->file != NULL)
        item->mark = (struct config_mark){memory_copy(mark->file), mark->line, mark->column};
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
    item->deprecated = memory_copy(setting);
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

    if (mark->file == NULL)
        return memory_copy(diagnostic->message);
    if (mark->line == 0)
        line = memory_format("%s: %s", mark->file, diagnostic->message);
    else
        line = memory_format("%s:%u:%u: %s", mark->file, mark->line, mark->column, diagnostic->message);
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

enum {
    /* Longer names are not worth a guess. */
    NAME_MAX_BYTES = 200,
};

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Edit distance with neighbours swapped counting one (optimal string alignment); gives up past `limit`. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length, size_t limit)
{
    size_t rows[3][NAME_MAX_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *spare = before;
        size_t least = row[0] = i;

        for (size_t j = 1; j <= b_length; j++) {
            row[j] = smallest(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
            least = row[j] < least ? row[j] : least;
        }
        if (least > limit)
            return limit + 1;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_length];
}

const char *config_nearest(const char *name, const char *const *known, size_t count)
{
    size_t length = strlen(name);
    size_t limit = length < 9 ? length / 3 : 3;
    const char *nearest = NULL;

    if (length > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t known_length = strlen(known[i]);
        size_t difference = known_length > length ? known_length - length : length - known_length;
        size_t found;

        if (known_length > NAME_MAX_BYTES || difference > limit || known_length <= limit)
            continue;
        found = distance(name, length, known[i], known_length, limit);
        if (found > limit)
            continue;
        nearest = known[i];
        if (found == 0)
            return nearest;
        limit = found - 1;
    }
    return nearest;
}

struct config_hint config_hint(const char *name, const char *const *known, size_t count)
{
    const char *nearest = config_nearest(name, known, count);
    struct config_hint hint = {""};

    if (nearest != NULL)
        snprintf(hint.text, sizeof(hint.text), " (did you mean \"%s\"?)", nearest);
    return hint;
}
