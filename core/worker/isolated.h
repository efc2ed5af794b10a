/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of an isolated plugin: a table that looks to the rest of the host like that of any
 * plugin, and behind it a worker that is started, watched and started again.
 */
#ifndef CORE_WORKER_ISOLATED_H
#define CORE_WORKER_ISOLATED_H

#include <stdio.h>
#include <sys/stat.h>

#include <berth/isolation.h>
#include <berth/plugin.h>

#include <config/print/json.h>

#include <core/manifest/manifest.h>
#include <core/plan/plan.h>
#include <core/sandbox/sandbox.h>
#include <core/settings/settings.h>

#include "ownership.h"

struct isolated;

/** All borrowed for as long as the plugin lives. */
struct isolated_options {
    const struct manifest_plugin *plugin;
    const struct berth_settings *settings;
    const struct settings_isolation *isolation;
    struct settings_timeouts timeouts;
    /** A copy to load, because the module's path has something else by now; NULL: there is none. */
    const char *copy;
    const struct stat *copy_status;
    /** The daemon's folders, of which the plugin gets one each. */
    const char *root, *state;
};

/**
 * Starts nothing. One for each URI at a time.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION for a user that does not exist; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code isolated_create(const struct isolated_options *options, struct isolated **ret_isolated,
                                struct berth_error *err);
/** Its plugin is closed, or never started. Accepts NULL. */
void isolated_destroy(struct isolated *isolated);
/** Two of one plugin: each goes on with its process, and with what the other was created from. */
void isolated_exchange(struct isolated *one, struct isolated *other);
/** What the host is to call. */
const struct berth_plugin *isolated_table(const struct isolated *isolated);

/** What a plugin would be confined to. Paths of its settings are in it. To be finished. */
struct isolated_sandbox {
    struct sandbox_wanted wanted;
    char **paths;
    size_t path_count;
};

/** @return as isolated_create. */
enum berth_code isolated_sandbox_init(struct isolated_sandbox *sandbox,
                                      const struct isolated_options *options, struct berth_error *err);
void isolated_sandbox_finish(struct isolated_sandbox *sandbox);
/** Of one plugin, isolated in the same way: do its settings lead to the same paths? */
bool isolated_sandbox_is_alike(const struct isolated_sandbox *one, const struct isolated_sandbox *other);

/** What of it this kernel and the daemon's rights can enforce, and how exposed the plugin is. @return as
 * above. */
enum berth_code isolated_judge(const struct isolated_options *options, struct sandbox_report *ret_report,
                               struct berth_error *err);

/** The exposure of each plugin of a plan that is isolated, as text for people; nothing where none is. */
void isolated_print_text(FILE *out, const struct plan *plan, const struct settings *settings);
/**
 * The same of one plugin, as the member `isolation` of an open object; null where it is not isolated.
 * @param context  the struct settings.
 */
void isolated_print_json(void *context, struct config_json *json, const struct plan_entry *entry);

/**
 * What is known of the process of one generation of a plugin.
 * @return borrowed until the next turn of the loop; NULL if that generation does not run in a worker.
 */
const struct berth_isolation *isolated_show(const char *uri, uint64_t generation);

/** Where berth-worker is: beside this program, or where it was installed. @return malloced. */
char *isolated_find_program(void);

#endif
