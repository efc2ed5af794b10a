/* SPDX-License-Identifier: Apache-2.0 */
/* Expiry times of leases: RFC 3339 times, and the keys of an index sorted by them. */
#include "expiry.h"

#include <string.h>
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

/* Reads exactly `digits` digits; the number must be within the bounds. */
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

/* A fraction of a second; digits beyond nanoseconds are ignored. */
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

/* Times before 1970 come before those after it. */
#define BIAS (UINT64_C(1) << 63)

static void write_number(uint8_t *bytes, uint64_t number, size_t length)
{
    for (size_t i = length; i > 0; i--, number >>= 8)
        bytes[i - 1] = (uint8_t)number;
}

static uint64_t read_number(const uint8_t *bytes, size_t length)
{
    uint64_t number = 0;

    for (size_t i = 0; i < length; i++)
        number = number << 8 | bytes[i];
    return number;
}

void index_make(struct index_key *ret_key, const struct expiry *expiry, const char *namespace_name,
                const char *id)
{
    size_t name_length = strlen(namespace_name) + 1;
    size_t id_length = strlen(id);

    write_number(ret_key->bytes, (uint64_t)expiry->seconds ^ BIAS, 8);
    write_number(ret_key->bytes + 8, expiry->nanoseconds, 4);
    memcpy(ret_key->bytes + 12, namespace_name, name_length);
    memcpy(ret_key->bytes + 12 + name_length, id, id_length);
    ret_key->length = 12 + name_length + id_length;
}

/* Copies a name of `length` bytes and terminates it. */
static bool take_name(const uint8_t *bytes, size_t length, char *ret_name, size_t most)
{
    if (length == 0 || length > most || memchr(bytes, '\0', length) != NULL)
        return false;
    memcpy(ret_name, bytes, length);
    ret_name[length] = '\0';
    return true;
}

bool index_read(struct berth_store_bytes key, struct index_entry *ret_entry)
{
    const uint8_t *bytes = key.data;
    const uint8_t *nul = key.length > 12 ? memchr(bytes + 12, '\0', key.length - 12) : NULL;

    if (nul == NULL)
        return false;
    ret_entry->expiry.seconds = (int64_t)(read_number(bytes, 8) ^ BIAS);
    ret_entry->expiry.nanoseconds = (uint32_t)read_number(bytes + 8, 4);
    return take_name(bytes + 12, (size_t)(nul - bytes - 12), ret_entry->namespace_name,
                     sizeof(ret_entry->namespace_name) - 1) &&
           take_name(nul + 1, key.length - (size_t)(nul + 1 - bytes), ret_entry->id,
                     sizeof(ret_entry->id) - 1);
}
