/* SPDX-License-Identifier: Apache-2.0 */
/* Fills values into text, and strangers' comments into comments. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

static const char *find_value(const struct text_value *values, const char *name, size_t length)
{
    for (; values->name != NULL; values++)
        if (strlen(values->name) == length && memcmp(values->name, name, length) == 0)
            return values->value;
    abort();
}

void text_fill(FILE *out, const struct text_value *values, const char *text)
{
    const char *begin;

    while ((begin = strchr(text, '$')) != NULL) {
        const char *end = strchr(begin + 1, '$');

        fwrite(text, 1, (size_t)(begin - text), out);
        if (end == NULL)
            abort();
        fputs(find_value(values, begin + 1, (size_t)(end - begin - 1)), out);
        text = end + 1;
    }
    fputs(text, out);
}

static void write_line(FILE *out, const char *line, size_t length)
{
    char before = '\0';

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];

        if ((before == '*' && c == '/') || (before == '/' && c == '*'))
            fputc(' ', out);
        before = c < ' ' || c == 0x7f || c == '\\' ? ' ' : (char)c;
        fputc(before, out);
    }
}

void text_write_comment(FILE *out, const char *before, const char *comment)
{
    while (comment != NULL && *comment != '\0') {
        size_t length = strcspn(comment, "\n");
        size_t indent = strspn(comment, " ");
        size_t end = length;

        while (end > indent && strchr(" \r\t", comment[end - 1]) != NULL)
            end--;
        fputs(before, out);
        if (end > indent) {
            fputc(' ', out);
            write_line(out, comment + indent, end - indent);
        }
        fputc('\n', out);
        comment += length + (comment[length] == '\n');
    }
}
