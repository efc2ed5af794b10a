/* SPDX-License-Identifier: Apache-2.0 */
/* The values of "-bin" metadata: base64 of RFC 4648 section 4, sent without padding. */
#include "base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    if (letter == '+')
        return 62;
    return letter == '/' ? 63 : -1;
}

void base64_encode(const void *bytes, size_t length, char *ret_text)
{
    const unsigned char *from = bytes;

    for (size_t i = 0; i < length; i += 3) {
        size_t count = length - i < 3 ? length - i : 3;
        uint32_t group = (uint32_t)from[i] << 16;

        if (count > 1)
            group |= (uint32_t)from[i + 1] << 8;
        if (count > 2)
            group |= from[i + 2];
        for (size_t j = 0; j <= count; j++)
            *ret_text++ = alphabet[group >> (18 - 6 * j) & 63];
    }
}

static size_t without_padding(const char *text, size_t length)
{
    if (length % 4 != 0 || length == 0 || text[length - 1] != '=')
        return length;
    return text[length - 2] == '=' ? length - 2 : length - 1;
}

bool base64_decode(const char *text, size_t length, void *ret_bytes, size_t *ret_length)
{
    unsigned char *to = ret_bytes;
    uint32_t group = 0;
    size_t written = 0;

    length = without_padding(text, length);
    if (length % 4 == 1)
        return false;
    for (size_t i = 0; i < length; i++) {
        int value = value_of(text[i]);

        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
        if (i % 4 != 0)
            to[written++] = (unsigned char)(group >> (6 - 2 * (i % 4)));
    }
    *ret_length = written;
    return true;
}
