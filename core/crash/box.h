/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The black box: a file in `state` in which the next start finds who was running when this one died, also
 * after _exit(2) and SIGKILL. It is mapped, so that noting an entry costs two stores.
 */
#ifndef CORE_CRASH_BOX_H
#define CORE_CRASH_BOX_H

#include <stdbool.h>

#include <berth/error.h>

#include "crash.h"

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
/** Writes the names of all plugins that were added so far, and follows the running word from here on. */
void box_begin(void);
/** For crash_options. Async-signal-safe. */
void box_note_death(const struct crash_death *death);
/** The daemon ends on purpose. Async-signal-safe. */
void box_note_end(void);
/** Also where box_open failed. */
void box_close(void);

#endif
