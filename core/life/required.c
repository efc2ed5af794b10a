/* SPDX-License-Identifier: Apache-2.0 */
/* Are the plugins under `required_plugins` there? Says so of all that are not, at once. */
#include "required.h"

#include <core/base/log.h>

static void place_of(const struct config_mark *mark, char *text, size_t size)
{
    if (mark->file != NULL && mark->line > 0)
        snprintf(text, size, "%s:%u:%u: ", mark->file, mark->line, mark->column);
    else
        text[0] = '\0';
}

static bool is_met(const struct registry *registry, const struct settings_uri *required)
{
    const struct registry_plugin *plugin = registry_find(registry, required->uri);

    return plugin != NULL && registry_plugin_is_ready(plugin);
}

static void report(const struct registry *registry, const struct settings_uri *required,
                   const char *consequence)
{
    const struct registry_plugin *plugin = registry_find(registry, required->uri);
    char place[512];

    place_of(&required->mark, place, sizeof(place));
    if (plugin == NULL)
        log_line(BERTH_LOG_ERROR, "%srequired plugin %s: no such plugin%s", place, required->uri,
                 consequence);
    else
        log_line(BERTH_LOG_ERROR, "%srequired plugin %s is %s%s%s%s", place, required->uri,
                 berth_state_name(plugin->state), plugin->reason != NULL ? ": " : "",
                 plugin->reason != NULL ? plugin->reason : "", consequence);
}

bool required_are_ready(const struct registry *registry, const struct settings_uri *required, size_t count)
{
    size_t missing = 0;

    for (size_t i = 0; i < count; i++)
        missing += !is_met(registry, &required[i]);
    for (size_t i = 0; missing > 0 && i < count; i++)
        if (!is_met(registry, &required[i]))
            report(registry, &required[i], missing == 1 ? "; shutting down" : "");
    if (missing > 1)
        log_line(BERTH_LOG_ERROR, "%zu of %zu required plugins are not ready; shutting down", missing, count);
    return missing == 0;
}
