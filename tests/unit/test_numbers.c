/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <core/wire/numbers.h>

static int one, other;

static void a_number_finds_its_item_until_that_is_removed(void **state)
{
    struct numbers numbers = {.slots = NULL};
    uint32_t first = numbers_add(&numbers, &one), second;

    assert_int_not_equal(first, 0);
    assert_ptr_equal(numbers_find(&numbers, first), &one);
    numbers_remove(&numbers, first);
    assert_null(numbers_find(&numbers, first));
    /* In the same slot: a late packet finds nobody. */
    second = numbers_add(&numbers, &other);
    assert_int_equal(second & (NUMBERS_MAX - 1), first & (NUMBERS_MAX - 1));
    assert_int_not_equal(second, first);
    assert_null(numbers_find(&numbers, first));
    assert_ptr_equal(numbers_find(&numbers, second), &other);
    assert_null(numbers_find(&numbers, 0));
    assert_null(numbers_find(&numbers, UINT32_MAX));
    numbers_finish(&numbers);
}

static void there_are_no_more_numbers_than_slots(void **state)
{
    struct numbers numbers = {.slots = NULL};
    uint32_t number = 0;

    for (size_t i = 0; i < NUMBERS_MAX; i++) {
        number = numbers_add(&numbers, &one);
        assert_true(number >> 16 != 0);
        assert_ptr_equal(numbers_find(&numbers, number), &one);
    }
    assert_int_equal(numbers.count, NUMBERS_MAX);
    assert_int_equal(numbers_add(&numbers, &other), 0);
    numbers_remove(&numbers, number);
    number = numbers_add(&numbers, &other);
    assert_ptr_equal(numbers_find(&numbers, number), &other);
    numbers_finish(&numbers);
    assert_int_equal(numbers.count, 0);
}

static void a_number_of_the_other_side_takes_its_slot(void **state)
{
    const uint32_t number = 7u << 16 | (NUMBERS_MAX - 1), same_slot = 8u << 16 | (NUMBERS_MAX - 1);
    struct numbers numbers = {.slots = NULL};

    assert_true(numbers_is_free(&numbers, number));
    assert_true(numbers_put(&numbers, number, &one));
    assert_ptr_equal(numbers_find(&numbers, number), &one);
    assert_null(numbers_find(&numbers, same_slot));
    assert_false(numbers_is_free(&numbers, same_slot));
    assert_ptr_equal(numbers_at(&numbers, NUMBERS_MAX - 1), &one);
    assert_null(numbers_at(&numbers, 0));
    numbers_remove(&numbers, number);
    assert_true(numbers_is_free(&numbers, same_slot));
    numbers_finish(&numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_finds_its_item_until_that_is_removed),
        cmocka_unit_test(there_are_no_more_numbers_than_slots),
        cmocka_unit_test(a_number_of_the_other_side_takes_its_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
