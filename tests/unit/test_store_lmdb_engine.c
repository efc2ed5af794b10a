/* SPDX-License-Identifier: Apache-2.0 */
/* The engine reads, commits and grows, whatever others do to its file. */
#include "lmdb_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void what_was_committed_is_there_and_after_a_restart(void **state)
{
    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    assert_int_equal(commit("b", "empty", ""), BERTH_OK);
    assert_value("b", "key", "value");
    close_store();
    open_store(1 << 20, 8 << 20);
    assert_value("b", "key", "value");
    assert_value("b", "empty", "");
    assert_int_equal(commit("b", "key", NULL), BERTH_OK);
    assert_int_equal(commit("b", "none", NULL), BERTH_OK);
    assert_value("b", "key", NULL);
}

static void buckets_and_keys_come_in_their_order(void **state)
{
    const struct berth_store_write writes[] = {a_write("a", "1", "x"), a_write("a", "2", "y"),
                                               a_write("a.b", "1", "z"), a_write("a/b", "1", "u")};
    const char *const order[] = {"a", "a.b", "a/b"};
    char bucket[BERTH_STORE_BUCKET_MAX + 1] = "";
    struct berth_store_entry entry = {{NULL, 0}, {NULL, 0}};
    struct berth_error err;

    assert_int_equal(commit_all(writes, 4), BERTH_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(engine_functions.next_bucket(&store.engine, bucket, bucket, &err), BERTH_OK);
        assert_string_equal(bucket, order[i]);
    }
    assert_int_equal(engine_functions.next_bucket(&store.engine, bucket, bucket, &err), BERTH_NOT_FOUND);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(engine_functions.next(&store.engine, "a", entry.key, &entry, &err), BERTH_OK);
        assert_memory_equal(entry.key.data, writes[i].key.data, 1);
        assert_memory_equal(entry.value.data, writes[i].value.data, 1);
    }
    assert_int_equal(engine_functions.next(&store.engine, "a", entry.key, &entry, &err), BERTH_NOT_FOUND);
    assert_int_equal(engine_functions.next(&store.engine, "aa", berth_store_text(""), &entry, &err),
                     BERTH_NOT_FOUND);
}

static void a_commit_is_not_seen_before_it_has_ended(void **state)
{
    const struct berth_store_write write = a_write("b", "key", "new");
    const struct berth_store_batch batch = {.writes = &write, .count = 1, .changes = 1};

    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    store.is_done = false;
    engine_functions.commit(&store.engine, &batch);
    /* Long enough for the thread to be done; the loop has not heard of it. */
    uv_sleep(50);
    assert_value("b", "key", "old");
    while (!store.is_done)
        uv_run(&store.loop, UV_RUN_ONCE);
    assert_value("b", "key", "new");
}

static void a_batch_without_writes_asks_whether_anything_has_changed(void **state)
{
    uint64_t before;

    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    before = mdb_txn_id(store.engine.reader.pinned);
    fault.sync = EIO;
    assert_int_equal(commit_all(NULL, 0), BERTH_OK);
    assert_int_equal(mdb_txn_id(store.engine.reader.pinned), before);
}

static void a_name_and_a_value_of_the_largest_size_fit(void **state)
{
    char bucket[BERTH_STORE_BUCKET_MAX + 1], key[BERTH_STORE_NAME_MAX - BERTH_STORE_BUCKET_MAX + 1];

    memset(bucket, 'b', sizeof(bucket) - 1);
    memset(key, '\xff', sizeof(key) - 1);
    bucket[sizeof(bucket) - 1] = key[sizeof(key) - 1] = '\0';
    assert_int_equal(commit(bucket, key, "value"), BERTH_OK);
    assert_value(bucket, key, "value");
}

static void the_map_grows_under_way_and_what_was_there_stays(void **state)
{
    struct berth_error err;
    struct berth_store_bytes value;

    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    assert_int_equal(store.environment->map_size, 1 << 20);
    assert_int_equal(commit_large("a", 3 << 20), BERTH_OK);
    assert_int_equal(store.environment->map_size, 4 << 20);
    assert_int_equal(commit_large("b", 3 << 20), BERTH_OK);
    assert_int_equal(store.environment->map_size, 8 << 20);
    assert_value("b", "key", "value");
    assert_int_equal(read_it("large", "b", &value, &err), BERTH_OK);
    assert_int_equal(value.length, 3 << 20);
    assert_true(strtoull(store.size, NULL, 10) > 6 << 20);
}

static void a_file_that_is_cut_while_it_is_open_is_said(void **state)
{
    struct berth_store_bytes value;
    struct berth_error err;

    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    assert_int_equal(truncate(store.environment->path, 8192), 0);
    assert_int_equal(read_it("b", "key", &value, &err), BERTH_DATA_LOSS);
    assert_non_null(strstr(err.message, "was truncated"));
    assert_int_equal(commit("b", "key", "value"), BERTH_DATA_LOSS);
    assert_int_equal(store.reported, BERTH_DATA_LOSS);
}

static void the_changes_of_a_file_that_is_deleted_are_refused_and_so_are_its_readers(void **state)
{
    struct berth_store_bytes value;
    struct berth_error err;

    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    assert_int_equal(unlink(store.environment->path), 0);
    assert_int_equal(commit("b", "key", "lost"), BERTH_DATA_LOSS);
    assert_non_null(strstr(store.message, "was deleted while it was open"));
    assert_int_equal(store.reported, BERTH_DATA_LOSS);
    assert_int_equal(read_it("b", "key", &value, &err), BERTH_DATA_LOSS);
    assert_non_null(strstr(err.message, "was deleted while it was open"));
    assert_int_equal(commit_all(NULL, 0), BERTH_DATA_LOSS);
    assert_int_equal(store.reports, 1);
    assert_false(store.has_failed);
}

static void write_garbage(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, "garbage", 7), 7);
    close(fd);
}

static void the_changes_of_a_file_that_is_replaced_are_refused_until_it_is_back(void **state)
{
    char aside[PATH_MAX + 8];

    snprintf(aside, sizeof(aside), "%s.aside", store.environment->path);
    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rename(store.environment->path, aside), 0);
        if (i > 0)
            write_garbage(store.environment->path);
        assert_int_equal(commit("b", "key", "lost"), BERTH_UNAVAILABLE);
        assert_non_null(strstr(store.message, "was moved away or replaced"));
        assert_int_equal(store.reported, BERTH_UNAVAILABLE);
        assert_value("b", "key", "value");
        assert_int_equal(rename(aside, store.environment->path), 0);
        assert_int_equal(commit("b", "other", "value"), BERTH_OK);
        wait_for_report(BERTH_OK);
    }
}

static const char *moving_path;

/* Between the last look at the file and the end of the commit. */
static void move_away(void)
{
    char aside[PATH_MAX + 8];

    snprintf(aside, sizeof(aside), "%s.aside", moving_path);
    assert_int_equal(rename(moving_path, aside), 0);
}

static void a_change_that_a_file_took_while_it_was_moved_may_have_happened(void **state)
{
    char aside[PATH_MAX + 8];

    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    moving_path = store.environment->path;
    fault.on_sync = move_away;
    assert_int_equal(commit("b", "key", "new"), BERTH_UNKNOWN);
    assert_non_null(strstr(store.message, "was moved away or replaced"));
    assert_value("b", "key", "new");
    snprintf(aside, sizeof(aside), "%s.aside", moving_path);
    assert_int_equal(rename(aside, moving_path), 0);
    assert_int_equal(commit("b", "key", "newer"), BERTH_OK);
    assert_value("b", "key", "newer");
}

static void no_descriptor_of_the_store_is_left_to_children(void **state)
{
    unsigned found = 0;
    char path[64], target[PATH_MAX];

    for (int fd = 0; fd < 256; fd++) {
        ssize_t length;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        length = readlink(path, target, sizeof(target) - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        if (strstr(target, store.folder) == NULL)
            continue;
        found++;
        if ((fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
            fail_msg("%s", target);
    }
    /* The data, once for us and twice for LMDB, the readers' table and the lock of the folder. */
    assert_true(found >= 5);
}

static rlim_t address_space_used(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void without_address_space_the_map_stays_as_it_is(void **state)
{
    struct berth_store_write write = a_write("large", "a", "");
    struct rlimit before, small;

    write.value = (struct berth_store_bytes){calloc(1, 3 << 20), 3 << 20};
    /* What a sanitizer maps for itself leaves nothing to be limited. */
    if (address_space_used() > (rlim_t)1 << 40) {
        free((void *)(uintptr_t)write.value.data);
        skip();
    }
    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
    getrlimit(RLIMIT_AS, &before);
    small = (struct rlimit){address_space_used() + (1 << 20), before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &small), 0);
    assert_int_equal(commit_all(&write, 1), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(store.message, "out of memory or address space"));
    assert_value("b", "key", "value");
    assert_false(store.has_failed);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(commit_all(&write, 1), BERTH_OK);
    free((void *)(uintptr_t)write.value.data);
}

/* In a child that ends without a word: a reader of the file as it is. */
static void leave_reader(const char *path)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        MDB_env *env;
        MDB_txn *txn;

        _exit(mdb_env_create(&env) != 0 || mdb_env_open(env, path, MDB_NOSUBDIR | MDB_RDONLY, 0600) != 0 ||
              mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void readers_of_processes_that_are_gone_keep_no_room(void **state)
{
    assert_int_equal(commit_large("a", 300000), BERTH_OK);
    leave_reader(store.environment->path);
    for (int i = 0; i < 50; i++)
        assert_int_equal(commit_large("a", 300000 + (size_t)i), BERTH_OK);
    assert_int_equal(store.environment->map_size, 1 << 20);
}

/* Another process changes an entry by itself. */
static void write_as_other(const char *path, const char *value)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct layout_name name;
        size_t length = strlen(value);
        unsigned char *record = malloc(length + LAYOUT_SUM_SIZE);
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi entries;
        MDB_val key, data = {length + LAYOUT_SUM_SIZE, record};

        layout_make_name("b", berth_store_text("key"), &name);
        key = (MDB_val){name.length, name.bytes};
        layout_make_record((struct berth_store_bytes){name.bytes, name.length}, berth_store_text(value),
                           record);
        _exit(mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, 4) != 0 ||
              mdb_env_open(env, path, MDB_NOSUBDIR, 0600) != 0 || mdb_txn_begin(env, NULL, 0, &txn) != 0 ||
              mdb_dbi_open(txn, "entries", 0, &entries) != 0 || mdb_put(txn, entries, &key, &data, 0) != 0 ||
              mdb_txn_commit(txn) != 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void what_another_process_wrote_while_room_was_made_is_seen_before_it_is_written_over(void **state)
{
    struct berth_store_write writes[] = {a_write("b", "key", "of an older state"), a_write("large", "a", "")};
    const struct berth_store_batch batch = {.writes = writes, .count = 2, .changes = 1};
    char *value = calloc(1, 1500000);

    assert_non_null(value);
    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    writes[1].value = (struct berth_store_bytes){value, 1500000};
    store.is_done = false;
    engine_functions.commit(&store.engine, &batch);
    while (!has_written(&store.engine.writer))
        usleep(1000);
    write_as_other(store.environment->path, "of another");
    while (!store.is_done)
        uv_run(&store.loop, UV_RUN_ONCE);
    assert_int_equal(store.code, BERTH_ABORTED);
    assert_value("b", "key", "of another");
    assert_int_equal(commit_all(writes, 2), BERTH_OK);
    assert_value("b", "key", "of an older state");
    free(value);
}

static const char *other_path;
static char other_value[200001];

static void write_much_as_other(void)
{
    fault.write = 0;
    write_as_other(other_path, other_value);
}

static void what_another_process_wrote_on_a_full_disk_is_not_cut_off(void **state)
{
    struct berth_error err;

    assert_int_equal(commit("b", "key", "old"), BERTH_OK);
    memset(other_value, 'o', sizeof(other_value) - 1);
    other_path = store.environment->path;
    fault.is_short = true;
    fault.on_room = write_much_as_other;
    assert_int_equal(commit("b", "other", "new"), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(commit_all(NULL, 0), BERTH_ABORTED);
    assert_int_equal(engine_functions.begin(&store.engine, &err), BERTH_OK);
    assert_value("b", "key", other_value);
    close_store();
    open_store(1 << 20, 8 << 20);
    assert_value("b", "key", other_value);
}

static void nobody_gets_the_file_of_a_daemon_that_has_it(void **state)
{
    const struct environment_options options = {
        .folder = store.folder, .map_size = 1 << 20, .max_size = 1 << 20};
    struct environment *second;
    struct berth_error err;

    assert_int_equal(environment_open(&options, &second, &err), BERTH_FAILED_PRECONDITION);
    assert_int_equal(commit("b", "key", "value"), BERTH_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_there_and_after_a_restart),
        TEST(buckets_and_keys_come_in_their_order),
        TEST(a_commit_is_not_seen_before_it_has_ended),
        TEST(a_batch_without_writes_asks_whether_anything_has_changed),
        TEST(a_name_and_a_value_of_the_largest_size_fit),
        TEST(the_map_grows_under_way_and_what_was_there_stays),
        TEST(a_file_that_is_cut_while_it_is_open_is_said),
        TEST(the_changes_of_a_file_that_is_deleted_are_refused_and_so_are_its_readers),
        TEST(the_changes_of_a_file_that_is_replaced_are_refused_until_it_is_back),
        TEST(a_change_that_a_file_took_while_it_was_moved_may_have_happened),
        TEST(no_descriptor_of_the_store_is_left_to_children),
        TEST(without_address_space_the_map_stays_as_it_is),
        TEST(readers_of_processes_that_are_gone_keep_no_room),
        TEST(what_another_process_wrote_while_room_was_made_is_seen_before_it_is_written_over),
        TEST(what_another_process_wrote_on_a_full_disk_is_not_cut_off),
        TEST(nobody_gets_the_file_of_a_daemon_that_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
