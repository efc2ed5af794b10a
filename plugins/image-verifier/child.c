/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches one program that runs: what it writes, how long it takes, and how it ends.
 *
 * The program leads a process group. The group's number stays taken until the program is reaped, so killing
 * the group first and reaping then can hit nobody else. Whoever left the group may hold a pipe open for ever;
 * so what the pipes hold when the program has ended is read, and they are closed.
 */
#include "child.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_BYTES 16384

static void on_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;

    if (--child->open_handles > 0)
        return;
    close(child->program.pidfd);
    close(child->output.fd);
    close(child->errors.fd);
    child->on_end(child);
}

static void close_all(struct child *child)
{
    uv_handle_t *const handles[] = {
        (uv_handle_t *)&child->ended,
        (uv_handle_t *)&child->timer,
        (uv_handle_t *)&child->output.poll,
        (uv_handle_t *)&child->errors.poll,
    };

    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++)
        if (handles[i]->data != NULL)
            uv_close(handles[i], on_closed);
}

/* What is in the pipe by now, within bounds; who still writes is not waited for. */
static void drain(struct child_stream *stream)
{
    char bytes[READ_BYTES];

    for (size_t taken = 0; taken <= OUTPUT_MAX;) {
        ssize_t length = read(stream->fd, bytes, sizeof(bytes));

        if (length <= 0)
            return;
        output_add(&stream->output, bytes, (size_t)length);
        taken += (size_t)length;
    }
}

static enum child_end find_end(const struct child *child, const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        return CHILD_EXITED;
    if (child->has_timed_out)
        return CHILD_TIMED_OUT;
    return child->is_killed ? CHILD_KILLED : CHILD_SIGNALLED;
}

static void on_ended(uv_poll_t *handle, int status, int events)
{
    struct child *child = handle->data;
    siginfo_t info = {0};

    kill(-child->program.pid, SIGKILL);
    drain(&child->output);
    drain(&child->errors);
    child->end = CHILD_LOST;
    if (waitid(P_PIDFD, (id_t)child->program.pidfd, &info, WEXITED) == 0) {
        child->end = find_end(child, &info);
        child->number = info.si_status;
    }
    close_all(child);
}

void child_kill(struct child *child)
{
    if (uv_is_closing((const uv_handle_t *)&child->timer))
        return;
    child->is_killed = true;
    kill(-child->program.pid, SIGKILL);
}

static void on_timeout(uv_timer_t *timer)
{
    struct child *child = timer->data;

    child->has_timed_out = true;
    child_kill(child);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct child_stream *stream = (struct child_stream *)poll;
    char bytes[READ_BYTES];
    ssize_t length = read(stream->fd, bytes, sizeof(bytes));

    if (length > 0)
        output_add(&stream->output, bytes, (size_t)length);
    else
        uv_poll_stop(poll);
}

static bool watch_fd(struct child *child, uv_loop_t *loop, uv_poll_t *poll, int fd, uv_poll_cb on_event)
{
    if (uv_poll_init(loop, poll, fd) != 0)
        return false;
    poll->data = child;
    child->open_handles++;
    return uv_poll_start(poll, UV_READABLE, on_event) == 0;
}

static bool watch_all(struct child *child, uv_loop_t *loop)
{
    return watch_fd(child, loop, &child->output.poll, child->output.fd, on_readable) &&
           watch_fd(child, loop, &child->errors.poll, child->errors.fd, on_readable) &&
           watch_fd(child, loop, &child->ended, child->program.pidfd, on_ended);
}

/* The system has no room for another descriptor to be watched. */
static void give_up(struct child *child)
{
    siginfo_t info;

    kill(-child->program.pid, SIGKILL);
    waitid(P_PIDFD, (id_t)child->program.pidfd, &info, WEXITED);
    child->end = CHILD_LOST;
    close_all(child);
}

void child_watch(struct child *child, uv_loop_t *loop, uint64_t timeout_ms,
                 void (*on_end)(struct child *child))
{
    child->on_end = on_end;
    child->output.fd = child->program.output;
    child->errors.fd = child->program.errors;
    uv_timer_init(loop, &child->timer);
    child->timer.data = child;
    child->open_handles++;
    if (watch_all(child, loop))
        uv_timer_start(&child->timer, on_timeout, timeout_ms, 0);
    else
        give_up(child);
}
