/* SPDX-License-Identifier: Apache-2.0 */
/* Notifies the service manager: sd_notify(3) in one datagram, without libsystemd. */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <core/base/log.h>

/* If the manager's queue stays full for this long, the notification is dropped. */
#define SEND_TIMEOUT_S 5

static struct {
    struct sockaddr_un address;
    /* 0: no service manager. */
    socklen_t address_length;
    uint64_t watchdog_us;
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

static int open_socket(void)
{
    const struct timeval patience = {.tv_sec = SEND_TIMEOUT_S};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
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

static int send_lines(const char *lines, const int *fds, size_t fd_count, int flags)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(NOTIFY_FDS_MAX * sizeof(int))];
    } space = {0};
    struct iovec bytes = {.iov_base = (char *)lines, .iov_len = strlen(lines)};
    struct msghdr message = {.msg_name = &manager.address,
                             .msg_namelen = manager.address_length,
                             .msg_iov = &bytes,
                             .msg_iovlen = 1};
    int result = 0;
    int fd;

    if (manager.address_length == 0)
        return -ENOTCONN;
    if (fd_count > NOTIFY_FDS_MAX)
        return -E2BIG;
    if (fd_count > 0)
        attach(&message, &space, fds, fd_count);
    fd = open_socket();
    if (fd < 0)
        return -errno;
    while (sendmsg(fd, &message, MSG_NOSIGNAL | flags) < 0 && result == 0)
        result = errno == EINTR ? 0 : -errno;
    close(fd);
    return result;
}

int notify_send(const char *lines, const int *fds, size_t fd_count)
{
    return send_lines(lines, fds, fd_count, 0);
}

static void report(const char *lines, int result)
{
    if (result < 0 && result != -ENOTCONN)
        log_line(BERTH_LOG_WARN, "cannot notify the service manager: %s message=%.*s", strerror(-result),
                 (int)strcspn(lines, "\n"), lines);
}

static void tell(const char *lines)
{
    report(lines, notify_send(lines, NULL, 0));
}

void notify_ready(const char *status)
{
    char lines[512];

    snprintf(lines, sizeof(lines), "READY=1\nSTATUS=%s", status);
    tell(lines);
}

/* sd_notify(3): the manager tells this reload from an earlier one by the time. */
void notify_reloading(void)
{
    char lines[128];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reloading.",
             (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    tell(lines);
}

void notify_stopping(void)
{
    tell("STOPPING=1\nSTATUS=Stopping.");
}

void notify_status(const char *status)
{
    char lines[512];

    snprintf(lines, sizeof(lines), "STATUS=%s", status);
    tell(lines);
}

void notify_extend_timeout(uint64_t timeout_us)
{
    char lines[64];

    snprintf(lines, sizeof(lines), "EXTEND_TIMEOUT_USEC=%" PRIu64, timeout_us);
    tell(lines);
}

uint64_t notify_watchdog_us(void)
{
    return manager.watchdog_us;
}

void notify_watchdog(void)
{
    static const char line[] = "WATCHDOG=1";
    int result = send_lines(line, NULL, 0, MSG_DONTWAIT);

    /* A manager that has not read the last ones needs no more of them. */
    if (result != -EAGAIN)
        report(line, result);
}
