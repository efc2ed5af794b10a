/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process 1 of a container inherits every orphan in it and has to take its exit status, or it stays as a
 * zombie. The daemon cannot: an orphan looks like a child that a plugin waits for. So process 1 does only
 * that, and passes on the signals that it gets; the daemon is its child.
 */
#include "orphans.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <core/base/log.h>

static int exit_code_of(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    log_line(BERTH_LOG_ERROR, "the daemon was killed by signal %d (%s)", WTERMSIG(status),
             strsignal(WTERMSIG(status)));
    return 128 + WTERMSIG(status);
}

/* True once the daemon is among them. */
static bool reap_all(pid_t daemon, int *ret_exit_code)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == daemon) {
            *ret_exit_code = exit_code_of(status);
            return true;
        }
    return false;
}

/* What a terminal sends has gone to the whole group; only what was sent to this process alone is passed on.
 */
static bool is_for_daemon(const siginfo_t *info)
{
    return info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
}

static int wait_for(pid_t daemon, const sigset_t *signals)
{
    int exit_code = 0;

    for (;;) {
        siginfo_t info;
        int number = sigwaitinfo(signals, &info);

        if (number == SIGCHLD && reap_all(daemon, &exit_code))
            return exit_code;
        if (number > 0 && number != SIGCHLD && is_for_daemon(&info))
            kill(daemon, number);
    }
}

bool orphans_reap(int *ret_exit_code)
{
    sigset_t all, before;
    pid_t daemon;

    /* Where it is ignored, as whoever started berthd may have left it, no child's status is kept for anybody.
     */
    signal(SIGCHLD, SIG_DFL);
    if (getpid() != 1)
        return false;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    daemon = fork();
    if (daemon > 0) {
        *ret_exit_code = wait_for(daemon, &all);
        return true;
    }
    if (daemon < 0)
        log_line(BERTH_LOG_WARN, "orphans stay as zombies: cannot fork: %s", strerror(errno));
    sigprocmask(SIG_SETMASK, &before, NULL);
    return false;
}
