/* SPDX-License-Identifier: Apache-2.0 */
/* The percent coding of grpc-message (gRPC over HTTP/2, Percent-Encoded). */
#include "percent.h"

#include <stdbool.h>

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

size_t percent_encode(const char *text, size_t length, char *ret_encoded)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t written = 0;

    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (is_plain(byte)) {
            ret_encoded[written++] = text[i];
            continue;
        }
        ret_encoded[written++] = '%';
        ret_encoded[written++] = digits[byte >> 4];
        ret_encoded[written++] = digits[byte & 15];
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
