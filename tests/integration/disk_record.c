/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a daemon: writes down in $RECORD_FILE what it has its files below $RECORD_FOLDER written
 * with, and when it waits for the disk, so that a test can make up what a disk without power would have kept.
 *
 * Each record: nanoseconds, what, offset, length of the path, length of the bytes (64 bits each); path;
 * bytes.
 */
/* Callers may have been compiled for either name of a function; with this set there is only one. */
#undef _FILE_OFFSET_BITS
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum what {
    WHAT_WRITE = 1,
    /** To a file opened with O_DSYNC or O_SYNC: on the disk when the call returns. */
    WHAT_WRITE_SYNC = 2,
    WHAT_SYNC = 3,
    WHAT_TRUNCATE = 4,
    /** The bytes are the path that the file has from then on. */
    WHAT_RENAME = 5,
};

struct record {
    uint64_t nanoseconds, what, offset, path_length, length;
};

static pthread_mutex_t in_order = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static size_t folder_length;
static int file = -1;

__attribute__((constructor)) static void open_record(void)
{
    folder = getenv("RECORD_FOLDER");
    if (folder == NULL || getenv("RECORD_FILE") == NULL)
        abort();
    folder_length = strlen(folder);
    file = open(getenv("RECORD_FILE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0)
        abort();
}

/* The path of a regular file below the folder; 0 for anything else. */
static size_t path_of(int fd, char path[static 4096])
{
    char link[64] = "/proc/self/fd/", digits[16];
    size_t count = 0, end = strlen(link);
    struct stat status;
    ssize_t length;

    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return 0;
    for (int left = fd; count == 0 || left > 0; left /= 10)
        digits[count++] = (char)('0' + left % 10);
    while (count > 0)
        link[end++] = digits[--count];
    link[end] = '\0';
    length = readlink(link, path, 4096);
    return length > (ssize_t)folder_length && memcmp(path, folder, folder_length) == 0 ? (size_t)length : 0;
}

static void put(struct record *record, const char *path, const struct iovec *pieces, int count)
{
    struct timespec now;
    size_t left = record->length;

    clock_gettime(CLOCK_MONOTONIC, &now);
    record->nanoseconds = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    syscall(SYS_write, file, record, sizeof(*record));
    syscall(SYS_write, file, path, record->path_length);
    for (int i = 0; i < count && left > 0; i++) {
        size_t part = pieces[i].iov_len < left ? pieces[i].iov_len : left;

        syscall(SYS_write, file, pieces[i].iov_base, part);
        left -= part;
    }
}

static void add(int fd, enum what what, off_t offset, const struct iovec *pieces, int count, size_t length)
{
    char path[4096];
    struct record record = {.what = what, .offset = (uint64_t)offset, .length = length};

    if (fd == file || (record.path_length = path_of(fd, path)) == 0)
        return;
    if (what == WHAT_WRITE && (fcntl(fd, F_GETFL) & O_DSYNC) != 0)
        record.what = WHAT_WRITE_SYNC;
    put(&record, path, pieces, count);
}

/* What happens and its record have no other between them, so that the records are in the order of what
 * happened. */
static ssize_t write_pieces(int fd, const struct iovec *pieces, int count, off_t offset, long call)
{
    ssize_t written;
    int reason;

    pthread_mutex_lock(&in_order);
    if (offset < 0 && (offset = lseek(fd, 0, SEEK_CUR)) < 0)
        offset = 0;
    written = call == SYS_writev ? syscall(call, fd, pieces, count)
                                 : syscall(call, fd, pieces, count, (unsigned long)offset, 0UL);
    reason = errno;
    if (written > 0)
        add(fd, WHAT_WRITE, offset, pieces, count, (size_t)written);
    pthread_mutex_unlock(&in_order);
    errno = reason;
    return written;
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    return write_pieces(fd, &(struct iovec){(void *)bytes, length}, 1, -1, SYS_writev);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return write_pieces(fd, pieces, count, -1, SYS_writev);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return write_pieces(fd, &(struct iovec){(void *)bytes, length}, 1, offset, SYS_pwritev);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset)
{
    return pwrite(fd, bytes, length, offset);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    return write_pieces(fd, pieces, count, offset, SYS_pwritev);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off_t offset)
{
    return pwritev(fd, pieces, count, offset);
}

ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
    return pwritev(fd, pieces, count, offset);
}

ssize_t pwritev64v2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
    return pwritev2(fd, pieces, count, offset, flags);
}

static int recorded(int fd, enum what what, off_t offset, int (*call)(int fd, off_t offset))
{
    int result, reason;

    pthread_mutex_lock(&in_order);
    result = call(fd, offset);
    reason = errno;
    if (result == 0)
        add(fd, what, offset, NULL, 0, 0);
    pthread_mutex_unlock(&in_order);
    errno = reason;
    return result;
}

static int call_fdatasync(int fd, off_t offset)
{
    return (int)syscall(SYS_fdatasync, fd);
}

static int call_ftruncate(int fd, off_t length)
{
    return (int)syscall(SYS_ftruncate, fd, length);
}

int fdatasync(int fd)
{
    return recorded(fd, WHAT_SYNC, 0, call_fdatasync);
}

int fsync(int fd)
{
    return recorded(fd, WHAT_SYNC, 0, call_fdatasync);
}

int ftruncate(int fd, off_t length)
{
    return recorded(fd, WHAT_TRUNCATE, length, call_ftruncate);
}

int ftruncate64(int fd, off_t length)
{
    return ftruncate(fd, length);
}

int rename(const char *from, const char *to)
{
    const struct iovec name = {(void *)to, strlen(to)};
    struct record record = {.what = WHAT_RENAME, .path_length = strlen(from), .length = name.iov_len};
    int result, reason;

    pthread_mutex_lock(&in_order);
    result = (int)syscall(SYS_rename, from, to);
    reason = errno;
    if (result == 0 && strncmp(to, folder, folder_length) == 0)
        put(&record, from, &name, 1);
    pthread_mutex_unlock(&in_order);
    errno = reason;
    return result;
}
