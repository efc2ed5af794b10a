/* SPDX-License-Identifier: Apache-2.0 */
/* What the store in memory does when the test writes as another daemon. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <berth/store_memory.h>

static const struct berth_store *const store = &berth_store_interface;

static struct {
    struct berth_store_update base;
    uv_loop_t loop;
    struct berth_store_memory *memory;
    unsigned runs;
    unsigned told;
    bool is_done;
    enum berth_code code;
    bool is_closed;
} f;

static enum berth_code claim(struct berth_store_update *update, struct berth_store_txn *txn,
                             struct berth_error *err)
{
    struct berth_store_bytes value;

    f.runs++;
    if (store->get(txn, "b", berth_store_text("k"), &value, err) == BERTH_OK)
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "it is there");
    return store->put(txn, "b", berth_store_text("k"), berth_store_text("mine"), err);
}

static void done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    f.is_done = true;
    f.code = code;
}

static void on_closed(void *context)
{
    f.is_closed = true;
}

static void on_change(void *context, const struct berth_store_change *change)
{
    f.told++;
}

static enum berth_code write_as_other(const char *bucket, const char *value)
{
    struct berth_error err;

    return berth_store_memory_write_as_other(
        f.memory, bucket, berth_store_text("k"),
        value == NULL ? (struct berth_store_bytes){0} : berth_store_text(value), &err);
}

static int set_up(void **state)
{
    memset(&f, 0, sizeof(f));
    assert_int_equal(uv_loop_init(&f.loop), 0);
    f.memory = berth_store_memory_create(&f.loop);
    assert_non_null(f.memory);
    f.base.change = claim;
    f.base.done = done;
    return 0;
}

static int tear_down(void **state)
{
    berth_store_memory_close(f.memory, on_closed, NULL);
    assert_int_equal(write_as_other("b", "too late"), BERTH_UNAVAILABLE);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_true(f.is_closed);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    return 0;
}

static void a_batch_on_its_way_loses_against_it(void **state)
{
    store->update(f.memory, &f.base);
    while (f.runs == 0)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_false(f.is_done);
    assert_int_equal(write_as_other("b", "theirs"), BERTH_OK);
    while (!f.is_done)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.runs, 2);
    assert_int_equal(f.code, BERTH_ALREADY_EXISTS);
}

static void nobody_hears_that_nothing_was_removed(void **state)
{
    struct berth_store_watch *watch = store->watch(f.memory, "", on_change, NULL);

    assert_int_equal(write_as_other("b", NULL), BERTH_OK);
    assert_int_equal(write_as_other("b", "theirs"), BERTH_OK);
    assert_int_equal(write_as_other("b", NULL), BERTH_OK);
    assert_int_equal(write_as_other("b", NULL), BERTH_OK);
    assert_int_equal(f.told, 0);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(f.told, 2);
    store->unwatch(f.memory, watch);
}

static void its_names_are_checked_too(void **state)
{
    assert_int_equal(write_as_other("not a bucket", "theirs"), BERTH_INVALID_ARGUMENT);
}

static void a_write_may_still_wait_when_it_closes(void **state)
{
    assert_int_equal(write_as_other("b", "theirs"), BERTH_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_on_its_way_loses_against_it),
        TEST(nobody_hears_that_nothing_was_removed),
        TEST(its_names_are_checked_too),
        TEST(a_write_may_still_wait_when_it_closes),
    };

    return cmocka_run_group_tests_name("store_others", tests, NULL, NULL);
}
