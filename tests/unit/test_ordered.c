/* SPDX-License-Identifier: Apache-2.0 */
/* Work on several threads: each item once, and the results in order. */
#include <core/base/ordered.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <tests/cmocka.h>

#define ITEMS 5000

static struct board {
    pthread_t caller;
    atomic_uint worked[ITEMS];
    atomic_size_t begun, taken;
    /* More than this were worked on and not taken. */
    atomic_size_t most_ahead;
    /* Every so many items others have to wait for one. */
    size_t slow_every;
    atomic_bool is_cancelled;
    size_t cancelled_at;
} board;

static void work(void *context, size_t item)
{
    size_t ahead = atomic_fetch_add(&board.begun, 1) - atomic_load(&board.taken);

    assert_ptr_equal(context, &board);
    if (ahead > atomic_load(&board.most_ahead))
        atomic_store(&board.most_ahead, ahead);
    for (size_t i = 0; board.slow_every > 0 && item % board.slow_every == 0 && i < 200; i++)
        sched_yield();
    atomic_fetch_add(&board.worked[item], 1);
}

static void take(void *context, size_t item)
{
    assert_true(pthread_equal(pthread_self(), board.caller));
    assert_int_equal(item, atomic_load(&board.taken));
    assert_int_equal(atomic_load(&board.worked[item]), 1);
    atomic_fetch_add(&board.taken, 1);
    if (board.cancelled_at > 0 && item == board.cancelled_at)
        atomic_store(&board.is_cancelled, true);
}

static size_t run(size_t count)
{
    const struct ordered list = {
        .count = count, .work = work, .take = take, .context = &board, .is_cancelled = &board.is_cancelled};

    return ordered_run(&list);
}

static int clear(void **state)
{
    memset(&board, 0, sizeof(board));
    board.caller = pthread_self();
    return 0;
}

static void each_item_is_worked_on_once_and_taken_in_order(void **state)
{
    for (size_t count = 0; count <= ITEMS; count = count * 3 + 1) {
        clear(state);
        board.slow_every = 7;
        assert_int_equal(run(count), count);
        assert_int_equal(atomic_load(&board.taken), count);
        assert_int_equal(atomic_load(&board.begun), count);
        assert_true(atomic_load(&board.most_ahead) <= ORDERED_AHEAD_MAX);
    }
}

static void one_that_is_cancelled_takes_what_was_begun_and_nothing_more(void **state)
{
    size_t taken;

    board.cancelled_at = 1000;
    taken = run(ITEMS);
    assert_true(taken > 1000 && taken <= 1001 + ORDERED_AHEAD_MAX);
    assert_int_equal(atomic_load(&board.begun), taken);
    clear(state);
    atomic_store(&board.is_cancelled, true);
    assert_int_equal(run(ITEMS), 0);
    assert_int_equal(atomic_load(&board.begun), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_item_is_worked_on_once_and_taken_in_order, clear),
        cmocka_unit_test_setup(one_that_is_cancelled_takes_what_was_begun_and_nothing_more, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
