/* SPDX-License-Identifier: Apache-2.0 */
/* Tells text from bytes (RFC 3629), and makes one printable line of what somebody else wrote. */
#include "utf8.h"

#include <string.h>

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* What the lead byte promises; overlong forms, surrogates and what is past U+10FFFF are found below. */
static size_t promised(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 2;
    if (lead >= 0xE0 && lead <= 0xEF)
        return 3;
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

static bool second_is_valid(unsigned char lead, unsigned char second)
{
    switch (lead) {
    case 0xE0:
        return second >= 0xA0;
    case 0xED:
        return second <= 0x9F;
    case 0xF0:
        return second >= 0x90;
    case 0xF4:
        return second <= 0x8F;
    default:
        return true;
    }
}

size_t utf8_character(const char *text, size_t length)
{
    size_t bytes = length > 0 ? promised((unsigned char)text[0]) : 0;

    if (bytes == 0 || bytes > length)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if (!is_continuation(text[i]))
            return 0;
    if (bytes > 1 && !second_is_valid((unsigned char)text[0], (unsigned char)text[1]))
        return 0;
    return bytes;
}

/* C0, DEL, and C1 as UTF-8 spells it. */
static bool is_control(const char *text, size_t bytes)
{
    unsigned char first = (unsigned char)text[0];

    return (bytes == 1 && (first < 0x20 || first == 0x7F)) ||
           (bytes == 2 && first == 0xC2 && (unsigned char)text[1] < 0xA0);
}

bool utf8_is_line(const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length;) {
        size_t bytes = utf8_character(text + i, length - i);

        if (bytes == 0 || is_control(text + i, bytes))
            return false;
        i += bytes;
    }
    return true;
}

void utf8_make_line(char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length;) {
        size_t bytes = utf8_character(text + i, length - i);

        if (bytes == 0)
            text[i] = '?';
        else if (is_control(text + i, bytes))
            memset(text + i, ' ', bytes);
        i += bytes > 0 ? bytes : 1;
    }
}

void utf8_write_line(FILE *out, const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length;) {
        size_t bytes = utf8_character(text + i, length - i);

        if (bytes == 0)
            fputc('?', out);
        else if (is_control(text + i, bytes))
            fputc(' ', out);
        else
            fwrite(text + i, 1, bytes, out);
        i += bytes > 0 ? bytes : 1;
    }
}
