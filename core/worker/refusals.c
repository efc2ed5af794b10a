/* SPDX-License-Identifier: Apache-2.0 */
/* Answers the kernel, which asks about each system call that a filter refuses (seccomp_unotify(2)). */
#include "refusals.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sdk/base/container_of.h>

/* In one turn of the loop, and of one process: beyond it, its calls are refused by the kernel, as not
 * implemented. */
#define ANSWERS_PER_TURN 8
#define ANSWERS_MAX 10000u
/* Larger than what any kernel writes; see has_room. */
#define NOTIFICATION_MAX 512

static void close_descriptors(struct refusals *refusals)
{
    if (refusals->socket >= 0)
        close(refusals->socket);
    if (refusals->listener >= 0)
        close(refusals->listener);
    refusals->socket = refusals->listener = -1;
}

static void count_closed(struct refusals *refusals)
{
    if (--refusals->open_parts > 0)
        return;
    close_descriptors(refusals);
    refusals->on_closed(refusals);
}

/* A descriptor is closed behind its handle: the loop would take its number for that of whoever has it next.
 */
static void on_calls_closed(uv_handle_t *handle)
{
    struct refusals *refusals = CONTAINER_OF((uv_poll_t *)handle, struct refusals, calls);

    close(refusals->listener);
    refusals->listener = -1;
    count_closed(refusals);
}

static void stop(struct refusals *refusals)
{
    if (refusals->has_calls)
        uv_close((uv_handle_t *)&refusals->calls, on_calls_closed);
    refusals->has_calls = false;
}

/* Nobody else takes questions, so one that is there does not go away: taking it does not block. */
static bool has_question(int listener)
{
    struct pollfd poller = {.fd = listener, .events = POLLIN};

    return poll(&poller, 1, 0) == 1 && (poller.revents & POLLIN) != 0;
}

static void answer(struct refusals *refusals)
{
    union {
        struct seccomp_notif question;
        char bytes[NOTIFICATION_MAX];
    } asked = {.bytes = {0}};
    union {
        struct seccomp_notif_resp answer;
        char bytes[NOTIFICATION_MAX];
    } answered = {.bytes = {0}};

    if (ioctl(refusals->listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0)
        return;
    answered.answer.id = asked.question.id;
    answered.answer.error = -EPERM;
    ioctl(refusals->listener, SECCOMP_IOCTL_NOTIF_SEND, &answered);
    refusals->answered++;
    refusals->on_refused(refusals, asked.question.data.nr);
}

static void on_calls(uv_poll_t *poll, int status, int events)
{
    struct refusals *refusals = CONTAINER_OF(poll, struct refusals, calls);
    int count = 0;

    for (; count < ANSWERS_PER_TURN && refusals->answered < ANSWERS_MAX && has_question(refusals->listener);
         count++)
        answer(refusals);
    /* Without a question there is nobody left who could ask. */
    if (count == 0 || refusals->answered >= ANSWERS_MAX)
        stop(refusals);
}

/* @return the descriptor that the process sent; -1: it did not. It sends one only, before any code of a
 * plugin. */
static int take_descriptor(int socket)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    char byte;
    struct iovec piece = {&byte, sizeof(byte)};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    const struct cmsghdr *head;
    int descriptor = -1;

    if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
        return -1;
    head = CMSG_FIRSTHDR(&message);
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(descriptor)))
        memcpy(&descriptor, CMSG_DATA(head), sizeof(descriptor));
    return descriptor;
}

static void on_arrival(uv_poll_t *poll, int status, int events)
{
    struct refusals *refusals = CONTAINER_OF(poll, struct refusals, arrival);

    refusals->listener = take_descriptor(refusals->socket);
    uv_poll_stop(poll);
    if (refusals->listener < 0)
        return;
    refusals->has_calls = uv_poll_init(poll->loop, &refusals->calls, refusals->listener) == 0;
    if (refusals->has_calls) {
        refusals->open_parts++;
        uv_poll_start(&refusals->calls, UV_READABLE, on_calls);
        return;
    }
    /* The kernel refuses then by itself. */
    close(refusals->listener);
    refusals->listener = -1;
}

/* Debian's header is older than the kernel may be. */
static bool has_room(void)
{
    struct seccomp_notif_sizes sizes;

    return syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0 &&
           sizes.seccomp_notif <= NOTIFICATION_MAX && sizes.seccomp_notif_resp <= NOTIFICATION_MAX;
}

int refusals_begin(struct refusals *refusals)
{
    int pair[2];

    refusals->socket = refusals->listener = -1;
    refusals->has_arrival = refusals->has_calls = false;
    refusals->answered = 0;
    /* The owner counts, until it closes. */
    refusals->open_parts = 1;
    if (!has_room() || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    refusals->socket = pair[0];
    return pair[1];
}

void refusals_watch(struct refusals *refusals, uv_loop_t *loop)
{
    if (refusals->socket < 0)
        return;
    refusals->has_arrival = uv_poll_init(loop, &refusals->arrival, refusals->socket) == 0;
    if (!refusals->has_arrival) {
        close_descriptors(refusals);
        return;
    }
    refusals->open_parts++;
    uv_poll_start(&refusals->arrival, UV_READABLE, on_arrival);
}

void refusals_abandon(struct refusals *refusals)
{
    close_descriptors(refusals);
}

static void on_arrival_closed(uv_handle_t *handle)
{
    count_closed(CONTAINER_OF((uv_poll_t *)handle, struct refusals, arrival));
}

void refusals_close(struct refusals *refusals, void (*on_closed)(struct refusals *refusals))
{
    refusals->on_closed = on_closed;
    if (refusals->has_arrival)
        uv_close((uv_handle_t *)&refusals->arrival, on_arrival_closed);
    stop(refusals);
    count_closed(refusals);
}

const char *refusals_advice(const char *name)
{
    static const struct {
        const char *name, *advice;
    } others[] = {
        {"accept", "set network"},
        {"accept4", "set network"},
        {"bind", "set network"},
        {"connect", "set network"},
        {"listen", "set network"},
        {"socket", "set network"},
        {"clone", "set processes: true"},
        {"fork", "set processes: true"},
        {"vfork", "set processes: true"},
        {"execve", "an isolated plugin runs no other program"},
        {"execveat", "an isolated plugin runs no other program"},
    };
    static char text[128];

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(others[i].name, name) == 0)
            return others[i].advice;
    snprintf(text, sizeof(text), "allow it with system_calls: [%.64s]", name);
    return text;
}
