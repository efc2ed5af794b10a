/* SPDX-License-Identifier: Apache-2.0 */
/* berthd as a Unix process: the signals it gets, the orphans it inherits, the files it may open. */
#ifndef CORE_PROCESS_H
#define CORE_PROCESS_H

#include <stdbool.h>

#include <uv.h>

/**
 * As process 1 of a container: starts the daemon as a child and reaps orphans until it ends; else does
 * nothing. Before any thread is started.
 *
 * @param ret_exit_code  the daemon's; 128 plus the signal's number where one killed it.
 * @return true in process 1, once the daemon has ended; false in the process that is to be the daemon.
 */
bool process_reap_orphans(int *ret_exit_code);

/**
 * Raises the soft limit of open files to the hard one. Children of fork(2), and so of uv_spawn, get back the
 * limit that the daemon was started with; those of posix_spawn(3) and system(3) do not. Once, before any
 * thread is started.
 */
void process_raise_file_limit(void);

#define PROCESS_OTHER_SIGNALS 9

/**
 * The first of SIGTERM, SIGINT and SIGQUIT stops the daemon; a second exits at once, whatever the loop does.
 * Other signals that would end it silently are reported. Embedded by the owner, who sets the callbacks.
 */
struct process_signals {
    uv_async_t wake;
    bool is_told_to_stop;
    int told[PROCESS_OTHER_SIGNALS];
    /** From the loop: the first signal to stop, by its number; each of another kind. */
    void (*on_stop)(void *context, int number);
    void (*on_other)(void *context, int number);
    void *context;
    /** In the signal handler, before a second signal ends the process; may be NULL. */
    void (*on_forced)(void);
};

/**
 * Ignores SIGPIPE and SIGXFSZ too. Leaves SIGALRM and similar signals to earlier users, such as a profiler.
 * One at a time in a process.
 * @param exit_code  of the process when a second signal ends it.
 * @return false if the loop has no room.
 */
bool process_take_signals(struct process_signals *signals, uv_loop_t *loop, int exit_code);
/** Closes the handle. A signal to stop, and a second, are still noticed: the process is about to end. */
void process_leave_signals(struct process_signals *signals);
/** Was the daemon told to stop, perhaps while the loop was not running? */
bool process_is_to_stop(void);

#endif
