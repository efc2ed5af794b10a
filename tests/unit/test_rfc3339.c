/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tests/cmocka.h>

#include <sdk/base/rfc3339.h>

static void moments_are_written_in_utc(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {951868799, "2000-02-29T23:59:59Z"},
        {951868800, "2000-03-01T00:00:00Z"},
        {4107542400, "2100-03-01T00:00:00Z"},
        {4107542399, "2100-02-28T23:59:59Z"},
        {1764460800, "2025-11-30T00:00:00Z"},
        {-62167219200, "0000-01-01T00:00:00Z"},
        {253402300799, "9999-12-31T23:59:59Z"},
    };
    char text[RFC3339_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(rfc3339_format(cases[i].seconds, 0, 0, text), cases[i].text);
}

static void a_year_without_four_digits_has_no_text(void **state)
{
    static const int64_t outside[] = {253402300800, -62167219201, INT64_MAX, INT64_MIN};
    char text[RFC3339_MAX];

    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        assert_string_equal(rfc3339_format(outside[i], 0, 9, text), "");
}

static void a_fraction_is_cut_off_and_padded(void **state)
{
    char text[RFC3339_MAX];

    assert_string_equal(rfc3339_format(0, 999999999, 0, text), "1970-01-01T00:00:00Z");
    assert_string_equal(rfc3339_format(0, 999999999, 3, text), "1970-01-01T00:00:00.999Z");
    assert_string_equal(rfc3339_format(0, 1999999, 3, text), "1970-01-01T00:00:00.001Z");
    assert_string_equal(rfc3339_format(0, 7, 9, text), "1970-01-01T00:00:00.000000007Z");
    assert_int_equal(strlen(text) + 1, RFC3339_MAX);
}

/* Every day from the year 0 to the year 9999, at some second of it. */
static void it_agrees_with_the_c_library(void **state)
{
    char text[RFC3339_MAX], expected[64];

    for (int64_t day = -719528; day <= 2932896; day++) {
        time_t seconds = (time_t)(day * 86400 + (day & INT64_C(0xffff)) % 86400);
        struct tm parts;

        assert_non_null(gmtime_r(&seconds, &parts));
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
        if (strcmp(rfc3339_format(seconds, 0, 0, text), expected) != 0)
            fail_msg("%" PRId64 ": %s, expected %s", (int64_t)seconds, text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_written_in_utc),
        cmocka_unit_test(a_year_without_four_digits_has_no_text),
        cmocka_unit_test(a_fraction_is_cut_off_and_padded),
        cmocka_unit_test(it_agrees_with_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
