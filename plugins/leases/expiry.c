/* SPDX-License-Identifier: Apache-2.0 */
/* When a lease ends: times as RFC 3339 writes them. */
#include "expiry.h"

#include <time.h>

/* What is left of the text. */
struct text {
    const char *next;
    const char *end;
};

static bool is_digit(const struct text *text)
{
    return text->next < text->end && *text->next >= '0' && *text->next <= '9';
}

static bool take(struct text *text, char c)
{
    if (text->next == text->end || *text->next != c)
        return false;
    text->next++;
    return true;
}

/* Exactly so many digits, of a number in these bounds. */
static bool take_number(struct text *text, unsigned digits, int least, int most, int *ret_number)
{
    int number = 0;

    for (; digits > 0; digits--) {
        if (!is_digit(text))
            return false;
        number = number * 10 + (*text->next++ - '0');
    }
    *ret_number = number;
    return number >= least && number <= most;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Days from 1970-01-01 to a day of the Gregorian calendar, year 0 and on. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t before = year - 1;
    int64_t days = 365 * (int64_t)year + (year > 0 ? before / 4 - before / 100 + before / 400 + 1 : 0);

    for (int i = 1; i < month; i++)
        days += days_of_month(year, i);
    return days + day - 1 - 719528;
}

static bool take_date(struct text *text, int64_t *ret_days)
{
    int year, month, day;

    if (!take_number(text, 4, 0, 9999, &year) || !take(text, '-') || !take_number(text, 2, 1, 12, &month) ||
        !take(text, '-') || !take_number(text, 2, 1, days_of_month(year, month), &day))
        return false;
    *ret_days = days_since_1970(year, month, day);
    return true;
}

/* A fraction of a second; what is finer than nanoseconds is of no interest. */
static bool take_fraction(struct text *text, uint32_t *ret_nanoseconds)
{
    uint32_t unit = 100000000;

    if (!take(text, '.') && !take(text, ','))
        return true;
    if (!is_digit(text))
        return false;
    for (; is_digit(text); unit /= 10)
        *ret_nanoseconds += unit * (uint32_t)(*text->next++ - '0');
    return true;
}

static bool take_time(struct text *text, int64_t *ret_seconds, uint32_t *ret_nanoseconds)
{
    int hour, minute, second;

    if (!take_number(text, 2, 0, 23, &hour) || !take(text, ':') || !take_number(text, 2, 0, 59, &minute) ||
        !take(text, ':') || !take_number(text, 2, 0, 59, &second))
        return false;
    *ret_seconds = hour * 3600 + minute * 60 + second;
    return take_fraction(text, ret_nanoseconds);
}

static bool take_zone(struct text *text, int64_t *ret_seconds)
{
    int hours, minutes;
    bool west;

    *ret_seconds = 0;
    if (take(text, 'Z'))
        return true;
    west = take(text, '-');
    if ((!west && !take(text, '+')) || !take_number(text, 2, 0, 24, &hours) || !take(text, ':') ||
        !take_number(text, 2, 0, 60, &minutes))
        return false;
    *ret_seconds = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

bool expiry_parse(const char *text, size_t length, struct expiry *ret_expiry)
{
    struct text left = {text, text + length};
    int64_t days, seconds, zone;
    uint32_t nanoseconds = 0;

    if (!take_date(&left, &days) || !take(&left, 'T') || !take_time(&left, &seconds, &nanoseconds) ||
        !take_zone(&left, &zone) || left.next != left.end)
        return false;
    *ret_expiry = (struct expiry){days * 86400 + seconds - zone, nanoseconds};
    return true;
}

int expiry_compare(const struct expiry *a, const struct expiry *b)
{
    if (a->seconds != b->seconds)
        return a->seconds < b->seconds ? -1 : 1;
    return (a->nanoseconds > b->nanoseconds) - (a->nanoseconds < b->nanoseconds);
}

struct expiry expiry_now(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    return (struct expiry){now.tv_sec, (uint32_t)now.tv_nsec};
}
