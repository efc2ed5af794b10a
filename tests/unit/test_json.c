/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that any reader takes, whatever was put in. */
#include <config/print/json.h>

#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

static char *text;
static size_t length;

static struct config_json begin(void)
{
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    return (struct config_json){.out = out};
}

static void expect(struct config_json *json, const char *expected)
{
    assert_int_equal(fclose(json->out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void what_is_not_printable_is_escaped(void **state)
{
    struct config_json json = begin();

    config_json_string(&json, NULL, "a\u202e\x7f\xc2\x85\U000e0041\u00e9");
    expect(&json, "\"a\\u202e\\u007f\\u0085\\udb40\\udc41\u00e9\"");
}

static void objects_and_arrays_nest(void **state)
{
    struct config_json json = begin();

    config_json_open(&json, NULL, '{');
    config_json_string(&json, "a", "x");
    config_json_open(&json, "b", '[');
    config_json_integer(&json, NULL, INT64_MIN);
    config_json_open(&json, NULL, '{');
    config_json_close(&json, '}');
    config_json_close(&json, ']');
    config_json_bool(&json, "c", true);
    config_json_float(&json, "f", 0.1);
    config_json_string(&json, "d", NULL);
    config_json_close(&json, '}');
    expect(&json, "{\n  \"a\": \"x\",\n  \"b\": [\n    -9223372036854775808,\n    {}\n  ],\n  \"c\": true,\n"
                  "  \"f\": 0.1,\n"
                  "  \"d\": null\n}\n");
}

static void what_json_cannot_hold_is_escaped(void **state)
{
    static const struct {
        const char *value;
        const char *written;
    } rows[] = {
        {"", "\"\""},
        {"say \"hi\" \\ /", "\"say \\\"hi\\\" \\\\ /\""},
        {"a\nb\tc\x01\x1f\x7f", "\"a\\nb\\tc\\u0001\\u001f\\u007f\""},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
         "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\""},
        {"\xff|\xc3|\xc0\x80|\xed\xa0\x80|\xf5",
         "\"\\ufffd|\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config_json json = begin();

        config_json_string(&json, NULL, rows[i].value);
        expect(&json, rows[i].written);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_printable_is_escaped),
        cmocka_unit_test(objects_and_arrays_nest),
        cmocka_unit_test(what_json_cannot_hold_is_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
