/* SPDX-License-Identifier: Apache-2.0 */
/* Writes untrusted text into C: as a string literal and as a comment. */
#include "generate.h"

void generate_write_escaped(FILE *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '\n')
            fputs("\\n", out);
        else if (c == '"' || c == '\\' || c == '?')
            fprintf(out, "\\%c", c);
        else if (c < ' ' || c > '~')
            fprintf(out, "\\%03o", c);
        else
            fputc(c, out);
    }
}

void generate_write_comment(FILE *out, const char *text)
{
    char before = '\0';

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if ((before == '*' && c == '/') || (before == '/' && c == '*'))
            fputc(' ', out);
        before = c < ' ' || c == 0x7f || c == '\\' ? ' ' : (char)c;
        fputc(before, out);
    }
}
