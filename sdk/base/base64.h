/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648 4), as metadata with a key that ends in "-bin" travels. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The bytes that base64_encode writes for `length` bytes, without a NUL. */
#define BASE64_ENCODED_LENGTH(length) (((length) / 3) * 4 + ((length) % 3 == 0 ? 0 : (length) % 3 + 1))

/** The most bytes that base64_decode writes for `length` characters. */
#define BASE64_DECODED_MAX(length) ((length) / 4 * 3 + 3)

static inline int base64_value_of(char letter)
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

/** Writes the standard alphabet without padding; no NUL. */
static inline void base64_encode(const void *bytes, size_t length, char *ret_text)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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

/** Pads what base64_encode wrote, with up to two characters and a NUL. `length` is the text's. */
static inline void base64_pad(char *text, size_t length)
{
    while (length % 4 != 0)
        text[length++] = '=';
    text[length] = '\0';
}

static inline size_t base64_without_padding(const char *text, size_t length)
{
    if (length % 4 != 0 || length == 0 || text[length - 1] != '=')
        return length;
    return text[length - 2] == '=' ? length - 2 : length - 1;
}

/** Takes padded and unpadded text. @return false if it is neither. */
static inline bool base64_decode(const char *text, size_t length, void *ret_bytes, size_t *ret_length)
{
    unsigned char *to = ret_bytes;
    uint32_t group = 0;
    size_t written = 0;

    length = base64_without_padding(text, length);
    if (length % 4 == 1)
        return false;
    for (size_t i = 0; i < length; i++) {
        int value = base64_value_of(text[i]);

        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
        if (i % 4 != 0)
            to[written++] = (unsigned char)(group >> (6 - 2 * (i % 4)));
    }
    *ret_length = written;
    return true;
}

#endif
