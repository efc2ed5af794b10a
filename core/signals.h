/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's signals: the first of SIGTERM and SIGINT stops it, a second ends it, whatever the loop does.
 */
#ifndef CORE_SIGNALS_H
#define CORE_SIGNALS_H

#include <stdbool.h>

#include <uv.h>

struct signals {
    uv_async_t wake;
    bool is_told_to_stop;
    int hangups_told;
    /** From the loop: the first signal to stop, by its number; each SIGHUP. */
    void (*on_stop)(void *context, int number);
    void (*on_hangup)(void *context);
    void *context;
};

/**
 * Ignores SIGPIPE and SIGXFSZ too. One at a time in a process.
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
