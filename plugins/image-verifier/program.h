/* SPDX-License-Identifier: Apache-2.0 */
/* A program: started with nothing of the daemon's but three pipes, watched until it exits, and its output. */
#ifndef IMAGE_VERIFIER_PROGRAM_H
#define IMAGE_VERIFIER_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

#include <uv.h>

#include <berth/error.h>

/** Bytes that a pipe always accepts at once, before anybody reads. */
#define PROGRAM_INPUT_MAX 4096

/** A running program, in its own session and process group, whose ID is `pid`. */
struct program {
    pid_t pid;
    /**
     * To be closed by us, close-on-exec; the pipes are non-blocking. Readable when the program has exited.
     */
    int pidfd;
    int output;
    int errors;
};

struct program_call {
    const char *path;
    char *const *arguments;
    char *const *environment;
    /** Its standard input, at most PROGRAM_INPUT_MAX bytes. */
    const char *input;
    size_t input_length;
};

/** Blocks until it runs; call it on a worker thread. */
enum berth_code program_start(struct program *ret_program, const struct program_call *call,
                              struct berth_error *err);

/** Of each stream of one program, in bytes. */
#define OUTPUT_MAX 32768

/**
 * A program's output: kept up to a limit; the rest is read and discarded so that the program is not blocked.
 */
struct output {
    char bytes[OUTPUT_MAX];
    size_t length;
    bool is_cut;
};

/**
 * All of it as one text, trimmed, with a `?` for each invalid byte.
 * @return malloced; NULL without memory.
 */
char *output_text(const struct output *output);
/** Visits the non-empty lines as texts. */
void output_each_line(const struct output *output, void (*on_line)(void *context, const char *line),
                      void *context);

enum child_end {
    /** With the exit status in `number`. */
    CHILD_EXITED,
    /** By the signal in `number`, not sent by us. */
    CHILD_SIGNALLED,
    CHILD_TIMED_OUT,
    /** By child_kill. */
    CHILD_KILLED,
    /** It could not be watched, or another part of this process reaped it. */
    CHILD_LOST,
};

/** Our end of one of its pipes. */
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
 * @param child   zero-initialised except `program`, which it takes over; the caller's memory until on_end.
 * @param on_end  called from the top level of the loop, when the program and the rest of its process group
 *                are gone, and no handle is left in the loop.
 */
void child_watch(struct child *child, uv_loop_t *loop, uint64_t timeout_ms,
                 void (*on_end)(struct child *child));
/** Kills it; on_end follows. */
void child_kill(struct child *child);

#endif
