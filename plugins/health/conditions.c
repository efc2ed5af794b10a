/* SPDX-License-Identifier: Apache-2.0 */
/* Which plugins can do their job. The plan's order puts providers first, so that one pass finds them all. */
#include "conditions.h"

#include <stdlib.h>
#include <string.h>

#include <berth/plugin.h>

/* The position of the URI, or where to insert it. */
static size_t find_place(const struct conditions *conditions, const char *uri)
{
    size_t first = 0, end = conditions->count;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (strcmp(conditions->entries[middle].uri, uri) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

enum condition conditions_find(const struct conditions *conditions, const char *uri)
{
    size_t place = find_place(conditions, uri);

    if (place == conditions->count || strcmp(conditions->entries[place].uri, uri) != 0)
        return CONDITION_UNKNOWN;
    return conditions->entries[place].condition;
}

/* One that starts when it is called answers calls, unless it has failed to. */
static bool is_up(const struct berth_plugin_info *plugin)
{
    return plugin->state == BERTH_STATE_READY || plugin->state == BERTH_STATE_SERVING ||
           (BERTH_HAS(plugin, starts_on_call) && plugin->code == BERTH_OK);
}

static bool is_degraded(const struct berth_plugin_info *plugin)
{
    return BERTH_HAS(plugin, condition);
}

/* A provider that never came up is one that its dependents do without, or they would not be up either. */
static bool was_up(const struct berth_plugin_info *plugin)
{
    return plugin->times.ready_at_ns > 0;
}

struct pass {
    /** Every plugin that was visited, and those among them that their dependents suffer from. */
    struct conditions all;
    struct conditions harmful;
    bool failed;
};

static bool add(struct conditions *conditions, const char *uri, enum condition condition)
{
    size_t place = find_place(conditions, uri);
    char *copy = strdup(uri);

    if (copy != NULL && conditions->count == conditions->capacity) {
        size_t capacity = conditions->capacity > 0 ? conditions->capacity * 2 : 64;
        void *grown = reallocarray(conditions->entries, capacity, sizeof(*conditions->entries));

        conditions->entries = grown != NULL ? grown : conditions->entries;
        conditions->capacity = grown != NULL ? capacity : conditions->capacity;
    }
    if (copy == NULL || conditions->count == conditions->capacity) {
        free(copy);
        return false;
    }
    memmove(&conditions->entries[place + 1], &conditions->entries[place],
            (conditions->count++ - place) * sizeof(*conditions->entries));
    conditions->entries[place] = (struct condition_entry){.uri = copy, .condition = condition};
    return true;
}

static bool suffers(const struct berth_plugin_info *plugin, const struct conditions *harmful)
{
    for (size_t i = 0; harmful->count > 0 && i < plugin->edge_count; i++)
        if (plugin->edges[i].binding &&
            conditions_find(harmful, plugin->edges[i].provider) != CONDITION_UNKNOWN)
            return true;
    return false;
}

static bool visit(void *context, const struct berth_plugin_info *plugin)
{
    struct pass *pass = context;
    bool is_ill, is_harmful;

    if (plugin->uri == NULL)
        return true;
    is_ill = !is_up(plugin) || is_degraded(plugin) || suffers(plugin, &pass->harmful);
    is_harmful = is_ill && (is_up(plugin) || was_up(plugin));
    pass->failed = !add(&pass->all, plugin->uri, is_ill ? CONDITION_ILL : CONDITION_WELL) ||
                   (is_harmful && !add(&pass->harmful, plugin->uri, CONDITION_ILL));
    return !pass->failed;
}

bool conditions_refresh(struct conditions *conditions, const struct berth_inspect *inspect)
{
    struct pass pass = {.failed = false};

    inspect->each(inspect, visit, &pass);
    conditions_finish(&pass.harmful);
    if (pass.failed) {
        conditions_finish(&pass.all);
        return false;
    }
    conditions_finish(conditions);
    *conditions = pass.all;
    return true;
}

void conditions_finish(struct conditions *conditions)
{
    for (size_t i = 0; i < conditions->count; i++)
        free(conditions->entries[i].uri);
    free(conditions->entries);
    *conditions = (struct conditions){0};
}
