/* SPDX-License-Identifier: Apache-2.0 */
/* One plugin as `ctr plugins ls` shows it. */
#ifndef BERTHCTL_PLUGIN_INTROSPECTED_H
#define BERTHCTL_PLUGIN_INTROSPECTED_H

#include <containerd/services/introspection/v1/introspection.pb-c.h>

#include <tools/berthctl/print/table.h>

typedef Containerd__Services__Introspection__V1__Plugin introspected_plugin;

/** "ok"; "skip" where the error's text says so; "error". */
const char *introspected_status(const introspected_plugin *plugin);
void introspected_add_line(struct table *table, const introspected_plugin *plugin,
                           enum table_colour status_colour, const char *note);
/** All of it in lines of their own; an empty line before all but the first. */
void introspected_add_block(struct table *table, const introspected_plugin *plugin, bool is_first);

#endif
