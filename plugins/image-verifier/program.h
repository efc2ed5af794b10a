/* SPDX-License-Identifier: Apache-2.0 */
/* A program: started with nothing of ours but three pipes, watched until it ends, and what it wrote. */
#ifndef IMAGE_VERIFIER_PROGRAM_H
#define IMAGE_VERIFIER_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

#include <uv.h>

#include <berth/error.h>

/** Bytes that a pipe always accepts at once, before anybody reads. */
#define PROGRAM_INPUT_MAX 4096

/** A program that runs, in a session and process group of its own, whose number is `pid`. */
struct program {
    pid_t pid;
    /** Ours to close, close-on-exec; the pipes do not block. Readable when the program has ended. */
    int pidfd;
    int output;
    int errors;
};

struct program_call {
    const char *path;
    char *const *arguments;
    char *const *environment;
    /** What it finds on its standard input, of at most PROGRAM_INPUT_MAX bytes, before the end of file. */
    const char *input;
    size_t input_length;
};

/** Blocks until it runs: for a thread's work. */
enum berth_code program_start(struct program *ret_program, const struct program_call *call,
                              struct berth_error *err);

/** Of each stream of one program, in bytes. */
#define OUTPUT_MAX 32768

/** What a program writes: kept up to a limit, the rest is read and forgotten so that it is not held up. */
struct output {
    char bytes[OUTPUT_MAX];
    size_t length;
    bool is_cut;
};

/**
 * The whole as one text: without the blanks around it, and a `?` for each byte that is no text.
 * @return malloced; NULL without memory.
 */
char *output_text(const struct output *output);
/** The same for each line that is not empty. */
void output_each_line(const struct output *output, void (*on_line)(void *context, const char *line),
                      void *context);

enum child_end {
    /** With the exit status in `number`. */
    CHILD_EXITED,
    /** By the signal in `number`, which was not ours. */
    CHILD_SIGNALLED,
    CHILD_TIMED_OUT,
    /** By child_kill. */
    CHILD_KILLED,
    /** It could not be watched, or another part of this process reaped it. */
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
/** Kills it; on_end follows. */
void child_kill(struct child *child);

#endif
