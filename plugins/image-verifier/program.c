/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a program that shares nothing with us but three pipes. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Above those that the child's own three are put in place of, should the daemon have been started without. */
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

/* So little that nobody has to read it first. */
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

/* The daemon's signal mask and the signals it ignores are its own affair. */
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

/* Through it the end is heard of without SIGCHLD, which belongs to the loop. */
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
