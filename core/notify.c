/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notifies the service manager: sd_notify(3) in one datagram, without libsystemd. It never waits for a
 * manager that does not read: what finds no room is queued, and of each state only the latest.
 */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <core/base/log.h>
#include <sdk/base/memory.h>

/* The states, each at most once, and messages about descriptors. */
#define QUEUE_MAX 128

enum kind {
    KIND_READY,
    KIND_RELOADING,
    KIND_STOPPING,
    KIND_STATUS,
    KIND_EXTEND,
    /* Each of them counts. */
    KIND_OTHER,
};

struct notification {
    enum kind kind;
    char *lines;
    /* Copies, so that the caller may close its own. */
    int *fds;
    size_t fd_count;
};

/* Says when the manager's socket has room again. */
struct waiter {
    uv_poll_t poll;
    int fd;
};

static struct {
    struct sockaddr_un address;
    /* 0: no service manager. */
    socklen_t address_length;
    uint64_t watchdog_us;
    /* NULL: what is queued goes out with the next notification. */
    uv_loop_t *loop;
    struct waiter *waiter;
    struct notification queue[QUEUE_MAX];
    size_t queued;
} manager;

/* A path, or "@" and a name of the abstract namespace, which ends where its length says and not with a NUL.
 */
static void read_address(const char *text)
{
    size_t length = text == NULL ? 0 : strlen(text);

    if (length == 0)
        return;
    if ((text[0] != '/' && text[0] != '@') || length < 2 || length >= sizeof(manager.address.sun_path)) {
        log_line(BERTH_LOG_WARN,
                 "ignoring NOTIFY_SOCKET: \"%s\" is not an absolute path or @NAME of at most %zu bytes", text,
                 sizeof(manager.address.sun_path) - 1);
        return;
    }
    manager.address.sun_family = AF_UNIX;
    memcpy(manager.address.sun_path, text, length + 1);
    manager.address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (text[0] == '@')
        manager.address.sun_path[0] = '\0';
    else
        manager.address_length++;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *ret_number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

/* WATCHDOG_PID names the process it applies to (sd_watchdog_enabled(3)). */
static void read_watchdog(const char *interval, const char *pid)
{
    uint64_t meant, watchdog_us;

    if (pid != NULL && (!parse_number(pid, &meant) || meant != (uint64_t)getpid()))
        return;
    if (manager.address_length > 0 && parse_number(interval, &watchdog_us))
        manager.watchdog_us = watchdog_us;
}

void notify_hide(void)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_start(void)
{
    memset(&manager, 0, sizeof(manager));
    read_address(getenv("NOTIFY_SOCKET"));
    read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
    notify_hide();
}

/* Connected, because only then does poll(2) tell of the room in the peer's queue. */
static int open_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&manager.address, manager.address_length) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

static void attach(struct msghdr *message, void *space, const int *fds, size_t fd_count)
{
    struct cmsghdr *header;

    message->msg_control = space;
    message->msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
}

/* From any thread. */
static int send_now(const char *lines, const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(NOTIFY_FDS_MAX * sizeof(int))];
    } space = {0};
    struct iovec bytes = {.iov_base = (char *)lines, .iov_len = strlen(lines)};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    int result = 0;
    int fd = open_socket();

    if (fd < 0)
        return fd;
    if (fd_count > 0)
        attach(&message, &space, fds, fd_count);
    while (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && result == 0)
        result = errno == EINTR ? 0 : -errno;
    close(fd);
    return result;
}

static void report(const char *lines, int result)
{
    if (result < 0 && result != -ENOTCONN)
        log_line(BERTH_LOG_WARN, "cannot notify the service manager: %s message=%.*s", strerror(-result),
                 (int)strcspn(lines, "\n"), lines);
}

static void drop(size_t index)
{
    struct notification *notification = &manager.queue[index];

    for (size_t i = 0; i < notification->fd_count; i++)
        close(notification->fds[i]);
    free(notification->fds);
    free(notification->lines);
    manager.queued--;
    memmove(notification, notification + 1, (manager.queued - index) * sizeof(*notification));
}

static void send_queued(void)
{
    while (manager.queued > 0) {
        const struct notification *first = &manager.queue[0];
        int result = send_now(first->lines, first->fds, first->fd_count);

        if (result == -EAGAIN)
            return;
        report(first->lines, result);
        drop(0);
    }
}

static void on_waiter_closed(uv_handle_t *handle)
{
    struct waiter *waiter = handle->data;

    close(waiter->fd);
    free(waiter);
}

static void end_waiting(void)
{
    if (manager.waiter == NULL)
        return;
    uv_close((uv_handle_t *)&manager.waiter->poll, on_waiter_closed);
    manager.waiter = NULL;
}

static void begin_waiting(void);

/* Of an error the next send tells. */
static void on_room(uv_poll_t *poll, int status, int events)
{
    end_waiting();
    send_queued();
    if (manager.queued > 0)
        begin_waiting();
}

/* Where this fails, what is queued goes out with the next notification. */
static void begin_waiting(void)
{
    struct waiter *waiter;
    int fd;

    if (manager.loop == NULL || manager.waiter != NULL)
        return;
    fd = open_socket();
    if (fd < 0)
        return;
    waiter = memory_allocate(1, sizeof(*waiter));
    waiter->fd = fd;
    if (uv_poll_init(manager.loop, &waiter->poll, fd) != 0) {
        close(fd);
        free(waiter);
        return;
    }
    waiter->poll.data = waiter;
    uv_unref((uv_handle_t *)&waiter->poll);
    manager.waiter = waiter;
    if (uv_poll_start(&waiter->poll, UV_WRITABLE, on_room) != 0)
        end_waiting();
}

/* The one line NAME of both says the same. */
static bool is_of_same_name(const char *lines, const char *others)
{
    static const char key[] = "\nFDNAME=";
    const char *name = strstr(lines, key), *other = strstr(others, key);
    size_t length;

    if (name == NULL || other == NULL)
        return false;
    name += strlen(key);
    other += strlen(key);
    length = strcspn(name, "\n");
    return length == strcspn(other, "\n") && memcmp(name, other, length) == 0;
}

/* A descriptor that is no longer to be kept need not be sent first; its copy would hold the socket open. */
static bool is_overtaken(const struct notification *earlier, enum kind kind, const char *lines)
{
    if (kind != KIND_OTHER)
        return earlier->kind == kind;
    return earlier->fd_count > 0 && strncmp(lines, "FDSTOREREMOVE=1\n", 16) == 0 &&
           is_of_same_name(earlier->lines, lines);
}

static int copy_descriptors(const int *fds, size_t fd_count, int *ret_fds)
{
    for (size_t i = 0; i < fd_count; i++) {
        ret_fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (ret_fds[i] < 0) {
            int error = errno;

            while (i > 0)
                close(ret_fds[--i]);
            return -error;
        }
    }
    return 0;
}

/* Room for each of the states is kept: messages about descriptors end before it. */
static int enqueue(enum kind kind, const char *lines, const int *fds, size_t fd_count)
{
    struct notification notification = {.kind = kind, .fd_count = fd_count};
    int result;

    for (size_t i = manager.queued; i > 0; i--)
        if (is_overtaken(&manager.queue[i - 1], kind, lines))
            drop(i - 1);
    if (kind == KIND_OTHER && manager.queued >= QUEUE_MAX - KIND_OTHER)
        return -EAGAIN;
    if (fd_count > 0) {
        notification.fds = memory_allocate(fd_count, sizeof(int));
        result = copy_descriptors(fds, fd_count, notification.fds);
        if (result < 0) {
            free(notification.fds);
            return result;
        }
    }
    notification.lines = memory_copy(lines);
    manager.queue[manager.queued++] = notification;
    return 0;
}

/* In the order of the calls: behind what is queued already. */
static int send_or_enqueue(enum kind kind, const char *lines, const int *fds, size_t fd_count)
{
    int result = -EAGAIN;

    if (manager.address_length == 0)
        return -ENOTCONN;
    if (fd_count > NOTIFY_FDS_MAX)
        return -E2BIG;
    send_queued();
    if (manager.queued == 0)
        result = send_now(lines, fds, fd_count);
    if (result == -EAGAIN)
        result = enqueue(kind, lines, fds, fd_count);
    if (manager.queued > 0)
        begin_waiting();
    else
        end_waiting();
    return result;
}

int notify_send(const char *lines, const int *fds, size_t fd_count)
{
    return send_or_enqueue(KIND_OTHER, lines, fds, fd_count);
}

void notify_run(uv_loop_t *loop)
{
    manager.loop = loop;
    if (manager.queued > 0)
        begin_waiting();
}

void notify_stop(void)
{
    end_waiting();
    manager.loop = NULL;
    send_queued();
    if (manager.queued > 0)
        log_line(BERTH_LOG_WARN,
                 "the service manager does not read; notifications lost: %zu, the first: %.*s",
                 manager.queued, (int)strcspn(manager.queue[0].lines, "\n"), manager.queue[0].lines);
    while (manager.queued > 0)
        drop(manager.queued - 1);
}

static void tell(enum kind kind, const char *lines)
{
    report(lines, send_or_enqueue(kind, lines, NULL, 0));
}

void notify_ready(const char *status)
{
    char lines[512];

    snprintf(lines, sizeof(lines), "READY=1\nSTATUS=%s", status);
    tell(KIND_READY, lines);
}

/* sd_notify(3): the manager tells this reload from an earlier one by the time. */
void notify_reloading(void)
{
    char lines[128];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reloading.",
             (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    tell(KIND_RELOADING, lines);
}

void notify_stopping(void)
{
    tell(KIND_STOPPING, "STOPPING=1\nSTATUS=Stopping.");
}

void notify_status(const char *status)
{
    char lines[512];

    snprintf(lines, sizeof(lines), "STATUS=%s", status);
    tell(KIND_STATUS, lines);
}

void notify_extend_timeout(uint64_t timeout_us)
{
    char lines[64];

    snprintf(lines, sizeof(lines), "EXTEND_TIMEOUT_USEC=%" PRIu64, timeout_us);
    tell(KIND_EXTEND, lines);
}

uint64_t notify_watchdog_us(void)
{
    return manager.watchdog_us;
}

void notify_watchdog(void)
{
    static const char line[] = "WATCHDOG=1";
    int result = manager.address_length == 0 ? -ENOTCONN : send_now(line, NULL, 0);

    /* A manager that has not read the last ones needs no more of them. */
    if (result != -EAGAIN)
        report(line, result);
}
