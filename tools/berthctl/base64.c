/* SPDX-License-Identifier: Apache-2.0 */
/* Base64, four characters for three bytes. */
#include "base64.h"

#include <string.h>

#include <sdk/base/memory.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_format(const void *bytes, size_t length)
{
    const unsigned char *from = bytes;
    char *text = memory_allocate((length + 2) / 3 * 4 + 1, 1), *to = text;

    for (size_t i = 0; i < length; i += 3) {
        size_t count = length - i < 3 ? length - i : 3;
        unsigned group = 0;

        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < count ? from[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *to++ = '=';
        for (size_t k = 0; k <= count; k++)
            to[(ptrdiff_t)k - 4] = alphabet[group >> (18 - 6 * k) & 63];
    }
    return text;
}

bool base64_parse(const char *text, void *ret_bytes, size_t *ret_length)
{
    size_t length = strlen(text), count = 0;
    unsigned char *to = ret_bytes;
    unsigned group = 0;

    if (length % 4 == 0)
        for (size_t i = 0; i < 2 && length > 0 && text[length - 1] == '='; i++)
            length--;
    if (length % 4 == 1)
        return false;
    for (size_t i = 0; i < length; i++) {
        const char *digit = strchr(alphabet, text[i]);

        if (digit == NULL || *digit == '\0')
            return false;
        group = group << 6 | (unsigned)(digit - alphabet);
        if (i % 4 != 0)
            to[count++] = (unsigned char)(group >> (6 - 2 * (i % 4)));
    }
    *ret_length = count;
    return true;
}
