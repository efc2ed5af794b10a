/* SPDX-License-Identifier: Apache-2.0 */
/* Why a plugin is as it is: its chain of causes down to the root, and what can be done about that. */
#ifndef BERTHCTL_PLUGIN_EXPLAIN_H
#define BERTHCTL_PLUGIN_EXPLAIN_H

#include "list.h"

void explain_print(FILE *out, const struct plugin_list *list, const plugin_message *plugin,
                   bool with_colours);
/** The same as one JSON object: `uri`, `well`, `causes` from the plugin to the root cause, `next`. */
void explain_print_json(FILE *out, const struct plugin_list *list, const plugin_message *plugin);

#endif
