/* SPDX-License-Identifier: Apache-2.0 */
/* Watches one program that runs: what it writes, how long it takes, and how it ends. */
#ifndef IMAGE_VERIFIER_CHILD_H
#define IMAGE_VERIFIER_CHILD_H

#include <stdbool.h>

#include <uv.h>

#include "output.h"
#include "program.h"

enum child_end {
    /** With the exit status in `number`. */
    CHILD_EXITED,
    /** By the signal in `number`, which was not ours. */
    CHILD_SIGNALLED,
    CHILD_TIMED_OUT,
    /** By child_kill. */
    CHILD_KILLED,
    /** It could not be watched, or somebody else in this process took its status. */
    CHILD_LOST,
};

/** One of its pipes, as we read it. */
struct child_stream {
    uv_poll_t poll;
    int fd;
    struct output output;
};

struct child {
    struct program program;
    uv_poll_t ended;
    uv_timer_t timer;
    struct child_stream output;
    struct child_stream errors;
    unsigned open_handles;
    bool has_timed_out;
    bool is_killed;
    enum child_end end;
    int number;
    void (*on_end)(struct child *child);
};

/**
 * Watches a program that was started.
 *
 * @param child   zero-initialised but for `program`, which becomes its own; the caller's until on_end.
 * @param on_end  from the top level of the loop, when the program is gone with all that stayed in its process
 *                group, and the loop holds nothing of it.
 */
void child_watch(struct child *child, uv_loop_t *loop, uint64_t timeout_ms,
                 void (*on_end)(struct child *child));
/** Has it end at once; on_end comes. */
void child_kill(struct child *child);

#endif
