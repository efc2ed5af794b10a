/* SPDX-License-Identifier: Apache-2.0 */
/* The percent coding of grpc-message (gRPC over HTTP/2, Percent-Encoded). */
#include "percent.h"

#include <stdbool.h>

#include <berth/utf8.h>

static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '%';
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

static size_t escape(const char *bytes, size_t length, char *ret_escaped)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];

        *ret_escaped++ = '%';
        *ret_escaped++ = digits[byte >> 4];
        *ret_escaped++ = digits[byte & 15];
    }
    return length * 3;
}

size_t percent_encode(const char *text, size_t length, char *ret_encoded)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t written = 0;

    for (size_t i = 0; i < length;) {
        size_t bytes = berth_utf8_character(text + i, length - i);

        if (bytes == 0)
            written += escape(replacement, sizeof(replacement) - 1, ret_encoded + written);
        else if (is_plain((unsigned char)text[i]))
            ret_encoded[written++] = text[i];
        else
            written += escape(text + i, bytes, ret_encoded + written);
        i += bytes > 0 ? bytes : 1;
    }
    return written;
}

size_t percent_decode(const char *encoded, size_t length, char *ret_text)
{
    size_t written = 0;

    for (size_t i = 0; i < length; i++) {
        bool is_escape = encoded[i] == '%' && length - i > 2 && hex_value(encoded[i + 1]) >= 0 &&
                         hex_value(encoded[i + 2]) >= 0;

        if (!is_escape) {
            ret_text[written++] = encoded[i];
            continue;
        }
        ret_text[written++] = (char)(hex_value(encoded[i + 1]) << 4 | hex_value(encoded[i + 2]));
        i += 2;
    }
    return written;
}
