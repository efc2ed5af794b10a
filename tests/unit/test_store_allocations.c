/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No allocation of a store may fail without an end: the same changes are asked for again and again, and each
 * time the next allocation of all fails.
 */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <berth/store_memory.h>

#include "failing_malloc.h"

#define UPDATES 5

static const struct berth_store *const store = &berth_store_interface;

struct update {
    struct berth_store_update base;
    size_t index;
    unsigned ended;
    enum berth_code code;
};

static struct {
    uv_loop_t loop;
    struct berth_store_memory *memory;
    struct update updates[UPDATES];
    size_t ended;
    unsigned told;
    bool is_closed;
    unsigned char large[40000];
} f;

static struct berth_store_bytes key_of(const struct update *update)
{
    return (struct berth_store_bytes){&update->index, sizeof(update->index)};
}

static enum berth_code change(struct berth_store_update *base, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    const struct update *update = (struct update *)base;
    size_t length = update->index == 3 ? sizeof(f.large) : 10;

    store->put(txn, "small", key_of(update), berth_store_text("a value"), err);
    store->put(txn, "other", key_of(update), (struct berth_store_bytes){f.large, length}, err);
    return update->index == 2 ? berth_error_set(err, BERTH_ALREADY_EXISTS, "refused") : BERTH_OK;
}

static void done(struct berth_store_update *base, enum berth_code code, const char *message)
{
    struct update *update = (struct update *)base;

    assert_int_equal(code == BERTH_OK, message == NULL);
    assert_int_equal(f.ended++, update->index);
    update->ended++;
    update->code = code;
}

static void on_change(void *context, const struct berth_store_change *told)
{
    f.told++;
}

static void on_closed(void *context)
{
    f.is_closed = true;
}

static bool is_there(const char *bucket, const struct update *update)
{
    struct berth_store_bytes value;
    struct berth_store_txn *txn;
    struct berth_error err;
    enum berth_code code;

    assert_int_equal(store->begin(f.memory, &txn, &err), BERTH_OK);
    code = store->get(txn, bucket, key_of(update), &value, &err);
    store->end(txn);
    return code == BERTH_OK;
}

static void ask_for_all(void)
{
    memset(f.updates, 0, sizeof(f.updates));
    f.ended = 0;
    for (size_t i = 0; i < UPDATES; i++) {
        f.updates[i].base = (struct berth_store_update){.change = change, .done = done};
        f.updates[i].index = i;
        store->update(f.memory, &f.updates[i].base);
    }
    while (f.ended < UPDATES)
        uv_run(&f.loop, UV_RUN_ONCE);
}

static void check_all(bool had_memory)
{
    for (size_t i = 0; i < UPDATES; i++) {
        const struct update *update = &f.updates[i];
        enum berth_code wanted = i == 2 ? BERTH_ALREADY_EXISTS : BERTH_OK;

        assert_int_equal(update->ended, 1);
        assert_true(update->code == wanted || (!had_memory && update->code == BERTH_RESOURCE_EXHAUSTED));
        assert_int_equal(is_there("small", update), update->code == BERTH_OK);
        assert_int_equal(is_there("other", update), update->code == BERTH_OK);
    }
}

/* True where the allocation that was to fail was never made. */
static bool use_a_store(long which)
{
    struct berth_store_watch *watch;
    struct berth_store_txn *txn;
    struct berth_error err;
    enum berth_code code;
    bool is_past;

    countdown = which;
    f.memory = berth_store_memory_create(&f.loop);
    if (f.memory == NULL)
        return false;
    watch = store->watch(f.memory, "", on_change, NULL);
    ask_for_all();
    code = store->begin(f.memory, &txn, &err);
    if (code == BERTH_OK)
        store->end(txn);
    assert_true(code == BERTH_OK || code == BERTH_RESOURCE_EXHAUSTED);
    code =
        berth_store_memory_write_as_other(f.memory, "b", berth_store_text("k"), berth_store_text("v"), &err);
    assert_true(code == BERTH_OK || code == BERTH_RESOURCE_EXHAUSTED);
    is_past = countdown > 0;
    countdown = 0;
    check_all(is_past);
    store->unwatch(f.memory, watch);
    f.is_closed = false;
    berth_store_memory_close(f.memory, on_closed, NULL);
    while (!f.is_closed)
        uv_run(&f.loop, UV_RUN_ONCE);
    return is_past;
}

static void each_allocation_that_fails_ends_a_change_and_no_more(void **state)
{
    long which = 1, before;

    if (HAS_OWN_MALLOC)
        skip();
    assert_int_equal(uv_loop_init(&f.loop), 0);
    before = held;
    while (!use_a_store(which)) {
        assert_int_equal(held, before);
        assert_in_range(which++, 1, 1000);
    }
    assert_int_equal(held, before);
    assert_in_range(which, 10, 1000);
    assert_int_equal(uv_loop_close(&f.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_that_fails_ends_a_change_and_no_more),
    };

    return cmocka_run_group_tests_name("store_allocations", tests, spare_libuv, NULL);
}
