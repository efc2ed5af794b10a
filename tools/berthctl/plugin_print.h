/* SPDX-License-Identifier: Apache-2.0 */
/* One plugin with all that is known of it, for people and for programs. */
#ifndef BERTHCTL_PLUGIN_PRINT_H
#define BERTHCTL_PLUGIN_PRINT_H

#include <config/json.h>

#include "plugin_list.h"

/** Adds its lines to a table of two columns. */
void plugin_print_text(struct table *table, const plugin_message *plugin);
/** As an item of an array, or the outermost value. Durations are in nanoseconds. */
void plugin_print_json(struct config_json *json, const plugin_message *plugin);

#endif
