/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a program that shares nothing with the daemon but three pipes, and watches its output, its running
 * time and its exit.
 *
 * The program leads a process group. The group's ID stays in use until the program is reaped, so killing the
 * group first and reaping afterwards cannot hit another process. A process that left the group may hold a
 * pipe open forever; so when the program has exited, the pipes are drained and closed.
 */
#include "program.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <berth/utf8.h>

/* Both ends of the three pipes: [0] is read, [1] is written. */
struct pipes {
    int input[2];
    int output[2];
    int errors[2];
};

static enum berth_code say(enum berth_code code, const char *path, int error, struct berth_error *err)
{
    return berth_error_set(err, code, "%.1500s: cannot be started: %s", path, strerror(error));
}

static void close_pair(int pair[2])
{
    for (size_t i = 0; i < 2; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
        pair[i] = -1;
    }
}

static void close_pipes(struct pipes *pipes)
{
    close_pair(pipes->input);
    close_pair(pipes->output);
    close_pair(pipes->errors);
}

/* Moves a descriptor above the standard three, in case the daemon was started without them. */
static int lift(int *fd)
{
    int lifted;

    if (*fd > STDERR_FILENO)
        return 0;
    lifted = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (lifted < 0)
        return errno;
    close(*fd);
    *fd = lifted;
    return 0;
}

static int make_pair(int pair[2])
{
    int error;

    if (pipe2(pair, O_CLOEXEC) != 0)
        return errno;
    error = lift(&pair[0]);
    return error == 0 ? lift(&pair[1]) : error;
}

static int make_pipes(struct pipes *pipes)
{
    int error = make_pair(pipes->input);

    if (error == 0)
        error = make_pair(pipes->output);
    if (error == 0)
        error = make_pair(pipes->errors);
    if (error == 0 && (fcntl(pipes->output[0], F_SETFL, O_NONBLOCK) != 0 ||
                       fcntl(pipes->errors[0], F_SETFL, O_NONBLOCK) != 0))
        error = errno;
    return error;
}

/* Small enough that nobody has to read first. */
static int write_input(struct pipes *pipes, const struct program_call *call)
{
    ssize_t written = write(pipes->input[1], call->input, call->input_length);
    int error = written < 0 ? errno : (size_t)written < call->input_length ? EMSGSIZE : 0;

    close(pipes->input[1]);
    pipes->input[1] = -1;
    return error;
}

/* Where the child reports why it could not become the program. */
#define REPORT_FD (STDERR_FILENO + 1)

/* Close-on-exec, so that its end means that the program runs. */
static int move_report(int report)
{
    return report == REPORT_FD ? report : dup3(report, REPORT_FD, O_CLOEXEC);
}

/* The daemon's signal mask and ignored signals must not be inherited. */
static void reset_signals(void)
{
    const struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Between fork and exec of a process with threads: only what is safe in a signal handler. */
static _Noreturn void become(const struct program_call *call, const struct pipes *pipes, int report)
{
    int error;

    setsid();
    if (dup2(pipes->input[0], STDIN_FILENO) >= 0 && dup2(pipes->output[1], STDOUT_FILENO) >= 0 &&
        dup2(pipes->errors[1], STDERR_FILENO) >= 0 && move_report(report) >= 0 && chdir("/") == 0) {
        report = REPORT_FD;
        /* Whatever any plugin has opened without close-on-exec. */
        closefrom(REPORT_FD + 1);
        reset_signals();
        execve(call->path, call->arguments, call->environment);
    }
    error = errno;
    _exit(write(report, &error, sizeof(error)) == sizeof(error) ? 127 : 126);
}

/* 0 once the program runs, else the child's errno. */
static int read_report(int report)
{
    int error = 0;
    ssize_t got;

    do
        got = read(report, &error, sizeof(error));
    while (got < 0 && errno == EINTR);
    return got == 0 ? 0 : got == sizeof(error) ? error : EIO;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/*
 * By fork, not posix_spawn(3): the host gives its limit of open files back in what pthread_atfork(3) calls.
 * No handler of the daemon may run in the child.
 */
static int spawn(pid_t *ret_pid, const struct program_call *call, const struct pipes *pipes)
{
    int report[2], error = make_pair(report);
    sigset_t all, before;
    pid_t pid;

    if (error != 0)
        return error;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        become(call, pipes, report[1]);
    error = pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (error == 0)
        error = read_report(report[0]);
    close(report[0]);
    if (pid > 0 && error != 0)
        reap(pid);
    *ret_pid = pid;
    return error;
}

/* A pidfd reports the exit without SIGCHLD, which belongs to the loop. */
static int watch(struct program *program)
{
    int error = 0;

    program->pidfd = (int)syscall(SYS_pidfd_open, program->pid, 0);
    if (program->pidfd >= 0)
        return 0;
    error = errno;
    kill(-program->pid, SIGKILL);
    reap(program->pid);
    return error;
}

enum berth_code program_start(struct program *ret_program, const struct program_call *call,
                              struct berth_error *err)
{
    struct pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}};
    struct program program = {.pidfd = -1};
    int error = make_pipes(&pipes);

    if (error == 0)
        error = write_input(&pipes, call);
    if (error != 0) {
        close_pipes(&pipes);
        return say(BERTH_RESOURCE_EXHAUSTED, call->path, error, err);
    }
    error = spawn(&program.pid, call, &pipes);
    if (error == 0)
        error = watch(&program);
    if (error == 0) {
        program.output = pipes.output[0];
        program.errors = pipes.errors[0];
        pipes.output[0] = pipes.errors[0] = -1;
        *ret_program = program;
    }
    close_pipes(&pipes);
    return error == 0 ? BERTH_OK : say(BERTH_FAILED_PRECONDITION, call->path, error, err);
}

static void output_add(struct output *output, const char *bytes, size_t length)
{
    size_t room = sizeof(output->bytes) - output->length;

    if (length > room) {
        output->is_cut = true;
        length = room;
    }
    memcpy(output->bytes + output->length, bytes, length);
    output->length += length;
}

static bool is_text(const char *bytes, size_t length)
{
    unsigned char c = (unsigned char)*bytes;

    return length > 0 && (length > 1 || (c >= ' ' && c != 0x7f) || c == '\n' || c == '\t');
}

static char *make_text(const char *bytes, size_t length, const char *tail)
{
    char *text = malloc(length + strlen(tail) + 1);
    size_t used = 0;

    if (text == NULL)
        return NULL;
    while (length > 0) {
        size_t taken = berth_utf8_character(bytes, length);

        if (is_text(bytes, taken)) {
            memcpy(text + used, bytes, taken);
            used += taken;
        } else {
            text[used++] = '?';
            taken = 1;
        }
        bytes += taken;
        length -= taken;
    }
    strcpy(text + used, tail);
    return text;
}

static bool is_blank(char c)
{
    return isspace((unsigned char)c) != 0;
}

static char *make_trimmed(const char *bytes, size_t length, const char *tail)
{
    while (length > 0 && is_blank(bytes[length - 1]))
        length--;
    while (length > 0 && is_blank(*bytes)) {
        bytes++;
        length--;
    }
    return make_text(bytes, length, tail);
}

char *output_text(const struct output *output)
{
    return make_trimmed(output->bytes, output->length, output->is_cut ? "(stdout truncated)" : "");
}

void output_each_line(const struct output *output, void (*on_line)(void *context, const char *line),
                      void *context)
{
    const char *end = output->bytes + output->length;
    const char *line = output->bytes;

    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline != NULL ? newline : end;
        char *text = make_trimmed(line, (size_t)(stop - line), "");

        if (text != NULL && *text != '\0')
            on_line(context, text);
        free(text);
        line = stop + 1;
    }
    if (output->is_cut)
        on_line(context, "(more was written and is left out)");
}

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

/* Reads what is in the pipe, up to a limit, without waiting for processes that still write. */
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

/* The system cannot watch another descriptor. */
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
