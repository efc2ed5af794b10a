/* SPDX-License-Identifier: Apache-2.0 */
/* Full stores, full disks and disks that fail: what happened, what did not, and what is reported. */
#include "lmdb_stage.h"

#include <errno.h>

/* With entries of that size, until there is no room for one. */
static void fill(const char *bucket, size_t length)
{
    struct berth_store_write write = {.bucket = bucket};
    enum berth_code code = BERTH_OK;
    char *value = calloc(1, length), key[16];

    assert_non_null(value);
    for (unsigned i = 0; code == BERTH_OK; i++) {
        snprintf(key, sizeof(key), "%08u", i);
        write.key = berth_store_text(key);
        write.value = (struct berth_store_bytes){value, length};
        code = commit_all(&write, 1);
    }
    assert_int_equal(code, BERTH_RESOURCE_EXHAUSTED);
    free(value);
}

static void a_full_store_says_which_entry_did_not_fit_and_can_be_emptied(void **state)
{
    assert_int_equal(commit_large("a", 3 << 20), BERTH_OK);
    assert_int_equal(commit_large("b", 4 << 20), BERTH_OK);
    assert_int_equal(commit_large("c", 4 << 20), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(store.message, "bucket large, key \"c\""));
    assert_non_null(strstr(store.message, "max_size of 8388608 bytes"));
    fill("fill", 40000);
    assert_int_equal(store.reported, BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(store.report, "max_size of 8388608 bytes"));
    assert_int_equal(commit("large", "a", NULL), BERTH_OK);
    wait_for_report(BERTH_OK);
    assert_int_equal(commit_large("again", 1 << 20), BERTH_OK);
    assert_true(store.environment->map_size <= 8 << 20);
}

static void a_change_that_is_too_large_does_not_make_the_store_a_full_one(void **state)
{
    assert_int_equal(commit_large("a", 5 << 20), BERTH_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(commit_large("b", 5 << 20), BERTH_RESOURCE_EXHAUSTED);
    run_for(300);
    assert_int_equal(store.reports, 0);
    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
}

static void a_full_store_is_reported_until_an_ordinary_change_fits_whatever_small_ones_do(void **state)
{
    unsigned reports;

    close_store();
    open_store(1 << 20, 1 << 20);
    fill("small", 1000);
    fill("tiny", 1);
    wait_for_report(BERTH_RESOURCE_EXHAUSTED);
    reports = store.reports;
    for (unsigned i = 0; i < 10; i++) {
        char key[16];

        snprintf(key, sizeof(key), "%08u", i);
        assert_int_equal(commit("small", key, NULL), BERTH_OK);
        run_for(50);
    }
    run_for(300);
    assert_int_equal(store.reports, reports);
    assert_int_equal(store.reported, BERTH_RESOURCE_EXHAUSTED);
    for (unsigned i = 10; i < 200; i++) {
        char key[16];

        snprintf(key, sizeof(key), "%08u", i);
        assert_int_equal(commit("small", key, NULL), BERTH_OK);
    }
    wait_for_report(BERTH_OK);
    assert_int_equal(store.reports, reports + 1);
}

static void a_store_that_is_full_when_it_opens_is_reported_before_anybody_writes(void **state)
{
    fill("fill", 40000);
    close_store();
    store.reported = BERTH_OK;
    open_store(1 << 20, 8 << 20);
    wait_for_report(BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(store.report, "max_size of 8388608 bytes"));
}

static void a_change_that_comes_during_a_probe_waits_for_it_and_happens(void **state)
{
    fault.write = ENOSPC;
    assert_int_equal(commit("b", "key", "value"), BERTH_RESOURCE_EXHAUSTED);
    fault.write = 0;
    assert_int_equal(commit("b", "key", "0"), BERTH_OK);
    for (unsigned i = 1; i < 2000 && store.reported != BERTH_OK; i++) {
        char value[16];

        snprintf(value, sizeof(value), "%u", i);
        assert_int_equal(commit("b", "key", value), BERTH_OK);
        assert_value("b", "key", value);
    }
    wait_for_report(BERTH_OK);
    assert_int_equal(store.reports, 2);
}

static void a_full_disk_fails_the_change_and_nothing_else(void **state)
{
    static const struct {
        int number;
        const char *remedy;
    } cases[] = {
        {ENOSPC, "free space on its disk"},
        {EDQUOT, "free space on its disk"},
        {EFBIG, "raise the daemon's file size limit"},
    };
    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    for (size_t i = 0; i < 3; i++) {
        fault.write = cases[i].number;
        assert_int_equal(commit("b", "key", "new"), BERTH_RESOURCE_EXHAUSTED);
        assert_non_null(strstr(store.message, cases[i].remedy));
        assert_int_equal(store.reported, BERTH_RESOURCE_EXHAUSTED);
        assert_value("b", "key", "old");
        fault.write = 0;
        assert_int_equal(commit("b", "other", "value"), BERTH_OK);
        wait_for_report(BERTH_OK);
    }
    assert_int_equal(store.reports, 6);
    assert_int_equal(commit("b", "other", "value"), BERTH_OK);
    assert_int_equal(store.reports, 6);
}

static void a_disk_that_takes_only_a_part_is_a_full_one(void **state)
{
    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    fault.is_short = true;
    assert_int_equal(commit("b", "key", "new"), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(store.message, "free space on its disk"));
    assert_value("b", "key", "old");
}

static void what_could_not_be_synced_did_not_happen_is_not_tried_again_and_is_reported(void **state)
{
    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    fault.sync = EIO;
    syncs = 0;
    assert_int_equal(commit("b", "key", "new"), BERTH_UNAVAILABLE);
    assert_int_equal(syncs, 1);
    assert_int_equal(store.reported, BERTH_UNAVAILABLE);
    assert_non_null(strstr(store.report, "the disk is failing"));
    assert_value("b", "key", "old");
    fault.sync = 0;
    assert_int_equal(commit("b", "key", "new"), BERTH_OK);
    wait_for_report(BERTH_OK);
    close_store();
    open_store(1 << 20, 8 << 20);
    assert_value("b", "key", "new");
}

static void what_a_signal_interrupts_is_tried_again(void **state)
{
    fault.interruptions = 3;
    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    assert_int_equal(fault.interruptions, 0);
    assert_value("b", "key", "value");
    fault.interruptions = UINT_MAX;
    assert_int_equal(commit("b", "key", "other"), BERTH_UNAVAILABLE);
    fault.interruptions = 0;
    assert_value("b", "key", "value");
    assert_int_equal(commit("b", "key", "other"), BERTH_OK);
}

static void when_the_last_write_fails_the_change_did_not_happen_and_others_can(void **state)
{
    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    for (int i = 0; i < 3; i++) {
        fault.meta = ENOSPC;
        assert_int_equal(commit("b", "key", "new"), BERTH_RESOURCE_EXHAUSTED);
        assert_int_equal(store.reported, BERTH_RESOURCE_EXHAUSTED);
        assert_value("b", "key", "old");
        assert_int_equal(commit("b", "other", "value"), BERTH_OK);
        wait_for_report(BERTH_OK);
    }
    close_store();
    open_store(1 << 20, 8 << 20);
    assert_value("b", "key", "old");
    assert_value("b", "other", "value");
}

static void when_the_last_write_fails_and_no_sync_follows_the_change_may_have_happened(void **state)
{
    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    fault.meta = fault.sync_after_meta = EIO;
    assert_int_equal(commit("b", "key", "new"), BERTH_UNKNOWN);
    assert_non_null(strstr(store.message, "after the restart"));
    fault.sync = 0;
    assert_value("b", "key", "old");
    assert_int_equal(commit("b", "other", "value"), BERTH_UNAVAILABLE);
    assert_non_null(strstr(store.message, "run `berthctl plugins restart io.berth.store.v1.lmdb`"));
    assert_int_equal(store.reported, BERTH_UNAVAILABLE);
    close_store();
    open_store(1 << 20, 8 << 20);
    assert_value("b", "key", "old");
    assert_int_equal(commit("b", "key", "new"), BERTH_OK);
}

static void a_disk_that_fails_for_good_takes_no_more_room_each_time(void **state)
{
    uint64_t size;

    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    size = environment_file_size(store.environment);
    fault.write = EIO;
    for (int i = 0; i < 3; i++)
        assert_int_equal(commit("b", "key", "new"), BERTH_UNAVAILABLE);
    assert_int_equal(environment_file_size(store.environment), size);
    fault.write = 0;
    assert_value("b", "key", "old");
    assert_int_equal(commit("b", "key", "new"), BERTH_OK);
    assert_value("b", "key", "new");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_store_says_which_entry_did_not_fit_and_can_be_emptied),
        TEST(a_change_that_is_too_large_does_not_make_the_store_a_full_one),
        TEST(a_full_store_is_reported_until_an_ordinary_change_fits_whatever_small_ones_do),
        TEST(a_store_that_is_full_when_it_opens_is_reported_before_anybody_writes),
        TEST(a_change_that_comes_during_a_probe_waits_for_it_and_happens),
        TEST(a_full_disk_fails_the_change_and_nothing_else),
        TEST(a_disk_that_takes_only_a_part_is_a_full_one),
        TEST(what_could_not_be_synced_did_not_happen_is_not_tried_again_and_is_reported),
        TEST(what_a_signal_interrupts_is_tried_again),
        TEST(when_the_last_write_fails_the_change_did_not_happen_and_others_can),
        TEST(when_the_last_write_fails_and_no_sync_follows_the_change_may_have_happened),
        TEST(a_disk_that_fails_for_good_takes_no_more_room_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
