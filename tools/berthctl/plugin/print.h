/* SPDX-License-Identifier: Apache-2.0 */
/* One plugin for people and for programs, as berthd reports it. */
#ifndef BERTHCTL_PLUGIN_PRINT_H
#define BERTHCTL_PLUGIN_PRINT_H

#include <config/print/json.h>
#include <tools/berthctl/print/table.h>

#include "costs.h"
#include "list.h"
#include "settings.h"

/** "linux/amd64,linux/arm64/v8", sorted, without doubles; "-" for none. Malloced. */
char *plugin_platforms(const plugin_message *plugin);
/** Adds its lines to a table of two columns. */
void plugin_print_text(struct table *table, const struct plugin_list *list, const plugin_message *plugin);
/**
 * As an item of an array, or the outermost value. Durations are in nanoseconds.
 * @param costs  NULL: not asked for.
 * @param settings  NULL: not asked for, or not told.
 */
void plugin_print_json(struct config_json *json, const plugin_message *plugin, const plugin_costs *costs,
                       const settings_message *settings);

#endif
