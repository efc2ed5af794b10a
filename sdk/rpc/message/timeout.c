/* SPDX-License-Identifier: Apache-2.0 */
/* The grpc-timeout header (gRPC over HTTP/2, Timeout). */
#include "timeout.h"

#include <inttypes.h>
#include <stdio.h>

#define DIGITS_MAX 8
#define LARGEST_VALUE 99999999u

struct unit {
    char letter;
    uint64_t nanoseconds;
};

/* From the finest up. */
static const struct unit units[] = {
    {'n', 1},
    {'u', 1000},
    {'m', 1000 * 1000},
    {'S', 1000 * 1000 * 1000},
    {'M', UINT64_C(60) * 1000 * 1000 * 1000},
    {'H', UINT64_C(3600) * 1000 * 1000 * 1000},
};

static const struct unit *find_unit(char letter)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].letter == letter)
            return &units[i];
    return NULL;
}

bool timeout_parse(const char *text, size_t length, uint64_t *ret_nanoseconds)
{
    const struct unit *unit;
    uint64_t value = 0;

    if (length < 2 || length > DIGITS_MAX + 1)
        return false;
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    unit = find_unit(text[length - 1]);
    if (unit == NULL)
        return false;
    *ret_nanoseconds = value > INT64_MAX / unit->nanoseconds ? INT64_MAX : value * unit->nanoseconds;
    return true;
}

void timeout_format(uint64_t nanoseconds, char text[TIMEOUT_TEXT_MAX])
{
    const size_t last = sizeof(units) / sizeof(units[0]) - 1;
    size_t i = 0;
    uint64_t value;

    while (i < last && nanoseconds > LARGEST_VALUE * units[i].nanoseconds)
        i++;
    value = nanoseconds / units[i].nanoseconds + (nanoseconds % units[i].nanoseconds != 0);
    if (value > LARGEST_VALUE)
        value = LARGEST_VALUE;
    snprintf(text, TIMEOUT_TEXT_MAX, "%" PRIu32 "%c", (uint32_t)value, units[i].letter);
}
