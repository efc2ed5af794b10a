/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 of the command line, and JSON as a terminal may have it. */
#include <stdlib.h>
#include <string.h>
#include <tests/cmocka.h>

#include <sdk/base/base64.h>
#include <tools/berthctl/print/json_text.h>

static void bytes_come_back(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *text;
    } cases[] = {
        {"", 0, ""},        {"f", 1, "Zg=="},        {"fo", 2, "Zm8="},
        {"foo", 3, "Zm9v"}, {"foob", 4, "Zm9vYg=="}, {"\0\xff\xfb", 3, "AP/7"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t length = BASE64_ENCODED_LENGTH(cases[i].length);
        char text[16], bytes[16];

        base64_encode(cases[i].bytes, cases[i].length, text);
        base64_pad(text, length);
        assert_string_equal(text, cases[i].text);
        assert_true(base64_decode(text, strlen(text), bytes, &length));
        assert_int_equal(length, cases[i].length);
        assert_memory_equal(bytes, cases[i].bytes, length);
        text[strcspn(text, "=")] = '\0';
        assert_true(base64_decode(text, strlen(text), bytes, &length));
        assert_int_equal(length, cases[i].length);
    }
}

static void what_is_not_base64_is_refused(void **state)
{
    static const char *const texts[] = {"Z", "Zg=", "Zg===", "Z g=", "Zm9vY", "====", "Zm-_", "Zg==Zg=="};
    char bytes[16];
    size_t length;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (base64_decode(texts[i], strlen(texts[i]), bytes, &length))
            fail_msg("%s", texts[i]);
}

static void json_is_printable(void **state)
{
    static const char json[] = "{\"a\u202e\":\n\"\xc2\x85\U000e0041\u00e9\x7f\xff\"}";
    size_t length;
    char *text;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    json_text_write(out, json, sizeof(json) - 1);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "{\"a\\u202e\":\n\"\\u0085\\udb40\\udc41\u00e9\\u007f\\ufffd\"}");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back),
        cmocka_unit_test(what_is_not_base64_is_refused),
        cmocka_unit_test(json_is_printable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
