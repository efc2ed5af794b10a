/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/store/overlay.h>
#include <sdk/store/queue.h>

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct store_overlay));
    return *state == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    store_overlay_finish(*state);
    free(*state);
    return 0;
}

static struct store_name name_of(const char *bucket, const char *key)
{
    return (struct store_name){bucket, berth_store_text(key)};
}

static void put(struct store_overlay *overlay, const char *bucket, const char *key, const char *value)
{
    struct store_name name = name_of(bucket, key);

    assert_true(store_overlay_write(overlay, &name, berth_store_text(value)));
}

static void remove_name(struct store_overlay *overlay, const char *bucket, const char *key)
{
    struct store_name name = name_of(bucket, key);

    assert_true(store_overlay_write(overlay, &name, (struct berth_store_bytes){0}));
}

static void assert_written(struct store_overlay *overlay, const char *bucket, const char *key,
                           const char *value)
{
    struct store_name name = name_of(bucket, key);
    struct store_overlay_entry *entry = store_overlay_find(overlay, &name);

    assert_non_null(entry);
    if (value == NULL) {
        assert_null(entry->value.data);
        return;
    }
    assert_int_equal(entry->value.length, strlen(value));
    assert_memory_equal(entry->value.data, value, strlen(value));
}

static void assert_size(const struct store_overlay_size *size, uint64_t count, uint64_t bytes)
{
    assert_int_equal(size->count, count);
    assert_int_equal(size->bytes, bytes);
}

static void what_a_refused_change_wrote_is_as_it_was_before(void **state)
{
    struct store_overlay *overlay = *state;
    struct store_name fresh = name_of("b", "new");

    store_overlay_begin(overlay);
    put(overlay, "b", "kept", "one");
    remove_name(overlay, "b", "gone");
    store_overlay_keep(overlay);
    assert_size(&overlay->all, 2, 5 + 3 + 5);

    store_overlay_begin(overlay);
    put(overlay, "b", "kept", "a longer value");
    remove_name(overlay, "b", "kept");
    put(overlay, "b", "gone", "back");
    put(overlay, "b", "new", "x");
    put(overlay, "b", "new", "xy");
    assert_size(&overlay->own, 3, 5 + 5 + 4 + 4 + 2);
    store_overlay_undo(overlay);

    assert_size(&overlay->all, 2, 5 + 3 + 5);
    assert_written(overlay, "b", "kept", "one");
    assert_written(overlay, "b", "gone", NULL);
    assert_null(store_overlay_find(overlay, &fresh));
}

static void an_undone_change_leaves_no_trace_in_the_next(void **state)
{
    struct store_overlay *overlay = *state;

    for (int i = 0; i < 3; i++) {
        store_overlay_begin(overlay);
        put(overlay, "b", "k", "value");
        assert_size(&overlay->own, 1, 7);
        store_overlay_undo(overlay);
        assert_size(&overlay->all, 0, 0);
        assert_null(store_overlay_first(overlay));
    }
    store_overlay_begin(overlay);
    put(overlay, "b", "k", "v");
    store_overlay_keep(overlay);
    assert_size(&overlay->all, 1, 3);
}

static void a_large_value_of_an_undone_change_is_given_back(void **state)
{
    struct store_overlay *overlay = *state;
    struct store_name name = name_of("b", "k");
    struct berth_store_bytes large = {calloc(1, 1 << 20), 1 << 20};
    struct berth_arena before, after;

    assert_non_null(large.data);
    store_overlay_begin(overlay);
    put(overlay, "b", "kept", "one");
    store_overlay_keep(overlay);
    before = overlay->arena;
    store_overlay_begin(overlay);
    assert_true(store_overlay_write(overlay, &name, large));
    assert_ptr_not_equal(overlay->arena.blocks, before.blocks);
    store_overlay_undo(overlay);
    after = overlay->arena;
    assert_ptr_equal(after.blocks, before.blocks);
    assert_ptr_equal(after.free, before.free);
    free((void *)large.data);
}

static void a_value_stays_where_it_was_read_while_its_change_runs(void **state)
{
    struct store_overlay *overlay = *state;
    struct store_name name = name_of("b", "k");
    const void *first;

    store_overlay_begin(overlay);
    put(overlay, "b", "k", "first");
    first = store_overlay_find(overlay, &name)->value.data;
    for (int i = 0; i < 5000; i++)
        put(overlay, "b", "k", "another that takes room");
    assert_memory_equal(first, "first", 5);
    assert_size(&overlay->own, 1, 2 + 23);
    store_overlay_keep(overlay);
}

static void entries_stand_in_order_and_buckets_do_not_mix(void **state)
{
    static const char *const order[] = {"a", "b", "c"};
    struct store_overlay *overlay = *state;
    struct store_name name = name_of("a", "b");
    struct store_overlay_entry *entry;

    store_overlay_begin(overlay);
    put(overlay, "a/b", "x", "");
    for (size_t i = 3; i > 0; i--)
        put(overlay, "a", order[i - 1], "");
    store_overlay_keep(overlay);
    entry = store_overlay_first(overlay);
    for (size_t i = 0; i < 3; i++, entry = store_overlay_following(entry))
        assert_memory_equal(entry->name.key.data, order[i], 1);
    assert_string_equal(entry->name.bucket, "a/b");
    assert_null(store_overlay_following(entry));
    assert_memory_equal(store_overlay_next(overlay, &name)->name.key.data, "c", 1);
    name.key = berth_store_text("bb");
    assert_memory_equal(store_overlay_next(overlay, &name)->name.key.data, "c", 1);
    assert_string_equal(store_overlay_next_bucket(overlay, "")->name.bucket, "a");
    assert_string_equal(store_overlay_next_bucket(overlay, "a")->name.bucket, "a/b");
    assert_null(store_overlay_next_bucket(overlay, "a/b"));
}

static void what_is_put_back_comes_before_what_waits(void **state)
{
    struct berth_store_update updates[5] = {{0}};
    struct store_queue waiting = {0}, back = {0};

    store_queue_put_back(&waiting, &back);
    assert_null(store_queue_take(&waiting));
    for (size_t i = 0; i < 3; i++)
        store_queue_add(&back, &updates[i]);
    store_queue_put_back(&waiting, &back);
    assert_int_equal(back.count, 0);
    store_queue_add(&waiting, &updates[3]);
    assert_ptr_equal(store_queue_take(&waiting), &updates[0]);
    store_queue_append(&back, &updates[0]);
    store_queue_put_back(&waiting, &back);
    store_queue_add(&waiting, &updates[4]);
    assert_int_equal(waiting.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_ptr_equal(store_queue_take(&waiting), &updates[i]);
    assert_null(store_queue_take(&waiting));
}

static void an_update_that_comes_again_has_no_past(void **state)
{
    struct berth_store_update update;
    struct store_queue queue = {0};

    memset(&update, 0xff, sizeof(update));
    store_queue_add(&queue, &update);
    assert_int_equal(store_update_get(&update, STORE_UPDATE_ATTEMPTS), 0);
    assert_false(store_update_is(&update, STORE_UPDATE_ALONE));
    store_update_mark(&update, STORE_UPDATE_WROTE, true);
    store_update_mark(&update, STORE_UPDATE_ALONE, true);
    store_update_mark(&update, STORE_UPDATE_WROTE, false);
    assert_true(store_update_is(&update, STORE_UPDATE_ALONE));
    assert_false(store_update_is(&update, STORE_UPDATE_WROTE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_refused_change_wrote_is_as_it_was_before),
        TEST(an_undone_change_leaves_no_trace_in_the_next),
        TEST(a_large_value_of_an_undone_change_is_given_back),
        TEST(a_value_stays_where_it_was_read_while_its_change_runs),
        TEST(entries_stand_in_order_and_buckets_do_not_mix),
        cmocka_unit_test(what_is_put_back_comes_before_what_waits),
        cmocka_unit_test(an_update_that_comes_again_has_no_past),
    };

    return cmocka_run_group_tests_name("store_overlay", tests, NULL, NULL);
}
