/* SPDX-License-Identifier: Apache-2.0 */
/* Brings a section of an older version up to date, in memory: declared renames, then the plugin's own code.
 */
#ifndef CORE_SETTINGS_MIGRATION_H
#define CORE_SETTINGS_MIGRATION_H

#include <berth/plugin.h>
#include <config/tree.h>

#include <core/manifest/manifest.h>

/** For which version a section is written, and how that is known. */
struct migration_version {
    uint32_t number;
    /** The section has a `config_version`. */
    bool is_said;
};

/**
 * Takes `config_version` out of a section and finds the version it is written for. Where it does not say,
 * that is the newest version that it fits: the plugin's own, or an older one by what the manifest declares of
 * it under `renames`. A section that fits none counts as the plugin's own, with a warning that names
 * `config_version`.
 *
 * @return false, with an error in `diagnostics`, for a version that is none or newer than the plugin's.
 */
bool migration_find_version(struct config_tree *tree, const struct manifest_plugin *plugin,
                            struct config_node *section, struct migration_version *ret_version,
                            struct config_diagnostics *diagnostics);

/**
 * Applies the renames that lie between `version` and the plugin's, with a warning for each. A section of the
 * plugin's own version may still use an old name where the schema does not know it.
 *
 * @return how many were applied; errors are in `diagnostics`.
 */
size_t migration_apply_renames(struct config_tree *tree, const struct manifest_plugin *plugin,
                               struct config_node *section, uint32_t version,
                               struct config_diagnostics *diagnostics);

/** Warns of a section that is written for an older version than the plugin's. */
void migration_warn_of_version(const struct manifest_plugin *plugin, const struct config_node *section,
                               const struct migration_version *version,
                               struct config_diagnostics *diagnostics);

/** What stands at a dotted path of a section, or NULL. */
struct config_node *migration_find_setting(struct config_node *section, const char *path);

typedef enum berth_code migration_callback(void *context, const struct manifest_plugin *plugin,
                                           const struct berth_migration *migration, struct berth_error *err);

/**
 * Runs a plugin's own code over a section.
 *
 * @return what it answered; BERTH_INVALID_ARGUMENT where it read a setting as what it is not. A failure is an
 *         error in `diagnostics` too.
 */
enum berth_code migration_run(struct config_tree *tree, const struct manifest_plugin *plugin,
                              struct config_node *section, uint32_t version, migration_callback *on_migrate,
                              void *context, struct config_diagnostics *diagnostics);

/** Does the plugin say that it has a `migrate` for sections of this version? */
bool migration_needs_plugin(const struct manifest_plugin *plugin, uint32_t version);

#endif
