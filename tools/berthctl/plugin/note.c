/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include <string.h>

#include <config/text/text.h>

#include <sdk/base/memory.h>

bool plugin_is_isolated(const plugin_message *plugin)
{
    return plugin->isolation != NULL;
}

bool plugin_has_twin(const plugin_message *plugin)
{
    return *plugin->newest_version != '\0' && strcmp(plugin->newest_version, plugin->version) == 0;
}

static bool share_process(const plugin_message *one, const plugin_message *other)
{
    return one->isolation != NULL && other->isolation != NULL && one->isolation->process != 0 &&
           one->isolation->process == other->isolation->process && one != other;
}

/* With the others by name, or only that there are any. */
static void add_sharers(struct config_text *text, const struct plugin_list *list,
                        const plugin_message *plugin, bool are_named)
{
    const char *before = ", shared with ";

    for (size_t i = 0; i < list->count; i++) {
        if (!share_process(plugin, list->plugins[i]))
            continue;
        if (!are_named) {
            config_text_add(text, ", shared");
            return;
        }
        config_text_add(text, "%s%s", before, list->plugins[i]->uri);
        before = ", ";
    }
}

static char *format_process(const struct plugin_list *list, const plugin_message *plugin, bool are_named)
{
    const Berth__Inspect__V1__Isolation *isolation = plugin->isolation;
    struct config_text text = {0};
    char *process;

    if (isolation == NULL)
        return memory_copy("");
    config_text_add(&text, "isolated");
    if (isolation->process != 0)
        config_text_add(&text, " in process %llu", (unsigned long long)isolation->process);
    /* The daemon does not know the process of a program that a proxy has started. */
    else if (!plugin_is_well(plugin))
        config_text_add(&text, ", not running");
    add_sharers(&text, list, plugin, are_named);
    if (isolation->restarts > 0)
        config_text_add(&text, ", %llu restart%s", (unsigned long long)isolation->restarts,
                        isolation->restarts == 1 ? "" : "s");
    process = memory_copy(text.bytes);
    config_text_finish(&text);
    return process;
}

char *plugin_format_process(const struct plugin_list *list, const plugin_message *plugin)
{
    return format_process(list, plugin, true);
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
    char *process = format_process(list, plugin, false), *note;

    if (has_another_generation(list, plugin))
        config_text_add(&text, "generation %llu, version %s", (unsigned long long)plugin->generation,
                        plugin->version);
    if (plugin_has_twin(plugin))
        config_text_add(&text, "%srunning %s, another %s on disk", text.length > 0 ? "; " : "",
                        plugin->version, plugin->newest_version);
    else if (*plugin->newest_version != '\0')
        config_text_add(&text, "%srunning %s, on disk %s", text.length > 0 ? "; " : "", plugin->version,
                        plugin->newest_version);
    if (*plugin->held_back != '\0')
        config_text_add(&text, "%srunning %s, held back from %s on disk", text.length > 0 ? "; " : "",
                        plugin->version, plugin->held_back);
    if ((int)plugin->state == BERTH__INSPECT__V1__STATE__STATE_IDLE && *plugin->activation != '\0')
        config_text_add(&text, "%sidle, %s", text.length > 0 ? "; " : "", plugin->activation);
    if (*process != '\0')
        config_text_add(&text, "%s%s", text.length > 0 ? "; " : "", process);
    free(process);
    note = memory_copy(text.length > 0 ? text.bytes : "");
    config_text_finish(&text);
    return note;
}
