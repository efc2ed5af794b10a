/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's signals. Not libuv's watchers: a loop that hangs in a plugin must not swallow the second one.
 */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* timeout(1) and shells signal a process and then its whole group: that is one wish, told twice. */
#define ECHO_MS 100

/* Each of them ends a process by default. SIGHUP comes first: it is the one that operators send. */
static const int others[SIGNALS_OTHERS_MAX] = {SIGHUP,  SIGUSR1, SIGUSR2, SIGALRM,  SIGVTALRM,
                                               SIGPROF, SIGIO,   SIGPWR,  SIGSTKFLT};

static volatile sig_atomic_t stop_signal, came[SIGNALS_OTHERS_MAX];
static struct signals *volatile current;
static volatile sig_atomic_t forced_exit_code;
/* Only touched by on_signal, which nothing of its kind interrupts. */
static struct timespec stopped_at;

static void end_at_once(void)
{
    static const char line[] = "received a second signal, exiting at once without closing plugins\n";
    ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);

    (void)written;
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
    struct signals *signals = current;

    if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
        take_stop(number);
    for (size_t i = 0; i < SIGNALS_OTHERS_MAX; i++)
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
    struct signals *signals = wake->data;

    for (size_t i = 0; i < SIGNALS_OTHERS_MAX; i++)
        while (signals->told[i] < came[i]) {
            signals->told[i]++;
            signals->on_other(signals->context, others[i]);
        }
    if (stop_signal != 0 && !signals->is_told_to_stop) {
        signals->is_told_to_stop = true;
        signals->on_stop(signals->context, stop_signal);
    }
}

bool signals_start(struct signals *signals, uv_loop_t *loop, int exit_code)
{
    if (uv_async_init(loop, &signals->wake, on_wake) != 0)
        return false;
    signals->wake.data = signals;
    stop_signal = 0;
    for (size_t i = 0; i < SIGNALS_OTHERS_MAX; i++)
        came[i] = 0;
    forced_exit_code = exit_code;
    current = signals;
    set_handler(SIGTERM, on_signal);
    set_handler(SIGINT, on_signal);
    set_handler(SIGQUIT, on_signal);
    for (size_t i = 0; i < SIGNALS_OTHERS_MAX; i++)
        if (!is_taken(others[i]))
            set_handler(others[i], on_signal);
    set_handler(SIGPIPE, SIG_IGN);
    /* A write beyond a limit of the file's size fails, as on a full disk. */
    set_handler(SIGXFSZ, SIG_IGN);
    return true;
}

const char *signals_name(int number)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        {SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"}, {SIGHUP, "SIGHUP"},
        {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}, {SIGALRM, "SIGALRM"}, {SIGVTALRM, "SIGVTALRM"},
        {SIGPROF, "SIGPROF"}, {SIGIO, "SIGIO"},     {SIGPWR, "SIGPWR"},   {SIGSTKFLT, "SIGSTKFLT"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].number == number)
            return names[i].name;
    return "a signal";
}

bool signals_are_to_stop(void)
{
    return stop_signal != 0;
}

void signals_stop(struct signals *signals)
{
    current = NULL;
    uv_close((uv_handle_t *)&signals->wake, NULL);
}
