/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker is confined to: one sandbox for all plugins that share it. What the operator lists (files,
 * ports, system calls) is the sum of what they list; of the rest they say the same, which the plan has made
 * sure of.
 */
#ifndef CORE_WORKER_CONFINEMENT_H
#define CORE_WORKER_CONFINEMENT_H

#include <core/manifest/manifest.h>
#include <core/plan/plan.h>
#include <core/sandbox/sandbox.h>
#include <core/settings/settings.h>

/** One of the plugins of a worker; all borrowed. */
struct confined {
    const struct manifest_plugin *plugin;
    /** NULL: they have not been checked, and no path in them is allowed. */
    const struct berth_settings *settings;
    const struct settings_isolation *isolation;
    /** A copy to load, because the module's path has something else by now; NULL: there is none. */
    const char *copy;
};

/** To be finished. Borrows from what it was made of. */
struct confinement {
    struct sandbox_wanted wanted;
    /** The folders of the plugins, two of each, which are to exist. */
    const char **folders;
    size_t folder_count;
    /** The texts that it owns. */
    char **paths;
    size_t path_count;
};

/**
 * Who shares the worker of an isolated plugin, which is one of them. Those that the plan rejects do not.
 * @return malloced, in the order of the configuration; with one at least.
 */
struct confined *confinement_find_sharers(const struct plan *plan, const struct settings *settings,
                                          const char *uri, size_t *ret_count);

/**
 * @param count        1 at least.
 * @param root, state  the daemon's folders, of which each plugin gets one.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION for a user that does not exist. To be finished in any case.
 */
enum berth_code confinement_init(struct confinement *confinement, const struct confined *confined,
                                 size_t count, const char *root, const char *state, struct berth_error *err);
/** Gives the plugins' own folders to whom the worker runs as. */
enum berth_code confinement_give_folders(const struct confinement *confinement, struct berth_error *err);
void confinement_finish(struct confinement *confinement);
/** Of the same plugins, isolated in the same way: do their settings lead to the same paths? */
bool confinement_is_alike(const struct confinement *one, const struct confinement *other);

/** @return BERTH_OK; BERTH_FAILED_PRECONDITION for a file listed under `files` that does not exist, with the
 * place. */
enum berth_code confinement_check_files(const struct confined *confined, size_t count,
                                        struct berth_error *err);

/** What of it this kernel and the daemon's rights can enforce, and how exposed the plugins are. @return as
 * above. */
enum berth_code confinement_judge(const struct confined *confined, size_t count, const char *root,
                                  const char *state, struct sandbox_report *ret_report,
                                  struct berth_error *err);

#endif
