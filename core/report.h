/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon reports to its operator: log lines, the pending steps of a start or a stop, and
 * deprecations.
 */
#ifndef CORE_REPORT_H
#define CORE_REPORT_H

#include <berth/inspect.h>

#include <config/text/diagnostics.h>
#include <core/perform/perform.h>
#include <core/scan/scan.h>
#include <core/settings/settings.h>
#include <core/state/state.h>

/** The first line of every run. `settings` is NULL if they could not be read. */
void report_start(const struct settings *settings);
void report_diagnostics(struct config_diagnostics *diagnostics);
void report_files(const struct scan *scan);
/** Warnings of the plan, and the reason for each plugin that does not run. */
void report_plan(const struct plan *plan);
/** Once all have settled: a line for each plugin that others fell with, naming them. */
void report_fallen(const struct registry *registry);
/** A line for each plugin under `required_plugins` that is not ready. @return are all ready? */
bool report_required(const struct registry *registry, const struct settings *settings);
/**
 * Logs an error if no server runs: the daemon could not be reached, not even to ask why. @return does one?
 */
bool report_servers(const struct registry *registry);
/** The reasons why the daemon is not ready. */
void report_holds(const struct registry *registry);

/** The pending steps of a start or a stop. Embedded by its owner. */
struct progress {
    uv_timer_t timer;
    const char *what;
    const struct perform *perform;
    const struct router *router;
    /** The last line, so that it is not logged twice. */
    char told[1400];
};

void progress_init(struct progress *progress, uv_loop_t *loop);
/**
 * While steps of plugins are pending, each within its deadline, asks the service manager for more time and
 * names the plugins and steps.
 *
 * @param what  "starting", "shutting down"; borrowed.
 */
void progress_begin(struct progress *progress, const char *what, const struct perform *perform,
                    const struct router *router);
void progress_end(struct progress *progress);
/** Closes its handle. */
void progress_finish(struct progress *progress);

/** The deprecations found in the configuration, for services that list them. Zero-initialise. */
struct notices {
    struct berth_notice *items;
    size_t count;
};

/** Copies each deprecation among the diagnostics. Aborts when out of memory. */
void notices_take(struct notices *notices, const struct config_diagnostics *diagnostics);
void notices_finish(struct notices *notices);

#endif
