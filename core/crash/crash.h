/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says who did it when the daemon dies: a crash, an exit that the daemon did not begin, the end of the loop's
 * thread, and a forked child that returns into the host. One block on standard error, in the log's format.
 *
 * The module of the innermost frame that belongs to a plugin is to blame; what the plugin was called for
 * comes from the running word. Where no frame is a plugin's, the plugin that runs is to blame; else the host
 * itself.
 */
#ifndef CORE_CRASH_CRASH_H
#define CORE_CRASH_CRASH_H

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
    /** Of an exit that the daemon did not begin. */
    int exit_code;
    /** Called before the daemon dies, in a signal handler; may be NULL. */
    void (*on_death)(const struct crash_death *death);
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

/** "SIGSEGV" */
const char *crash_signal_name(int number);
/** The signals whose handlers are ours, 0 at the end. */
extern const int crash_signals[];

#endif
