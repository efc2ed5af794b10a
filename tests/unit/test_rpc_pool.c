/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/base/pool.h>

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

static void what_was_given_back_is_taken_again(void **state)
{
    struct pool pool = {0};
    void *first = pool_take(&pool, 100);

    pool_give(first);
    assert_int_equal(KEEPS, pool.kept_bytes > 0);
    if (KEEPS) {
        assert_ptr_equal(pool_take(&pool, 90), first);
        assert_int_equal(pool.kept_bytes, 0);
        pool_give(first);
    }
    pool_finish(&pool);
    assert_int_equal(pool.kept_bytes, 0);
}

static void pieces_of_every_size_are_apart_and_aligned(void **state)
{
    unsigned char *pieces[POOL_PIECE_MAX * 2];
    struct pool pool = {0};

    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < POOL_PIECE_MAX * 2; i += 3) {
            pieces[i] = pool_take(&pool, i);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            memset(pieces[i], (int)(i % 251), i);
        }
        for (size_t i = 0; i < POOL_PIECE_MAX * 2; i += 3) {
            for (size_t k = 0; k < i; k++)
                assert_int_equal(pieces[i][k], i % 251);
            pool_give(pieces[i]);
        }
    }
    pool_finish(&pool);
}

static void a_piece_that_is_resized_keeps_its_bytes(void **state)
{
    static const size_t sizes[] = {1, 16, 17, 500, 1008, 1009, 5000, 100000, 5000, 40, 7};
    struct pool pool = {0};
    unsigned char *piece = pool_resize(&pool, NULL, 7);

    memcpy(piece, "berthed", 7);
    for (size_t i = 1; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        piece = pool_resize(&pool, piece, sizes[i]);
        assert_non_null(piece);
        assert_memory_equal(piece, "berthed", 7);
        memset(piece + 7, 0xff, sizes[i] - 7);
    }
    pool_give(piece);
    pool_finish(&pool);
}

static void large_pieces_leave_room_for_small_ones(void **state)
{
    void *pieces[POOL_KEPT_MAX / 4096 * 2];
    struct pool pool = {0};
    void *small;

    for (size_t i = 0; i < POOL_KEPT_MAX / 4096 * 2; i++)
        pieces[i] = pool_take(&pool, 4096);
    small = pool_take(&pool, 100);
    for (size_t i = 0; i < POOL_KEPT_MAX / 4096 * 2; i++)
        pool_give(pieces[i]);
    assert_in_range(pool.kept_bytes, 0, POOL_KEPT_MAX - POOL_KEPT_FOR_SMALL);
    pool_give(small);
    if (KEEPS) {
        assert_ptr_equal(pool_take(&pool, 100), small);
        pool_give(small);
    }
    pool_finish(&pool);
}

static void a_pool_keeps_no_more_than_its_bound(void **state)
{
    void *pieces[POOL_KEPT_MAX / 512 * 2];
    struct pool pool = {0};

    for (size_t i = 0; i < POOL_KEPT_MAX / 512 * 2; i++)
        pieces[i] = pool_take(&pool, 500);
    for (size_t i = 0; i < POOL_KEPT_MAX / 512 * 2; i++)
        pool_give(pieces[i]);
    assert_in_range(pool.kept_bytes, KEEPS ? POOL_KEPT_MAX - 1024 : 0, POOL_KEPT_MAX);
    pool_give(pool_take(&pool, 1000000));
    assert_in_range(pool.kept_bytes, 0, POOL_KEPT_MAX);
    pool_finish(&pool);
}

static void a_size_beyond_all_memory_is_refused(void **state)
{
    struct pool pool = {0};

    assert_null(pool_take(&pool, SIZE_MAX));
    assert_null(pool_take(&pool, SIZE_MAX - 40));
    pool_give(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_given_back_is_taken_again),
        cmocka_unit_test(pieces_of_every_size_are_apart_and_aligned),
        cmocka_unit_test(a_piece_that_is_resized_keeps_its_bytes),
        cmocka_unit_test(large_pieces_leave_room_for_small_ones),
        cmocka_unit_test(a_pool_keeps_no_more_than_its_bound),
        cmocka_unit_test(a_size_beyond_all_memory_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
