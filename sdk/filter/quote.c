/* SPDX-License-Identifier: Apache-2.0 */
/* Unquotes a quoted part of a filter: Go's escapes, with /…/ and |…| for regular expressions. */
#include "quote.h"

#include <stdint.h>
#include <string.h>

struct reader {
    const char *next;
    const char *end;
    char *out;
};

static void put_rune(struct reader *reader, uint32_t rune)
{
    if (rune < 0x80) {
        *reader->out++ = (char)rune;
    } else if (rune < 0x800) {
        *reader->out++ = (char)(0xc0 | (rune >> 6));
        *reader->out++ = (char)(0x80 | (rune & 0x3f));
    } else if (rune < 0x10000) {
        *reader->out++ = (char)(0xe0 | (rune >> 12));
        *reader->out++ = (char)(0x80 | ((rune >> 6) & 0x3f));
        *reader->out++ = (char)(0x80 | (rune & 0x3f));
    } else {
        *reader->out++ = (char)(0xf0 | (rune >> 18));
        *reader->out++ = (char)(0x80 | ((rune >> 12) & 0x3f));
        *reader->out++ = (char)(0x80 | ((rune >> 6) & 0x3f));
        *reader->out++ = (char)(0x80 | (rune & 0x3f));
    }
}

static int digit(char character)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = character == '\0' ? NULL : strchr(digits, character | 0x20);

    if (character >= '0' && character <= '9')
        return character - '0';
    return found == NULL || found - digits < 10 ? 16 : (int)(found - digits);
}

static bool read_number(struct reader *reader, unsigned base, int count, uint32_t *ret_number)
{
    uint32_t number = 0;

    for (; count > 0; count--) {
        unsigned value = reader->next < reader->end ? (unsigned)digit(*reader->next) : 16;

        if (value >= base)
            return false;
        number = number * base + value;
        reader->next++;
    }
    *ret_number = number;
    return number != 0;
}

static bool read_byte(struct reader *reader, unsigned base, int count)
{
    uint32_t number;

    if (!read_number(reader, base, count, &number) || number > 0xff)
        return false;
    *reader->out++ = (char)number;
    return true;
}

static bool read_code_point(struct reader *reader, int count)
{
    uint32_t rune;

    if (!read_number(reader, 16, count, &rune) || rune > 0x10ffff)
        return false;
    put_rune(reader, rune >= 0xd800 && rune <= 0xdfff ? 0xfffd : rune);
    return true;
}

static bool read_escape(struct reader *reader, char quote)
{
    static const char letters[] = "abfnrtv\\";
    static const char meanings[] = "\a\b\f\n\r\t\v\\";
    const char *letter;
    char character;

    if (reader->next == reader->end)
        return false;
    character = *reader->next++;
    letter = character == '\0' ? NULL : strchr(letters, character);
    if (letter != NULL)
        *reader->out++ = meanings[letter - letters];
    else if (character == quote)
        *reader->out++ = quote;
    else if (character == 'x')
        return read_byte(reader, 16, 2);
    else if (character == 'u' || character == 'U')
        return read_code_point(reader, character == 'u' ? 4 : 8);
    else
        return reader->next--, read_byte(reader, 8, 3);
    return true;
}

bool quote_remove(const char *text, size_t length, char *ret_text)
{
    struct reader reader = {.next = text + 1, .end = text + length - 1, .out = ret_text};

    while (reader.next < reader.end) {
        if (*reader.next != '\\') {
            *reader.out++ = *reader.next++;
            continue;
        }
        reader.next++;
        if (!read_escape(&reader, text[0]))
            return false;
    }
    *reader.out = '\0';
    return true;
}
