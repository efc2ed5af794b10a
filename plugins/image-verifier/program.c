/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a program that shares nothing with us but three pipes. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
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

static int fill_actions(posix_spawn_file_actions_t *actions, const struct pipes *pipes)
{
    int error = posix_spawn_file_actions_adddup2(actions, pipes->input[0], STDIN_FILENO);

    if (error == 0)
        error = posix_spawn_file_actions_adddup2(actions, pipes->output[1], STDOUT_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(actions, pipes->errors[1], STDERR_FILENO);
    /* Whatever any plugin has opened without close-on-exec. */
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (error == 0)
        error = posix_spawn_file_actions_addchdir_np(actions, "/");
    return error;
}

/* The daemon's signal mask and the signals it ignores are its own affair too. */
static int fill_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int error;

    sigemptyset(&none);
    sigfillset(&all);
    error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(attributes, &all);
    if (error == 0)
        error = posix_spawnattr_setflags(attributes,
                                         POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return error;
}

static int spawn_with(pid_t *ret_pid, const struct program_call *call,
                      const posix_spawn_file_actions_t *actions)
{
    posix_spawnattr_t attributes;
    int error = posix_spawnattr_init(&attributes);

    if (error != 0)
        return error;
    error = fill_attributes(&attributes);
    if (error == 0)
        error = posix_spawn(ret_pid, call->path, actions, &attributes, call->arguments, call->environment);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static int spawn(pid_t *ret_pid, const struct program_call *call, const struct pipes *pipes)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);

    if (error != 0)
        return error;
    error = fill_actions(&actions, pipes);
    if (error == 0)
        error = spawn_with(ret_pid, call, &actions);
    posix_spawn_file_actions_destroy(&actions);
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
    while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
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
