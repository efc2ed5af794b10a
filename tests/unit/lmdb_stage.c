/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB's engine on a disk that fails as it is told to. */
#include "lmdb_stage.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* LMDB finds these before those of the C library, by names that large files must not change. */
#define SEEN_BY_LMDB __attribute__((visibility("default")))
ssize_t write_at(int fd, const void *bytes, size_t length, off_t at) __asm__("pwrite");
ssize_t write_parts_at(int fd, const struct iovec *parts, int count, off_t at) __asm__("pwritev");
int find_room(int fd, off_t at, off_t length) __asm__("posix_fallocate");
int find_room_64(int fd, off_t at, off_t length) __asm__("posix_fallocate64");

struct fault fault;
unsigned syncs;

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

struct lmdb_stage store;

static enum berth_code add_export(const struct berth_host *host, const char *key, const char *value)
{
    if (strcmp(key, "size") == 0)
        snprintf(store.size, sizeof(store.size), "%s", value);
    return BERTH_OK;
}

static void keep_report(const struct berth_host *host, enum berth_code code, const char *message)
{
    store.reported = code;
    store.reports++;
    snprintf(store.report, BERTH_ERROR_MAX, "%s", message != NULL ? message : "");
}

static void keep_failure(const struct berth_host *host, enum berth_code code, const char *message)
{
    store.has_failed = true;
}

static void on_committed(void *context, enum berth_code code, const char *message)
{
    store.is_done = true;
    store.code = code;
    snprintf(store.message, sizeof(store.message), "%s", message != NULL ? message : "");
}

void open_store(uint64_t map_size, uint64_t max_size)
{
    const struct environment_options options = {
        .folder = store.folder, .map_size = map_size, .max_size = max_size, .is_checked_fully = true};
    struct berth_error err;

    if (environment_open(&options, &store.environment, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(engine_start(&store.engine, &store.host, store.environment, on_committed, NULL, &err),
                     BERTH_OK);
}

static void on_stopped(void *context)
{
    store.is_stopped = true;
}

void close_store(void)
{
    store.is_stopped = false;
    engine_stop(&store.engine, on_stopped);
    while (!store.is_stopped)
        uv_run(&store.loop, UV_RUN_ONCE);
    environment_close(store.environment);
}

int set_up(void **state)
{
    memset(&store, 0, sizeof(store));
    memset(&fault, 0, sizeof(fault));
    scratch_create(store.folder);
    uv_loop_init(&store.loop);
    store.host = (struct berth_host){
        .size = sizeof(store.host),
        .loop = &store.loop,
        .add_export = add_export,
        .report = keep_report,
        .fail = keep_failure,
    };
    open_store(1 << 20, 8 << 20);
    return 0;
}

int tear_down(void **state)
{
    int open;

    memset(&fault, 0, sizeof(fault));
    close_store();
    open = uv_loop_close(&store.loop);
    scratch_remove(store.folder);
    return open;
}

enum berth_code commit_all(const struct berth_store_write *writes, size_t count)
{
    struct berth_store_batch batch = {.writes = writes, .count = count, .changes = 1};

    for (size_t i = 0; i < count; i++)
        batch.bytes += strlen(writes[i].bucket) + writes[i].key.length + writes[i].value.length;
    store.is_done = false;
    engine_functions.commit(&store.engine, &batch);
    assert_false(store.is_done);
    while (!store.is_done)
        uv_run(&store.loop, UV_RUN_ONCE);
    return store.code;
}

struct berth_store_write a_write(const char *bucket, const char *key, const char *value)
{
    struct berth_store_write write = {.bucket = bucket, .key = berth_store_text(key)};

    if (value != NULL)
        write.value = berth_store_text(value);
    return write;
}

enum berth_code commit(const char *bucket, const char *key, const char *value)
{
    const struct berth_store_write write = a_write(bucket, key, value);

    return commit_all(&write, 1);
}

enum berth_code commit_large(const char *key, size_t length)
{
    struct berth_store_write write = a_write("large", key, "");
    char *value = calloc(1, length);
    enum berth_code code;

    write.value = (struct berth_store_bytes){value, length};
    code = commit_all(&write, 1);
    free(value);
    return code;
}

enum berth_code read_it(const char *bucket, const char *key, struct berth_store_bytes *ret_value,
                        struct berth_error *err)
{
    enum berth_code code = engine_functions.begin(&store.engine, err);

    return code != BERTH_OK
               ? code
               : engine_functions.get(&store.engine, bucket, berth_store_text(key), ret_value, err);
}

void assert_value(const char *bucket, const char *key, const char *value)
{
    struct berth_store_bytes found;
    struct berth_error err;
    enum berth_code code = read_it(bucket, key, &found, &err);

    if (value == NULL) {
        assert_int_equal(code, BERTH_NOT_FOUND);
        return;
    }
    assert_int_equal(code, BERTH_OK);
    assert_int_equal(found.length, strlen(value));
    assert_memory_equal(found.data, value, found.length);
}

void wait_for_report(enum berth_code code)
{
    while (store.reported != code)
        uv_run(&store.loop, UV_RUN_ONCE);
}

void run_for(uint64_t milliseconds)
{
    uint64_t end = uv_hrtime() + milliseconds * 1000000;

    while (uv_hrtime() < end) {
        uv_run(&store.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

bool has_written(struct writer *writer)
{
    bool has_result;

    uv_mutex_lock(&writer->lock);
    has_result = writer->has_result;
    uv_mutex_unlock(&writer->lock);
    return has_result;
}
