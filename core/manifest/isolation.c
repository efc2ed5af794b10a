/* SPDX-License-Identifier: Apache-2.0 */
/* What in a manifest keeps a plugin in the daemon's process. */
#include "manifest.h"

const char *manifest_find_obstacle(const struct manifest_plugin *plugin)
{
    if (plugin->made_by != NULL)
        return "forwards to a server behind a socket, which already runs in a process of its own";
    if (plugin->carry_count > 0)
        return "is a server, through which calls reach the daemon";
    if ((plugin->uses & MANIFEST_USES_INTERCEPT) != 0)
        return "intercepts calls of the daemon (uses: intercept)";
    if ((plugin->uses & MANIFEST_USES_ROUTER) != 0)
        return "uses the routes of other plugins (uses: router)";
    if ((plugin->uses & MANIFEST_USES_INSPECT) != 0)
        return "inspects other plugins (uses: inspect)";
    return NULL;
}
