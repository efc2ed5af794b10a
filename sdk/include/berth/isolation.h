/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a plugin that runs in a process of its own: the process, how those before it ended, and
 * what its sandbox promises.
 */
#ifndef BERTH_ISOLATION_H
#define BERTH_ISOLATION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a process ended. */
enum berth_process_end {
    /** It exited, with whatever code. */
    BERTH_PROCESS_EXITED = 0,
    /** A signal killed it: a crash, or somebody's kill. */
    BERTH_PROCESS_SIGNALLED = 1,
    /** The kernel killed it because memory ran out. */
    BERTH_PROCESS_OUT_OF_MEMORY = 2,
    /** The daemon killed it: its loop was stuck, a step took too long, or it broke the protocol. */
    BERTH_PROCESS_KILLED = 3,
};
#define BERTH_PROCESS_ENDS 4

/** "exit", "signal", "oom" or "killed": the label of metrics. */
static inline const char *berth_process_end_name(enum berth_process_end end)
{
    static const char *const names[BERTH_PROCESS_ENDS] = {"exit", "signal", "oom", "killed"};

    return (int)end >= 0 && (int)end < BERTH_PROCESS_ENDS ? names[(int)end] : "unknown";
}

enum berth_promise_verdict {
    BERTH_PROMISE_ENFORCED = 0,
    BERTH_PROMISE_NOT_REQUESTED = 1,
    /** Requested, but this kernel or the daemon's rights cannot enforce it. */
    BERTH_PROMISE_NOT_ENFORCEABLE = 2,
};

/** "enforced", "not requested" or "not enforceable". */
static inline const char *berth_promise_verdict_name(enum berth_promise_verdict verdict)
{
    static const char *const names[] = {"enforced", "not requested", "not enforceable"};

    return (int)verdict >= 0 && (int)verdict < 3 ? names[(int)verdict] : "unknown";
}

/** One promise of a sandbox. */
struct berth_promise {
    /** "files-read" */
    const char *name;
    enum berth_promise_verdict verdict;
    /** What it adds to the exposure unless it is enforced. */
    uint32_t weight;
    /** One sentence. */
    const char *text;
};

/** A system call that the sandbox of a plugin refuses, and how often it did. */
struct berth_refused_call {
    /** "ptrace" */
    const char *name;
    uint64_t count;
};

/** An isolated plugin. Borrowed until the callback that it was handed to returns. */
struct berth_isolation {
    uint32_t size;
    /** 0: none runs at present. */
    uint64_t process;
    uint64_t restarts;
    /** How many processes ended in which way, those that the daemon closed left out; see enum
     * berth_process_end. */
    uint64_t ends[BERTH_PROCESS_ENDS];
    /** How and why the last one ended, in one line; NULL: none did. */
    const char *last_end;
    enum berth_process_end last_end_kind;
    /** 0: every promise is enforced, to 100: none is. And its name: "tight", "ok", "medium", "exposed" or
     * "unsafe". */
    uint32_t exposure;
    const char *exposure_name;
    const struct berth_promise *promises;
    size_t promise_count;
    /** Of all its processes, in the order in which they were first refused. */
    const struct berth_refused_call *refused_calls;
    size_t refused_call_count;
    /**
     * Of a plugin that starts a program, which is what is confined: what it is to run instead, with
     * `launcher_input` as its descriptor 3, and with the path of the program and its arguments as arguments.
     * NULL: the plugin itself is confined.
     */
    const char *launcher;
    /** Stays open for as long as the instance lives; any number of launchers may read it. */
    int launcher_input;
};

/** How many refused_calls there are; an older host tells none. */
static inline size_t berth_isolation_count_refused_calls(const struct berth_isolation *isolation)
{
    return isolation->size >= offsetof(struct berth_isolation, refused_call_count) + sizeof(size_t)
               ? isolation->refused_call_count
               : 0;
}

#ifdef __cplusplus
}
#endif

#endif
