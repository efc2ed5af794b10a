/* SPDX-License-Identifier: Apache-2.0 */
/* Makes one printable line out of untrusted text. */
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>

#include <sdk/base/memory.h>

bool utf8_is_line(const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length;) {
        size_t bytes = berth_utf8_character(text + i, length - i);

        if (bytes == 0 || !berth_utf8_is_printable(text + i, bytes))
            return false;
        i += bytes;
    }
    return true;
}

void utf8_make_line(char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length;) {
        size_t bytes = berth_utf8_character(text + i, length - i);

        if (bytes == 0)
            text[i] = '?';
        else if (!berth_utf8_is_printable(text + i, bytes))
            memset(text + i, ' ', bytes);
        i += bytes > 0 ? bytes : 1;
    }
}

void utf8_write_line(FILE *out, const char *text)
{
    char *line = memory_copy(text);

    utf8_make_line(line);
    fputs(line, out);
    free(line);
}
