/* SPDX-License-Identifier: Apache-2.0 */
/* Lets a plugin's own code judge its settings, once their schema has passed them. */
#ifndef CORE_SETTINGS_CHECK_H
#define CORE_SETTINGS_CHECK_H

#include <berth/plugin.h>
#include <config/value.h>

/** Of a plugin's table. */
typedef void check_callback(const struct berth_check *check);

/**
 * Runs a plugin's `check`. Each problem becomes a diagnostic at the setting it names, or at `section` where
 * the setting was left to its default.
 *
 * @param section  where the plugin's section begins; its file is NULL where there is none.
 * @return false where it named an error.
 */
bool settings_check_run(const char *uri, check_callback *on_check, const struct config_values *values,
                        const struct config_mark *section, struct config_diagnostics *diagnostics);

#endif
