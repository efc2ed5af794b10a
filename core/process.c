/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berthd as a Unix process: the signals it gets, the orphans it inherits, the files it may open. Signals are
 * not taken by libuv's watchers: a loop that hangs in a plugin must not swallow the second one.
 */
#include "process.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <core/base/log.h>

/*
 * Process 1 of a container inherits every orphan in it and must reap it, or it stays as a zombie. The daemon
 * cannot: an orphan looks like a child that a plugin waits for. So process 1 does only that, and passes on
 * the signals that it gets; the daemon is its child.
 */

static int exit_code_of(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    log_line(BERTH_LOG_ERROR, "the daemon was killed by signal %d (%s)", WTERMSIG(status),
             strsignal(WTERMSIG(status)));
    return 128 + WTERMSIG(status);
}

/* True if the daemon is among them. */
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

/* A terminal signals the whole group; only signals sent to this process alone are passed on. */
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

bool process_reap_orphans(int *ret_exit_code)
{
    sigset_t all, before;
    pid_t daemon;

    /* If the parent of berthd left it ignored, the kernel would not keep the status of children. */
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
        log_line(BERTH_LOG_WARN, "not reaping orphans: cannot fork: %s", strerror(errno));
    sigprocmask(SIG_SETMASK, &before, NULL);
    return false;
}

/* The usual 1024 is for programs that use select(2). Bounded, because some code walks over all possible
 * descriptors and a hard limit may be practically infinite. */
#define LIMIT_MAX (1024 * 1024)

static struct rlimit inherited_limit;

static void restore_limit(void)
{
    int saved_errno = errno;

    setrlimit(RLIMIT_NOFILE, &inherited_limit);
    errno = saved_errno;
}

void process_raise_file_limit(void)
{
    struct rlimit raised;

    if (getrlimit(RLIMIT_NOFILE, &inherited_limit) != 0)
        return;
    raised = inherited_limit;
    raised.rlim_cur = inherited_limit.rlim_max < LIMIT_MAX ? inherited_limit.rlim_max : LIMIT_MAX;
    if (raised.rlim_cur <= inherited_limit.rlim_cur)
        return;
    if (pthread_atfork(NULL, NULL, restore_limit) != 0 || setrlimit(RLIMIT_NOFILE, &raised) != 0)
        log_line(BERTH_LOG_WARN, "cannot raise the limit of open files from %ju to %ju: %s",
                 (uintmax_t)inherited_limit.rlim_cur, (uintmax_t)raised.rlim_cur, strerror(errno));
}

/* timeout(1) and shells signal a process and then its whole group: that is one request, sent twice. */
#define ECHO_MS 100

/* By default each of them ends the process. SIGHUP is first: operators do send it. */
static const int others[PROCESS_OTHER_SIGNALS] = {SIGHUP,  SIGUSR1, SIGUSR2, SIGALRM,  SIGVTALRM,
                                                  SIGPROF, SIGIO,   SIGPWR,  SIGSTKFLT};

static volatile sig_atomic_t stop_signal, came[PROCESS_OTHER_SIGNALS];
static struct process_signals *volatile current;
static volatile sig_atomic_t forced_exit_code;
static void (*volatile on_forced)(void);
/* Only used by on_signal, which blocks the stop signals while it runs. */
static struct timespec stopped_at;

static void end_at_once(void)
{
    static const char line[] = "received a second signal, exiting at once without closing plugins\n";
    ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);

    (void)written;
    if (on_forced != NULL)
        on_forced();
    _exit(forced_exit_code);
}

static bool is_echo(const struct timespec *now)
{
    int64_t seconds = now->tv_sec - stopped_at.tv_sec;

    return seconds * 1000 + (now->tv_nsec - stopped_at.tv_nsec) / 1000000 < ECHO_MS;
}

static void take_stop(int number)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (stop_signal == 0) {
        stopped_at = now;
        stop_signal = number;
    } else if (!is_echo(&now)) {
        end_at_once();
    }
}

static void on_signal(int number)
{
    int saved_errno = errno;
    struct process_signals *signals = current;

    if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
        take_stop(number);
    for (size_t i = 0; i < PROCESS_OTHER_SIGNALS; i++)
        came[i] += others[i] == number;
    if (signals != NULL)
        uv_async_send(&signals->wake);
    errno = saved_errno;
}

static void set_handler(int number, void (*handler)(int number))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGQUIT);
    sigaction(number, &action, NULL);
}

static bool is_taken(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
           (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

static void on_wake(uv_async_t *wake)
{
    struct process_signals *signals = wake->data;

    for (size_t i = 0; i < PROCESS_OTHER_SIGNALS; i++)
        while (signals->told[i] < came[i]) {
            signals->told[i]++;
            signals->on_other(signals->context, others[i]);
        }
    if (stop_signal != 0 && !signals->is_told_to_stop) {
        signals->is_told_to_stop = true;
        signals->on_stop(signals->context, stop_signal);
    }
}

bool process_take_signals(struct process_signals *signals, uv_loop_t *loop, int exit_code)
{
    if (uv_async_init(loop, &signals->wake, on_wake) != 0)
        return false;
    signals->wake.data = signals;
    stop_signal = 0;
    for (size_t i = 0; i < PROCESS_OTHER_SIGNALS; i++)
        came[i] = 0;
    forced_exit_code = exit_code;
    on_forced = signals->on_forced;
    current = signals;
    set_handler(SIGTERM, on_signal);
    set_handler(SIGINT, on_signal);
    set_handler(SIGQUIT, on_signal);
    for (size_t i = 0; i < PROCESS_OTHER_SIGNALS; i++)
        if (!is_taken(others[i]))
            set_handler(others[i], on_signal);
    set_handler(SIGPIPE, SIG_IGN);
    /* A write beyond the file size limit then fails with EFBIG, like one to a full disk. */
    set_handler(SIGXFSZ, SIG_IGN);
    return true;
}

bool process_is_to_stop(void)
{
    return stop_signal != 0;
}

void process_leave_signals(struct process_signals *signals)
{
    current = NULL;
    uv_close((uv_handle_t *)&signals->wake, NULL);
}
