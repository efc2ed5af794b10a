/* SPDX-License-Identifier: Apache-2.0 */
/* Are the plugins under `required_plugins` there? Says so of all that are not, at once. */
#include "required.h"

#include "log.h"

static void place_of(const struct config_mark *mark, char *text, size_t size)
{
    if (mark->file != NULL && mark->line > 0)
        snprintf(text, size, "%s:%u:%u: ", mark->file, mark->line, mark->column);
    else
        text[0] = '\0';
}

static bool is_met(const struct registry *registry, const struct plan_uri *required)
{
    const struct registry_plugin *plugin = registry_find(registry, required->uri);
    char place[512];

    if (plugin != NULL && registry_plugin_is_ready(plugin))
        return true;
    place_of(&required->mark, place, sizeof(place));
    if (plugin == NULL)
        log_line(BERTH_LOG_ERROR, "%srequired plugin %s: nobody provides it", place, required->uri);
    else
        log_line(BERTH_LOG_ERROR, "%srequired plugin %s is %s%s%s", place, required->uri,
                 berth_state_name(plugin->state), plugin->reason != NULL ? ": " : "",
                 plugin->reason != NULL ? plugin->reason : "");
    return false;
}

size_t required_count_missing(const struct registry *registry, const struct plan_uri *required, size_t count)
{
    size_t missing = 0;

    for (size_t i = 0; i < count; i++)
        missing += !is_met(registry, &required[i]);
    return missing;
}
