/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged entries and pages: each is named and reported, and the others live on. */
#include "lmdb_stage.h"

#include <fcntl.h>

static void damage_entry(const char *bucket, const char *key)
{
    struct layout_name made;
    MDB_txn *txn;
    MDB_val name, data, damaged;
    char *bytes;

    layout_make_name(bucket, berth_store_text(key), &made);
    name = (MDB_val){made.length, made.bytes};
    assert_int_equal(mdb_txn_begin(store.environment->lmdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_get(txn, store.environment->entries, &name, &data), 0);
    bytes = malloc(data.mv_size);
    assert_non_null(bytes);
    memcpy(bytes, data.mv_data, data.mv_size);
    bytes[data.mv_size - 1] ^= 1;
    damaged = (MDB_val){data.mv_size, bytes};
    assert_int_equal(mdb_put(txn, store.environment->entries, &name, &damaged, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    free(bytes);
}

static void a_damaged_entry_is_named_and_the_others_live_on(void **state)
{
    struct berth_store_bytes value;
    struct berth_store_entry entry;
    struct berth_error err;

    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    assert_int_equal(commit("b", "other", "value"), BERTH_OK);
    damage_entry("b", "key");
    /* That was somebody else, as far as the engine knows. */
    assert_int_equal(commit("b", "third", "value"), BERTH_ABORTED);
    assert_int_equal(commit("b", "third", "value"), BERTH_OK);
    assert_int_equal(read_it("b", "key", &value, &err), BERTH_DATA_LOSS);
    assert_non_null(strstr(err.message, "bucket b, key \"key\""));
    assert_int_equal(store.reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(store.report, "1 damaged entry: bucket b, key \"key\""));
    assert_int_equal(engine_functions.next(&store.engine, "b", berth_store_text(""), &entry, &err),
                     BERTH_DATA_LOSS);
    assert_int_equal(entry.key.length, 3);
    assert_memory_equal(entry.key.data, "key", 3);
    assert_int_equal(store.reports, 1);
    assert_int_equal(engine_functions.next(&store.engine, "b", berth_store_text("key"), &entry, &err),
                     BERTH_OK);
    assert_value("b", "other", "value");
    assert_int_equal(commit("b", "other", "written"), BERTH_OK);
    assert_int_equal(store.reported, BERTH_DATA_LOSS);
    assert_int_equal(commit("b", "key", "repaired"), BERTH_OK);
    assert_value("b", "key", "repaired");
    assert_int_equal(store.reported, BERTH_OK);
}

static void the_full_check_finds_damaged_entries_and_reports_them_until_all_are_gone(void **state)
{
    char *large = calloc(1, 100001);

    assert_non_null(large);
    memset(large, 'x', 100000);
    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    assert_int_equal(commit("b", "large", large), BERTH_OK);
    assert_int_equal(commit("b", "well", "value"), BERTH_OK);
    damage_entry("b", "key");
    damage_entry("b", "large");
    close_store();
    store.reported = BERTH_OK;
    open_store(1 << 20, 8 << 20);
    assert_int_equal(store.reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(store.report, "2 damaged entries: bucket b, key \"large\" and others"));
    assert_value("b", "well", "value");
    assert_int_equal(commit("b", "large", NULL), BERTH_OK);
    assert_non_null(strstr(store.report, "1 damaged entry: bucket b, key \"key\""));
    assert_int_equal(commit("b", "key", NULL), BERTH_OK);
    assert_int_equal(store.reported, BERTH_OK);
    assert_value("b", "key", NULL);
    free(large);
}

static void an_entry_without_a_bucket_is_reported_until_a_restart(void **state)
{
    char text[] = "zz";
    MDB_val name = {2, text}, data = {2, text};
    struct berth_store_entry entry;
    struct berth_error err;
    MDB_txn *txn;

    assert_int_equal(mdb_txn_begin(store.environment->lmdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_put(txn, store.environment->entries, &name, &data, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    assert_int_equal(commit("b", "key", "value"), BERTH_ABORTED);
    assert_int_equal(engine_functions.next(&store.engine, "c", berth_store_text(""), &entry, &err),
                     BERTH_DATA_LOSS);
    assert_int_equal(entry.key.length, 0);
    assert_int_equal(store.reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(store.report, "its name has no bucket"));
    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    assert_value("b", "key", "value");
    assert_int_equal(store.reports, 1);
}

/* LMDB takes longer names than the store, and a damaged page may tell of any length. */
static void an_entry_whose_name_is_too_long_has_none(void **state)
{
    char text[LAYOUT_NAME_MAX + 20] = "c";
    MDB_val name = {sizeof(text), text}, data = {sizeof(text), text};
    struct berth_store_entry entry;
    struct berth_error err;
    MDB_txn *txn;

    memset(text + 2, 'k', sizeof(text) - 2);
    assert_int_equal(mdb_txn_begin(store.environment->lmdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_put(txn, store.environment->entries, &name, &data, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    assert_int_equal(commit("b", "key", "value"), BERTH_ABORTED);
    assert_int_equal(engine_functions.next(&store.engine, "c", berth_store_text(""), &entry, &err),
                     BERTH_DATA_LOSS);
    assert_int_equal(entry.key.length, 0);
    assert_int_equal(store.reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(store.report, "is too long"));
    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    assert_value("b", "key", "value");
}

/* As a bad disk would: the page that the entry is on is of no kind any more. */
static void damage_page(const char *bucket, const char *key)
{
    int fd = open(store.environment->path, O_RDWR | O_CLOEXEC);
    const char none[2] = {0, 0};
    struct layout_name made;
    MDB_txn *txn;
    MDB_val name, data;
    uint64_t page;

    layout_make_name(bucket, berth_store_text(key), &made);
    name = (MDB_val){made.length, made.bytes};
    assert_int_equal(mdb_txn_begin(store.environment->lmdb, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_get(txn, store.environment->entries, &name, &data), 0);
    memcpy(&page, (const char *)data.mv_data - (uintptr_t)data.mv_data % 4096, sizeof(page));
    mdb_txn_abort(txn);
    assert_int_equal(pwrite(fd, none, sizeof(none), (off_t)page * 4096 + 10), sizeof(none));
    close(fd);
}

static void a_damaged_page_is_reported_once_and_the_others_live_on(void **state)
{
    struct berth_store_bytes value;
    struct berth_error err;
    char key[16];

    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "%08u", i);
        assert_int_equal(commit("b", key, "another"), BERTH_OK);
    }
    damage_page("b", "00000150");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_it("b", "00000150", &value, &err), BERTH_DATA_LOSS);
        assert_non_null(strstr(err.message, "the file is damaged"));
        /* Within the same bracket too. */
        assert_int_equal(engine_functions.get(&store.engine, "b", berth_store_text("00000000"), &value, &err),
                         BERTH_OK);
        assert_value("b", "00000299", "another");
        assert_int_equal(commit("b", "00000299", "another"), BERTH_OK);
        assert_int_equal(commit("b", "00000150", "new"), BERTH_DATA_LOSS);
    }
    assert_int_equal(store.reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(store.report, "run `berthctl plugins restart io.berth.store.v1.lmdb`"));
    assert_true(store.reports <= 2);
    assert_false(store.has_failed);
}

static void a_reader_that_met_damage_does_not_see_a_change_before_it_has_ended(void **state)
{
    const struct berth_store_write write = a_write("b", "00000000", "new");
    const struct berth_store_batch batch = {.writes = &write, .count = 1, .changes = 1};
    struct berth_store_bytes value;
    struct berth_error err;
    char key[16];

    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "%08u", i);
        assert_int_equal(commit("b", key, "another"), BERTH_OK);
    }
    damage_page("b", "00000150");
    store.is_done = false;
    engine_functions.commit(&store.engine, &batch);
    while (!has_written(&store.engine.writer))
        usleep(1000);
    assert_int_equal(read_it("b", "00000150", &value, &err), BERTH_DATA_LOSS);
    assert_int_equal(read_it("b", "00000000", &value, &err), BERTH_UNAVAILABLE);
    while (!store.is_done)
        uv_run(&store.loop, UV_RUN_ONCE);
    assert_int_equal(store.code, BERTH_OK);
    assert_value("b", "00000000", "new");
}

static void where_both_first_pages_are_damaged_it_is_said_and_not_called_a_want_of_memory(void **state)
{
    int fd = open(store.environment->path, O_RDWR | O_CLOEXEC);
    char garbage[120];

    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    memset(garbage, 0x5a, sizeof(garbage));
    for (off_t page = 0; page < 2; page++)
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), page * 4096 + 40), sizeof(garbage));
    close(fd);
    assert_int_not_equal(commit("b", "key", "new"), BERTH_OK);
    assert_non_null(strstr(store.message, "is damaged: page"));
    assert_null(strstr(store.message, "memory"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_full_check_finds_damaged_entries_and_reports_them_until_all_are_gone),
        TEST(a_damaged_entry_is_named_and_the_others_live_on),
        TEST(an_entry_without_a_bucket_is_reported_until_a_restart),
        TEST(an_entry_whose_name_is_too_long_has_none),
        TEST(a_damaged_page_is_reported_once_and_the_others_live_on),
        TEST(a_reader_that_met_damage_does_not_see_a_change_before_it_has_ended),
        TEST(where_both_first_pages_are_damaged_it_is_said_and_not_called_a_want_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
