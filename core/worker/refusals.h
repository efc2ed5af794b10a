/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that the sandbox of one process refuses: the kernel asks, the answer is always the same,
 * and the owner is told which call it was. The process waits for the answer; the daemon waits for nothing.
 */
#ifndef CORE_WORKER_REFUSALS_H
#define CORE_WORKER_REFUSALS_H

#include <stdbool.h>

#include <uv.h>

/** Embedded by its owner, who fills in the first part. */
struct refusals {
    /** One call was refused. `number` is its number; it need not be one that exists. */
    void (*on_refused)(struct refusals *refusals, int number);

    /** Whence the process sends the kernel's descriptor; -1: nowhere, or it has. */
    int socket;
    /** The kernel's; -1: not yet, or not any more. */
    int listener;
    uv_poll_t arrival, calls;
    bool has_arrival, has_calls;
    /** How many have been answered. */
    unsigned answered;
    unsigned open_parts;
    void (*on_closed)(struct refusals *refusals);
};

/**
 * Before the process is started. What cannot be watched is refused all the same, but not told.
 * @return the end for the process, to be closed by the caller; -1: there is none.
 */
int refusals_begin(struct refusals *refusals);
/** The process has been started. */
void refusals_watch(struct refusals *refusals, uv_loop_t *loop);
/** Instead: it has not. */
void refusals_abandon(struct refusals *refusals);
/** The process is gone. `on_closed` follows, within this call where there is nothing to close. */
void refusals_close(struct refusals *refusals, void (*on_closed)(struct refusals *refusals));

/** What to do about a call of this name, as the end of a sentence; borrowed until the next call. */
const char *refusals_advice(const char *name);

#endif
