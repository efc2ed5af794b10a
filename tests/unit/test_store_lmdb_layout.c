/* SPDX-License-Identifier: Apache-2.0 */
/* How the store's entries lie in its file. */

#include <plugins/store-lmdb/layout.h>

#include <string.h>
#include <tests/cmocka.h>

static void the_checksum_is_crc_32c(void **state)
{
    unsigned char zeros[32] = {0}, ones[32];

    memset(ones, 0xff, sizeof(ones));
    /* RFC 3720, B.4. */
    assert_int_equal(checksum_add(0, zeros, sizeof(zeros)), 0x8a9136aa);
    assert_int_equal(checksum_add(0, ones, sizeof(ones)), 0x62a8ab43);
    assert_int_equal(checksum_add(0, "123456789", 9), 0xe3069283);
}

static void it_is_the_same_with_and_without_the_instruction_and_in_parts(void **state)
{
    unsigned char bytes[301];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7 + 3);
    for (size_t i = 0; i <= sizeof(bytes); i++) {
        uint32_t whole = checksum_add_plainly(0, bytes, sizeof(bytes));
        uint32_t begun = checksum_add(0, bytes, i);

        assert_int_equal(checksum_add(begun, bytes + i, sizeof(bytes) - i), whole);
    }
}

static int compare(const struct layout_name *a, const struct layout_name *b)
{
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->bytes, b->bytes, shorter);

    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static void names_sort_by_bucket_and_then_by_the_bytes_of_the_key(void **state)
{
    static const struct {
        const char *bucket;
        struct berth_store_bytes key;
    } sorted[] = {
        {"a", {"", 0}},         {"a", {"\0", 1}}, {"a", {"\0\0", 2}}, {"a", {"b", 1}},
        {"a", {"\xff\xff", 2}}, {"a-", {"a", 1}}, {"a.b", {"a", 1}},  {"a/", {"a", 1}},
        {"a/b", {"\0", 1}},     {"aA", {"a", 1}}, {"aa", {"\0", 1}},
    };
    struct layout_name names[sizeof(sorted) / sizeof(sorted[0])], end;

    for (size_t i = 0; i < sizeof(sorted) / sizeof(sorted[0]); i++) {
        layout_make_name(sorted[i].bucket, sorted[i].key, &names[i]);
        if (i > 0)
            assert_true(compare(&names[i - 1], &names[i]) < 0);
    }
    layout_make_end("a", &end);
    assert_true(compare(&names[4], &end) < 0);
    assert_true(compare(&end, &names[5]) < 0);
}

static void a_name_comes_apart_again(void **state)
{
    struct layout_name name;
    struct berth_store_bytes key;
    const char *bucket;

    layout_make_name("containers/default", (struct berth_store_bytes){"k\0y", 3}, &name);
    assert_true(layout_split_name((struct berth_store_bytes){name.bytes, name.length}, &bucket, &key));
    assert_string_equal(bucket, "containers/default");
    assert_int_equal(key.length, 3);
    assert_memory_equal(key.data, "k\0y", 3);
}

static void what_is_no_name_does_not_come_apart(void **state)
{
    char long_bucket[BERTH_STORE_BUCKET_MAX + 4] = {0};
    struct berth_store_bytes key;
    const char *bucket;

    memset(long_bucket, 'b', BERTH_STORE_BUCKET_MAX + 1);
    assert_false(layout_split_name((struct berth_store_bytes){"bucket", 6}, &bucket, &key));
    assert_false(layout_split_name((struct berth_store_bytes){"bucket", 7}, &bucket, &key));
    assert_false(layout_split_name((struct berth_store_bytes){"\0key", 4}, &bucket, &key));
    assert_false(layout_split_name((struct berth_store_bytes){"", 0}, &bucket, &key));
    assert_false(
        layout_split_name((struct berth_store_bytes){long_bucket, sizeof(long_bucket)}, &bucket, &key));
}

static void a_record_gives_its_value_back_unless_a_bit_of_name_or_value_is_another(void **state)
{
    char name[] = "bucket\0key", record[LAYOUT_SUM_SIZE + 5];
    struct berth_store_bytes named = {name, sizeof(name) - 1}, recorded = {record, sizeof(record)}, value;

    layout_make_record(named, (struct berth_store_bytes){"value", 5}, record);
    assert_true(layout_read_record(named, recorded, &value));
    assert_int_equal(value.length, 5);
    assert_memory_equal(value.data, "value", 5);
    for (size_t i = 0; i < 8 * sizeof(record); i++) {
        record[i / 8] ^= (char)(1 << (i % 8));
        assert_false(layout_read_record(named, recorded, &value));
        record[i / 8] ^= (char)(1 << (i % 8));
    }
    for (size_t i = 0; i < 8 * named.length; i++) {
        name[i / 8] ^= (char)(1 << (i % 8));
        assert_false(layout_read_record(named, recorded, &value));
        name[i / 8] ^= (char)(1 << (i % 8));
    }
    for (recorded.length = 0; recorded.length < sizeof(record); recorded.length++)
        assert_false(layout_read_record(named, recorded, &value));
}

static void an_empty_value_is_not_none(void **state)
{
    char record[LAYOUT_SUM_SIZE];
    struct berth_store_bytes name = {"b\0k", 3}, value;

    layout_make_record(name, (struct berth_store_bytes){"", 0}, record);
    assert_true(layout_read_record(name, (struct berth_store_bytes){record, sizeof(record)}, &value));
    assert_int_equal(value.length, 0);
    assert_non_null(value.data);
}

static void keys_print_as_text_whatever_is_in_them(void **state)
{
    char text[LAYOUT_PRINT_MAX], bytes[BERTH_STORE_NAME_MAX];

    assert_string_equal(layout_print_key((struct berth_store_bytes){"a b\\\0\xff", 6}, text),
                        "a b\\x5c\\x00\\xff");
    memset(bytes, 1, sizeof(bytes));
    layout_print_key((struct berth_store_bytes){bytes, sizeof(bytes)}, text);
    assert_true(strlen(text) < LAYOUT_PRINT_MAX);
    assert_string_equal(text + strlen(text) - 7, "\\x01...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_crc_32c),
        cmocka_unit_test(it_is_the_same_with_and_without_the_instruction_and_in_parts),
        cmocka_unit_test(names_sort_by_bucket_and_then_by_the_bytes_of_the_key),
        cmocka_unit_test(a_name_comes_apart_again),
        cmocka_unit_test(what_is_no_name_does_not_come_apart),
        cmocka_unit_test(a_record_gives_its_value_back_unless_a_bit_of_name_or_value_is_another),
        cmocka_unit_test(an_empty_value_is_not_none),
        cmocka_unit_test(keys_print_as_text_whatever_is_in_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
