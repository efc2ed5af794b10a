/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the daemon died, and whose fault it was. A crash, an exit that the daemon did not begin, the end of the
 * loop's thread, and a forked child that returns into the host are reported on standard error, as one block
 * in the log's format. What only the next start can tell is in the black box; what it concludes in the list
 * of deaths.
 *
 * The module of the innermost frame that belongs to a plugin is to blame; what the plugin was called for
 * comes from the running word. Where no frame is a plugin's, the plugin that runs is to blame; else the host
 * itself.
 */
#ifndef CORE_CRASH_CRASH_H
#define CORE_CRASH_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#include <core/base/running.h>

/** How the daemon died, for the next start. `plugin` is NULL for the host itself. */
struct crash_death {
    const struct running_plugin *plugin;
    enum running_doing doing;
    /** 0: an exit. */
    int signal;
    /** By another process, which may have had reasons of its own. */
    bool is_sent;
    uintptr_t address;
};

struct crash_options {
    /** The exit code, for an exit that the daemon did not begin. */
    int exit_code;
    /** Called before the daemon dies, in a signal handler; may be NULL. */
    void (*on_death)(const struct crash_death *death);
    /** Passes on what a signal handler printed but did not log; may be NULL. */
    void (*each_rest)(void (*on_rest)(const char *name, const char *text));
};

/**
 * On the loop's thread, which gets an alternate signal stack, once: from here on the daemon's end is
 * reported. Sanitizers keep their own handlers: then crashes are theirs to report.
 */
void crash_start(const struct crash_options *options);
/** After modules were loaded: the exit handler is to run before theirs. */
void crash_after_load(void);
/** The daemon exits on purpose, or its loop's thread ends: nothing to report. */
void crash_expect_exit(void);
/** On each turn of the loop: ends a child that was forked from code that libuv called. */
void crash_check_child(void);

/** The signals whose handlers are ours, 0 at the end. */
extern const int crash_signals[];

/*
 * The black box: a file in `state` in which the next start finds who was running when this one died, also
 * after _exit(2) and SIGKILL. It is mapped, so that noting an entry costs two stores.
 */

/** How the previous run died, from its box. */
struct box_death {
    /** One line for people. */
    char sentence[1024];
    /** The plugin that ran; empty: none, or one of several. */
    char uri[256];
    /** Is that plugin to blame? Not where the daemon may have been killed from outside. */
    bool counts;
    /** "SIGSEGV in init". */
    char what[96];
};

/**
 * Takes the box in a folder that only the daemon's user and root can write to. Nothing in the file is
 * trusted. One box at a time in a process.
 *
 * @param ret_death  written where `ret_has_died`: the previous run did not end on purpose.
 * @return BERTH_OK; the reason why there is no box: then only the crash report remains.
 */
enum berth_code box_open(const char *state, bool *ret_has_died, struct box_death *ret_death,
                         struct berth_error *err);
/** Writes the names of all plugins added until now, and follows the running word from here on. */
void box_begin(void);
/** For crash_options. Async-signal-safe. */
void box_note_death(const struct crash_death *death);
/** The daemon ends on purpose. Async-signal-safe. */
void box_note_end(void);
/** Also if box_open failed. */
void box_close(void);

/*
 * Which plugins killed the daemon, and which are quarantined for it: a small file in `state`. One line each:
 * the time in seconds since 1970, "death" or "quarantine", the plugin's URI, and what happened.
 */

/** Older ones are forgotten first. */
#define DEATHS_MAX 256

struct death {
    int64_t time_s;
    bool is_quarantine;
    char uri[256];
    char what[192];
};

struct deaths {
    /** `DEATHS_MAX` of them; the oldest first. */
    struct death *items;
    size_t count;
    /**
     * Lines that this version cannot read, as they are: another version may have written them. They are
     * written behind the rest. NULL: none. There may be more than are kept.
     */
    char *others;
    size_t other_count, lost_count;
};

/** A plugin that died this often within this time is quarantined. */
struct deaths_limit {
    /** 0: never. */
    unsigned count;
    uint64_t within_ns;
};

/**
 * Reads the file; a missing one is empty. Lines that cannot be read are kept.
 *
 * @return BERTH_OK; else the list is empty, and `err` says why.
 */
enum berth_code deaths_read(const char *state, struct deaths *ret_deaths, struct berth_error *err);
/** Describes the lines that cannot be read. @return false if there are none. */
bool deaths_describe_others(const struct deaths *deaths, const char *state, char ret_text[BERTH_ERROR_MAX]);
/** Replaces the file. */
enum berth_code deaths_write(const char *state, const struct deaths *deaths, struct berth_error *err);
void deaths_finish(struct deaths *deaths);

/** Adds a death, and a quarantine if the limit is reached and there is none yet. @return was it reached? */
bool deaths_add(struct deaths *deaths, const char *uri, const char *what, int64_t now_s,
                const struct deaths_limit *limit);
/** Adds one to the file, now. A file that cannot be read stays as it is. */
enum berth_code deaths_note(const char *state, const char *uri, const char *what,
                            const struct deaths_limit *limit, struct berth_error *err);
/** Forgets a plugin, or all of them with NULL. @return how many quarantines that lifted. */
size_t deaths_forget(struct deaths *deaths, const char *uri);

#endif
