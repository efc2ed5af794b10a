/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose code runs, and what for: a word per thread, set around every entry into a plugin that the host makes,
 * and what each plugin has cost the loop. The watchdog and the crash report read it from other threads and
 * from signal handlers.
 *
 * Entries nest, because a plugin calls the host, which calls another plugin. Time is exclusive: it is charged
 * to the innermost owner. What libuv calls directly has no word, and its time is nobody's.
 */
#ifndef CORE_BASE_RUNNING_H
#define CORE_BASE_RUNNING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Why a plugin is called. The values are kept in files: add at the end. */
enum running_doing {
    RUNNING_NOTHING = 0,
    RUNNING_LOAD = 1,
    RUNNING_MIGRATE = 2,
    RUNNING_CHECK = 3,
    RUNNING_PREPARE = 4,
    RUNNING_DISCARD = 5,
    RUNNING_INIT = 6,
    RUNNING_SERVE = 7,
    RUNNING_DRAIN = 8,
    RUNNING_CLOSE = 9,
    RUNNING_HANDLER = 10,
    RUNNING_INTERCEPTOR = 11,
    RUNNING_POST = 12,
    /** A function that a plugin handed to the host: a visitor, a watch. */
    RUNNING_CALLBACK = 13,
    /** Code that libuv called directly, as announced by the plugin. */
    RUNNING_OWN = 14,
    RUNNING_RECONFIGURE = 15,
    RUNNING_SAVE = 16,
    RUNNING_RESTORE = 17,
    RUNNING_UNLOAD = 18,
};

/** Output that bypassed the log, from any thread: see core/watch/printing.c. */
struct running_prints {
    /** Of the present span of time: when it began, on the clock of uv_hrtime() in milliseconds, and its
     * lines.
     */
    atomic_uint_least64_t since_ms;
    atomic_uint lines;
    /** Lines since the last report of them that the log has not got. */
    atomic_uint dropped;
    /** A bit for each stream that was reported. */
    atomic_uint told;
};

/** A plugin and its costs so far. Never freed, so that a signal handler and the next start can name it. */
struct running_plugin {
    /** In the order they were added; from 1, because 0 is the host in the black box. */
    uint32_t index;
    /** The record that was added before this one and shares its place in the table of URIs; NULL: none. */
    struct running_plugin *before;
    /** Its own level of the log, and one more, as core/base/log.h keeps it; 0: the daemon's. */
    atomic_int log_level;
    const char *uri;
    /** Module and version as in its manifest, and the path of the file. */
    const char *module, *version, *path;
    /** The loop's thread only, except `stalls` and `misuses`. In units of running_ticks(); see
     * running_begin_turn.
     */
    uint64_t ticks, longest_ticks;
    /** What running_plugin_ns has said last. */
    uint64_t told_ns;
    uint64_t entries;
    /** Entries that took longer than loop.warn_after. */
    uint64_t slow;
    /** Times that the watchdog found the loop stuck in it. */
    atomic_uint_least64_t stalls;
    /** What the log has reported of `slow`: see core/watch/watchdog.c. */
    struct {
        uint64_t told, told_ns, blocked_ns, pause_ns;
    } slow_lines;
    /** Its violations of the contract, from any thread. */
    atomic_uint_least64_t misuses;
    struct running_prints prints;
};

/** A snapshot of what is running, for another thread. */
struct running_word {
    /** NULL: the host itself, or what libuv called directly. */
    struct running_plugin *owner;
    enum running_doing doing;
    /** The path of a method, the name of a module's file; may be NULL. Lives until the daemon ends. */
    const char *detail;
    /** On the clock of running_ticks(); 0: just now. */
    uint64_t since;
    /** How long it may take, in nanoseconds; 0: as long as it wants. */
    uint64_t limit_ns;
};

/** Entries beyond this depth are counted, and charged to the one at its bottom. */
#define RUNNING_DEPTH_MAX 32

/** One thread's entries. Zero-initialise. */
struct running_thread {
    /** Odd while it changes. */
    atomic_uint version;
    atomic_uint depth;
    bool is_loop;
    /** The innermost entry ends because its plugin says so. */
    bool is_leaving_own;
    /** Somebody calls running_stamp every RUNNING_STAMP_MS: not every entry need read the clock. */
    atomic_bool is_stamped;
    /** More entries than the first few have begun in a turn. */
    atomic_bool is_crowded;
    /** Entries of this turn that were timed because they were among its first; those until one is again. */
    uint32_t first, until_next, random;
    struct running_frame {
        _Atomic(struct running_plugin *) owner;
        _Atomic(const char *) detail;
        /** 0: it is not timed. Then it was seen at `seen` for the first time; 0: not yet. */
        atomic_uint_least64_t begun, seen;
        atomic_uint_least64_t limit_ns;
        /** The time taken by entries within it. */
        uint64_t nested_ticks;
        atomic_int doing;
        bool flag_was_set;
        /** How many entries it represents. */
        uint32_t weight;
    } frames[RUNNING_DEPTH_MAX];
    /** For threads other than the loop's: its place in the box, while it is in a plugin. */
    atomic_uint *place;
};

/** Threads: as many as prepare_threads allows. */
#define RUNNING_BOX_PREPARES 64

/**
 * The part that outlives the process: mapped from a file, written at each entry of the loop's thread. The
 * next start reads from it who was running when the daemon died.
 */
struct running_box {
    atomic_uint owner;
    atomic_int doing;
    /** The plugins running on other threads, in any order; 0 if a place is free. */
    atomic_uint prepares[RUNNING_BOX_PREPARES];
};

/** The action for an entry of the loop's thread that took longer than `slow_ns`. 0: none. */
struct running_limits {
    uint64_t slow_ns;
    void (*on_slow)(const struct running_word *word, uint64_t took_ns);
    /** An entry of the loop's thread may last less than `soon_ns`. May be NULL. */
    uint64_t soon_ns;
    void (*on_soon)(void);
};

/** Adds a plugin. The texts are copied; the result lives as long as the process. Aborts without memory. */
struct running_plugin *running_add(const char *uri, const char *module, const char *version,
                                   const char *path);
/**
 * Code of the plugin is also in this file: a copy that a further generation was loaded from. Until
 * running_remove_file. On the loop's thread. Aborts without memory.
 */
void running_add_file(struct running_plugin *plugin, const char *path);
/** Of all plugins. */
void running_remove_file(const char *path);
/** By index; NULL if there is none. Async-signal-safe. */
struct running_plugin *running_get(uint32_t index);
/**
 * By URI, from any thread: the record that was added last; NULL if there is none. A plugin has a record for
 * each file and version that it has been run from, and of these any may be the one that runs.
 */
struct running_plugin *running_find(const char *uri);
/** The record of the same URI that was added before this one; NULL: this is the first. From any thread. */
struct running_plugin *running_find_before(const struct running_plugin *plugin);
/** The record of this version from this file; `version` may be NULL. NULL: there is none. From any thread. */
struct running_plugin *running_find_version(const char *uri, const char *version, const char *path);
uint32_t running_count(void);
/**
 * The plugin whose module is this file: of several in one module `preferred`, if it is among them. NULL:
 * none. Async-signal-safe.
 */
struct running_plugin *running_find_by_file(const char *path, const struct running_plugin *preferred);
/**
 * The plugin whose module has the innermost of these frames that is any plugin's; else as
 * running_find_by_file. NULL: none is. Async-signal-safe.
 *
 * @param ret_frame  that frame; may be NULL.
 */
struct running_plugin *running_find_by_frames(void *const *frames, size_t count,
                                              const struct running_plugin *preferred, const void **ret_frame);
/** Is this the only running plugin of its module? */
bool running_is_alone_in_its_module(const struct running_plugin *plugin);

/** Keeps this thread's word in `thread` until running_thread_end. The loop's thread begins first. */
void running_thread_begin(struct running_thread *thread, bool is_loop);
void running_thread_end(void);
/** This thread's; NULL: it has none. Async-signal-safe. */
struct running_thread *running_this_thread(void);
/** Is this the loop's thread? False before it has begun. */
bool running_is_loop(void);

void running_limit(const struct running_limits *limits);
/** NULL: stops using one. */
void running_use_box(struct running_box *box);

/** Around each entry into a plugin. `owner` may be NULL, and then nothing is noted; pairs still nest.
 */
void running_enter(struct running_plugin *owner, enum running_doing doing, const char *detail);
void running_leave(void);
/** As running_leave, of an entry that the plugin itself has announced: RUNNING_OWN, and the innermost. */
void running_leave_own(void);
/** Is the innermost entry of this thread one of these, which its plugin has not left yet? */
bool running_is_own(void);
/** The innermost entry of this thread is to return within that time. */
void running_allow(uint64_t limit_ns);

/** Called on the loop's thread before and after each step of a plugin, but not its handlers; NULL: no more.
 */
void running_watch_steps(void (*on_step)(const struct running_word *word, bool has_ended));
/** Is no other thread inside a plugin? */
bool running_is_alone(void);
/** At each entry, notes whether this flag of the loop's thread is set; NULL: stops doing so. */
void running_watch_flag(const unsigned *flag);
/** Was it set when the innermost entry of this thread began? */
bool running_flag_was_set(void);
/** Called on each thread before an entry is left, replacing the previous function; NULL: none. */
void running_watch_leave(void (*on_leave)(void));

/** What runs at the innermost level. From any thread and from signal handlers. False if no plugin runs. */
bool running_look(const struct running_thread *thread, struct running_word *ret_word);
/**
 * All that is on the stack, from the innermost level outwards, the host's own levels left out. As safe as
 * running_look.
 *
 * @param ret_words  RUNNING_DEPTH_MAX of them.
 * @return how many.
 */
unsigned running_look_all(const struct running_thread *thread, struct running_word *ret_words);

/**
 * Begins a turn of the loop. Reading the clock is most of what an entry costs. If a turn has many entries of
 * calls, and another thread stamps those that last, the first few are timed, and then one of RUNNING_SAMPLE
 * at random, which represents that many. Steps are always timed, and so is what lasts until it is stamped.
 */
void running_begin_turn(void);
#define RUNNING_SAMPLE 64
#define RUNNING_STAMP_MS 20
/**
 * From another thread: notes the time for an entry that has none, which has then begun before.
 *
 * @return have turns been crowded since the last time? Then it pays to stamp often.
 */
bool running_stamp(struct running_thread *thread);
/** Whether that is done every RUNNING_STAMP_MS from now on. */
void running_stamp_often(struct running_thread *thread, bool is_often);

/** A clock that costs little to read, and what its units are worth. */
uint64_t running_ticks(void);
uint64_t running_ticks_to_ns(uint64_t ticks);
/** `ticks` of a plugin in nanoseconds; never less than the last time. On the loop's thread. */
uint64_t running_plugin_ns(struct running_plugin *plugin);

/** "init", "handler". Async-signal-safe. */
const char *running_doing_name(enum running_doing doing);
/** "init of io.example.v1.heron", "handler /a.B/C of io.example.v1.heron". Async-signal-safe. */
void running_describe(const struct running_word *word, char *text, size_t size);

#endif
