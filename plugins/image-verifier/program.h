/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a program that shares nothing with us but three pipes. Blocks until it runs: for a thread's work. */
#ifndef IMAGE_VERIFIER_PROGRAM_H
#define IMAGE_VERIFIER_PROGRAM_H

#include <sys/types.h>

#include <berth/error.h>

/** What a pipe takes at once, whatever limits it: so much is written before anybody reads. */
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

enum berth_code program_start(struct program *ret_program, const struct program_call *call,
                              struct berth_error *err);

#endif
