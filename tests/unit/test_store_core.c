/* SPDX-License-Identifier: Apache-2.0 */
/* The core of every store, over an engine whose commits end when and how the test says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <berth/store_engine.h>

#define MAX_UPDATES 600

/* One entry of the committed state is enough: "letters" / one byte. */
struct engine {
    struct berth_store_core *core;
    char values[256][8];
    size_t commits;
    struct berth_store_batch batch;
    bool is_committing;
    bool is_open;
    bool is_closed;
    enum berth_code begin_code;
    enum berth_code get_code;
};

struct update {
    struct berth_store_update base;
    char key;
    const char *value;
    enum berth_code says;
    bool fails;
    bool asks_again;
    unsigned runs;
    unsigned ended;
    enum berth_code code;
    char message[64];
    /* On the clock of the store. */
    uint64_t takes_ns;
};

static struct {
    uv_loop_t loop;
    struct engine engine;
    struct update updates[MAX_UPDATES];
    size_t order[MAX_UPDATES];
    size_t ended;
} f;

static enum berth_code begin(void *self, struct berth_error *err)
{
    if (f.engine.begin_code != BERTH_OK)
        return berth_error_set(err, f.engine.begin_code, "no way in");
    assert_false(f.engine.is_open);
    f.engine.is_open = true;
    return BERTH_OK;
}

static void end(void *self)
{
    assert_true(f.engine.is_open);
    f.engine.is_open = false;
}

static enum berth_code get(void *self, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    const char *value = f.engine.values[*(const unsigned char *)key.data];

    assert_true(f.engine.is_open);
    if (f.engine.get_code != BERTH_OK)
        return berth_error_set(err, f.engine.get_code, "the disk is bad");
    if (value[0] == '\0')
        return BERTH_NOT_FOUND;
    *ret_value = berth_store_text(value);
    return BERTH_OK;
}

static enum berth_code next(void *self, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err)
{
    return BERTH_NOT_FOUND;
}

static enum berth_code next_bucket(void *self, const char *after, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                   struct berth_error *err)
{
    return BERTH_NOT_FOUND;
}

static void commit(void *self, const struct berth_store_batch *batch)
{
    assert_false(f.engine.is_committing);
    assert_false(f.engine.is_open);
    f.engine.is_committing = true;
    f.engine.batch = *batch;
    f.engine.commits++;
}

/* The clock of the store stands still but for changes that take time: a busy machine cuts no batch short. */
static uint64_t clock_ns;

uint64_t uv_hrtime(void)
{
    return clock_ns;
}

static const struct berth_store_engine engine = {
    .size = sizeof(engine),
    .begin = begin,
    .end = end,
    .get = get,
    .next = next,
    .next_bucket = next_bucket,
    .commit = commit,
};

static const struct berth_store_limits limits = {
    .size = sizeof(limits),
    .max_value = 100,
    .max_writes = 64,
    .max_change = 1000,
};

static const struct berth_store *const store = &berth_store_interface;

static enum berth_code change(struct berth_store_update *base, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct update *update = (struct update *)base;
    struct berth_store_bytes key = {&update->key, 1};
    struct berth_store_bytes value = {0};

    update->runs++;
    clock_ns += update->takes_ns;
    if (update->fails)
        store->put(txn, "not a bucket", key, value, err);
    if (update->value != NULL &&
        store->put(txn, "letters", key, berth_store_text(update->value), err) != BERTH_OK)
        return BERTH_INTERNAL;
    store->get(txn, "letters", key, &value, err);
    if (update->says != BERTH_OK)
        return berth_error_set(err, update->says, "%.*s is there", (int)value.length,
                               value.data == NULL ? "" : (const char *)value.data);
    return BERTH_OK;
}

static void ask(struct update *update);

static void on_done(struct berth_store_update *base, enum berth_code code, const char *message)
{
    struct update *update = (struct update *)base;

    update->ended++;
    update->code = code;
    assert_int_equal(code == BERTH_OK, message == NULL);
    snprintf(update->message, sizeof(update->message), "%s", message == NULL ? "" : message);
    f.order[f.ended++ % MAX_UPDATES] = (size_t)(update - f.updates);
    if (update->asks_again) {
        update->asks_again = false;
        ask(update);
    }
}

static void ask(struct update *update)
{
    update->base.change = change;
    update->base.done = on_done;
    store->update(&f.engine, &update->base);
}

static struct update *put(size_t i, char key, const char *value)
{
    f.updates[i].key = key;
    f.updates[i].value = value;
    ask(&f.updates[i]);
    return &f.updates[i];
}

static void run_until_commit(size_t count)
{
    while (f.engine.commits < count)
        uv_run(&f.loop, UV_RUN_ONCE);
}

static void commit_ends(enum berth_code code, const char *message)
{
    assert_true(f.engine.is_committing);
    f.engine.is_committing = false;
    for (size_t i = 0; code == BERTH_OK && i < f.engine.batch.count; i++) {
        const struct berth_store_write *write = &f.engine.batch.writes[i];
        char *value = f.engine.values[*(const unsigned char *)write->key.data];

        snprintf(value, sizeof(f.engine.values[0]), "%.*s", (int)write->value.length,
                 write->value.data == NULL ? "" : (const char *)write->value.data);
    }
    berth_store_committed(f.engine.core, code, message);
}

static int set_up(void **state)
{
    memset(&f, 0, sizeof(f));
    assert_int_equal(uv_loop_init(&f.loop), 0);
    f.engine.core = berth_store_core_create(&f.loop, &engine, &f.engine, &limits);
    return f.engine.core == NULL ? -1 : 0;
}

static void on_closed(void *self)
{
    f.engine.is_closed = true;
}

static int tear_down(void **state)
{
    if (f.engine.is_committing)
        commit_ends(BERTH_OK, NULL);
    if (!f.engine.is_closed)
        berth_store_core_close(f.engine.core, on_closed);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_true(f.engine.is_closed);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    return 0;
}

static void changes_that_wait_are_joined_and_end_in_order(void **state)
{
    for (size_t i = 0; i < 3; i++)
        put(i, (char)('a' + i), "x");
    run_until_commit(1);
    assert_int_equal(f.engine.batch.changes, 3);
    assert_int_equal(f.engine.batch.count, 3);
    assert_int_equal(f.engine.batch.bytes, 3 * (7 + 1 + 1));
    assert_int_equal(berth_store_core_waiting(f.engine.core), 3);
    assert_int_equal(f.ended, 0);
    commit_ends(BERTH_OK, NULL);
    assert_int_equal(f.ended, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(f.order[i], i);
}

static void a_later_change_sees_what_an_earlier_one_of_its_batch_wrote(void **state)
{
    put(0, 'a', "first");
    f.updates[1].says = BERTH_ALREADY_EXISTS;
    put(1, 'a', NULL);
    run_until_commit(1);
    commit_ends(BERTH_OK, NULL);
    assert_int_equal(f.updates[1].code, BERTH_ALREADY_EXISTS);
    assert_string_equal(f.updates[1].message, "first is there");
}

static void a_refused_change_is_undone_and_confirmed_without_writes(void **state)
{
    f.updates[0].says = BERTH_ALREADY_EXISTS;
    put(0, 'a', "mine");
    run_until_commit(1);
    assert_int_equal(f.engine.batch.count, 0);
    assert_int_equal(f.engine.batch.bytes, 0);
    assert_int_equal(f.updates[0].ended, 0);
    commit_ends(BERTH_OK, NULL);
    assert_int_equal(f.updates[0].code, BERTH_ALREADY_EXISTS);
    assert_string_equal(f.engine.values['a'], "");
}

static void what_the_view_failed_ends_the_change_whatever_it_says(void **state)
{
    f.updates[0].fails = true;
    put(0, 'a', "mine");
    while (f.ended == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.engine.commits, 0);
    assert_int_equal(f.updates[0].code, BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(f.updates[0].message, "not a bucket"));
}

static void a_failed_change_beside_others_fails_alone(void **state)
{
    put(0, 'a', "x");
    f.updates[1].fails = true;
    put(1, 'b', "y");
    put(2, 'c', "z");
    run_until_commit(1);
    assert_int_equal(f.engine.batch.count, 2);
    commit_ends(BERTH_UNAVAILABLE, "the cluster is away");
    assert_int_equal(f.updates[0].code, BERTH_UNAVAILABLE);
    assert_string_equal(f.updates[0].message, "the cluster is away");
    assert_int_equal(f.updates[1].code, BERTH_INVALID_ARGUMENT);
    assert_int_equal(f.updates[2].code, BERTH_UNAVAILABLE);
}

static void changes_that_come_during_a_commit_wait_for_the_next(void **state)
{
    put(0, 'a', "x");
    run_until_commit(1);
    put(1, 'a', "y");
    put(2, 'b', "y");
    for (int i = 0; i < 20; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_int_equal(f.updates[1].runs, 0);
    commit_ends(BERTH_OK, NULL);
    run_until_commit(2);
    assert_int_equal(f.engine.batch.changes, 2);
}

static void a_batch_joins_no_more_than_it_may(void **state)
{
    for (size_t i = 0; i < 300; i++)
        put(i, 'a', "x");
    run_until_commit(1);
    assert_in_range(f.engine.batch.changes, 1, 256);
    commit_ends(BERTH_OK, NULL);
    while (f.ended < 300) {
        run_until_commit(f.engine.commits + 1);
        commit_ends(BERTH_OK, NULL);
    }
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(f.order[i], i);
}

static void a_batch_takes_no_longer_than_it_may(void **state)
{
    for (size_t i = 0; i < 3; i++)
        put(i, (char)('a' + i), "x")->takes_ns = 1000000;
    run_until_commit(1);
    assert_int_equal(f.engine.batch.changes, 2);
    commit_ends(BERTH_OK, NULL);
    run_until_commit(2);
    assert_int_equal(f.engine.batch.changes, 1);
    commit_ends(BERTH_OK, NULL);
    assert_int_equal(f.ended, 3);
}

static void a_batch_is_no_larger_than_one_change_may_be(void **state)
{
    for (size_t i = 0; i < 100; i++)
        put(i, (char)i, "x");
    for (size_t ended = 0; ended < 100; ended = f.ended) {
        run_until_commit(f.engine.commits + 1);
        assert_in_range(f.engine.batch.count, 1, 64);
        commit_ends(BERTH_OK, NULL);
    }
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(f.updates[i].code, BERTH_OK);
}

static void a_conflict_runs_all_again_on_what_is_there_then(void **state)
{
    put(0, 'a', "x");
    f.updates[1].says = BERTH_ALREADY_EXISTS;
    put(1, 'b', NULL);
    run_until_commit(1);
    put(2, 'c', "later");
    strcpy(f.engine.values['b'], "theirs");
    commit_ends(BERTH_ABORTED, "lost");
    run_until_commit(2);
    assert_int_equal(f.ended, 0);
    assert_int_equal(f.updates[0].runs, 2);
    assert_int_equal(f.engine.batch.changes, 3);
    commit_ends(BERTH_OK, NULL);
    assert_string_equal(f.updates[1].message, "theirs is there");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(f.order[i], i);
}

static void who_always_loses_is_told_so_in_the_end(void **state)
{
    put(0, 'a', "x");
    for (size_t commits = 1; f.ended == 0; commits++) {
        assert_in_range(commits, 1, 1000);
        run_until_commit(commits);
        commit_ends(BERTH_ABORTED, "lost");
    }
    assert_int_equal(f.updates[0].code, BERTH_ABORTED);
    assert_string_equal(f.updates[0].message, "lost");
}

static void of_a_batch_that_is_too_much_each_runs_alone(void **state)
{
    for (size_t i = 0; i < 3; i++)
        put(i, (char)('a' + i), "x");
    run_until_commit(1);
    commit_ends(BERTH_RESOURCE_EXHAUSTED, "disk full");
    assert_int_equal(f.ended, 0);
    run_until_commit(2);
    assert_int_equal(f.engine.batch.changes, 1);
    commit_ends(BERTH_OK, NULL);
    run_until_commit(3);
    assert_int_equal(f.engine.batch.changes, 1);
    commit_ends(BERTH_RESOURCE_EXHAUSTED, "disk full");
    run_until_commit(4);
    commit_ends(BERTH_OK, NULL);
    assert_int_equal(f.updates[0].code, BERTH_OK);
    assert_int_equal(f.updates[1].code, BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(f.updates[2].code, BERTH_OK);
}

static void only_what_wrote_may_have_happened(void **state)
{
    put(0, 'a', "x");
    f.updates[1].says = BERTH_ALREADY_EXISTS;
    put(1, 'a', "y");
    run_until_commit(1);
    commit_ends(BERTH_UNKNOWN, "the line broke");
    assert_int_equal(f.updates[0].code, BERTH_UNKNOWN);
    assert_int_equal(f.updates[1].code, BERTH_UNAVAILABLE);
}

static void an_engine_that_cannot_be_read_fails_all_that_wait(void **state)
{
    f.engine.begin_code = BERTH_UNAVAILABLE;
    put(0, 'a', "x");
    put(1, 'b', "x");
    while (f.ended < 2)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.updates[1].code, BERTH_UNAVAILABLE);
    assert_string_equal(f.updates[1].message, "no way in");
    assert_int_equal(f.engine.commits, 0);
}

static void a_damaged_entry_fails_who_reads_it(void **state)
{
    f.engine.get_code = BERTH_DATA_LOSS;
    put(0, 'a', NULL);
    put(1, 'b', "x");
    while (f.ended < 1 && f.engine.commits == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    commit_ends(BERTH_OK, NULL);
    assert_int_equal(f.updates[0].code, BERTH_DATA_LOSS);
    assert_string_equal(f.updates[0].message, "the disk is bad");
    assert_int_equal(f.updates[1].code, BERTH_OK);
}

static void an_update_may_be_asked_for_again_from_its_end(void **state)
{
    f.updates[0].asks_again = true;
    put(0, 'a', "x");
    put(1, 'b', "x");
    run_until_commit(1);
    commit_ends(BERTH_OK, NULL);
    run_until_commit(2);
    commit_ends(BERTH_OK, NULL);
    assert_int_equal(f.updates[0].ended, 2);
}

static void close_waits_for_the_batch_on_its_way_and_ends_the_rest(void **state)
{
    put(0, 'a', "x");
    run_until_commit(1);
    f.updates[1].asks_again = true;
    put(1, 'b', "x");
    berth_store_core_close(f.engine.core, on_closed);
    put(2, 'c', "x");
    for (int i = 0; i < 20; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_false(f.engine.is_closed);
    assert_int_equal(f.ended, 0);
    commit_ends(BERTH_OK, NULL);
    assert_int_equal(f.ended, 1);
    while (!f.engine.is_closed)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.updates[0].code, BERTH_OK);
    assert_int_equal(f.updates[1].code, BERTH_UNAVAILABLE);
    assert_int_equal(f.updates[1].ended, 2);
    assert_int_equal(f.updates[2].code, BERTH_UNAVAILABLE);
    assert_int_equal(f.updates[2].runs, 0);
}

static void every_update_that_comes_before_the_very_end_ends(void **state)
{
    size_t asked = 0;

    berth_store_core_close(f.engine.core, on_closed);
    while (!f.engine.is_closed) {
        assert_in_range(asked, 0, MAX_UPDATES - 1);
        put(asked++, 'a', "x");
        uv_run(&f.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(f.ended, asked);
    for (size_t i = 0; i < asked; i++)
        assert_int_equal(f.updates[i].code, BERTH_UNAVAILABLE);
}

static void a_conflict_during_the_close_ends_as_unavailable(void **state)
{
    put(0, 'a', "x");
    run_until_commit(1);
    berth_store_core_close(f.engine.core, on_closed);
    commit_ends(BERTH_ABORTED, "lost");
    while (!f.engine.is_closed)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.updates[0].code, BERTH_UNAVAILABLE);
}

static void brackets_nest_and_only_the_outermost_reaches_the_engine(void **state)
{
    struct berth_store_txn *outer, *inner;
    struct berth_error err;

    assert_int_equal(store->begin(&f.engine, &outer, &err), BERTH_OK);
    assert_int_equal(store->begin(&f.engine, &inner, &err), BERTH_OK);
    store->end(outer);
    assert_true(f.engine.is_open);
    store->end(inner);
    assert_false(f.engine.is_open);
    store->end(NULL);
}

static struct {
    char what[80];
    const void *caller;
    unsigned times;
} misuse;

static void on_misuse(const struct berth_host *host, const char *what, const void *caller)
{
    snprintf(misuse.what, sizeof(misuse.what), "%s", what);
    misuse.caller = caller;
    misuse.times++;
}

static const struct berth_host host = {.size = sizeof(host), .report_misuse = on_misuse};

static __attribute__((noinline)) struct berth_store_txn *open_snapshot(void)
{
    struct berth_store_txn *txn;
    struct berth_error err;

    assert_int_equal(store->begin(&f.engine, &txn, &err), BERTH_OK);
    return txn;
}

static void do_nothing(uv_idle_t *idle)
{
}

/* Also of a loop that has nothing to do. */
static void turn(void)
{
    uv_idle_t idle;

    uv_idle_init(&f.loop, &idle);
    uv_idle_start(&idle, do_nothing);
    uv_run(&f.loop, UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&idle, NULL);
    uv_run(&f.loop, UV_RUN_NOWAIT);
}

static void a_snapshot_that_is_left_open_is_closed_and_its_user_named(void **state)
{
    struct berth_store_bytes value;
    struct berth_store_txn *left, *ended;
    struct berth_error err;
    uintptr_t away;

    memset(&misuse, 0, sizeof(misuse));
    berth_store_core_watch_snapshots(f.engine.core, &host);
    ended = open_snapshot();
    left = open_snapshot();
    store->end(ended);
    assert_int_equal(store->get(left, "bucket", berth_store_text("a"), &value, &err), BERTH_NOT_FOUND);
    assert_true(f.engine.is_open);
    turn();
    assert_false(f.engine.is_open);
    assert_int_equal(misuse.times, 1);
    assert_string_equal(misuse.what, "left a snapshot of the store open; closed");
    away = (uintptr_t)misuse.caller - (uintptr_t)open_snapshot;
    assert_in_range(away, 1, 1024);
    turn();
    assert_int_equal(misuse.times, 1);

    assert_int_equal(store->get(left, "bucket", berth_store_text("a"), &value, &err),
                     BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "was not ended by the callback that opened it"));
    store->end(open_snapshot());
    store->end(left);
    turn();
    assert_int_equal(misuse.times, 1);
}

static void snapshots_that_are_never_ended_end_with_the_store(void **state)
{
    memset(&misuse, 0, sizeof(misuse));
    berth_store_core_watch_snapshots(f.engine.core, &host);
    open_snapshot();
    turn();
    open_snapshot();
    berth_store_core_close(f.engine.core, on_closed);
    while (!f.engine.is_closed)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(misuse.times, 2);
    assert_false(f.engine.is_open);
}

static void where_nobody_watches_a_snapshot_may_outlast_the_turn(void **state)
{
    struct berth_store_txn *txn = open_snapshot();

    turn();
    assert_true(f.engine.is_open);
    store->end(txn);
    assert_false(f.engine.is_open);
}

struct watcher {
    struct berth_store_watch *watch;
    struct berth_store_watch *victim;
    struct watcher *friend;
    unsigned heard;
};

static void on_change(void *context, const struct berth_store_change *change_told)
{
    struct watcher *watcher = context;

    watcher->heard++;
    store->unwatch(&f.engine, watcher->victim);
    watcher->victim = NULL;
    if (watcher->friend != NULL)
        watcher->friend->watch = store->watch(&f.engine, "", on_change, watcher->friend);
    watcher->friend = NULL;
}

static void watch(struct watcher *watcher, const char *prefix)
{
    watcher->watch = store->watch(&f.engine, prefix, on_change, watcher);
    assert_non_null(watcher->watch);
}

static void a_watch_hears_of_its_prefix_until_it_is_taken_back(void **state)
{
    struct berth_store_change told = {.size = sizeof(told), .bucket = "containers/default"};
    struct watcher all = {0}, some = {0}, none = {0}, own = {0};

    watch(&all, "");
    watch(&own, "containers/");
    watch(&some, "containers/");
    watch(&none, "containers/other");
    all.victim = some.watch;
    own.victim = own.watch;
    berth_store_core_tell(f.engine.core, &told);
    berth_store_core_tell(f.engine.core, &told);
    assert_int_equal(all.heard, 2);
    assert_int_equal(own.heard, 1);
    assert_int_equal(some.heard, 0);
    assert_int_equal(none.heard, 0);
    store->unwatch(&f.engine, all.watch);
    store->unwatch(&f.engine, none.watch);
    store->unwatch(&f.engine, NULL);
}

static void who_begins_to_watch_meanwhile_hears_from_the_next_on(void **state)
{
    struct berth_store_change told = {.size = sizeof(told), .bucket = "b"};
    struct watcher last = {0}, first = {.friend = &last};

    watch(&first, "");
    berth_store_core_tell(f.engine.core, &told);
    assert_non_null(last.watch);
    assert_int_equal(last.heard, 0);
    berth_store_core_tell(f.engine.core, &told);
    assert_int_equal(last.heard, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(changes_that_wait_are_joined_and_end_in_order),
        TEST(a_later_change_sees_what_an_earlier_one_of_its_batch_wrote),
        TEST(a_refused_change_is_undone_and_confirmed_without_writes),
        TEST(what_the_view_failed_ends_the_change_whatever_it_says),
        TEST(a_failed_change_beside_others_fails_alone),
        TEST(changes_that_come_during_a_commit_wait_for_the_next),
        TEST(a_batch_joins_no_more_than_it_may),
        TEST(a_batch_takes_no_longer_than_it_may),
        TEST(a_batch_is_no_larger_than_one_change_may_be),
        TEST(a_conflict_runs_all_again_on_what_is_there_then),
        TEST(who_always_loses_is_told_so_in_the_end),
        TEST(of_a_batch_that_is_too_much_each_runs_alone),
        TEST(only_what_wrote_may_have_happened),
        TEST(an_engine_that_cannot_be_read_fails_all_that_wait),
        TEST(a_damaged_entry_fails_who_reads_it),
        TEST(an_update_may_be_asked_for_again_from_its_end),
        TEST(close_waits_for_the_batch_on_its_way_and_ends_the_rest),
        TEST(every_update_that_comes_before_the_very_end_ends),
        TEST(a_conflict_during_the_close_ends_as_unavailable),
        TEST(brackets_nest_and_only_the_outermost_reaches_the_engine),
        TEST(a_snapshot_that_is_left_open_is_closed_and_its_user_named),
        TEST(snapshots_that_are_never_ended_end_with_the_store),
        TEST(where_nobody_watches_a_snapshot_may_outlast_the_turn),
        TEST(a_watch_hears_of_its_prefix_until_it_is_taken_back),
        TEST(who_begins_to_watch_meanwhile_hears_from_the_next_on),
    };

    return cmocka_run_group_tests_name("store_core", tests, NULL, NULL);
}
