/* SPDX-License-Identifier: Apache-2.0 */
/* The names that gRPC has for compression (gRPC over HTTP/2, Content-Coding), and which of them to choose. */
#include "coding.h"

#include <string.h>

static const char *const names[] = {
    [CODING_IDENTITY] = "identity",
    [CODING_GZIP] = "gzip",
    [CODING_DEFLATE] = "deflate",
    [CODING_UNKNOWN] = "unknown",
};

enum coding coding_parse(const char *name, size_t length)
{
    for (int i = 0; i < CODINGS_KNOWN; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return (enum coding)i;
    return CODING_UNKNOWN;
}

const char *coding_name(enum coding coding)
{
    return names[coding];
}

static enum coding better(enum coding a, enum coding b)
{
    if (a == CODING_GZIP || b == CODING_GZIP)
        return CODING_GZIP;
    return a == CODING_DEFLATE || b == CODING_DEFLATE ? CODING_DEFLATE : CODING_IDENTITY;
}

enum coding coding_choose(enum coding known, const char *value, size_t length)
{
    const char *end = value + length;

    while (value < end) {
        const char *comma = memchr(value, ',', (size_t)(end - value));
        const char *last = comma == NULL ? end : comma;

        while (value < last && *value == ' ')
            value++;
        while (value < last && last[-1] == ' ')
            last--;
        known = better(known, coding_parse(value, (size_t)(last - value)));
        value = comma == NULL ? end : comma + 1;
    }
    return known;
}
