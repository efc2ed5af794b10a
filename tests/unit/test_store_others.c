/* SPDX-License-Identifier: Apache-2.0 */
/* What the store in memory does when the test writes as another daemon, or damages an entry. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

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

static void put_entries(void)
{
    static const char *const names[][2] = {{"a", "k"}, {"b", "k"}, {"b", "l"}, {"b", "m"}};
    struct berth_error err;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(berth_store_memory_write_as_other(f.memory, names[i][0],
                                                           berth_store_text(names[i][1]),
                                                           berth_store_text("value"), &err),
                         BERTH_OK);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_false(berth_store_memory_damage(f.memory, "b", berth_store_text("none")));
    assert_true(berth_store_memory_damage(f.memory, "b", berth_store_text("k")));
}

static enum berth_code run_change(enum berth_code (*change)(struct berth_store_update *update,
                                                            struct berth_store_txn *txn,
                                                            struct berth_error *err))
{
    f.is_done = false;
    f.base.change = change;
    store->update(f.memory, &f.base);
    while (!f.is_done)
        uv_run(&f.loop, UV_RUN_ONCE);
    return f.code;
}

/* All keys of the bucket, as a walk comes by them; the damaged ones in brackets. */
static void walk(struct berth_store_txn *txn, const char *bucket, char keys[64])
{
    struct berth_store_entry entry = {.key = {"", 0}};
    struct berth_error err;
    enum berth_code code;

    keys[0] = '\0';
    while ((code = store->next(txn, bucket, entry.key, &entry, &err)) == BERTH_OK ||
           (code == BERTH_DATA_LOSS && entry.key.length > 0))
        snprintf(keys + strlen(keys), 64 - strlen(keys), code == BERTH_OK ? "%.*s" : "[%.*s]",
                 (int)entry.key.length, (const char *)entry.key.data);
}

static void a_snapshot_tells_which_entry_is_damaged_and_goes_on_behind_it(void **state)
{
    char keys[64], bucket[BERTH_STORE_BUCKET_MAX + 1] = "a";
    struct berth_store_bytes value;
    struct berth_store_txn *txn;
    struct berth_error err;

    put_entries();
    assert_int_equal(store->begin(f.memory, &txn, &err), BERTH_OK);
    assert_int_equal(store->get(txn, "b", berth_store_text("k"), &value, &err), BERTH_DATA_LOSS);
    walk(txn, "b", keys);
    assert_string_equal(keys, "[k]lm");
    assert_int_equal(store->next_bucket(txn, "a", bucket, &err), BERTH_OK);
    assert_string_equal(bucket, "b");
    store->end(txn);
}

static enum berth_code look_and_write(struct berth_store_update *update, struct berth_store_txn *txn,
                                      struct berth_error *err)
{
    struct berth_store_bytes value;

    store->get(txn, "b", berth_store_text("k"), &value, err);
    store->put(txn, "b", berth_store_text("k"), berth_store_text("new"), err);
    store->remove(txn, "b", berth_store_text("l"), err);
    return BERTH_OK;
}

static enum berth_code remove_all(struct berth_store_update *update, struct berth_store_txn *txn,
                                  struct berth_error *err)
{
    struct berth_store_entry entry;
    struct berth_store_bytes value;
    char keys[64];
    enum berth_code code;

    /* What the change has written comes before what it has not come to yet. */
    assert_int_equal(store->put(txn, "b", berth_store_text("A"), berth_store_text("new"), err), BERTH_OK);
    assert_int_equal(store->next(txn, "b", berth_store_text(""), &entry, err), BERTH_OK);
    assert_int_equal(store->next(txn, "b", entry.key, &entry, err), BERTH_DATA_LOSS);
    /* Nothing else may be done now, and no walk goes on for ever. */
    assert_int_equal(store->get(txn, "a", berth_store_text("k"), &value, err), BERTH_DATA_LOSS);
    walk(txn, "a", keys);
    assert_string_equal(keys, "");
    assert_int_equal(store->remove(txn, "b", berth_store_text("k"), err), BERTH_OK);
    walk(txn, "b", keys);
    assert_string_equal(keys, "Alm");
    code = store->get(txn, "a", berth_store_text("k"), &value, err);
    return code;
}

static void a_change_may_remove_a_damaged_entry_and_nothing_else(void **state)
{
    struct berth_store_txn *txn;
    struct berth_error err;
    char keys[64];

    put_entries();
    assert_int_equal(run_change(look_and_write), BERTH_DATA_LOSS);
    assert_int_equal(run_change(remove_all), BERTH_OK);
    assert_int_equal(store->begin(f.memory, &txn, &err), BERTH_OK);
    walk(txn, "b", keys);
    assert_string_equal(keys, "Alm");
    store->end(txn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_on_its_way_loses_against_it),
        TEST(nobody_hears_that_nothing_was_removed),
        TEST(its_names_are_checked_too),
        TEST(a_write_may_still_wait_when_it_closes),
        TEST(a_snapshot_tells_which_entry_is_damaged_and_goes_on_behind_it),
        TEST(a_change_may_remove_a_damaged_entry_and_nothing_else),
    };

    return cmocka_run_group_tests_name("store_others", tests, NULL, NULL);
}
