/* SPDX-License-Identifier: Apache-2.0 */
/* The plugins as a daemon told of them. */
#include "list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/inspect.h>

#include <config/text/diagnostics.h>
#include <config/text/utf8.h>

#include <sdk/base/memory.h>

static void clean_all(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        utf8_make_line(texts[i]);
}

static void clean(plugin_message *plugin)
{
    char *texts[] = {plugin->uri,
                     plugin->type,
                     plugin->id,
                     plugin->path,
                     plugin->module,
                     plugin->version,
                     plugin->description,
                     plugin->reason,
                     plugin->cause,
                     plugin->condition_reason,
                     plugin->signer,
                     plugin->signer_comment,
                     plugin->newest_version,
                     plugin->held_back,
                     plugin->activation};

    clean_all(texts, sizeof(texts) / sizeof(texts[0]));
    clean_all(plugin->requires, plugin->n_requires);
    clean_all(plugin->wants, plugin->n_wants);
    clean_all(plugin->services, plugin->n_services);
    clean_all(plugin->capabilities, plugin->n_capabilities);
    clean_all(plugin->holds, plugin->n_holds);
    for (size_t i = 0; i < plugin->n_transports; i++) {
        utf8_make_line(plugin->transports[i]->service);
        clean_all(plugin->transports[i]->transports, plugin->transports[i]->n_transports);
    }
    for (size_t i = 0; i < plugin->n_edges; i++) {
        utf8_make_line(plugin->edges[i]->provider);
        utf8_make_line(plugin->edges[i]->requirement);
    }
}

static void clean_isolation(Berth__Inspect__V1__Isolation *isolation)
{
    utf8_make_line(isolation->last_end);
    utf8_make_line(isolation->last_end_kind);
    utf8_make_line(isolation->exposure_name);
    for (size_t i = 0; i < isolation->n_ends; i++)
        utf8_make_line(isolation->ends[i]->kind);
    for (size_t i = 0; i < isolation->n_refused_calls; i++)
        utf8_make_line(isolation->refused_calls[i]->name);
    for (size_t i = 0; i < isolation->n_promises; i++) {
        utf8_make_line(isolation->promises[i]->name);
        utf8_make_line(isolation->promises[i]->verdict);
        utf8_make_line(isolation->promises[i]->text);
    }
}

void plugin_list_add(struct plugin_list *list, plugin_message *plugin)
{
    clean(plugin);
    if (plugin->isolation != NULL)
        clean_isolation(plugin->isolation);
    list->plugins = memory_grow(list->plugins, list->count, sizeof(*list->plugins));
    list->plugins[list->count++] = plugin;
}

void plugin_list_finish(struct plugin_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        berth__inspect__v1__plugin__free_unpacked(list->plugins[i], NULL);
    free(list->plugins);
    *list = (struct plugin_list){0};
}

const plugin_message *plugin_list_find(const struct plugin_list *list, const char *uri)
{
    const plugin_message *found = NULL;

    for (size_t i = 0; i < list->count && *uri != '\0'; i++) {
        if (strcmp(list->plugins[i]->uri, uri) != 0)
            continue;
        if (list->plugins[i]->state != BERTH__INSPECT__V1__STATE__STATE_REJECTED)
            return list->plugins[i];
        if (found == NULL)
            found = list->plugins[i];
    }
    return found;
}

static const char *only_with_id(const struct plugin_list *list, const char *id)
{
    const char *found = NULL;

    for (size_t i = 0; i < list->count; i++) {
        if (*list->plugins[i]->uri == '\0' || strcmp(list->plugins[i]->id, id) != 0)
            continue;
        if (found != NULL)
            return NULL;
        found = list->plugins[i]->uri;
    }
    return found;
}

const char *plugin_list_nearest(const struct plugin_list *list, const char *uri)
{
    const char **uris = memory_allocate(list->count, sizeof(*uris));
    const char *nearest = only_with_id(list, uri);

    for (size_t i = 0; i < list->count; i++)
        uris[i] = list->plugins[i]->uri;
    if (nearest == NULL)
        nearest = config_nearest(uri, uris, list->count);
    free(uris);
    return nearest;
}

size_t plugin_list_refused(const struct plugin_list *list)
{
    size_t refused = 0;

    for (size_t i = 0; i < list->count; i++)
        refused += *list->plugins[i]->uri == '\0';
    return refused;
}

/* On the wire 0 is kept for "unspecified". */
static enum berth_state state_of(const plugin_message *plugin)
{
    return (enum berth_state)((int)plugin->state - 1);
}

bool plugin_is_degraded(const plugin_message *plugin)
{
    return plugin->condition != BERTH_OK;
}

const char *plugin_state_name(const plugin_message *plugin)
{
    return berth_state_name(state_of(plugin));
}

void plugin_format_state(const plugin_message *plugin, char ret_text[PLUGIN_STATE_MAX])
{
    snprintf(ret_text, PLUGIN_STATE_MAX, "%s%s", plugin_state_name(plugin),
             plugin_is_degraded(plugin) ? ", degraded" : "");
}

enum table_colour plugin_state_colour(const plugin_message *plugin)
{
    if (plugin_is_degraded(plugin))
        return TABLE_YELLOW;
    switch (state_of(plugin)) {
    case BERTH_STATE_READY:
    case BERTH_STATE_SERVING:
        return TABLE_GREEN;
    case BERTH_STATE_REJECTED:
    case BERTH_STATE_BLOCKED:
    case BERTH_STATE_FAILED:
    case BERTH_STATE_TIMED_OUT:
    case BERTH_STATE_QUARANTINED:
        return TABLE_RED;
    case BERTH_STATE_DISABLED:
    case BERTH_STATE_SKIPPED:
    case BERTH_STATE_WAITING:
    case BERTH_STATE_PREPARING:
    case BERTH_STATE_STARTING:
    case BERTH_STATE_DRAINING:
    case BERTH_STATE_STOPPED:
        return TABLE_YELLOW;
    case BERTH_STATE_IDLE:
        break;
    }
    return TABLE_PLAIN;
}

bool plugin_is_well(const plugin_message *plugin)
{
    enum berth_state state = state_of(plugin);

    return (state == BERTH_STATE_READY || state == BERTH_STATE_SERVING || state == BERTH_STATE_IDLE) &&
           !plugin_is_degraded(plugin);
}

bool plugin_has_settled(const plugin_message *plugin)
{
    enum berth_state state = state_of(plugin);

    return state != BERTH_STATE_WAITING && state != BERTH_STATE_PREPARING && state != BERTH_STATE_STARTING;
}

const char *plugin_status(const plugin_message *plugin)
{
    if (plugin->code == BERTH_OK)
        return "ok";
    return plugin->code == BERTH_SKIP ? "skip" : "error";
}

uint64_t plugin_step_ns(const Berth__Inspect__V1__Step *step)
{
    return step == NULL ? 0 : step->duration_ns;
}

static uint64_t end_of(const Berth__Inspect__V1__Step *step)
{
    return step == NULL ? 0 : step->start_ns + step->duration_ns;
}

uint64_t plugin_settled_ns(const plugin_message *plugin)
{
    const Berth__Inspect__V1__Times *times = plugin->times;

    if (times == NULL)
        return 0;
    if (times->init != NULL)
        return end_of(times->init);
    if (times->prepare != NULL)
        return end_of(times->prepare);
    return times->load != NULL ? end_of(times->load) : 0;
}

uint64_t plugin_cost_ns(const plugin_message *plugin)
{
    const Berth__Inspect__V1__Times *times = plugin->times;

    if (times == NULL)
        return 0;
    return plugin_step_ns(times->load) + plugin_step_ns(times->config) + plugin_step_ns(times->prepare) +
           plugin_step_ns(times->init) + plugin_step_ns(times->serve);
}

void plugin_format_duration(uint64_t ns, char ret_text[PLUGIN_DURATION_MAX])
{
    static const struct {
        uint64_t ns;
        const char *name;
    } units[] = {{1000000000, "s"}, {1000000, "ms"}, {1000, "us"}};

    if (ns == 0) {
        strcpy(ret_text, "-");
        return;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        double value = (double)ns / (double)units[i].ns;

        if (ns < units[i].ns)
            continue;
        snprintf(ret_text, PLUGIN_DURATION_MAX, "%.*f%s",
                 value < 10    ? 2
                 : value < 100 ? 1
                               : 0,
                 value, units[i].name);
        return;
    }
    snprintf(ret_text, PLUGIN_DURATION_MAX, "%uns", (unsigned)ns);
}

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
