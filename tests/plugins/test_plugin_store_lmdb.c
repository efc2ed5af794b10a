/* SPDX-License-Identifier: Apache-2.0 */
/* The store in a file as other plugins see it: changes, snapshots, exports, condition, and its close. */
#include "plugin_stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <berth/types/store.h>

/* One change: an entry is put, or removed where there is no value. */
struct change {
    struct berth_store_update update;
    const char *key;
    const char *value;
    enum berth_code refuse;
    bool is_done;
    enum berth_code code;
};

static const struct berth_store *store;

static enum berth_code write_entry(struct berth_store_update *update, struct berth_store_txn *txn,
                                   struct berth_error *err)
{
    struct change *change = (struct change *)update;
    struct berth_store_bytes key = berth_store_text(change->key);
    enum berth_code code = change->value != NULL
                               ? store->put(txn, "bucket", key, berth_store_text(change->value), err)
                               : store->remove(txn, "bucket", key, err);

    if (code == BERTH_OK && change->refuse != BERTH_OK)
        return berth_error_set(err, change->refuse, "as it was asked to");
    return code;
}

static void on_done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct change *change = (struct change *)update;

    change->is_done = true;
    change->code = code;
}

static bool is_done(void *context)
{
    const struct change *change = context;

    return change->is_done;
}

static void begin_change(struct berth_testing *testing, struct change *change, const char *key,
                         const char *value)
{
    *change = (struct change){
        .update = {.change = write_entry, .done = on_done},
        .key = key,
        .value = value,
        .refuse = change->refuse,
    };
    store->update(berth_testing_instance(testing), &change->update);
    assert_false(change->is_done);
}

static enum berth_code put(struct berth_testing *testing, const char *key, const char *value)
{
    struct change change = {.refuse = BERTH_OK};

    begin_change(testing, &change, key, value);
    assert_true(berth_testing_run_until(testing, is_done, &change));
    return change.code;
}

static void assert_entry(struct berth_testing *testing, const char *key, const char *value)
{
    struct berth_store_txn *txn;
    struct berth_store_bytes found;
    struct berth_error err;
    enum berth_code code;

    assert_int_equal(store->begin(berth_testing_instance(testing), &txn, &err), BERTH_OK);
    code = store->get(txn, "bucket", berth_store_text(key), &found, &err);
    assert_int_equal(code, value != NULL ? BERTH_OK : BERTH_NOT_FOUND);
    if (value != NULL) {
        assert_int_equal(found.length, strlen(value));
        assert_memory_equal(found.data, value, found.length);
    }
    store->end(txn);
}

static int set_up(void **state)
{
    *state = plugin_run(NULL, "{map_size: 1MiB, max_size: 4MiB}");
    store = berth_testing_interface(*state);
    return 0;
}

static void a_change_is_durable_when_it_is_done(void **state)
{
    struct berth_testing *testing = *state;

    assert_int_equal(put(testing, "key", "value"), BERTH_OK);
    assert_entry(testing, "key", "value");
    assert_int_equal(put(testing, "key", NULL), BERTH_OK);
    assert_entry(testing, "key", NULL);
}

static void a_refused_change_leaves_nothing_behind(void **state)
{
    struct berth_testing *testing = *state;
    struct change change = {.refuse = BERTH_ALREADY_EXISTS};

    begin_change(testing, &change, "key", "value");
    assert_true(berth_testing_run_until(testing, is_done, &change));
    assert_int_equal(change.code, BERTH_ALREADY_EXISTS);
    assert_entry(testing, "key", NULL);
}

static void changes_that_wait_together_all_end_well(void **state)
{
    struct berth_testing *testing = *state;
    struct change changes[100] = {{.refuse = BERTH_OK}};
    char keys[100][16];

    for (size_t i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof(keys[i]), "key%zu", i);
        begin_change(testing, &changes[i], keys[i], keys[i]);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_true(berth_testing_run_until(testing, is_done, &changes[i]));
        assert_int_equal(changes[i].code, BERTH_OK);
        assert_entry(testing, keys[i], keys[i]);
    }
}

static void it_exports_its_file_the_schema_and_the_size(void **state)
{
    struct berth_testing *testing = *state;
    const char *path = berth_testing_export(testing, "path");

    assert_non_null(path);
    assert_int_equal(access(path, R_OK | W_OK), 0);
    assert_string_equal(berth_testing_export(testing, "schema"), "2");
    assert_true(atoi(berth_testing_export(testing, "size")) >= 16384);
}

static bool is_well(void *context)
{
    struct berth_error err;

    return berth_testing_condition(context, &err) == BERTH_OK;
}

static void ignore_change(void *context, const struct berth_store_change *change)
{
}

static void who_watches_is_known_until_it_ends(void **state)
{
    struct berth_testing *testing = *state;
    struct berth_store_watch *watch =
        store->watch(berth_testing_instance(testing), "leases/", ignore_change, NULL);

    assert_int_equal(berth_testing_holdings(testing, "a watch of the store below \"leases/\""), 1);
    store->unwatch(berth_testing_instance(testing), watch);
    assert_int_equal(berth_testing_holdings(testing, NULL), 0);
}

static void a_full_store_goes_on_once_its_limit_is_raised(void **state)
{
    struct berth_testing *testing = *state;
    char *large = malloc(3 << 20);
    struct berth_error err;

    assert_non_null(large);
    memset(large, 'x', 3 << 20);
    large[(3 << 20) - 1] = '\0';
    assert_int_equal(put(testing, "first", large), BERTH_OK);
    assert_int_equal(put(testing, "second", large), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(plugin_reconfigure(testing, "{map_size: 1MiB, max_size: 16MiB}"), BERTH_OK);
    assert_int_equal(put(testing, "second", large), BERTH_OK);
    /* A limit below what is there: only removals are left. */
    assert_int_equal(plugin_reconfigure(testing, "{map_size: 1MiB, max_size: 4MiB}"), BERTH_OK);
    assert_int_equal(put(testing, "third", large), BERTH_RESOURCE_EXHAUSTED);
    assert_entry(testing, "second", large);
    assert_int_equal(put(testing, "second", NULL), BERTH_OK);
    assert_int_equal(berth_testing_reconfigure(testing, "max_size: 1", &err), BERTH_INVALID_ARGUMENT);
    free(large);
}

static void it_is_degraded_while_ordinary_changes_would_fail_and_only_then(void **state)
{
    struct berth_testing *testing = *state;
    char *large = malloc(3 << 20), key[16];
    struct berth_error err;
    unsigned i = 0;

    assert_non_null(large);
    memset(large, 'x', 3 << 20);
    large[(3 << 20) - 1] = '\0';
    assert_int_equal(put(testing, "first", large), BERTH_OK);
    assert_int_equal(put(testing, "second", large), BERTH_RESOURCE_EXHAUSTED);
    berth_testing_advance(testing, 1000);
    assert_true(is_well(testing));
    large[20000] = '\0';
    do
        snprintf(key, sizeof(key), "%u", i);
    while (put(testing, key, large) == BERTH_OK && ++i < 100);
    assert_int_equal(berth_testing_condition(testing, &err), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "max_size"));
    assert_int_equal(put(testing, "first", NULL), BERTH_OK);
    berth_testing_advance(testing, 1000);
    assert_true(berth_testing_run_until(testing, is_well, testing));
    assert_int_equal(put(testing, "second", large), BERTH_OK);
    free(large);
}

static void close_ends_the_changes_that_wait(void **state)
{
    struct berth_testing *testing = *state;
    struct change changes[3] = {{.refuse = BERTH_OK}};
    struct berth_error err = {""};

    for (size_t i = 0; i < 3; i++)
        begin_change(testing, &changes[i], "key", "value");
    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_true(changes[i].is_done);
        assert_true(changes[i].code == BERTH_OK || changes[i].code == BERTH_UNAVAILABLE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, plugin_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_durable_when_it_is_done),
        TEST(a_refused_change_leaves_nothing_behind),
        TEST(changes_that_wait_together_all_end_well),
        TEST(it_exports_its_file_the_schema_and_the_size),
        TEST(who_watches_is_known_until_it_ends),
        TEST(a_full_store_goes_on_once_its_limit_is_raised),
        TEST(it_is_degraded_while_ordinary_changes_would_fail_and_only_then),
        TEST(close_ends_the_changes_that_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
