/* SPDX-License-Identifier: Apache-2.0 */
/* Loads modules, each file once, for whoever is to run: its table, and its settings as its own code has them.
 */
#ifndef CORE_LOADING_H
#define CORE_LOADING_H

#include <core/life/generation.h>
#include <core/settings/settings.h>
#include <core/survey/survey.h>

#include "modules.h"
#include "report.h"

/** Borrowed, except `modules` and `newest`. */
struct loading {
    struct registry *registry;
    /** Collects deprecations of a section after its plugin has migrated it. */
    struct notices *notices;
    /** Called for each plugin that fails, with its code; with BERTH_OK for warnings and for a skip. */
    void (*on_line)(void *context, enum berth_log_level level, const char *uri, enum berth_code code,
                    const char *text);
    void *context;
    /** After modules_init. */
    struct modules modules;
    /** The survey of the last load; NULL at first. */
    struct survey *newest;
    /** A plugin has run in a process of its own. */
    bool has_isolated;
    /** A folder of a plugin may belong to somebody else, as far as was known when `newest` came. */
    bool is_given_away;
};

/**
 * Loads what an entry of the survey's plan runs, and has it migrate and check its section.
 *
 * @param plugin      the record for the times, and to blame.
 * @param ret_source  with BERTH_OK; to be passed to loading_drop. It keeps the survey and the module.
 * @return BERTH_OK; else the code of what the record says: a file that cannot be loaded, a section that its
 *         plugin refuses; BERTH_SKIP if a setting is missing.
 */
enum berth_code loading_load(struct loading *loading, struct survey *survey, const struct plan_entry *entry,
                             struct registry_plugin *plugin, struct generation_source *ret_source);
/** What a generation was loaded from; borrowed from its source. */
struct original *loading_original(const struct generation_source *source);
/** What runs of a plugin goes on with other settings: its module or its process passes from one to the other.
 */
void loading_adopt(struct generation_source *before, struct generation_source *after);
void loading_drop(struct loading *loading, const struct generation_source *source);
/** The daemon ends: from here on nothing is unloaded. Closes its handle. */
void loading_stop(struct loading *loading);
/** All is dropped. What is still loaded stays in memory. */
void loading_finish(struct loading *loading);

#endif
