/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of an isolated plugin: a table that looks to the rest of the host like that of any
 * plugin, and behind it a worker that is started, watched and started again, and that several plugins may
 * share.
 */
#ifndef CORE_WORKER_ISOLATED_H
#define CORE_WORKER_ISOLATED_H

#include <stdio.h>
#include <sys/stat.h>

#include <berth/isolation.h>
#include <berth/plugin.h>

#include <config/print/json.h>

#include "confinement.h"
#include "ownership.h"

struct isolated;

/** All borrowed for as long as the plugin lives. */
struct isolated_options {
    const struct manifest_plugin *plugin;
    const struct berth_settings *settings;
    struct settings_timeouts timeouts;
    /** Who shares its worker, itself included, with its copy. */
    const struct confined *sharers;
    size_t sharer_count;
    /** A copy to load, because the module's path has something else by now; NULL: there is none. */
    const char *copy;
    const struct stat *copy_status;
    /** The daemon's folders, of which the plugin gets one each. */
    const char *root, *state;
};

/**
 * Starts nothing. One for each URI at a time.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION for a user or a file that does not exist;
 * BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code isolated_create(const struct isolated_options *options, struct isolated **ret_isolated,
                                struct berth_error *err);
/** Its plugin is closed, or never started. Accepts NULL. */
void isolated_destroy(struct isolated *isolated);
/** Two of one plugin: each goes on with its process, and with what the other was created from. */
void isolated_exchange(struct isolated *one, struct isolated *other);
/** What the host is to call. */
const struct berth_plugin *isolated_table(const struct isolated *isolated);

/** The exposure of each plugin of a plan that is isolated, as text for people; nothing where none is. */
void isolated_print_text(FILE *out, const struct plan *plan, const struct settings *settings);
/**
 * Calls found for each isolated plugin of a plan that will not run as it is isolated: the plan rejects it, a
 * user or a file does not exist, or its sandbox is required and cannot be enforced here.
 * @param found  gets one sentence that names the plugin or the place; copies what it keeps.
 */
void isolated_find_problems(const struct plan *plan, const struct settings *settings,
                            void (*found)(void *context, const char *text), void *context);
/** What isolated_print_json is handed; both are borrowed. */
struct isolated_planned {
    const struct plan *plan;
    const struct settings *settings;
};
/**
 * The same of one plugin, as the member `isolation` of an open object; null where it is not isolated.
 * @param context  the struct isolated_planned.
 */
void isolated_print_json(void *context, struct config_json *json, const struct plan_entry *entry);

/**
 * What is known of the process of one generation of a plugin.
 * @return borrowed until the next turn of the loop; NULL if that generation does not run in a worker.
 */
const struct berth_isolation *isolated_show(const char *uri, uint64_t generation);

#endif
