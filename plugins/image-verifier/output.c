/* SPDX-License-Identifier: Apache-2.0 */
/* What a program writes: kept up to a limit, the rest is read and forgotten so that it is not held up. */
#include "output.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>

void output_add(struct output *output, const char *bytes, size_t length)
{
    size_t room = sizeof(output->bytes) - output->length;

    if (length > room) {
        output->is_cut = true;
        length = room;
    }
    memcpy(output->bytes + output->length, bytes, length);
    output->length += length;
}

static bool is_text(const char *bytes, size_t length)
{
    unsigned char c = (unsigned char)*bytes;

    return length > 0 && (length > 1 || (c >= ' ' && c != 0x7f) || c == '\n' || c == '\t');
}

static char *make_text(const char *bytes, size_t length, const char *tail)
{
    char *text = malloc(length + strlen(tail) + 1);
    size_t used = 0;

    if (text == NULL)
        return NULL;
    while (length > 0) {
        size_t taken = berth_utf8_character(bytes, length);

        if (is_text(bytes, taken)) {
            memcpy(text + used, bytes, taken);
            used += taken;
        } else {
            text[used++] = '?';
            taken = 1;
        }
        bytes += taken;
        length -= taken;
    }
    strcpy(text + used, tail);
    return text;
}

static bool is_blank(char c)
{
    return isspace((unsigned char)c) != 0;
}

static char *make_trimmed(const char *bytes, size_t length, const char *tail)
{
    while (length > 0 && is_blank(bytes[length - 1]))
        length--;
    while (length > 0 && is_blank(*bytes)) {
        bytes++;
        length--;
    }
    return make_text(bytes, length, tail);
}

char *output_text(const struct output *output)
{
    return make_trimmed(output->bytes, output->length, output->is_cut ? "(stdout truncated)" : "");
}

void output_each_line(const struct output *output, void (*on_line)(void *context, const char *line),
                      void *context)
{
    const char *end = output->bytes + output->length;
    const char *line = output->bytes;

    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline != NULL ? newline : end;
        char *text = make_trimmed(line, (size_t)(stop - line), "");

        if (text != NULL && *text != '\0')
            on_line(context, text);
        free(text);
        line = stop + 1;
    }
    if (output->is_cut)
        on_line(context, "(more was written and is left out)");
}
