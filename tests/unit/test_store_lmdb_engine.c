/* SPDX-License-Identifier: Apache-2.0 */
/* The engine under a store that is the test itself: reading, committing, growing, and disks that fail. */
#include <plugins/store-lmdb/engine.h>
#include <plugins/store-lmdb/layout.h>
#include <plugins/store-lmdb/schema.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "scratch.h"

/* LMDB finds these before those of the C library, by names that large files must not change. */
#define SEEN_BY_LMDB __attribute__((visibility("default")))
ssize_t write_at(int fd, const void *bytes, size_t length, off_t at) __asm__("pwrite");
ssize_t write_parts_at(int fd, const struct iovec *parts, int count, off_t at) __asm__("pwritev");
int find_room(int fd, off_t at, off_t length) __asm__("posix_fallocate");
int find_room_64(int fd, off_t at, off_t length) __asm__("posix_fallocate64");

/* What the next calls of LMDB's writer meet: an errno, or 0. */
static struct {
    int write;
    int sync;
    /* So many syncs a signal interrupts. */
    unsigned interruptions;
    /* Of the write that ends a commit; the one that takes it back goes well. */
    int meta;
    int sync_after_meta;
    bool is_short;
    /* Before the next sync. */
    void (*on_sync)(void);
    /* There is no more room, and this happens when it is looked for. */
    void (*on_room)(void);
} fault;
static unsigned syncs;

/* Pages go by pwritev or writev or pwrite; what ends a commit is written by pwrite, and is less than a page.
 */
static bool fails(int number)
{
    if (number != 0)
        errno = number;
    return number != 0;
}

/* It was written, and then could not be synced. */
static ssize_t fail_meta(int fd, const void *bytes, size_t length, off_t at)
{
    int number = fault.meta;

    (void)!syscall(SYS_pwrite64, fd, bytes, length, at);
    fault.meta = 0;
    fault.sync = fault.sync_after_meta;
    errno = number;
    return -1;
}

SEEN_BY_LMDB ssize_t write_at(int fd, const void *bytes, size_t length, off_t at)
{
    if (length > 64 && length < 4096 && fault.meta != 0)
        return fail_meta(fd, bytes, length, at);
    if (length >= 4096 && fails(fault.write))
        return -1;
    if (fault.is_short && length >= 4096)
        length = 512;
    return syscall(SYS_pwrite64, fd, bytes, length, at);
}

SEEN_BY_LMDB ssize_t write_parts_at(int fd, const struct iovec *parts, int count, off_t at)
{
    if (fails(fault.write))
        return -1;
    return syscall(SYS_pwritev, fd, parts, count, (unsigned long)at, 0ul);
}

SEEN_BY_LMDB ssize_t writev(int fd, const struct iovec *parts, int count)
{
    struct iovec first = {parts[0].iov_base, 512};

    if (fails(fault.write))
        return -1;
    if (!fault.is_short)
        return syscall(SYS_writev, fd, parts, count);
    fault.is_short = false;
    fault.write = ENOSPC;
    return syscall(SYS_writev, fd, &first, 1);
}

static int look_for_room(int fd, off_t at, off_t length)
{
    void (*on_room)(void) = fault.on_room;

    if (on_room == NULL)
        return syscall(SYS_fallocate, fd, 0, at, length) == 0 ? 0 : errno;
    fault.on_room = NULL;
    on_room();
    return ENOSPC;
}

int find_room(int fd, off_t at, off_t length)
{
    return look_for_room(fd, at, length);
}

int find_room_64(int fd, off_t at, off_t length)
{
    return look_for_room(fd, at, length);
}

SEEN_BY_LMDB int fdatasync(int fd)
{
    void (*on_sync)(void) = fault.on_sync;

    syncs++;
    fault.on_sync = NULL;
    if (on_sync != NULL)
        on_sync();
    if (fault.interruptions > 0) {
        fault.interruptions--;
        errno = EINTR;
        return -1;
    }
    /* No test of this file ends by a power cut. */
    return fails(fault.sync) ? -1 : 0;
}

struct fixture {
    char folder[PATH_MAX];
    uv_loop_t loop;
    struct berth_host host;
    struct engine engine;
    struct environment *environment;

    /* What the engine told. */
    bool is_done;
    enum berth_code code;
    char message[BERTH_ERROR_MAX];
    enum berth_code reported;
    char report[BERTH_ERROR_MAX];
    unsigned reports;
    char size[32];
    bool has_failed;
    bool is_stopped;
};

static struct fixture *of_host(const struct berth_host *host)
{
    return (struct fixture *)(uintptr_t)((const char *)host - offsetof(struct fixture, host));
}

static enum berth_code add_export(const struct berth_host *host, const char *key, const char *value)
{
    if (strcmp(key, "size") == 0)
        snprintf(of_host(host)->size, sizeof(of_host(host)->size), "%s", value);
    return BERTH_OK;
}

static void keep_report(const struct berth_host *host, enum berth_code code, const char *message)
{
    of_host(host)->reported = code;
    of_host(host)->reports++;
    snprintf(of_host(host)->report, BERTH_ERROR_MAX, "%s", message != NULL ? message : "");
}

static void keep_failure(const struct berth_host *host, enum berth_code code, const char *message)
{
    of_host(host)->has_failed = true;
}

static void on_committed(void *context, enum berth_code code, const char *message)
{
    struct fixture *fixture = context;

    fixture->is_done = true;
    fixture->code = code;
    snprintf(fixture->message, sizeof(fixture->message), "%s", message != NULL ? message : "");
}

static void open_store(struct fixture *fixture, uint64_t map_size, uint64_t max_size)
{
    const struct environment_options options = {
        .folder = fixture->folder, .map_size = map_size, .max_size = max_size, .is_checked_fully = true};
    struct berth_error err;

    if (environment_open(&options, &fixture->environment, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(
        engine_start(&fixture->engine, &fixture->host, fixture->environment, on_committed, fixture, &err),
        BERTH_OK);
}

static void on_stopped(void *context)
{
    struct fixture *fixture = context;

    fixture->is_stopped = true;
}

static void close_store(struct fixture *fixture)
{
    fixture->is_stopped = false;
    engine_stop(&fixture->engine, on_stopped);
    while (!fixture->is_stopped)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    environment_close(fixture->environment);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    *state = fixture;
    memset(&fault, 0, sizeof(fault));
    scratch_create(fixture->folder);
    uv_loop_init(&fixture->loop);
    fixture->host = (struct berth_host){
        .size = sizeof(fixture->host),
        .loop = &fixture->loop,
        .add_export = add_export,
        .report = keep_report,
        .fail = keep_failure,
    };
    open_store(fixture, 1 << 20, 8 << 20);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    int open;

    memset(&fault, 0, sizeof(fault));
    close_store(fixture);
    open = uv_loop_close(&fixture->loop);
    scratch_remove(fixture->folder);
    free(fixture);
    return open;
}

static enum berth_code commit_all(struct fixture *fixture, const struct berth_store_write *writes,
                                  size_t count)
{
    struct berth_store_batch batch = {.writes = writes, .count = count, .changes = 1};

    for (size_t i = 0; i < count; i++)
        batch.bytes += strlen(writes[i].bucket) + writes[i].key.length + writes[i].value.length;
    fixture->is_done = false;
    engine_functions.commit(&fixture->engine, &batch);
    assert_false(fixture->is_done);
    while (!fixture->is_done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    return fixture->code;
}

static struct berth_store_write a_write(const char *bucket, const char *key, const char *value)
{
    struct berth_store_write write = {.bucket = bucket, .key = berth_store_text(key)};

    if (value != NULL)
        write.value = berth_store_text(value);
    return write;
}

static enum berth_code commit(struct fixture *fixture, const char *bucket, const char *key, const char *value)
{
    const struct berth_store_write write = a_write(bucket, key, value);

    return commit_all(fixture, &write, 1);
}

static enum berth_code commit_large(struct fixture *fixture, const char *key, size_t length)
{
    struct berth_store_write write = a_write("large", key, "");
    char *value = calloc(1, length);
    enum berth_code code;

    write.value = (struct berth_store_bytes){value, length};
    code = commit_all(fixture, &write, 1);
    free(value);
    return code;
}

static enum berth_code read_it(struct fixture *fixture, const char *bucket, const char *key,
                               struct berth_store_bytes *ret_value, struct berth_error *err)
{
    enum berth_code code = engine_functions.begin(&fixture->engine, err);

    return code != BERTH_OK
               ? code
               : engine_functions.get(&fixture->engine, bucket, berth_store_text(key), ret_value, err);
}

static void assert_value(struct fixture *fixture, const char *bucket, const char *key, const char *value)
{
    struct berth_store_bytes found;
    struct berth_error err;
    enum berth_code code = read_it(fixture, bucket, key, &found, &err);

    if (value == NULL) {
        assert_int_equal(code, BERTH_NOT_FOUND);
        return;
    }
    assert_int_equal(code, BERTH_OK);
    assert_int_equal(found.length, strlen(value));
    assert_memory_equal(found.data, value, found.length);
}

/* What operators are told is found out by a change that the engine makes by itself. */
static void wait_for_report(struct fixture *fixture, enum berth_code code)
{
    while (fixture->reported != code)
        uv_run(&fixture->loop, UV_RUN_ONCE);
}

/* So long that whatever the engine would find out soon has been told. */
static void run_for(struct fixture *fixture, uint64_t milliseconds)
{
    uint64_t end = uv_hrtime() + milliseconds * 1000000;

    while (uv_hrtime() < end) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static void what_was_committed_is_there_and_after_a_restart(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    assert_int_equal(commit(fixture, "b", "empty", ""), BERTH_OK);
    assert_value(fixture, "b", "key", "value");
    close_store(fixture);
    open_store(fixture, 1 << 20, 8 << 20);
    assert_value(fixture, "b", "key", "value");
    assert_value(fixture, "b", "empty", "");
    assert_int_equal(commit(fixture, "b", "key", NULL), BERTH_OK);
    assert_int_equal(commit(fixture, "b", "none", NULL), BERTH_OK);
    assert_value(fixture, "b", "key", NULL);
}

static void buckets_and_keys_come_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    const struct berth_store_write writes[] = {a_write("a", "1", "x"), a_write("a", "2", "y"),
                                               a_write("a.b", "1", "z"), a_write("a/b", "1", "u")};
    const char *const order[] = {"a", "a.b", "a/b"};
    char bucket[BERTH_STORE_BUCKET_MAX + 1] = "";
    struct berth_store_entry entry = {{NULL, 0}, {NULL, 0}};
    struct berth_error err;

    assert_int_equal(commit_all(fixture, writes, 4), BERTH_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(engine_functions.next_bucket(&fixture->engine, bucket, bucket, &err), BERTH_OK);
        assert_string_equal(bucket, order[i]);
    }
    assert_int_equal(engine_functions.next_bucket(&fixture->engine, bucket, bucket, &err), BERTH_NOT_FOUND);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(engine_functions.next(&fixture->engine, "a", entry.key, &entry, &err), BERTH_OK);
        assert_memory_equal(entry.key.data, writes[i].key.data, 1);
        assert_memory_equal(entry.value.data, writes[i].value.data, 1);
    }
    assert_int_equal(engine_functions.next(&fixture->engine, "a", entry.key, &entry, &err), BERTH_NOT_FOUND);
    assert_int_equal(engine_functions.next(&fixture->engine, "aa", berth_store_text(""), &entry, &err),
                     BERTH_NOT_FOUND);
}

static void a_commit_is_not_seen_before_it_has_ended(void **state)
{
    struct fixture *fixture = *state;
    const struct berth_store_write write = a_write("b", "key", "new");
    const struct berth_store_batch batch = {.writes = &write, .count = 1, .changes = 1};

    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    fixture->is_done = false;
    engine_functions.commit(&fixture->engine, &batch);
    /* Long enough for the thread to be done; the loop has not heard of it. */
    uv_sleep(50);
    assert_value(fixture, "b", "key", "old");
    while (!fixture->is_done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_value(fixture, "b", "key", "new");
}

static void a_batch_without_writes_asks_whether_anything_has_changed(void **state)
{
    struct fixture *fixture = *state;
    uint64_t before;

    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    before = mdb_txn_id(fixture->engine.reader.pinned);
    fault.sync = EIO;
    assert_int_equal(commit_all(fixture, NULL, 0), BERTH_OK);
    assert_int_equal(mdb_txn_id(fixture->engine.reader.pinned), before);
}

static void a_name_and_a_value_of_the_largest_size_fit(void **state)
{
    struct fixture *fixture = *state;
    char bucket[BERTH_STORE_BUCKET_MAX + 1], key[BERTH_STORE_NAME_MAX - BERTH_STORE_BUCKET_MAX + 1];

    memset(bucket, 'b', sizeof(bucket) - 1);
    memset(key, '\xff', sizeof(key) - 1);
    bucket[sizeof(bucket) - 1] = key[sizeof(key) - 1] = '\0';
    assert_int_equal(commit(fixture, bucket, key, "value"), BERTH_OK);
    assert_value(fixture, bucket, key, "value");
}

static void the_map_grows_under_way_and_what_was_there_stays(void **state)
{
    struct fixture *fixture = *state;
    struct berth_error err;
    struct berth_store_bytes value;

    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    assert_int_equal(fixture->environment->map_size, 1 << 20);
    assert_int_equal(commit_large(fixture, "a", 3 << 20), BERTH_OK);
    assert_int_equal(fixture->environment->map_size, 4 << 20);
    assert_int_equal(commit_large(fixture, "b", 3 << 20), BERTH_OK);
    assert_int_equal(fixture->environment->map_size, 8 << 20);
    assert_value(fixture, "b", "key", "value");
    assert_int_equal(read_it(fixture, "large", "b", &value, &err), BERTH_OK);
    assert_int_equal(value.length, 3 << 20);
    assert_true(strtoull(fixture->size, NULL, 10) > 6 << 20);
}

/* With entries of that size, until there is no room for one. */
static void fill(struct fixture *fixture, const char *bucket, size_t length)
{
    struct berth_store_write write = {.bucket = bucket};
    enum berth_code code = BERTH_OK;
    char *value = calloc(1, length), key[16];

    assert_non_null(value);
    for (unsigned i = 0; code == BERTH_OK; i++) {
        snprintf(key, sizeof(key), "%08u", i);
        write.key = berth_store_text(key);
        write.value = (struct berth_store_bytes){value, length};
        code = commit_all(fixture, &write, 1);
    }
    assert_int_equal(code, BERTH_RESOURCE_EXHAUSTED);
    free(value);
}

static void a_full_store_says_which_entry_did_not_fit_and_can_be_emptied(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(commit_large(fixture, "a", 3 << 20), BERTH_OK);
    assert_int_equal(commit_large(fixture, "b", 4 << 20), BERTH_OK);
    assert_int_equal(commit_large(fixture, "c", 4 << 20), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(fixture->message, "bucket large, key \"c\""));
    assert_non_null(strstr(fixture->message, "max_size of 8388608 bytes"));
    fill(fixture, "fill", 40000);
    assert_int_equal(fixture->reported, BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(fixture->report, "max_size of 8388608 bytes"));
    assert_int_equal(commit(fixture, "large", "a", NULL), BERTH_OK);
    wait_for_report(fixture, BERTH_OK);
    assert_int_equal(commit_large(fixture, "again", 1 << 20), BERTH_OK);
    assert_true(fixture->environment->map_size <= 8 << 20);
}

static void a_change_that_is_too_large_does_not_make_the_store_a_full_one(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(commit_large(fixture, "a", 5 << 20), BERTH_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(commit_large(fixture, "b", 5 << 20), BERTH_RESOURCE_EXHAUSTED);
    run_for(fixture, 300);
    assert_int_equal(fixture->reports, 0);
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
}

static void a_full_store_is_reported_until_an_ordinary_change_fits_whatever_small_ones_do(void **state)
{
    struct fixture *fixture = *state;
    unsigned reports;

    close_store(fixture);
    open_store(fixture, 1 << 20, 1 << 20);
    fill(fixture, "small", 1000);
    fill(fixture, "tiny", 1);
    wait_for_report(fixture, BERTH_RESOURCE_EXHAUSTED);
    reports = fixture->reports;
    for (unsigned i = 0; i < 10; i++) {
        char key[16];

        snprintf(key, sizeof(key), "%08u", i);
        assert_int_equal(commit(fixture, "small", key, NULL), BERTH_OK);
        run_for(fixture, 50);
    }
    run_for(fixture, 300);
    assert_int_equal(fixture->reports, reports);
    assert_int_equal(fixture->reported, BERTH_RESOURCE_EXHAUSTED);
    for (unsigned i = 10; i < 200; i++) {
        char key[16];

        snprintf(key, sizeof(key), "%08u", i);
        assert_int_equal(commit(fixture, "small", key, NULL), BERTH_OK);
    }
    wait_for_report(fixture, BERTH_OK);
    assert_int_equal(fixture->reports, reports + 1);
}

static void a_store_that_is_full_when_it_opens_is_reported_before_anybody_writes(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, "fill", 40000);
    close_store(fixture);
    fixture->reported = BERTH_OK;
    open_store(fixture, 1 << 20, 8 << 20);
    wait_for_report(fixture, BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(fixture->report, "max_size of 8388608 bytes"));
}

static void a_change_that_comes_during_a_probe_waits_for_it_and_happens(void **state)
{
    struct fixture *fixture = *state;

    fault.write = ENOSPC;
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_RESOURCE_EXHAUSTED);
    fault.write = 0;
    assert_int_equal(commit(fixture, "b", "key", "0"), BERTH_OK);
    for (unsigned i = 1; i < 2000 && fixture->reported != BERTH_OK; i++) {
        char value[16];

        snprintf(value, sizeof(value), "%u", i);
        assert_int_equal(commit(fixture, "b", "key", value), BERTH_OK);
        assert_value(fixture, "b", "key", value);
    }
    wait_for_report(fixture, BERTH_OK);
    assert_int_equal(fixture->reports, 2);
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
    struct fixture *fixture = *state;

    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    for (size_t i = 0; i < 3; i++) {
        fault.write = cases[i].number;
        assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_RESOURCE_EXHAUSTED);
        assert_non_null(strstr(fixture->message, cases[i].remedy));
        assert_int_equal(fixture->reported, BERTH_RESOURCE_EXHAUSTED);
        assert_value(fixture, "b", "key", "old");
        fault.write = 0;
        assert_int_equal(commit(fixture, "b", "other", "value"), BERTH_OK);
        wait_for_report(fixture, BERTH_OK);
    }
    assert_int_equal(fixture->reports, 6);
    assert_int_equal(commit(fixture, "b", "other", "value"), BERTH_OK);
    assert_int_equal(fixture->reports, 6);
}

static void a_disk_that_takes_only_a_part_is_a_full_one(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    fault.is_short = true;
    assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(fixture->message, "free space on its disk"));
    assert_value(fixture, "b", "key", "old");
}

static void what_could_not_be_synced_did_not_happen_is_not_tried_again_and_is_reported(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    fault.sync = EIO;
    syncs = 0;
    assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_UNAVAILABLE);
    assert_int_equal(syncs, 1);
    assert_int_equal(fixture->reported, BERTH_UNAVAILABLE);
    assert_non_null(strstr(fixture->report, "the disk is failing"));
    assert_value(fixture, "b", "key", "old");
    fault.sync = 0;
    assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_OK);
    wait_for_report(fixture, BERTH_OK);
    close_store(fixture);
    open_store(fixture, 1 << 20, 8 << 20);
    assert_value(fixture, "b", "key", "new");
}

static void what_a_signal_interrupts_is_tried_again(void **state)
{
    struct fixture *fixture = *state;

    fault.interruptions = 3;
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    assert_int_equal(fault.interruptions, 0);
    assert_value(fixture, "b", "key", "value");
    fault.interruptions = UINT_MAX;
    assert_int_equal(commit(fixture, "b", "key", "other"), BERTH_UNAVAILABLE);
    fault.interruptions = 0;
    assert_value(fixture, "b", "key", "value");
    assert_int_equal(commit(fixture, "b", "key", "other"), BERTH_OK);
}

static void when_the_last_write_fails_the_change_did_not_happen_and_others_can(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    for (int i = 0; i < 3; i++) {
        fault.meta = ENOSPC;
        assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_RESOURCE_EXHAUSTED);
        assert_int_equal(fixture->reported, BERTH_RESOURCE_EXHAUSTED);
        assert_value(fixture, "b", "key", "old");
        assert_int_equal(commit(fixture, "b", "other", "value"), BERTH_OK);
        wait_for_report(fixture, BERTH_OK);
    }
    close_store(fixture);
    open_store(fixture, 1 << 20, 8 << 20);
    assert_value(fixture, "b", "key", "old");
    assert_value(fixture, "b", "other", "value");
}

static void when_the_last_write_fails_and_no_sync_follows_the_change_may_have_happened(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    fault.meta = fault.sync_after_meta = EIO;
    assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_UNKNOWN);
    assert_non_null(strstr(fixture->message, "after the restart"));
    fault.sync = 0;
    assert_value(fixture, "b", "key", "old");
    assert_int_equal(commit(fixture, "b", "other", "value"), BERTH_UNAVAILABLE);
    assert_non_null(strstr(fixture->message, "restart berthd"));
    assert_int_equal(fixture->reported, BERTH_UNAVAILABLE);
    close_store(fixture);
    open_store(fixture, 1 << 20, 8 << 20);
    assert_value(fixture, "b", "key", "old");
    assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_OK);
}

static void a_file_that_is_cut_while_it_is_open_is_said(void **state)
{
    struct fixture *fixture = *state;
    struct berth_store_bytes value;
    struct berth_error err;

    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    assert_int_equal(truncate(fixture->environment->path, 8192), 0);
    assert_int_equal(read_it(fixture, "b", "key", &value, &err), BERTH_DATA_LOSS);
    assert_non_null(strstr(err.message, "was truncated"));
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_DATA_LOSS);
    assert_int_equal(fixture->reported, BERTH_DATA_LOSS);
}

static void the_changes_of_a_file_that_is_deleted_are_refused_and_so_are_its_readers(void **state)
{
    struct fixture *fixture = *state;
    struct berth_store_bytes value;
    struct berth_error err;

    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    assert_int_equal(unlink(fixture->environment->path), 0);
    assert_int_equal(commit(fixture, "b", "key", "lost"), BERTH_DATA_LOSS);
    assert_non_null(strstr(fixture->message, "was deleted while it was open"));
    assert_int_equal(fixture->reported, BERTH_DATA_LOSS);
    assert_int_equal(read_it(fixture, "b", "key", &value, &err), BERTH_DATA_LOSS);
    assert_non_null(strstr(err.message, "was deleted while it was open"));
    assert_int_equal(commit_all(fixture, NULL, 0), BERTH_DATA_LOSS);
    assert_int_equal(fixture->reports, 1);
    assert_false(fixture->has_failed);
}

static void write_garbage(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, "garbage", 7), 7);
    close(fd);
}

static void the_changes_of_a_file_that_is_replaced_are_refused_until_it_is_back(void **state)
{
    struct fixture *fixture = *state;
    char aside[PATH_MAX + 8];

    snprintf(aside, sizeof(aside), "%s.aside", fixture->environment->path);
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rename(fixture->environment->path, aside), 0);
        if (i > 0)
            write_garbage(fixture->environment->path);
        assert_int_equal(commit(fixture, "b", "key", "lost"), BERTH_UNAVAILABLE);
        assert_non_null(strstr(fixture->message, "was moved away or replaced"));
        assert_int_equal(fixture->reported, BERTH_UNAVAILABLE);
        assert_value(fixture, "b", "key", "value");
        assert_int_equal(rename(aside, fixture->environment->path), 0);
        assert_int_equal(commit(fixture, "b", "other", "value"), BERTH_OK);
        wait_for_report(fixture, BERTH_OK);
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
    struct fixture *fixture = *state;
    char aside[PATH_MAX + 8];

    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    moving_path = fixture->environment->path;
    fault.on_sync = move_away;
    assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_UNKNOWN);
    assert_non_null(strstr(fixture->message, "was moved away or replaced"));
    assert_value(fixture, "b", "key", "new");
    snprintf(aside, sizeof(aside), "%s.aside", moving_path);
    assert_int_equal(rename(aside, moving_path), 0);
    assert_int_equal(commit(fixture, "b", "key", "newer"), BERTH_OK);
    assert_value(fixture, "b", "key", "newer");
}

static void damage_entry(struct fixture *fixture, const char *bucket, const char *key)
{
    struct layout_name made;
    MDB_txn *txn;
    MDB_val name, data, damaged;
    char *bytes;

    layout_make_name(bucket, berth_store_text(key), &made);
    name = (MDB_val){made.length, made.bytes};
    assert_int_equal(mdb_txn_begin(fixture->environment->lmdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_get(txn, fixture->environment->entries, &name, &data), 0);
    bytes = malloc(data.mv_size);
    assert_non_null(bytes);
    memcpy(bytes, data.mv_data, data.mv_size);
    bytes[data.mv_size - 1] ^= 1;
    damaged = (MDB_val){data.mv_size, bytes};
    assert_int_equal(mdb_put(txn, fixture->environment->entries, &name, &damaged, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    free(bytes);
}

static void a_damaged_entry_is_named_and_the_others_live_on(void **state)
{
    struct fixture *fixture = *state;
    struct berth_store_bytes value;
    struct berth_store_entry entry;
    struct berth_error err;

    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    assert_int_equal(commit(fixture, "b", "other", "value"), BERTH_OK);
    damage_entry(fixture, "b", "key");
    /* That was somebody else, as far as the engine knows. */
    assert_int_equal(commit(fixture, "b", "third", "value"), BERTH_ABORTED);
    assert_int_equal(commit(fixture, "b", "third", "value"), BERTH_OK);
    assert_int_equal(read_it(fixture, "b", "key", &value, &err), BERTH_DATA_LOSS);
    assert_non_null(strstr(err.message, "bucket b, key \"key\""));
    assert_int_equal(fixture->reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(fixture->report, "1 damaged entry: bucket b, key \"key\""));
    assert_int_equal(engine_functions.next(&fixture->engine, "b", berth_store_text(""), &entry, &err),
                     BERTH_DATA_LOSS);
    assert_int_equal(entry.key.length, 3);
    assert_memory_equal(entry.key.data, "key", 3);
    assert_int_equal(fixture->reports, 1);
    assert_int_equal(engine_functions.next(&fixture->engine, "b", berth_store_text("key"), &entry, &err),
                     BERTH_OK);
    assert_value(fixture, "b", "other", "value");
    assert_int_equal(commit(fixture, "b", "other", "written"), BERTH_OK);
    assert_int_equal(fixture->reported, BERTH_DATA_LOSS);
    assert_int_equal(commit(fixture, "b", "key", "repaired"), BERTH_OK);
    assert_value(fixture, "b", "key", "repaired");
    assert_int_equal(fixture->reported, BERTH_OK);
}

static void the_full_check_finds_damaged_entries_and_reports_them_until_all_are_gone(void **state)
{
    struct fixture *fixture = *state;
    char *large = calloc(1, 100001);

    assert_non_null(large);
    memset(large, 'x', 100000);
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    assert_int_equal(commit(fixture, "b", "large", large), BERTH_OK);
    assert_int_equal(commit(fixture, "b", "well", "value"), BERTH_OK);
    damage_entry(fixture, "b", "key");
    damage_entry(fixture, "b", "large");
    close_store(fixture);
    fixture->reported = BERTH_OK;
    open_store(fixture, 1 << 20, 8 << 20);
    assert_int_equal(fixture->reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(fixture->report, "2 damaged entries: bucket b, key \"large\" and others"));
    assert_value(fixture, "b", "well", "value");
    assert_int_equal(commit(fixture, "b", "large", NULL), BERTH_OK);
    assert_non_null(strstr(fixture->report, "1 damaged entry: bucket b, key \"key\""));
    assert_int_equal(commit(fixture, "b", "key", NULL), BERTH_OK);
    assert_int_equal(fixture->reported, BERTH_OK);
    assert_value(fixture, "b", "key", NULL);
    free(large);
}

static void an_entry_without_a_bucket_is_reported_until_a_restart(void **state)
{
    struct fixture *fixture = *state;
    char text[] = "zz";
    MDB_val name = {2, text}, data = {2, text};
    struct berth_store_entry entry;
    struct berth_error err;
    MDB_txn *txn;

    assert_int_equal(mdb_txn_begin(fixture->environment->lmdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_put(txn, fixture->environment->entries, &name, &data, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_ABORTED);
    assert_int_equal(engine_functions.next(&fixture->engine, "c", berth_store_text(""), &entry, &err),
                     BERTH_DATA_LOSS);
    assert_int_equal(entry.key.length, 0);
    assert_int_equal(fixture->reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(fixture->report, "its name has no bucket"));
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    assert_value(fixture, "b", "key", "value");
    assert_int_equal(fixture->reports, 1);
}

/* LMDB takes longer names than the store, and a damaged page may tell of any length. */
static void an_entry_whose_name_is_too_long_has_none(void **state)
{
    struct fixture *fixture = *state;
    char text[LAYOUT_NAME_MAX + 20] = "c";
    MDB_val name = {sizeof(text), text}, data = {sizeof(text), text};
    struct berth_store_entry entry;
    struct berth_error err;
    MDB_txn *txn;

    memset(text + 2, 'k', sizeof(text) - 2);
    assert_int_equal(mdb_txn_begin(fixture->environment->lmdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_put(txn, fixture->environment->entries, &name, &data, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_ABORTED);
    assert_int_equal(engine_functions.next(&fixture->engine, "c", berth_store_text(""), &entry, &err),
                     BERTH_DATA_LOSS);
    assert_int_equal(entry.key.length, 0);
    assert_int_equal(fixture->reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(fixture->report, "is too long"));
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    assert_value(fixture, "b", "key", "value");
}

static bool has_written(struct writer *writer)
{
    bool has_result;

    uv_mutex_lock(&writer->lock);
    has_result = writer->has_result;
    uv_mutex_unlock(&writer->lock);
    return has_result;
}

/* As a bad disk would: the page that the entry is on is of no kind any more. */
static void damage_page(const struct fixture *fixture, const char *bucket, const char *key)
{
    int fd = open(fixture->environment->path, O_RDWR | O_CLOEXEC);
    const char none[2] = {0, 0};
    struct layout_name made;
    MDB_txn *txn;
    MDB_val name, data;
    uint64_t page;

    layout_make_name(bucket, berth_store_text(key), &made);
    name = (MDB_val){made.length, made.bytes};
    assert_int_equal(mdb_txn_begin(fixture->environment->lmdb, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_get(txn, fixture->environment->entries, &name, &data), 0);
    memcpy(&page, (const char *)data.mv_data - (uintptr_t)data.mv_data % 4096, sizeof(page));
    mdb_txn_abort(txn);
    assert_int_equal(pwrite(fd, none, sizeof(none), (off_t)page * 4096 + 10), sizeof(none));
    close(fd);
}

static void a_damaged_page_is_reported_once_and_the_others_live_on(void **state)
{
    struct fixture *fixture = *state;
    struct berth_store_bytes value;
    struct berth_error err;
    char key[16];

    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "%08u", i);
        assert_int_equal(commit(fixture, "b", key, "another"), BERTH_OK);
    }
    damage_page(fixture, "b", "00000150");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_it(fixture, "b", "00000150", &value, &err), BERTH_DATA_LOSS);
        assert_non_null(strstr(err.message, "the file is damaged"));
        /* Within the same bracket too. */
        assert_int_equal(
            engine_functions.get(&fixture->engine, "b", berth_store_text("00000000"), &value, &err),
            BERTH_OK);
        assert_value(fixture, "b", "00000299", "another");
        assert_int_equal(commit(fixture, "b", "00000299", "another"), BERTH_OK);
        assert_int_equal(commit(fixture, "b", "00000150", "new"), BERTH_DATA_LOSS);
    }
    assert_int_equal(fixture->reported, BERTH_DATA_LOSS);
    assert_non_null(strstr(fixture->report, "restart berthd"));
    assert_true(fixture->reports <= 2);
    assert_false(fixture->has_failed);
}

static void a_reader_that_met_damage_does_not_see_a_change_before_it_has_ended(void **state)
{
    struct fixture *fixture = *state;
    const struct berth_store_write write = a_write("b", "00000000", "new");
    const struct berth_store_batch batch = {.writes = &write, .count = 1, .changes = 1};
    struct berth_store_bytes value;
    struct berth_error err;
    char key[16];

    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "%08u", i);
        assert_int_equal(commit(fixture, "b", key, "another"), BERTH_OK);
    }
    damage_page(fixture, "b", "00000150");
    fixture->is_done = false;
    engine_functions.commit(&fixture->engine, &batch);
    while (!has_written(&fixture->engine.writer))
        usleep(1000);
    assert_int_equal(read_it(fixture, "b", "00000150", &value, &err), BERTH_DATA_LOSS);
    assert_int_equal(read_it(fixture, "b", "00000000", &value, &err), BERTH_UNAVAILABLE);
    while (!fixture->is_done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_int_equal(fixture->code, BERTH_OK);
    assert_value(fixture, "b", "00000000", "new");
}

static void where_both_first_pages_are_damaged_it_is_said_and_not_called_a_want_of_memory(void **state)
{
    struct fixture *fixture = *state;
    int fd = open(fixture->environment->path, O_RDWR | O_CLOEXEC);
    char garbage[120];

    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    memset(garbage, 0x5a, sizeof(garbage));
    for (off_t page = 0; page < 2; page++)
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), page * 4096 + 40), sizeof(garbage));
    close(fd);
    assert_int_not_equal(commit(fixture, "b", "key", "new"), BERTH_OK);
    assert_non_null(strstr(fixture->message, "is damaged: page"));
    assert_null(strstr(fixture->message, "memory"));
}

static void no_descriptor_of_the_store_is_left_to_children(void **state)
{
    struct fixture *fixture = *state;
    unsigned found = 0;
    char path[64], target[PATH_MAX];

    for (int fd = 0; fd < 256; fd++) {
        ssize_t length;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        length = readlink(path, target, sizeof(target) - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        if (strstr(target, fixture->folder) == NULL)
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
    struct fixture *fixture = *state;
    struct berth_store_write write = a_write("large", "a", "");
    struct rlimit before, small;

    write.value = (struct berth_store_bytes){calloc(1, 3 << 20), 3 << 20};
    /* What a sanitizer maps for itself leaves nothing to be limited. */
    if (address_space_used() > (rlim_t)1 << 40) {
        free((void *)(uintptr_t)write.value.data);
        skip();
    }
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
    getrlimit(RLIMIT_AS, &before);
    small = (struct rlimit){address_space_used() + (1 << 20), before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &small), 0);
    assert_int_equal(commit_all(fixture, &write, 1), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(fixture->message, "out of memory or address space"));
    assert_value(fixture, "b", "key", "value");
    assert_false(fixture->has_failed);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(commit_all(fixture, &write, 1), BERTH_OK);
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
    struct fixture *fixture = *state;

    assert_int_equal(commit_large(fixture, "a", 300000), BERTH_OK);
    leave_reader(fixture->environment->path);
    for (int i = 0; i < 50; i++)
        assert_int_equal(commit_large(fixture, "a", 300000 + (size_t)i), BERTH_OK);
    assert_int_equal(fixture->environment->map_size, 1 << 20);
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
    struct fixture *fixture = *state;
    struct berth_store_write writes[] = {a_write("b", "key", "of an older state"), a_write("large", "a", "")};
    const struct berth_store_batch batch = {.writes = writes, .count = 2, .changes = 1};
    char *value = calloc(1, 1500000);

    assert_non_null(value);
    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    writes[1].value = (struct berth_store_bytes){value, 1500000};
    fixture->is_done = false;
    engine_functions.commit(&fixture->engine, &batch);
    while (!has_written(&fixture->engine.writer))
        usleep(1000);
    write_as_other(fixture->environment->path, "of another");
    while (!fixture->is_done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_int_equal(fixture->code, BERTH_ABORTED);
    assert_value(fixture, "b", "key", "of another");
    assert_int_equal(commit_all(fixture, writes, 2), BERTH_OK);
    assert_value(fixture, "b", "key", "of an older state");
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
    struct fixture *fixture = *state;
    struct berth_error err;

    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    memset(other_value, 'o', sizeof(other_value) - 1);
    other_path = fixture->environment->path;
    fault.is_short = true;
    fault.on_room = write_much_as_other;
    assert_int_equal(commit(fixture, "b", "other", "new"), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(commit_all(fixture, NULL, 0), BERTH_ABORTED);
    assert_int_equal(engine_functions.begin(&fixture->engine, &err), BERTH_OK);
    assert_value(fixture, "b", "key", other_value);
    close_store(fixture);
    open_store(fixture, 1 << 20, 8 << 20);
    assert_value(fixture, "b", "key", other_value);
}

static void a_disk_that_fails_for_good_takes_no_more_room_each_time(void **state)
{
    struct fixture *fixture = *state;
    uint64_t size;

    assert_int_equal(commit(fixture, "b", "key", "old"), BERTH_OK);
    size = environment_file_size(fixture->environment);
    fault.write = EIO;
    for (int i = 0; i < 3; i++)
        assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_UNAVAILABLE);
    assert_int_equal(environment_file_size(fixture->environment), size);
    fault.write = 0;
    assert_value(fixture, "b", "key", "old");
    assert_int_equal(commit(fixture, "b", "key", "new"), BERTH_OK);
    assert_value(fixture, "b", "key", "new");
}

static void nobody_gets_the_file_of_a_daemon_that_has_it(void **state)
{
    struct fixture *fixture = *state;
    const struct environment_options options = {
        .folder = fixture->folder, .map_size = 1 << 20, .max_size = 1 << 20};
    struct environment *second;
    struct berth_error err;

    assert_int_equal(environment_open(&options, &second, &err), BERTH_FAILED_PRECONDITION);
    assert_int_equal(commit(fixture, "b", "key", "value"), BERTH_OK);
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
        TEST(a_file_that_is_cut_while_it_is_open_is_said),
        TEST(the_changes_of_a_file_that_is_deleted_are_refused_and_so_are_its_readers),
        TEST(the_changes_of_a_file_that_is_replaced_are_refused_until_it_is_back),
        TEST(a_change_that_a_file_took_while_it_was_moved_may_have_happened),
        TEST(the_full_check_finds_damaged_entries_and_reports_them_until_all_are_gone),
        TEST(a_damaged_entry_is_named_and_the_others_live_on),
        TEST(an_entry_without_a_bucket_is_reported_until_a_restart),
        TEST(an_entry_whose_name_is_too_long_has_none),
        TEST(a_damaged_page_is_reported_once_and_the_others_live_on),
        TEST(a_reader_that_met_damage_does_not_see_a_change_before_it_has_ended),
        TEST(where_both_first_pages_are_damaged_it_is_said_and_not_called_a_want_of_memory),
        TEST(no_descriptor_of_the_store_is_left_to_children),
        TEST(without_address_space_the_map_stays_as_it_is),
        TEST(readers_of_processes_that_are_gone_keep_no_room),
        TEST(what_another_process_wrote_while_room_was_made_is_seen_before_it_is_written_over),
        TEST(what_another_process_wrote_on_a_full_disk_is_not_cut_off),
        TEST(a_disk_that_fails_for_good_takes_no_more_room_each_time),
        TEST(nobody_gets_the_file_of_a_daemon_that_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
