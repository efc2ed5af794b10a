/* SPDX-License-Identifier: Apache-2.0 */
/* What is a character of UTF-8 and what only looks like one, and lines made of both. */
#include <berth/utf8.h>
#include <config/text/utf8.h>

#include <string.h>

#include <tests/cmocka.h>

static void the_first_and_last_of_each_length_are_characters(void **state)
{
    static const char *const characters[] = {
        "\x01",         "\x7f",         "\xc2\x80",     "\xdf\xbf",         "\xe0\xa0\x80",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
    };

    for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
        size_t length = strlen(characters[i]);

        assert_int_equal(berth_utf8_character(characters[i], length), length);
        assert_int_equal(berth_utf8_character(characters[i], length - 1), 0);
    }
    assert_int_equal(berth_utf8_character("\0", 1), 1);
}

static void overlong_forms_surrogates_and_what_is_past_the_end_are_none(void **state)
{
    static const char *const impostors[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2\x41",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
    };

    for (size_t i = 0; i < sizeof(impostors) / sizeof(impostors[0]); i++)
        assert_int_equal(berth_utf8_character(impostors[i], strlen(impostors[i])), 0);
}

static void a_text_is_valid_where_all_of_it_is_characters(void **state)
{
    assert_true(berth_utf8_is_valid("", 0));
    assert_true(berth_utf8_is_valid("a\0\xe2\x82\xac", 5));
    assert_false(berth_utf8_is_valid("a\xe2\x82\xac", 3));
    assert_false(berth_utf8_is_valid("a\xff"
                                     "b",
                                     3));
}

static void a_line_has_no_control_characters(void **state)
{
    assert_true(utf8_is_line(""));
    assert_true(utf8_is_line("Gr\xc3\xbc\xc3\x9f"
                             "e, \xe2\x82\xac 5"));
    assert_false(utf8_is_line("two\nlines"));
    assert_false(utf8_is_line("\x1b[2J"));
    assert_false(utf8_is_line("\x7f"));
    assert_false(utf8_is_line("\xc2\x9b"
                              "2J"));
    assert_false(utf8_is_line("\xff"));
}

/* Which a terminal does not show but obeys, or which hide that a text is another one. */
static void a_line_has_nothing_that_is_invisible_and_reorders_or_breaks_it(void **state)
{
    static const char *const bad[] = {
        "\u061c", "\u200b", "\u200e", "\u200f", "\u2028",     "\u2029",     "\u202a", "\u202b",
        "\u202c", "\u202d", "\u202e", "\u2060", "\u2066",     "\u2067",     "\u2068", "\u2069",
        "\u206f", "\ufeff", "\ufff9", "\ufffb", "\U000e0001", "\U000e007f",
    };
    static const char *const good[] = {"\u061b", "\u061d",     "\u200c", "\u200d", "\u2010",
                                       "\u2027", "\u202f",     "\u205f", "\u2070", "\ufffc",
                                       "\ufffd", "\U000e0100", "\u05d0", "\u0627", "\U0001f6a2"};
    char text[] = "evil\u202efdp.exe\U000e0041";

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (utf8_is_line(bad[i]))
            fail_msg("%zu is printable", i);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!utf8_is_line(good[i]))
            fail_msg("%s is not printable", good[i]);
    utf8_make_line(text);
    assert_string_equal(text, "evil   fdp.exe    ");
}

static void whatever_comes_a_line_is_made_of_it(void **state)
{
    char text[] = "a\nb\xff"
                  "c\xc2\x9b"
                  "d\xe2\x82\xac\xe2\x82";

    utf8_make_line(text);
    assert_string_equal(text, "a b?c  d\xe2\x82\xac??");
    assert_true(utf8_is_line(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_and_last_of_each_length_are_characters),
        cmocka_unit_test(overlong_forms_surrogates_and_what_is_past_the_end_are_none),
        cmocka_unit_test(a_text_is_valid_where_all_of_it_is_characters),
        cmocka_unit_test(a_line_has_no_control_characters),
        cmocka_unit_test(a_line_has_nothing_that_is_invisible_and_reorders_or_breaks_it),
        cmocka_unit_test(whatever_comes_a_line_is_made_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
