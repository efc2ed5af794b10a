/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include <string.h>

#include <config/text/text.h>

#include <sdk/base/memory.h>

const char *plugin_export(const plugin_message *plugin, const char *key)
{
    for (size_t i = 0; i < plugin->n_exports; i++)
        if (strcmp(plugin->exports[i]->key, key) == 0)
            return plugin->exports[i]->value;
    return NULL;
}

bool plugin_is_isolated(const plugin_message *plugin)
{
    return plugin_export(plugin, "berth.process") != NULL;
}

char *plugin_format_process(const plugin_message *plugin)
{
    const char *process = plugin_export(plugin, "berth.process");
    const char *restarts = plugin_export(plugin, "berth.restarts");

    if (process == NULL)
        return memory_copy("");
    if (restarts == NULL || strcmp(restarts, "0") == 0)
        return memory_format("isolated in process %s", process);
    return memory_format("isolated in process %s, %s restart%s", process, restarts,
                         strcmp(restarts, "1") == 0 ? "" : "s");
}

static bool has_another_generation(const struct plugin_list *list, const plugin_message *plugin)
{
    for (size_t i = 0; i < list->count && plugin->generation > 0; i++)
        if (list->plugins[i] != plugin && list->plugins[i]->generation > 0 &&
            list->plugins[i]->generation != plugin->generation &&
            strcmp(list->plugins[i]->uri, plugin->uri) == 0)
            return true;
    return false;
}

char *plugin_note(const struct plugin_list *list, const plugin_message *plugin)
{
    struct config_text text = {0};
    char *process = plugin_format_process(plugin), *note;

    if (has_another_generation(list, plugin))
        config_text_add(&text, "generation %llu, version %s", (unsigned long long)plugin->generation,
                        plugin->version);
    if (*plugin->newest_version != '\0')
        config_text_add(&text, "%srunning %s, on disk %s", text.length > 0 ? "; " : "", plugin->version,
                        plugin->newest_version);
    if (*process != '\0')
        config_text_add(&text, "%s%s", text.length > 0 ? "; " : "", process);
    free(process);
    note = memory_copy(text.length > 0 ? text.bytes : "");
    config_text_finish(&text);
    return note;
}
