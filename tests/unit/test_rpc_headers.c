/* SPDX-License-Identifier: Apache-2.0 */
/* The codings of gRPC's headers: grpc-timeout, grpc-message, metadata. */
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/base/base64.h>
#include <sdk/rpc/message/metadata.h>
#include <sdk/rpc/http2/request.h>

static void a_timeout_is_digits_and_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t expected;
    } cases[] = {
        {"0n", 0},
        {"1n", 1},
        {"1u", 1000},
        {"1m", 1000000},
        {"1S", 1000000000},
        {"1M", UINT64_C(60000000000)},
        {"1H", UINT64_C(3600000000000)},
        {"4999954u", UINT64_C(4999954000)},
        {"99999999H", INT64_MAX},
        {"00000001S", 1000000000},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 42;

        assert_true(timeout_parse(cases[i].text, strlen(cases[i].text), &value));
        assert_true(value == cases[i].expected);
    }
}

static void anything_else_is_no_timeout(void **state)
{
    static const char *const cases[] = {"",    "S",   "1",    "1s",         "-1S", "+1S",
                                        " 1S", "1S ", "1.5S", "123456789S", "1SS", "0x1S"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 42;

        assert_false(timeout_parse(cases[i], strlen(cases[i]), &value));
        assert_int_equal(value, 42);
    }
}

static void a_formatted_timeout_is_read_back_no_shorter(void **state)
{
    static const uint64_t cases[] = {
        0, 1, 99999999, 100000000, 100000001, UINT64_C(5000000000), UINT64_C(86400000000000), INT64_MAX};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TIMEOUT_TEXT_MAX];
        uint64_t value;

        timeout_format(cases[i], text);
        assert_true(timeout_parse(text, strlen(text), &value));
        assert_true(value >= cases[i]);
        assert_true(value <= cases[i] + cases[i] / 10000);
    }
}

static void a_message_is_percent_coded_and_back(void **state)
{
    static const struct {
        const char *plain;
        const char *coded;
    } cases[] = {
        {"", ""},
        {"plain !\"#$&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", "plain !\"#$&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~"},
        {"100 %", "100 %25"},
        {"a\nb\tc\x7f", "a%0Ab%09c%7F"},
        {"\xc3\xbc", "%C3%BC"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        size_t length = percent_encode(cases[i].plain, strlen(cases[i].plain), text);

        assert_int_equal(length, strlen(cases[i].coded));
        assert_memory_equal(text, cases[i].coded, length);
        length = percent_decode(cases[i].coded, strlen(cases[i].coded), text);
        assert_int_equal(length, strlen(cases[i].plain));
        assert_memory_equal(text, cases[i].plain, length);
    }
}

static void a_message_that_is_no_text_is_made_one(void **state)
{
    char coded[PERCENT_ENCODED_MAX(5)];
    size_t length = percent_encode("a\xc3<\xa9z", 5, coded);

    assert_int_equal(length, strlen("a%EF%BF%BD<%EF%BF%BDz"));
    assert_memory_equal(coded, "a%EF%BF%BD<%EF%BF%BDz", length);
}

static void what_is_no_escape_is_left_as_it_is(void **state)
{
    static const char *const cases[] = {"%", "%4", "%zz", "100%", "%%41"};
    static const char *const expected[] = {"%", "%4", "%zz", "100%", "%A"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[16];
        size_t length = percent_decode(cases[i], strlen(cases[i]), text);

        assert_int_equal(length, strlen(expected[i]));
        assert_memory_equal(text, expected[i], length);
    }
}

static void base64_goes_there_and_back_at_every_length(void **state)
{
    unsigned char bytes[64];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 37 + 200);
    for (size_t length = 0; length <= sizeof(bytes); length++) {
        unsigned char decoded[BASE64_DECODED_MAX(90)];
        char text[90];
        size_t decoded_length = 99;

        base64_encode(bytes, length, text);
        assert_true(base64_decode(text, BASE64_ENCODED_LENGTH(length), decoded, &decoded_length));
        assert_int_equal(decoded_length, length);
        assert_memory_equal(decoded, bytes, length);
    }
}

static void base64_takes_padding_and_refuses_the_rest(void **state)
{
    static const char *const good[] = {"YQ==", "YQ", "YWI=", "YWI", "YWJj"};
    static const char *const bad[] = {"Y", "YQ=", "Y===", "YQ=a", "Y Q=", "YW-_", "=", "====", "YWJjZ"};
    unsigned char bytes[16];
    size_t length;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(base64_decode(good[i], strlen(good[i]), bytes, &length));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(base64_decode(bad[i], strlen(bad[i]), bytes, &length));
}

struct stage {
    struct berth_arena arena;
    unsigned char first[256];
    struct metadata_list list;
};

static struct stage *fresh(struct stage *stage)
{
    berth_arena_init(&stage->arena, stage->first, sizeof(stage->first));
    stage->list = (struct metadata_list){0};
    return stage;
}

static void received_metadata_keeps_order_and_splits_binary_values(void **state)
{
    struct stage stage;
    struct metadata_list *list = &fresh(&stage)->list;

    assert_int_equal(metadata_receive(list, &stage.arena, "a", 1, "1, 2", 4), BERTH_OK);
    assert_int_equal(metadata_receive(list, &stage.arena, "b-bin", 5, "YQ==,YWI, YWJj", 14), BERTH_OK);
    assert_int_equal(metadata_receive(list, &stage.arena, "a", 1, "", 0), BERTH_OK);
    assert_int_equal(list->count, 5);
    assert_string_equal(list->items[0].value, "1, 2");
    assert_string_equal(list->items[1].value, "a");
    assert_string_equal(list->items[2].value, "ab");
    assert_string_equal(list->items[3].value, "abc");
    assert_string_equal(list->items[4].value, "");
    assert_int_equal(metadata_receive(list, &stage.arena, "b-bin", 5, "!", 1), BERTH_INTERNAL);
    berth_arena_finish(&stage.arena);
}

static void each_value_of_a_binary_field_counts_towards_the_bound(void **state)
{
    assert_int_equal(metadata_size("a", 1, "1,2", 3), 4 + 32);
    assert_int_equal(metadata_size("a-bin", 5, "YQ,YQ", 5), 10 + 2 * 32);
    assert_int_equal(metadata_size("a-bin", 5, ",,,", 3), 8 + 4 * 32);
}

static void many_fields_are_all_kept(void **state)
{
    struct stage stage;
    struct metadata_list *list = &fresh(&stage)->list;
    char text[16];

    for (int i = 0; i < 1000; i++) {
        int length = snprintf(text, sizeof(text), "%d", i);

        assert_int_equal(metadata_receive(list, &stage.arena, "key", 3, text, (size_t)length), BERTH_OK);
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%d", i);
        assert_string_equal(list->items[i].value, text);
    }
    berth_arena_finish(&stage.arena);
}

static void metadata_that_cannot_travel_is_refused(void **state)
{
    static const struct {
        const char *key;
        const char *value;
        enum berth_code expected;
    } cases[] = {
        {"x-key", "value", BERTH_OK},
        {"x_y.z-0", "", BERTH_OK},
        {"x-bin", "\xff\n", BERTH_OK},
        {"", "v", BERTH_INVALID_ARGUMENT},
        {"Upper", "v", BERTH_INVALID_ARGUMENT},
        {"sp ace", "v", BERTH_INVALID_ARGUMENT},
        {":path", "v", BERTH_INVALID_ARGUMENT},
        {"grpc-status", "0", BERTH_INVALID_ARGUMENT},
        {"te", "trailers", BERTH_INVALID_ARGUMENT},
        {"connection", "close", BERTH_INVALID_ARGUMENT},
        {"transfer-encoding", "chunked", BERTH_INVALID_ARGUMENT},
        {"content-length", "5", BERTH_INVALID_ARGUMENT},
        {"x-key", "line\nbreak", BERTH_INVALID_ARGUMENT},
        {"x-key", "\xc3\xbc \t\xff", BERTH_OK},
        {"x-key", "tab\t", BERTH_INVALID_ARGUMENT},
        {"x-key", "\x7f", BERTH_INVALID_ARGUMENT},
        {"x-key", " blank", BERTH_INVALID_ARGUMENT},
    };
    struct stage stage;

    fresh(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            metadata_prepare(&stage.list, &stage.arena, cases[i].key, cases[i].value, strlen(cases[i].value)),
            cases[i].expected);
    assert_int_equal(stage.list.count, 4);
    assert_string_equal(stage.list.items[2].value, "/wo");
    berth_arena_finish(&stage.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_is_digits_and_a_unit),
        cmocka_unit_test(anything_else_is_no_timeout),
        cmocka_unit_test(a_formatted_timeout_is_read_back_no_shorter),
        cmocka_unit_test(a_message_is_percent_coded_and_back),
        cmocka_unit_test(a_message_that_is_no_text_is_made_one),
        cmocka_unit_test(what_is_no_escape_is_left_as_it_is),
        cmocka_unit_test(base64_goes_there_and_back_at_every_length),
        cmocka_unit_test(base64_takes_padding_and_refuses_the_rest),
        cmocka_unit_test(received_metadata_keeps_order_and_splits_binary_values),
        cmocka_unit_test(each_value_of_a_binary_field_counts_towards_the_bound),
        cmocka_unit_test(many_fields_are_all_kept),
        cmocka_unit_test(metadata_that_cannot_travel_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
