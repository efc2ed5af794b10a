/* SPDX-License-Identifier: Apache-2.0 */
/* Escapes what a terminal must not be sent. Outside ASCII, JSON has characters in strings only. */
#include "json_text.h"

#include <berth/utf8.h>

static void write_escaped(FILE *out, unsigned point)
{
    if (point >= 0x10000)
        fprintf(out, "\\u%04x\\u%04x", 0xD800 + ((point - 0x10000) >> 10), 0xDC00 + (point & 0x3FF));
    else
        fprintf(out, "\\u%04x", point);
}

void json_text_write(FILE *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t bytes = berth_utf8_character(text + i, length - i);

        if (bytes == 0) {
            write_escaped(out, 0xFFFD);
            i++;
            continue;
        }
        if (text[i] == '\n' || berth_utf8_is_printable(text + i, bytes))
            fwrite(text + i, 1, bytes, out);
        else
            write_escaped(out, berth_utf8_code_point(text + i, bytes));
        i += bytes;
    }
}
