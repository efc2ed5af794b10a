/* SPDX-License-Identifier: Apache-2.0 */
/* One plugin for people and for programs, as berthd reports it or as `ctr plugins ls` shows it. */
#ifndef BERTHCTL_PLUGIN_PRINT_H
#define BERTHCTL_PLUGIN_PRINT_H

#include <containerd/services/introspection/v1/introspection.pb-c.h>

#include <config/json.h>
#include <tools/berthctl/print/table.h>

#include "costs.h"
#include "list.h"

/** "linux/amd64,linux/arm64/v8", sorted, without doubles; "-" for none. Malloced. */
char *plugin_platforms(const plugin_message *plugin);
/** Adds its lines to a table of two columns. */
void plugin_print_text(struct table *table, const plugin_message *plugin);
/**
 * As an item of an array, or the outermost value. Durations are in nanoseconds.
 * @param costs  NULL: not asked for.
 */
void plugin_print_json(struct config_json *json, const plugin_message *plugin, const plugin_costs *costs);

typedef Containerd__Services__Introspection__V1__Plugin introspected_plugin;

/** "ok"; "skip" where the error's text says so; "error". */
const char *introspected_status(const introspected_plugin *plugin);
void introspected_add_line(struct table *table, const introspected_plugin *plugin,
                           enum table_colour status_colour);
/** All of it in lines of their own; an empty line before all but the first. */
void introspected_add_block(struct table *table, const introspected_plugin *plugin, bool is_first);

#endif
