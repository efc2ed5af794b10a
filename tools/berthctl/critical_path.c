/* SPDX-License-Identifier: Apache-2.0 */
/* Walks back from the plugin that was ready last. */
#include "critical_path.h"

static uint64_t ready_ns(const plugin_message *plugin)
{
    return plugin->times == NULL ? 0 : plugin->times->ready_at_ns;
}

static const plugin_message *last_ready(const struct plugin_list *list)
{
    const plugin_message *last = NULL;

    for (size_t i = 0; i < list->count; i++)
        if (ready_ns(list->plugins[i]) > (last == NULL ? 0 : ready_ns(last)))
            last = list->plugins[i];
    return last;
}

/* A provider settled before its dependent did; that also ends the walk, whatever a daemon claims. */
static const plugin_message *last_provider(const struct plugin_list *list, const plugin_message *plugin)
{
    const plugin_message *last = NULL;

    for (size_t i = 0; i < plugin->n_edges; i++) {
        const plugin_message *provider = plugin_list_find(list, plugin->edges[i]->provider);

        if (provider == NULL || plugin_settled_ns(provider) >= plugin_settled_ns(plugin))
            continue;
        if (plugin_settled_ns(provider) > (last == NULL ? 0 : plugin_settled_ns(last)))
            last = provider;
    }
    return last;
}

size_t critical_path_find(const struct plugin_list *list, const plugin_message **ret_path)
{
    size_t count = 0;

    for (const plugin_message *plugin = last_ready(list); plugin != NULL && count < list->count;
         plugin = last_provider(list, plugin))
        ret_path[count++] = plugin;
    for (size_t i = 0; i < count / 2; i++) {
        const plugin_message *plugin = ret_path[i];

        ret_path[i] = ret_path[count - 1 - i];
        ret_path[count - 1 - i] = plugin;
    }
    return count;
}
