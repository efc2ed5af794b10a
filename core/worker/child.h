/* SPDX-License-Identifier: Apache-2.0 */
/* One child process on a loop: started without a copy of the daemon, its end noticed, its output as lines. */
#ifndef CORE_WORKER_CHILD_H
#define CORE_WORKER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include <uv.h>

#include <berth/error.h>

#include "limits.h"
#include "refusals.h"

#define CHILD_LINE_MAX 512
/** As many of its last lines are kept for the reason of its end. */
#define CHILD_LAST_LINES 3

/** How a child ended. */
struct child_end {
    /** One clause: "was killed by SIGSEGV (Segmentation fault)". */
    char text[128];
    /** 0: by none. */
    int signal;
    /** Of an exit; -1 if it is not known. */
    int exit_code;
};

/** Embedded by its owner, who fills in the first part. */
struct child {
    /** A line of its standard output or error, at most CHILD_LINE_MAX bytes with the NUL. */
    void (*on_line)(struct child *child, const char *line);
    /** Its sandbox has refused a system call, which the kernel has told by its number. */
    void (*on_refused)(struct child *child, int number);
    /** It is gone, and its output has been read. Once. */
    void (*on_ended)(struct child *child, const struct child_end *end);

    pid_t pid;
    int process_fd, output_fd;
    uv_poll_t process, output;
    struct refusals refusals;
    char line[CHILD_LINE_MAX];
    size_t line_length;
    char last[CHILD_LAST_LINES][CHILD_LINE_MAX];
    unsigned last_count;
    bool was_killed;
    /** Its output is on the loop; else why it was killed for that. */
    bool has_output;
    char fault[128];
    unsigned closing;
    void (*on_closed)(struct child *child);
};

/**
 * Starts a program without arguments, with `connection` as its descriptor 3, a socket for the kernel's
 * questions about refused system calls as number 4, nothing on standard input, signals as they are by
 * default, and no other descriptor of the daemon.
 *
 * @param connection   stays the caller's. Descriptors of the daemon are close-on-exec.
 * @param environment  as for execve(2).
 * @param limits       it is in their group when this returns.
 * @return BERTH_OK; BERTH_UNAVAILABLE or BERTH_RESOURCE_EXHAUSTED with the reason.
 */
enum berth_code child_start(struct child *child, uv_loop_t *loop, const char *program, int connection,
                            char *const *environment, struct limits *limits, struct berth_error *err);
/** Ends it at once. on_ended follows. */
void child_kill(struct child *child);
/** After on_ended. */
void child_close(struct child *child, void (*on_closed)(struct child *child));
/** Its last lines, oldest first, in one line; "" if there were none. */
void child_last_words(const struct child *child, char *text, size_t size);

#endif
