/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of messages read in place and written by hand, and maps of them. */
#include <berth/protobuf.h>
#include <berth/wire_map.h>

#include <tests/cmocka.h>

static void what_was_written_is_read_as_it_was(void **state)
{
    struct berth_wire_buffer buffer = {0};
    struct berth_wire_field field;
    struct berth_wire wire;

    berth_wire_put_number(&buffer, 1, 0);
    berth_wire_put_number(&buffer, 1, UINT64_MAX);
    berth_wire_put_bytes(&buffer, 2047, "abc", 3);
    berth_wire_put_bytes(&buffer, 3, NULL, 0);
    assert_int_equal(buffer.length, 1 + 10 + berth_wire_size_of_bytes(2047, 3) + 2);
    wire = berth_wire_of(buffer.bytes, buffer.length);
    assert_true(berth_wire_next(&wire, &field));
    assert_int_equal(field.number, 1);
    assert_true(field.value == UINT64_MAX);
    assert_true(berth_wire_next(&wire, &field));
    assert_int_equal(field.number, 2047);
    assert_memory_equal(field.data, "abc", 3);
    assert_int_equal(field.whole_length, berth_wire_size_of_bytes(2047, 3));
    assert_true(berth_wire_next(&wire, &field));
    assert_int_equal(field.length, 0);
    assert_false(berth_wire_next(&wire, &field));
    assert_true(berth_wire_is_whole(&wire));
    berth_wire_finish(&buffer);
}

static void what_is_no_field_ends_the_reading_and_is_told(void **state)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t length;
    } cases[] = {
        {"a tag alone", "\x0a", 1},
        {"a length past the end", "\x0a\x02x", 3},
        {"a length of 2^64-1", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
        {"a varint of eleven bytes", "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12},
        {"field number 0", "\x02\x00", 2},
        {"a group", "\x0b\x0c", 2},
        {"type 6", "\x0e\x00", 2},
        {"half a fixed64", "\x09\x00\x00\x00\x00", 5},
        {"half a fixed32", "\x0d\x00\x00", 3},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_wire wire = berth_wire_of(cases[i].bytes, cases[i].length);
        struct berth_wire_field field;

        if (berth_wire_next(&wire, &field) || berth_wire_is_whole(&wire))
            fail_msg("%s was taken for a field", cases[i].what);
    }
}

static void put(struct berth_wire_map *map, const char *key, const char *value)
{
    berth_wire_map_set(map, key, strlen(key), value, value == NULL ? 0 : strlen(value));
}

static void the_last_of_one_key_counts_and_keys_are_ordered(void **state)
{
    struct berth_wire_map map = {0};
    const struct berth_wire_entry *found;

    put(&map, "b", "1");
    put(&map, "a", "1");
    put(&map, "ab", "1");
    put(&map, "b", NULL);
    put(&map, "a", "2");
    put(&map, "", "3");
    berth_wire_map_settle(&map);
    assert_int_equal(map.count, 3);
    assert_int_equal(map.entries[0].key_length, 0);
    found = berth_wire_map_find(&map, "a", 1);
    assert_ptr_equal(found, &map.entries[1]);
    assert_memory_equal(found->value, "2", 1);
    assert_non_null(berth_wire_map_find(&map, "ab", 2));
    assert_null(berth_wire_map_find(&map, "b", 1));
    put(&map, "a", "4");
    berth_wire_map_settle(&map);
    assert_memory_equal(berth_wire_map_find(&map, "a", 1)->value, "4", 1);
    berth_wire_map_finish(&map);
}

static void a_map_takes_entries_of_another(void **state)
{
    struct berth_wire_map map = {0};
    struct berth_wire_map from = {0};

    put(&map, "a", "1");
    put(&map, "b", "2");
    put(&from, "a", "3");
    put(&from, "c", "4");
    berth_wire_map_settle(&from);
    berth_wire_map_take(&map, &from, "a", 1);
    berth_wire_map_take(&map, &from, "b", 1);
    berth_wire_map_settle(&map);
    assert_int_equal(map.count, 1);
    assert_memory_equal(berth_wire_map_find(&map, "a", 1)->value, "3", 1);
    put(&map, "b", "5");
    berth_wire_map_take_all(&map, &from);
    berth_wire_map_settle(&map);
    assert_int_equal(map.count, 3);
    assert_memory_equal(berth_wire_map_find(&map, "b", 1)->value, "5", 1);
    assert_memory_equal(berth_wire_map_find(&map, "c", 1)->value, "4", 1);
    berth_wire_map_finish(&map);
    berth_wire_map_finish(&from);
}

static void a_map_survives_the_wire(void **state)
{
    struct berth_wire_map map = {0};
    struct berth_wire_map again = {0};
    struct berth_wire_buffer buffer = {0};
    struct berth_wire_field field;
    struct berth_wire wire;

    put(&map, "key", "value");
    put(&map, "", "");
    berth_wire_map_settle(&map);
    berth_wire_map_put(&map, &buffer, 2);
    wire = berth_wire_of(buffer.bytes, buffer.length);
    while (berth_wire_next(&wire, &field))
        assert_true(berth_wire_map_read(&again, &field));
    berth_wire_map_settle(&again);
    assert_int_equal(again.count, 2);
    assert_memory_equal(berth_wire_map_find(&again, "key", 3)->value, "value", 5);
    berth_wire_map_finish(&map);
    berth_wire_map_finish(&again);
    berth_wire_finish(&buffer);
}

static void strings_that_a_c_string_could_not_hold_are_no_text(void **state)
{
    assert_true(berth_string_is_text((const uint8_t *)"caf\xc3\xa9", 5));
    assert_true(berth_string_is_text((const uint8_t *)"", 0));
    assert_false(berth_string_is_text((const uint8_t *)"a\0b", 3));
    assert_false(berth_string_is_text((const uint8_t *)"\xff", 1));
    assert_false(berth_string_is_text((const uint8_t *)"\xc3", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_as_it_was),
        cmocka_unit_test(what_is_no_field_ends_the_reading_and_is_told),
        cmocka_unit_test(the_last_of_one_key_counts_and_keys_are_ordered),
        cmocka_unit_test(a_map_takes_entries_of_another),
        cmocka_unit_test(a_map_survives_the_wire),
        cmocka_unit_test(strings_that_a_c_string_could_not_hold_are_no_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
