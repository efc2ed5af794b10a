/* SPDX-License-Identifier: Apache-2.0 */
/* What one plugin costs, for people and for programs. */
#ifndef BERTHCTL_PLUGIN_COSTS_H
#define BERTHCTL_PLUGIN_COSTS_H

#include <config/print/json.h>

#include <tools/berthctl/print/table.h>

#include "list.h"

typedef Berth__Inspect__V1__PluginCosts plugin_costs;

/** "0B", "12.3KiB", "1.20GiB" */
void costs_format_size(uint64_t bytes, char ret_text[PLUGIN_DURATION_MAX]);
/** Adds its lines to a table of two columns. */
void costs_print_text(struct table *table, const plugin_costs *costs);
/** As members of the object that is open. Times are in nanoseconds. */
void costs_print_json(struct config_json *json, const plugin_costs *costs);

#endif
