/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the modules of a plan's plugins, each file once, and readies each plugin's part for its life. */
#ifndef CORE_LOADING_H
#define CORE_LOADING_H

#include <core/life/life.h>
#include <core/module/module.h>
#include <core/scan/scan.h>
#include <core/settings/settings.h>

#include "report.h"

/** Borrowed, except what loading_run and loading_finish make and free. */
struct loading {
    const struct scan *scan;
    struct settings *settings;
    struct registry *registry;
    /** Collects deprecations of a section after its plugin has migrated it. */
    struct notices *notices;
    /** Called for each plugin that fails, with its code; with BERTH_OK for warnings and for a skip. */
    void (*on_line)(void *context, enum berth_log_level level, const char *uri, enum berth_code code,
                    const char *text);
    void *context;
    /** One for each file of the scan; NULL if not needed or not loadable. */
    struct module **modules;
    /** One for each entry of the plan that runs. */
    struct life_part *parts;
};

/**
 * Loads, in the plan's order, until the daemon is told to stop. A file that cannot be loaded, and a section
 * that its plugin cannot migrate or refuses, cost those plugins only: they have failed in the registry then.
 */
void loading_run(struct loading *loading);
/** All plugins are closed. Their code stays in memory. */
void loading_finish(struct loading *loading);

#endif
