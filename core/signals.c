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

static volatile sig_atomic_t stop_signal, hangups;
static struct signals *volatile current;
static volatile sig_atomic_t forced_exit_code;
/* Only touched by on_signal, which nothing of its kind interrupts. */
static struct timespec stopped_at;

static void end_at_once(void)
{
    static const char line[] = "a second signal: ends at once, closing nothing\n";
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

    if (number == SIGHUP)
        hangups++;
    else
        take_stop(number);
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
    sigaction(number, &action, NULL);
}

static void on_wake(uv_async_t *wake)
{
    struct signals *signals = wake->data;

    while (signals->hangups_told < hangups) {
        signals->hangups_told++;
        signals->on_hangup(signals->context);
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
    hangups = 0;
    forced_exit_code = exit_code;
    current = signals;
    set_handler(SIGTERM, on_signal);
    set_handler(SIGINT, on_signal);
    set_handler(SIGHUP, on_signal);
    set_handler(SIGPIPE, SIG_IGN);
    /* A write beyond a limit of the file's size fails, as on a full disk. */
    set_handler(SIGXFSZ, SIG_IGN);
    return true;
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
