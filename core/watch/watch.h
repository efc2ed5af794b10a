/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches what plugins do to the loop and to the process: how long they keep the loop, and whether they run
 * it, stop it, print, or change process-wide state.
 */
#ifndef CORE_WATCH_WATCH_H
#define CORE_WATCH_WATCH_H

#include <uv.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <core/base/running.h>

/*
 * The loop's clock: how many turns it has made, how long they took, and how long the present one has lasted.
 *
 * A turn begins when the poll for events returns and ends with the next poll. Callbacks of I/O follow the
 * return at once, so nothing of ours runs then; but libuv looks at its clock, in milliseconds, and that is
 * the time used here. It costs one look at the clock a turn. The sum of many short turns is exact on average;
 * a single one is exact to a millisecond.
 */

/** Embedded by its owner; zero-initialise. Everything but the atomics is the loop's alone. */
struct watch_clock {
    uv_loop_t *loop;
    pid_t thread;
    uv_prepare_t prepare;
    uv_check_t check;
    uint64_t started_ms, turn_started_ms;
    uint64_t busy_ms, longest_ms;
    /* The longest turns of two spans of time: the one that lasts, and the one before. */
    uint64_t span_started_ms, span_longest_ms, last_span_longest_ms;
    /* Turns that have ended, and when the last one did. */
    atomic_uint_least64_t turns, polled_ms;
    /* Between the two handles: it polls, or runs callbacks of I/O. */
    atomic_bool has_polled;
    /* Somebody waits for the loop to move: it writes to `wake_fd`, once, and says when it moved. */
    atomic_bool is_awaited;
    atomic_uint_least64_t moved_ms;
    int wake_fd;
    /* Times that the loop was stuck in code for which no plugin was found. */
    atomic_uint_least64_t unattributed_stalls;
};

/** Before the loop runs for the first time, on its thread. Its handles do not keep the loop alive. */
void watch_clock_start(struct watch_clock *clock, uv_loop_t *loop);
/** Closes its handles. */
void watch_clock_stop(struct watch_clock *clock);

/** The loop's activity since watch_clock_start. */
struct watch_times {
    uint64_t turns;
    /** Wall time; processor time of the loop's thread since it began. */
    uint64_t busy_ns, cpu_ns;
    /** Busy time not attributed to plugins: the host's own, and callbacks called by libuv directly. */
    uint64_t unattributed_ns;
    uint64_t longest_ns;
    /** How long an event had to wait at worst during the last 10 to 20 seconds: the longest turn. */
    uint64_t lag_ns;
    uint64_t unattributed_stalls;
};

/** From the loop's thread. */
struct watch_times watch_clock_read(struct watch_clock *clock);

/** Where the loop stands, as another thread sees it. */
struct watch_state {
    /** Changes whenever the loop moves: when it has polled, and when it begins to. */
    uint64_t moves;
    /** It waits for events. */
    bool is_polling;
    /** When the present turn began, on the clock of uv_hrtime() in milliseconds. Undefined while it polls. */
    uint64_t since_ms;
};

/** From any thread. */
struct watch_state watch_clock_look(const struct watch_clock *clock);
/** Does its thread run on a processor, or is it about to, rather than sleep in a system call? */
bool watch_clock_is_running(const struct watch_clock *clock);

/**
 * Has the loop write to `fd`, an eventfd, as soon as it moves: when it has polled, or when it begins to. One
 * at a time. If watch_clock_look says afterwards that it polls, or has made as many `moves` as before, then
 * it has not moved in between.
 */
void watch_clock_await(struct watch_clock *clock, int fd);
/** Ends that. @return when it moved, as in `since_ms`; 0: it has not. */
uint64_t watch_clock_end_await(struct watch_clock *clock);

/*
 * Names who blocks the loop: when an entry into a plugin returns late, and, from a thread of its own, while
 * the loop is still stuck. While the loop waits, the thread wakes once every `stall_after`.
 */

struct watchdog;

/** As in the settings `loop`; 0: off. */
struct watchdog_limits {
    uint64_t warn_after_ns, stall_after_ns, abort_after_ns;
};

struct watchdog_options {
    /** Started; outlives the watchdog. */
    struct watch_clock *clock;
    /** The running word of the loop's thread. */
    struct running_thread *running;
    struct watchdog_limits limits;
    /**
     * The service manager wants a sign of life every so often; 0: never. It comes from the loop, and while
     * the loop is stuck from the watchdog's thread, if a step has it that is within its own deadline.
     */
    uint64_t alive_us;
    void (*on_alive)(void);
};

/** From the loop's thread, which is the one that is watched. One at a time. */
struct watchdog *watchdog_start(const struct watchdog_options *options);
/** Other limits from here on. From the loop's thread. */
void watchdog_limit(struct watchdog *watchdog, const struct watchdog_limits *limits);
/** Closes its handle on the loop, which must run once more before watchdog_destroy. NULL: does nothing. */
void watchdog_stop(struct watchdog *watchdog);
void watchdog_destroy(struct watchdog *watchdog);

/*
 * Which plugin runs or stops the loop, which is undone, and which one changed what belongs to the whole
 * process, in which step: logged, and restored where needed.
 */

/** On the loop's thread, before a plugin is called. One loop at a time. */
void tampering_watch_loop(uv_loop_t *loop);
/** On the loop's thread, before the first module is loaded: takes the present state as correct. */
void tampering_watch_process(void);
/**
 * On each turn of the loop, before it polls, whoever runs the loop: code that libuv calls may run between
 * this step and the next.
 */
void tampering_note_turn(void);
/** In a step: it runs no code of the plugin, so there is nothing to compare when it ends. */
void tampering_note_nothing_ran(void);
/** The host itself stops the loop: uv_stop. */
void tampering_stop_loop(void);
/** The loop has returned to the host, who did not stop it. */
void tampering_note_return(void);
void tampering_end(void);

/*
 * What plugins print to the C library's stdout and stderr becomes lines of theirs in the log, and once for
 * each of them a warning that says where.
 */

/** Before the first module is loaded: code of one keeps the streams that it finds. */
void printing_begin(void);
/** On each turn of the loop: logs printed lines that still lack their end. */
void printing_note_turn(void);
/** No turn follows: logs the rest, and everything at once from here on. */
void printing_end(void);
/** What has been printed but not logged, because its line is incomplete. Async-signal-safe. */
void printing_each_rest(void (*on_rest)(const char *name, const char *text));

/** Every signal but those of faults, which are a handler's own. */
void threads_block_all_but_faults(sigset_t *ret_mask);
/**
 * Takes the last real-time signal that nobody uses, or the one that has this handler already. Only faults
 * interrupt the handler. @return 0: none is free.
 */
int threads_take_signal(void (*handler)(int number, siginfo_t *info, void *context));

#define THREADS_FRAMES_MAX 64

/** Where one thread is. */
struct thread_stack {
    pid_t id;
    char name[32];
    /** Innermost first; only that one if it blocks signals, and none if it did not answer in time. */
    void *frames[THREADS_FRAMES_MAX];
    size_t count;
    /** It answered, and its stack is not deeper than that. */
    bool is_whole;
    /** The function that it began with; NULL if it did not answer or the C library does not say. */
    const void *start;
};

/**
 * Visits every thread of the process until the visitor returns false. Each but the calling one is interrupted
 * by a real-time signal that nobody else uses. Waits for their answers, `wait_ms` at most for all together.
 * From one thread, always the same.
 */
void threads_each(unsigned wait_ms, bool (*on_thread)(void *context, const struct thread_stack *stack),
                  void *context);

/* Detects threads left behind. */

/** As tampering_watch_process, which does this too: the threads that are there are the host's. */
void lingering_watch(void);
/** Was this thread there before the first module was loaded? False if nobody watches. */
bool lingering_is_hosts(pid_t id);
/** Before and after a step, unless no plugin code can have run since the last time. */
void lingering_note_step(const struct running_word *word, bool has_ended);
/**
 * Logs each thread that a plugin has left running, with the step or the function it began in.
 * @param have_all_ended  the host's own threads have: what still runs is a plugin's, also where nothing says
 * whose.
 */
void lingering_report(bool have_all_ended);

#endif
