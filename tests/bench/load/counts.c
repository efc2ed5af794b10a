/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a server: counts its allocations and what it asks of the kernel on its sockets, in the file
 * $BENCH_COUNTS, which whoever measures reads at any time.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* In the order of the file. */
enum count {
    COUNT_ALLOCATIONS,
    COUNT_FREES,
    COUNT_READS,
    COUNT_WRITES,
    COUNT_WAITS,
    COUNTS,
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static uint64_t unshared[COUNTS];
static uint64_t *counts = unshared;

__attribute__((constructor)) static void share(void)
{
    const char *path = getenv("BENCH_COUNTS");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *shared =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(unshared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (shared == MAP_FAILED)
        abort();
    close(fd);
    counts = shared;
}

static void add(enum count count)
{
    __atomic_fetch_add(&counts[count], 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
    add(COUNT_ALLOCATIONS);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    add(COUNT_ALLOCATIONS);
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    add(COUNT_ALLOCATIONS);
    return __libc_realloc(memory, size);
}

void free(void *memory)
{
    if (memory != NULL)
        add(COUNT_FREES);
    __libc_free(memory);
}

/* The kernel is asked directly, so that nothing has to be looked up before it can be counted. */
ssize_t read(int fd, void *bytes, size_t length)
{
    add(COUNT_READS);
    return syscall(SYS_read, fd, bytes, length);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    add(COUNT_READS);
    return syscall(SYS_recvmsg, fd, message, flags);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    add(COUNT_WRITES);
    return syscall(SYS_write, fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    add(COUNT_WRITES);
    return syscall(SYS_writev, fd, pieces, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    add(COUNT_WRITES);
    return syscall(SYS_sendmsg, fd, message, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int max_events, int timeout)
{
    add(COUNT_WAITS);
    return (int)syscall(SYS_epoll_pwait, fd, events, max_events, timeout, NULL, 0);
}

int epoll_pwait(int fd, struct epoll_event *events, int max_events, int timeout, const sigset_t *mask)
{
    add(COUNT_WAITS);
    return (int)syscall(SYS_epoll_pwait, fd, events, max_events, timeout, mask, 8);
}
