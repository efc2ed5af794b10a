/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's signals: the first of SIGTERM, SIGINT and SIGQUIT stops it, a second ends it, whatever the
 * loop does. Others that would end it without a word are told.
 */
#ifndef CORE_SIGNALS_H
#define CORE_SIGNALS_H

#include <stdbool.h>

#include <uv.h>

#define SIGNALS_OTHERS_MAX 9

struct signals {
    uv_async_t wake;
    bool is_told_to_stop;
    int told[SIGNALS_OTHERS_MAX];
    /** From the loop: the first signal to stop, by its number; each of another kind. */
    void (*on_stop)(void *context, int number);
    void (*on_other)(void *context, int number);
    void *context;
};

/** "SIGTERM" */
const char *signals_name(int number);

/**
 * Ignores SIGPIPE and SIGXFSZ too. Leaves SIGALRM and its like to who has taken them before, as a profiler
 * has. One at a time in a process.
 *
 * @param exit_code  of the process when a second signal ends it.
 * @return false where the loop has no room.
 */
bool signals_start(struct signals *signals, uv_loop_t *loop, int exit_code);
/** Was the daemon told to stop, perhaps while nobody ran the loop? */
bool signals_are_to_stop(void);
/** Closes the handle. A signal to stop, and a second, are still noticed: the process is about to end. */
void signals_stop(struct signals *signals);

#endif
