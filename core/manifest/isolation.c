/* SPDX-License-Identifier: Apache-2.0 */
/* What in a manifest keeps a plugin in the daemon's process. */
#include "manifest.h"

#include <string.h>

#include <berth/types/deprecations.h>
#include <berth/types/events.h>
#include <berth/types/metrics.h>
#include <berth/types/opt.h>
#include <berth/types/store.h>
#include <berth/types/tracing.h>

const char *manifest_find_obstacle(const struct manifest_plugin *plugin)
{
    /* It is not the plugin that is isolated, but its program. */
    if (plugin->made_by != NULL)
        return NULL;
    if (plugin->carry_count > 0)
        return "is a server, through which calls reach the daemon";
    if ((plugin->uses & MANIFEST_USES_INTERCEPT) != 0)
        return "intercepts calls of the daemon (uses: intercept)";
    if ((plugin->uses & MANIFEST_USES_ROUTER) != 0)
        return "uses the routes of other plugins (uses: router)";
    if ((plugin->uses & MANIFEST_USES_INSPECT) != 0)
        return "inspects other plugins (uses: inspect)";
    if (manifest_serves_http(plugin) && plugin->http_prefix == NULL)
        return "answers HTTP requests below a prefix that its manifest does not name (http_prefix)";
    return NULL;
}

bool manifest_serves_http(const struct manifest_plugin *plugin)
{
    return plugin->interface != NULL && strcmp(plugin->interface, "berth_http") == 0;
}

bool manifest_interface_crosses(const struct manifest_plugin *plugin)
{
    static const char *const uris[] = {BERTH_OPT_URI, BERTH_DEPRECATIONS_URI, BERTH_EXCHANGE_URI,
                                       BERTH_METRICS_URI, BERTH_TRACING_URI};

    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++)
        if (strcmp(plugin->uri, uris[i]) == 0)
            return true;
    return strcmp(plugin->type, BERTH_STORE_TYPE) == 0;
}

bool manifest_has_remote(const struct manifest_plugin *plugin, const char *interface)
{
    for (size_t i = 0; interface != NULL && i < plugin->remote_count; i++)
        if (strcmp(plugin->remotes[i], interface) == 0)
            return true;
    return false;
}
