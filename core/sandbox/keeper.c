/* SPDX-License-Identifier: Apache-2.0 */
/* Two small processes around one: they wait, and pass on how it ended. */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_OWN_DESCRIPTOR 3
#define EXIT_BROKEN 1

/* What a terminal or whoever ends the group sends is for the process itself. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
}

/* Only this one is left, as the first of its own; standard descriptors stay. @return its number. */
static int keep_one(int fd)
{
    if (fd != FIRST_OWN_DESCRIPTOR && dup2(fd, FIRST_OWN_DESCRIPTOR) < 0)
        _exit(EXIT_BROKEN);
    /* Before Linux 5.9 those of the sandbox are few. */
    if (close_range(FIRST_OWN_DESCRIPTOR + 1, ~0u, 0) != 0)
        for (int other = FIRST_OWN_DESCRIPTOR + 1; other < 1024; other++)
            close(other);
    return FIRST_OWN_DESCRIPTOR;
}

/* After the change of user, which clears it. */
static void become_small(enum berth_code (*weaken)(const void *context, struct berth_error *err),
                         const void *context)
{
    struct berth_error error;

    ignore_signals();
    if (weaken(context, &error) != BERTH_OK || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        _exit(EXIT_BROKEN);
}

_Noreturn static void end_as(int status)
{
    if (WIFSIGNALED(status)) {
        sigset_t all;

        signal(WTERMSIG(status), SIG_DFL);
        sigemptyset(&all);
        sigaddset(&all, WTERMSIG(status));
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        kill(getpid(), WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BROKEN);
}

_Noreturn static void keep(pid_t init, int results)
{
    int status = 0;
    ssize_t got;

    do
        got = read(results, &status, sizeof(status));
    while (got < 0 && errno == EINTR);
    while (waitpid(init, NULL, 0) < 0 && errno == EINTR)
        ;
    if (got == (ssize_t)sizeof(status))
        end_as(status);
    /* Init itself was killed, and all with it. */
    end_as(SIGKILL);
}

/* Its end is that of the namespace. */
_Noreturn static void reap(pid_t process, int results)
{
    int status;
    pid_t ended;

    do
        ended = waitpid(-1, &status, 0);
    while (ended != process && (ended > 0 || errno == EINTR));
    if (ended == process && write(results, &status, sizeof(status)) < 0)
        _exit(EXIT_BROKEN);
    _exit(0);
}

/* Nobody reads what it writes: the keeper was gone before it asked to be told. */
static bool is_orphaned(int results)
{
    struct pollfd poller = {.fd = results};

    return poll(&poller, 1, 0) == 1 && (poller.revents & POLLERR) != 0;
}

enum berth_code keeper_enter(pid_t parent,
                             enum berth_code (*weaken)(const void *context, struct berth_error *err),
                             const void *context, struct berth_error *err)
{
    int results[2];
    pid_t child;

    if (pipe2(results, O_CLOEXEC) != 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "sandbox: cannot create a pipe: %s",
                               strerror(errno));
    child = fork();
    if (child < 0) {
        close(results[0]);
        close(results[1]);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "sandbox: cannot create a process: %s",
                               strerror(errno));
    }
    if (child > 0) {
        int fd = keep_one(results[0]);

        become_small(weaken, context);
        if (getppid() != parent)
            _exit(EXIT_BROKEN);
        keep(child, fd);
    }
    close(results[0]);
    child = fork();
    if (child < 0)
        _exit(EXIT_BROKEN);
    if (child > 0) {
        int fd = keep_one(results[1]);

        become_small(weaken, context);
        if (is_orphaned(fd))
            _exit(EXIT_BROKEN);
        reap(child, fd);
    }
    close(results[1]);
    return BERTH_OK;
}
