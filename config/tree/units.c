/* SPDX-License-Identifier: Apache-2.0 */
/* Reads booleans and numbers strictly: the text must be of the type, not merely convert to it. Durations have
 * Go's spelling, sizes IEC and SI units; both are whole nanoseconds and bytes. */
#include "units.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;

struct unit {
    const char *name;
    int64_t factor;
};

/* A longer name precedes any shorter prefix of it. */
static const struct unit duration_units[] = {
    {"ns", 1},       {"us", 1000},      {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000},
    {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000},  {"h", 3600000000000},
};

static const struct unit byte_units[] = {
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"TiB", INT64_C(1) << 40},
    {"PiB", INT64_C(1) << 50},
    {"EiB", INT64_C(1) << 60},
    {"KB", 1000},
    {"kB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
    {"PB", 1000000000000000},
    {"EB", 1000000000000000000},
    {"B", 1},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A number with an optional fraction: whole + fraction / scale. */
struct amount {
    int64_t whole;
    int64_t fraction;
    int64_t scale;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_whole(const char **at, int64_t *ret_whole)
{
    int64_t whole = 0;

    for (; is_digit(**at); (*at)++) {
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, **at - '0', &whole))
            return false;
    }
    *ret_whole = whole;
    return true;
}

/* More than 18 decimals do not fit, and no unit needs them. */
static bool read_fraction(const char **at, struct amount *amount)
{
    amount->fraction = 0;
    amount->scale = 1;
    for (; is_digit(**at); (*at)++) {
        if (amount->scale > INT64_MAX / 100)
            return false;
        amount->fraction = amount->fraction * 10 + (**at - '0');
        amount->scale *= 10;
    }
    return true;
}

static bool read_amount(const char **at, struct amount *ret_amount)
{
    *ret_amount = (struct amount){.scale = 1};
    if (!is_digit(**at) || !read_whole(at, &ret_amount->whole))
        return false;
    if (**at != '.')
        return true;
    (*at)++;
    return is_digit(**at) && read_fraction(at, ret_amount);
}

static const struct unit *read_unit(const char **at, const struct unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(units[i].name);

        if (strncmp(*at, units[i].name, length) == 0) {
            *at += length;
            return &units[i];
        }
    }
    return NULL;
}

/* False if it overflows or is not a whole number. */
static bool multiply(const struct amount *amount, int64_t factor, int64_t *ret_value)
{
    wide parts = (wide)amount->fraction * factor;
    int64_t value;

    if (parts % amount->scale != 0 || __builtin_mul_overflow(amount->whole, factor, &value) ||
        __builtin_add_overflow(value, (int64_t)(parts / amount->scale), &value))
        return false;
    *ret_value = value;
    return true;
}

/* "10 s" is 10s, "16 MiB" is 16MiB. */
static void skip_blanks(const char **at)
{
    *at += strspn(*at, " ");
}

static bool read_duration(const char *at, int64_t *ret_ns)
{
    int64_t sum = 0;

    if (strcmp(at, "0") == 0) {
        *ret_ns = 0;
        return true;
    }
    do {
        const struct unit *unit;
        struct amount amount;
        int64_t part;

        if (!read_amount(&at, &amount))
            return false;
        skip_blanks(&at);
        unit = read_unit(&at, duration_units, COUNT(duration_units));
        if (unit == NULL || !multiply(&amount, unit->factor, &part) ||
            __builtin_add_overflow(sum, part, &sum))
            return false;
        if (at[0] == ' ' && at[strspn(at, " ")] != '\0')
            skip_blanks(&at);
    } while (*at != '\0');
    *ret_ns = sum;
    return true;
}

bool config_parse_duration(const char *text, int64_t *ret_ns, struct berth_error *err)
{
    if (read_duration(text, ret_ns))
        return true;
    berth_error_set(err, BERTH_INVALID_ARGUMENT,
                    "\"%.60s\" is not a duration (use a form such as 10s, 1m30s or 250ms)", text);
    return false;
}

static bool read_bytes(const char *at, int64_t *ret_bytes)
{
    const struct unit *unit;
    struct amount amount;

    if (!read_amount(&at, &amount))
        return false;
    if (*at == '\0')
        return multiply(&amount, 1, ret_bytes);
    skip_blanks(&at);
    unit = read_unit(&at, byte_units, COUNT(byte_units));
    return unit != NULL && *at == '\0' && multiply(&amount, unit->factor, ret_bytes);
}

bool config_parse_bytes(const char *text, int64_t *ret_bytes, struct berth_error *err)
{
    if (read_bytes(text, ret_bytes))
        return true;
    berth_error_set(err, BERTH_INVALID_ARGUMENT,
                    "\"%.60s\" is not a size (use a form such as 64MiB, 10MB or 512)", text);
    return false;
}

static bool refuse(struct berth_error *err, const struct config_node *node, const char *expected)
{
    berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.60s%s\" is not %s", node->text,
                    node->length > 60 ? "…" : "", expected);
    return false;
}

bool config_read_bool(const struct config_node *node, bool *ret_boolean, struct berth_error *err)
{
    bool is_true = strcmp(node->text, "true") == 0;

    if (!node->plain || (!is_true && strcmp(node->text, "false") != 0))
        return refuse(err, node, "a boolean (use true or false, unquoted)");
    *ret_boolean = is_true;
    return true;
}

static int base_of(const char **digits)
{
    if (strncmp(*digits, "0x", 2) == 0) {
        *digits += 2;
        return 16;
    }
    if (strncmp(*digits, "0o", 2) == 0) {
        *digits += 2;
        return 8;
    }
    return 10;
}

static bool digits_are_valid(const char *digits, int base)
{
    const char *set = base == 16 ? "0123456789abcdefABCDEF" : base == 8 ? "01234567" : "0123456789";

    return *digits != '\0' && digits[strspn(digits, set)] == '\0';
}

bool config_read_int(const struct config_node *node, int64_t *ret_integer, struct berth_error *err)
{
    const char *digits = node->text;
    bool negative = *digits == '-';
    unsigned long long magnitude;
    int base;

    if (negative || *digits == '+')
        digits++;
    base = base_of(&digits);
    if (!node->plain || !digits_are_valid(digits, base))
        return refuse(err, node, "an integer (use digits, unquoted)");
    if (base == 10 && digits[0] == '0' && digits[1] != '\0')
        return refuse(err, node, "an integer: drop the leading 0, or use 0o… for octal");
    errno = 0;
    magnitude = strtoull(digits, NULL, base);
    if (errno != 0 || magnitude > (unsigned long long)INT64_MAX + negative)
        return refuse(err, node, "an integer that fits 64 bits");
    *ret_integer = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

/* Digits with at most one point and an exponent; strtod accepts more (hex, inf, nan). */
static bool is_float(const char *text)
{
    size_t digits;

    text += *text == '-' || *text == '+';
    digits = strspn(text, "0123456789");
    text += digits;
    if (*text == '.') {
        size_t decimals = strspn(++text, "0123456789");

        text += decimals;
        digits += decimals;
    }
    if (digits == 0)
        return false;
    if (*text != 'e' && *text != 'E')
        return *text == '\0';
    text++;
    text += *text == '-' || *text == '+';
    return digits_are_valid(text, 10);
}

/* The decimal separator is a point, whatever locale a plugin has set. */
static double parse_float(const char *text)
{
    locale_t locale = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    double number;

    if (locale == (locale_t)0)
        abort();
    number = strtod_l(text, NULL, locale);
    freelocale(locale);
    return number;
}

bool config_read_float(const struct config_node *node, double *ret_number, struct berth_error *err)
{
    double number;

    if (!node->plain || !is_float(node->text))
        return refuse(err, node, "a number (use a form such as 0.5, unquoted)");
    number = parse_float(node->text);
    if (__builtin_isinf(number))
        return refuse(err, node, "a number within range: too large");
    *ret_number = number;
    return true;
}

/* value / factor with as many decimals as necessary. */
static size_t format_decimal(char *text, int64_t value, int64_t factor, const char *unit)
{
    size_t length = (size_t)snprintf(text, CONFIG_UNITS_MAX, "%lld", (long long)(value / factor));
    int64_t rest = value % factor;

    if (rest > 0)
        text[length++] = '.';
    for (; rest > 0; rest %= factor) {
        rest *= 10;
        text[length++] = (char)('0' + rest / factor);
    }
    return length + (size_t)snprintf(text + length, CONFIG_UNITS_MAX - length, "%s", unit);
}

void config_format_duration(int64_t ns, char ret_text[CONFIG_UNITS_MAX])
{
    const int64_t second = 1000000000;
    size_t length = 0;

    if (ns > 0 && ns < second) {
        const struct unit *unit = ns < 1000      ? &duration_units[0]
                                  : ns < 1000000 ? &duration_units[1]
                                                 : &duration_units[4];

        format_decimal(ret_text, ns, unit->factor, unit->name);
        return;
    }
    if (ns >= 3600 * second)
        length += (size_t)snprintf(ret_text, CONFIG_UNITS_MAX, "%lldh", (long long)(ns / (3600 * second)));
    ns %= 3600 * second;
    if (ns >= 60 * second)
        length += (size_t)snprintf(ret_text + length, CONFIG_UNITS_MAX - length, "%lldm",
                                   (long long)(ns / (60 * second)));
    ns %= 60 * second;
    if (ns > 0 || length == 0)
        format_decimal(ret_text + length, ns, second, "s");
}

static const struct unit *largest_divisor(int64_t bytes, size_t first, size_t last)
{
    for (size_t i = last; i > first; i--) {
        if (bytes % byte_units[i - 1].factor == 0)
            return &byte_units[i - 1];
    }
    return NULL;
}

void config_format_bytes(int64_t bytes, char ret_text[CONFIG_UNITS_MAX])
{
    const struct unit *unit = NULL;

    if (bytes > 0) {
        unit = largest_divisor(bytes, 0, 6);
        if (unit == NULL)
            unit = largest_divisor(bytes, 7, 13);
    }
    if (unit == NULL)
        snprintf(ret_text, CONFIG_UNITS_MAX, "%lld", (long long)bytes);
    else
        snprintf(ret_text, CONFIG_UNITS_MAX, "%lld%s", (long long)(bytes / unit->factor), unit->name);
}

void config_format_float(double number, char ret_text[CONFIG_UNITS_MAX])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(ret_text, CONFIG_UNITS_MAX, "%.*g", digits, number);
        if (strtod(ret_text, NULL) == number)
            break;
    }
    for (char *at = ret_text; *at != '\0'; at++)
        *at = *at == ',' ? '.' : *at;
}
