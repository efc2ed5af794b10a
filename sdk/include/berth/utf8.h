/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 (RFC 3629), for strings from peers that need not be valid. */
#ifndef BERTH_UTF8_H
#define BERTH_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Length by the lead byte; overlong forms, surrogates and values above U+10FFFF are detected below. */
static inline size_t berth_utf8_promised(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 2;
    if (lead >= 0xE0 && lead <= 0xEF)
        return 3;
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

static inline bool berth_utf8_second_is_valid(unsigned char lead, unsigned char second)
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

/**
 * Length in bytes of the character at `text`, 1 to 4; 0 if the first `length` bytes do not begin with one.
 */
static inline size_t berth_utf8_character(const char *text, size_t length)
{
    size_t bytes = length > 0 ? berth_utf8_promised((unsigned char)text[0]) : 0;

    if (bytes == 0 || bytes > length)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            return 0;
    if (bytes > 1 && !berth_utf8_second_is_valid((unsigned char)text[0], (unsigned char)text[1]))
        return 0;
    return bytes;
}

/** Is all of it valid UTF-8? A NUL is valid. */
static inline bool berth_utf8_is_valid(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t bytes = berth_utf8_character(text + i, length - i);

        if (bytes == 0)
            return false;
        i += bytes;
    }
    return true;
}

/** The code point of a character whose length berth_utf8_character has returned. */
static inline unsigned berth_utf8_code_point(const char *text, size_t bytes)
{
    unsigned point = (unsigned char)text[0];

    if (bytes > 1)
        point &= 0x7Fu >> bytes;
    for (size_t i = 1; i < bytes; i++)
        point = (point << 6) | ((unsigned char)text[i] & 0x3F);
    return point;
}

/**
 * May this character from an untrusted source be printed in a line for people? Not if it is a control
 * character, or an invisible one that breaks the line or changes the order or appearance of its surroundings:
 * a name with U+202E in it reads as another name. U+200C and U+200D are allowed, because some scripts need
 * them.
 */
static inline bool berth_utf8_is_printable(const char *text, size_t bytes)
{
    unsigned point = berth_utf8_code_point(text, bytes);

    if (point < 0x20 || (point >= 0x7F && point < 0xA0))
        return false;
    if (point < 0x61C)
        return true;
    return point != 0x61C && point != 0x200B && point != 0x200E && point != 0x200F &&
           !(point >= 0x2028 && point <= 0x202E) && !(point >= 0x2060 && point <= 0x206F) &&
           point != 0xFEFF && !(point >= 0xFFF9 && point <= 0xFFFB) &&
           !(point >= 0xE0000 && point <= 0xE007F);
}

#ifdef __cplusplus
}
#endif

#endif
