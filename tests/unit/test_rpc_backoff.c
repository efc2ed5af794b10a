/* SPDX-License-Identifier: Apache-2.0 */
/* The pauses between tries to connect, as gRPC's Connection Backoff Protocol has them. */
#include <sdk/rpc/client/client.h>

#include <tests/cmocka.h>

#define MIDDLE 0x80000000u
#define MILLISECOND 1000000u

static void pauses_grow_by_the_factor_up_to_the_longest(void **state)
{
    struct backoff backoff = {.first_ns = 100 * MILLISECOND, .longest_ns = 300 * MILLISECOND};

    assert_int_equal(backoff_next(&backoff, MIDDLE), 100 * MILLISECOND);
    assert_int_equal(backoff_next(&backoff, MIDDLE), 160 * MILLISECOND);
    assert_int_equal(backoff_next(&backoff, MIDDLE), 256 * MILLISECOND);
    assert_int_equal(backoff_next(&backoff, MIDDLE), 300 * MILLISECOND);
    assert_int_equal(backoff_next(&backoff, MIDDLE), 300 * MILLISECOND);
}

static void chance_moves_a_pause_by_a_fifth_at_most(void **state)
{
    for (uint64_t random = 0; random <= UINT32_MAX; random += UINT32_MAX / 100) {
        struct backoff backoff = {.first_ns = 100 * MILLISECOND, .longest_ns = UINT64_C(5000) * MILLISECOND};

        assert_in_range(backoff_next(&backoff, (uint32_t)random), 80 * MILLISECOND, 120 * MILLISECOND);
        assert_int_equal(backoff_next(&backoff, MIDDLE), 160 * MILLISECOND);
    }
}

static void after_a_reset_they_begin_anew(void **state)
{
    struct backoff backoff = {.first_ns = 100 * MILLISECOND, .longest_ns = UINT64_C(5000) * MILLISECOND};

    for (int i = 0; i < 5; i++)
        backoff_next(&backoff, MIDDLE);
    backoff_reset(&backoff);
    assert_int_equal(backoff_next(&backoff, MIDDLE), 100 * MILLISECOND);
}

static void a_first_pause_beyond_the_longest_is_the_longest(void **state)
{
    struct backoff backoff = {.first_ns = UINT64_C(4294967295) * MILLISECOND,
                              .longest_ns = UINT64_C(5000) * MILLISECOND};

    assert_in_range(backoff_next(&backoff, UINT32_MAX), UINT64_C(4000) * MILLISECOND,
                    UINT64_C(6000) * MILLISECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_by_the_factor_up_to_the_longest),
        cmocka_unit_test(chance_moves_a_pause_by_a_fifth_at_most),
        cmocka_unit_test(after_a_reset_they_begin_anew),
        cmocka_unit_test(a_first_pause_beyond_the_longest_is_the_longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
