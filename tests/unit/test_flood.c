/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a worker's log the daemon's log has. */
#include <core/crossing/flood.h>

#include <tests/cmocka.h>

#define SECOND UINT64_C(1000000000)

static unsigned admit(struct flood *flood, uint64_t now_ns, unsigned count, size_t length)
{
    unsigned admitted = 0;

    for (unsigned i = 0; i < count; i++)
        admitted += flood_admits(flood, now_ns, length);
    return admitted;
}

static void so_many_lines_are_admitted_in_each_second(void **state)
{
    struct flood flood = {0};

    assert_int_equal(admit(&flood, 5 * SECOND, FLOOD_LINES + 500, 10), FLOOD_LINES);
    assert_int_equal(admit(&flood, 6 * SECOND - 1, 10, 10), 0);
    assert_int_equal(admit(&flood, 6 * SECOND, FLOOD_LINES, 10), FLOOD_LINES);
}

static void so_many_bytes_are_admitted_in_each_second(void **state)
{
    struct flood flood = {0};

    assert_int_equal(admit(&flood, SECOND, 1000, FLOOD_BYTES / 100), 100);
    assert_false(flood_admits(&flood, SECOND, FLOOD_BYTES));
    assert_true(flood_admits(&flood, 2 * SECOND, FLOOD_BYTES));
    assert_false(flood_admits(&flood, 2 * SECOND, 1));
    assert_false(flood_admits(&flood, 3 * SECOND, FLOOD_BYTES + 1));
}

static void an_episode_ends_with_a_second_without_omissions_and_its_number(void **state)
{
    struct flood flood = {0};

    assert_int_equal(flood_end(&flood, SECOND), 0);
    for (uint64_t second = 1; second <= 3; second++) {
        admit(&flood, second * SECOND, FLOOD_LINES + 100, 1);
        assert_int_equal(flood_end(&flood, second * SECOND + 1), 0);
    }
    assert_int_equal(flood_end(&flood, 4 * SECOND), 0);
    assert_int_equal(flood_end(&flood, 5 * SECOND), 300);
    assert_int_equal(flood_end(&flood, 6 * SECOND), 0);
    assert_true(flood_admits(&flood, 6 * SECOND, 1));
    assert_int_equal(flood_end(&flood, 7 * SECOND), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_lines_are_admitted_in_each_second),
        cmocka_unit_test(so_many_bytes_are_admitted_in_each_second),
        cmocka_unit_test(an_episode_ends_with_a_second_without_omissions_and_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
