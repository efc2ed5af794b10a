/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon tells its operator of a run: its configuration, the plan, and what became of the plugins.
 */
#ifndef CORE_REPORT_H
#define CORE_REPORT_H

#include <core/scan/scan.h>
#include <core/settings/settings.h>
#include <core/state/state.h>

/** The first line of every run. `settings` is NULL where they could not be read. */
void report_start(const struct settings *settings);
void report_diagnostics(struct config_diagnostics *diagnostics);
void report_files(const struct scan *scan);
/** Warnings of the plan, and why each plugin that does not run does not. */
void report_plan(const struct plan *plan);
/** Once all have settled: a line for each plugin that others fell with, naming them. */
void report_fallen(const struct registry *registry);
/** A line for each plugin under `required_plugins` that is not ready. @return are all ready? */
bool report_required(const struct registry *registry, const struct settings *settings);
/** An error where no server runs: nobody could reach this daemon, not even to ask why. @return does one? */
bool report_servers(const struct registry *registry);
/** What keeps the daemon from being ready. */
void report_holds(const struct registry *registry);

#endif
