/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a child, reads what it prints, and learns of its end by a descriptor: SIGCHLD is left to others. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sdk/base/container_of.h>
#include <sdk/base/error_code.h>

#define CONNECTION 3
#define REPORT 4
/* Pieces of output in one turn of the loop. */
#define READS_PER_TURN 4

static void end_line(struct child *child)
{
    char *kept = child->last[child->last_count % CHILD_LAST_LINES];

    child->line[child->line_length] = '\0';
    if (child->line_length == 0)
        return;
    memcpy(kept, child->line, child->line_length + 1);
    child->last_count++;
    child->line_length = 0;
    child->on_line(child, kept);
}

/* @return is there perhaps more? */
static bool read_output(struct child *child)
{
    char bytes[4096];
    ssize_t got = read(child->output_fd, bytes, sizeof(bytes));

    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] == '\n' || child->line_length == CHILD_LINE_MAX - 1)
            end_line(child);
        if (bytes[i] != '\n')
            child->line[child->line_length++] = bytes[i];
    }
    if (got == 0 && child->has_output)
        uv_poll_stop(&child->output);
    return got == (ssize_t)sizeof(bytes);
}

static void on_output(uv_poll_t *poll, int status, int events)
{
    struct child *child = CONTAINER_OF(poll, struct child, output);

    for (int i = 0; i < READS_PER_TURN; i++)
        if (!read_output(child))
            break;
}

static void describe_end(const siginfo_t *info, struct child_end *ret_end)
{
    if (info->si_code == CLD_EXITED) {
        ret_end->exit_code = info->si_status;
        snprintf(ret_end->text, sizeof(ret_end->text), "exited with code %d", info->si_status);
    } else {
        ret_end->signal = info->si_status;
        snprintf(ret_end->text, sizeof(ret_end->text), "was killed by SIG%s (%s)",
                 sigabbrev_np(info->si_status), strsignal(info->si_status));
    }
}

static void on_process(uv_poll_t *poll, int status, int events)
{
    struct child *child = CONTAINER_OF(poll, struct child, process);
    siginfo_t info = {0};
    struct child_end end = {.exit_code = -1};

    if (waitid(P_PIDFD, (id_t)child->process_fd, &info, WEXITED | WNOHANG) != 0)
        /* A plugin in the daemon waits for children that are not its own. */
        snprintf(end.text, sizeof(end.text),
                 "ended, but another part of the daemon collected its exit status");
    else if (info.si_pid == 0)
        return;
    else
        describe_end(&info, &end);
    uv_poll_stop(&child->process);
    for (int i = 0; i < READS_PER_TURN; i++)
        if (!read_output(child))
            break;
    end_line(child);
    if (child->has_output)
        uv_poll_stop(&child->output);
    else
        snprintf(end.text, sizeof(end.text), "%s", child->fault);
    child->on_ended(child, &end);
}

static enum berth_code fail(struct berth_error *err, const char *what, int error)
{
    return berth_error_set(err, berth_code_of_errno(error, BERTH_UNAVAILABLE), "cannot %s: %s", what,
                           strerror(error));
}

/* What is one of the child's numbers here would be overwritten there. */
static int lift(int fd)
{
    int lifted = fd < 0 || fd > REPORT ? fd : fcntl(fd, F_DUPFD_CLOEXEC, REPORT + 1);

    if (lifted != fd)
        close(fd);
    return lifted;
}

static int spawn(struct child *child, const char *program, int connection, int output, int report,
                 char *const *environment)
{
    char *arguments[] = {(char *)(uintptr_t)program, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int error;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, connection, CONNECTION);
    if (report >= 0)
        posix_spawn_file_actions_adddup2(&actions, report, REPORT);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    error = posix_spawn(&child->pid, program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static void on_refused(struct refusals *refusals, int number)
{
    struct child *child = CONTAINER_OF(refusals, struct child, refusals);

    child->on_refused(child, number);
}

void child_kill(struct child *child)
{
    child->was_killed = true;
    pidfd_send_signal(child->process_fd, SIGKILL, NULL, 0);
}

/* A handle that is on the loop can be taken off it in a later turn only: without output the child is ended,
 * and the reason is told as that of its end. */
static void watch_output(struct child *child, uv_loop_t *loop)
{
    int error = uv_poll_init(loop, &child->output, child->output_fd);

    child->has_output = error == 0;
    if (child->has_output) {
        uv_poll_start(&child->output, UV_READABLE, on_output);
        return;
    }
    snprintf(child->fault, sizeof(child->fault), "was killed: the daemon could not watch its output: %s",
             strerror(-error));
    child_kill(child);
}

static enum berth_code watch(struct child *child, uv_loop_t *loop, struct berth_error *err)
{
    int error;

    child->process_fd = pidfd_open(child->pid, 0);
    if (child->process_fd < 0)
        return fail(err, "watch a worker", errno);
    error = uv_poll_init(loop, &child->process, child->process_fd);
    if (error != 0) {
        close(child->process_fd);
        return fail(err, "watch a worker", -error);
    }
    uv_poll_start(&child->process, UV_READABLE, on_process);
    watch_output(child, loop);
    return BERTH_OK;
}

enum berth_code child_start(struct child *child, uv_loop_t *loop, const char *program, int connection,
                            char *const *environment, struct limits *limits, struct berth_error *err)
{
    enum berth_code code;
    int output[2], error, report;

    child->line_length = 0;
    child->last_count = 0;
    child->was_killed = false;
    if (pipe2(output, O_CLOEXEC | O_NONBLOCK) != 0)
        return fail(err, "create a pipe", errno);
    /* Only our end: a plugin that prints would lose lines otherwise. */
    fcntl(output[1], F_SETFL, 0);
    child->refusals.on_refused = on_refused;
    report = lift(refusals_begin(&child->refusals));
    error = spawn(child, program, connection, output[1], report, environment);
    close(output[1]);
    if (report >= 0)
        close(report);
    child->output_fd = output[0];
    if (error != 0) {
        close(output[0]);
        refusals_abandon(&child->refusals);
        return berth_error_set(err, berth_code_of_errno(error, BERTH_UNAVAILABLE), "cannot run %s: %s",
                               program, strerror(error));
    }
    /* It is told what to do later, so nothing of a plugin has run by now. */
    code = limits_enter(limits, child->pid, err);
    if (code == BERTH_OK)
        code = watch(child, loop, err);
    if (code != BERTH_OK) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        close(output[0]);
        refusals_abandon(&child->refusals);
        return code;
    }
    refusals_watch(&child->refusals, loop);
    return code;
}

static void count_closed(struct child *child)
{
    if (--child->closing > 0)
        return;
    close(child->process_fd);
    close(child->output_fd);
    child->on_closed(child);
}

static void on_process_closed(uv_handle_t *handle)
{
    count_closed(CONTAINER_OF((uv_poll_t *)handle, struct child, process));
}

static void on_output_closed(uv_handle_t *handle)
{
    count_closed(CONTAINER_OF((uv_poll_t *)handle, struct child, output));
}

static void on_refusals_closed(struct refusals *refusals)
{
    count_closed(CONTAINER_OF(refusals, struct child, refusals));
}

void child_close(struct child *child, void (*on_closed)(struct child *child))
{
    child->closing = child->has_output ? 3 : 2;
    child->on_closed = on_closed;
    uv_close((uv_handle_t *)&child->process, on_process_closed);
    if (child->has_output)
        uv_close((uv_handle_t *)&child->output, on_output_closed);
    refusals_close(&child->refusals, on_refusals_closed);
}

void child_last_words(const struct child *child, char *text, size_t size)
{
    unsigned first = child->last_count > CHILD_LAST_LINES ? child->last_count - CHILD_LAST_LINES : 0;
    size_t length = 0;

    text[0] = '\0';
    for (unsigned i = first; i < child->last_count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", i > first ? " | " : "",
                                   child->last[i % CHILD_LAST_LINES]);
}
