/* SPDX-License-Identifier: Apache-2.0 */
/* What a listing remarks about a plugin: its process, its version, and which of its generations it is. */
#ifndef BERTHCTL_PLUGIN_NOTE_H
#define BERTHCTL_PLUGIN_NOTE_H

#include "list.h"

/** Does it run in another process than the daemon's? */
bool plugin_is_isolated(const plugin_message *plugin);
/** Does it run from another file than the installed one, of the same version? */
bool plugin_has_twin(const plugin_message *plugin);
/**
 * "isolated in process 4711, shared with io.x.v1.y, 2 restarts", malloced; "" if it is not.
 * @param list  all plugins, some of which may have the same process.
 */
char *plugin_format_process(const struct plugin_list *list, const plugin_message *plugin);
/**
 * "running 1.0, on disk 1.1; isolated in process 4711, shared", malloced; "" if there is nothing to remark.
 * @param list  all plugins: while two generations of one last, each is noted with its number.
 */
char *plugin_note(const struct plugin_list *list, const plugin_message *plugin);

#endif
