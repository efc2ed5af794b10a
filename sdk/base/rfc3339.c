/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps of RFC 3339: computes the calendar date from a count of days, without taking a lock. */
#include "rfc3339.h"

#define SECONDS_A_DAY 86400

/* From 0000-01-01T00:00:00Z to 9999-12-31T23:59:59Z. */
#define FIRST_SECOND INT64_C(-62167219200)
#define LAST_SECOND INT64_C(253402300799)

/* From 0000-03-01 to 1970-01-01, and another 400 years, so that the count of days is never negative. */
#define DAYS_BEFORE_1970 (719468 + 146097)

static char *put(char *cursor, uint64_t number, unsigned width, char separator)
{
    for (unsigned i = width; i > 0; i--, number /= 10)
        cursor[i - 1] = (char)('0' + number % 10);
    cursor[width] = separator;
    return cursor + width + 1;
}

/* The year begins in March, so that the odd day of a leap year comes last. An era has 400 years. */
static char *put_date(char *cursor, uint64_t days)
{
    uint64_t era_day = days % 146097;
    uint64_t era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
    uint64_t year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    uint64_t month = (5 * year_day + 2) / 153;

    cursor = put(cursor, era_year + days / 146097 * 400 - 400 + (month >= 10), 4, '-');
    cursor = put(cursor, month < 10 ? month + 3 : month - 9, 2, '-');
    return put(cursor, year_day - (153 * month + 2) / 5 + 1, 2, 'T');
}

char *rfc3339_format(int64_t seconds, uint32_t nanoseconds, unsigned digits, char ret_text[RFC3339_MAX])
{
    uint64_t shifted, second;
    char *cursor = ret_text;

    ret_text[0] = '\0';
    if (seconds < FIRST_SECOND || seconds > LAST_SECOND)
        return ret_text;
    shifted = (uint64_t)(seconds + (int64_t)DAYS_BEFORE_1970 * SECONDS_A_DAY);
    second = shifted % SECONDS_A_DAY;
    cursor = put_date(cursor, shifted / SECONDS_A_DAY);
    cursor = put(cursor, second / 3600, 2, ':');
    cursor = put(cursor, second / 60 % 60, 2, ':');
    cursor = put(cursor, second % 60, 2, digits > 0 ? '.' : 'Z');
    for (unsigned i = digits; i < 9; i++)
        nanoseconds /= 10;
    if (digits > 0)
        cursor = put(cursor, nanoseconds, digits, 'Z');
    *cursor = '\0';
    return ret_text;
}
