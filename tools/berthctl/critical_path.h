/* SPDX-License-Identifier: Apache-2.0 */
/* Which chain of plugins decided when the daemon was ready. Pure. */
#ifndef BERTHCTL_CRITICAL_PATH_H
#define BERTHCTL_CRITICAL_PATH_H

#include "plugin_list.h"

/**
 * From the plugin that was ready last back through, of what each waited for, the one that settled last.
 *
 * @param ret_path  `list->count` slots, filled from the first to start to the last to be ready.
 * @return how many are filled; 0 where nothing was ready.
 */
size_t critical_path_find(const struct plugin_list *list, const plugin_message **ret_path);

#endif
