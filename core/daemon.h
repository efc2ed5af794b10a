/* SPDX-License-Identifier: Apache-2.0 */
/* The phases of the daemon in order; owns the loop, the signals and the exit code. */
#ifndef CORE_DAEMON_H
#define CORE_DAEMON_H

#include <core/settings/settings.h>

/** Exit codes of `berthd run`, documented in its man page. */
enum daemon_exit {
    DAEMON_EXIT_OK = 0,
    /** Could not start, or a required plugin is not ready. */
    DAEMON_EXIT_FAILED = 1,
    DAEMON_EXIT_USAGE = 2,
    /** The configuration is wrong. */
    DAEMON_EXIT_CONFIG = 3,
    /** A second signal: exited without closing plugins. */
    DAEMON_EXIT_FORCED = 4,
    /** A plugin called exit(), or ended the main thread. */
    DAEMON_EXIT_PLUGIN = 5,
};

/** Runs until a signal; returns an exit code. */
int daemon_run(const struct settings_options *options);

#endif
