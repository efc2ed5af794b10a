/* SPDX-License-Identifier: Apache-2.0 */
/* Prints a plugin: everything that berthd reports. */
#include "print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/error.h>

#include <sdk/base/memory.h>

#include "join.h"
#include "note.h"

char *plugin_platforms(const plugin_message *plugin)
{
    struct platform_set set = {0};

    for (size_t i = 0; i < plugin->n_platforms; i++)
        join_platform(&set, plugin->platforms[i]->os, plugin->platforms[i]->architecture,
                      plugin->platforms[i]->variant);
    return join_platforms(&set);
}

static void add_line(struct table *table, const char *name, const char *text)
{
    if (*text == '\0')
        return;
    table_add(table, name);
    table_add(table, text);
    table_end_line(table);
}

BERTH_PRINTF(3, 4)
static void add_format(struct table *table, const char *name, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = memory_format_arguments(format, arguments);
    va_end(arguments);
    add_line(table, name, text);
    free(text);
}

/* The name stands before the first of several. */
static void add_list(struct table *table, const char *name, char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_line(table, i == 0 ? name : "", texts[i]);
}

static void add_state(struct table *table, const plugin_message *plugin)
{
    char state[PLUGIN_STATE_MAX];

    plugin_format_state(plugin, state);
    table_add(table, "State:");
    table_add_coloured(table, plugin_state_colour(plugin), state);
    table_end_line(table);
    if (plugin_is_degraded(plugin))
        add_format(table, "Condition:", "%s: %s", berth_code_name((enum berth_code)plugin->condition),
                   plugin->condition_reason);
    if (plugin->code != BERTH_OK && plugin->code != BERTH_SKIP)
        add_line(table, "Code:", berth_code_name((enum berth_code)plugin->code));
    add_line(table, "Reason:", plugin->reason);
    add_line(table, "Because of:", plugin->cause);
    add_list(table, "Not ready for:", plugin->holds, plugin->n_holds);
}

/* Nothing is known about a refused file, nor by a daemon that does not look. */
static void add_signer(struct table *table, const plugin_message *plugin)
{
    if (*plugin->uri == '\0' || *plugin->signer == '\0')
        add_line(table, "Signer:", *plugin->uri == '\0' ? "" : "unsigned");
    else if (!plugin->signature_verified)
        add_format(table, "Signer:", "%s (not verified: the daemon has no keys)", plugin->signer);
    else
        add_format(table, "Signer:", "%s%s%s%s", plugin->signer, *plugin->signer_comment == '\0' ? "" : " (",
                   plugin->signer_comment, *plugin->signer_comment == '\0' ? "" : ")");
}

static void add_edges(struct table *table, const plugin_message *plugin)
{
    for (size_t i = 0; i < plugin->n_edges; i++)
        add_format(table, i == 0 ? "Follows:" : "", "%s (%s %s)", plugin->edges[i]->provider,
                   plugin->edges[i]->binding ? "requires" : "wants", plugin->edges[i]->requirement);
}

/* A daemon of an older version does not tell the transports. */
static void add_services(struct table *table, const plugin_message *plugin)
{
    if (plugin->n_transports == 0)
        add_list(table, "Services:", plugin->services, plugin->n_services);
    for (size_t i = 0; i < plugin->n_transports; i++) {
        const Berth__Inspect__V1__ServiceTransports *service = plugin->transports[i];
        char *transports = join_texts(service->transports, service->n_transports, ", ");

        add_format(table, i == 0 ? "Services:" : "", "%s over %s", service->service, transports);
        free(transports);
    }
}

static void add_exports(struct table *table, const plugin_message *plugin)
{
    for (size_t i = 0; i < plugin->n_exports; i++)
        add_format(table, i == 0 ? "Exports:" : "", "%s = %s", plugin->exports[i]->key,
                   plugin->exports[i]->value);
}

static void add_isolation(struct table *table, const Berth__Inspect__V1__Isolation *isolation)
{
    if (isolation == NULL)
        return;
    add_line(table, "Last exit:", isolation->last_end);
    add_format(table, "Exposure:", "%u of 100: %s", isolation->exposure, isolation->exposure_name);
    for (size_t i = 0; i < isolation->n_refused_calls; i++)
        add_format(table, i == 0 ? "Refused:" : "", "%s, %llu time%s", isolation->refused_calls[i]->name,
                   (unsigned long long)isolation->refused_calls[i]->count,
                   isolation->refused_calls[i]->count == 1 ? "" : "s");
    for (size_t i = 0; i < isolation->n_promises; i++) {
        const Berth__Inspect__V1__Promise *promise = isolation->promises[i];
        bool is_enforced = strcmp(promise->verdict, "enforced") == 0;

        add_format(table, i == 0 ? "Sandbox:" : "", "%s: %s%s%s", promise->name,
                   is_enforced ? "" : promise->verdict, is_enforced ? "" : ": ", promise->text);
    }
}

static void add_step(struct table *table, const char *name, const Berth__Inspect__V1__Step *step)
{
    char start[PLUGIN_DURATION_MAX], length[PLUGIN_DURATION_MAX];

    if (step == NULL)
        return;
    plugin_format_duration(step->start_ns, start);
    plugin_format_duration(step->duration_ns, length);
    add_format(table, name, "%s, from %s on", length, start);
}

static void add_times(struct table *table, const Berth__Inspect__V1__Times *times)
{
    char ready[PLUGIN_DURATION_MAX];

    if (times == NULL)
        return;
    add_step(table, "Load:", times->load);
    add_step(table, "Config:", times->config);
    add_step(table, "Prepare:", times->prepare);
    add_step(table, "Init:", times->init);
    add_step(table, "Serve:", times->serve);
    plugin_format_duration(times->ready_at_ns, ready);
    if (times->ready_at_ns > 0)
        add_format(table, "Ready:", "after %s", ready);
}

void plugin_print_text(struct table *table, const struct plugin_list *list, const plugin_message *plugin)
{
    char *platforms = plugin_platforms(plugin), *process = plugin_format_process(list, plugin);

    add_line(table, "URI:", plugin->uri);
    add_state(table, plugin);
    add_format(table, "Module:", "%s%s%s", plugin->module, *plugin->version == '\0' ? "" : " ",
               plugin->version);
    if (*plugin->newest_version != '\0')
        add_format(table, "On disk:", "%s%s %s", plugin_has_twin(plugin) ? "another " : "", plugin->module,
                   plugin->newest_version);
    if (*plugin->held_back != '\0')
        add_format(table, "On disk:", "%s %s, held back since a rollback", plugin->module, plugin->held_back);
    add_line(table, "Activation:", plugin->activation);
    add_line(table, "Process:", process);
    add_isolation(table, plugin->isolation);
    add_line(table, "File:", plugin->path);
    add_signer(table, plugin);
    add_line(table, "Description:", plugin->description);
    add_list(table, "Requires:", plugin->requires, plugin->n_requires);
    add_list(table, "Wants:", plugin->wants, plugin->n_wants);
    add_edges(table, plugin);
    add_services(table, plugin);
    add_list(table, "Capabilities:", plugin->capabilities, plugin->n_capabilities);
    if (plugin->n_platforms > 0)
        add_line(table, "Platforms:", platforms);
    add_exports(table, plugin);
    if (plugin->level >= 0)
        add_format(table, "Level:", "%d", (int)plugin->level);
    if (plugin->generation > 0)
        add_format(table, "Generation:", "%llu", (unsigned long long)plugin->generation);
    add_times(table, plugin->times);
    free(process);
    free(platforms);
}

static void json_list(struct config_json *json, const char *key, char *const *texts, size_t count)
{
    config_json_open(json, key, '[');
    for (size_t i = 0; i < count; i++)
        config_json_string(json, NULL, texts[i]);
    config_json_close(json, ']');
}

static void json_text(struct config_json *json, const char *key, const char *text)
{
    config_json_string(json, key, *text == '\0' ? NULL : text);
}

static void json_step(struct config_json *json, const char *key, const Berth__Inspect__V1__Step *step)
{
    if (step == NULL)
        return;
    config_json_open(json, key, '{');
    config_json_integer(json, "start_ns", (int64_t)step->start_ns);
    config_json_integer(json, "duration_ns", (int64_t)step->duration_ns);
    config_json_close(json, '}');
}

static void json_times(struct config_json *json, const Berth__Inspect__V1__Times *times)
{
    config_json_open(json, "times", '{');
    if (times != NULL) {
        json_step(json, "load", times->load);
        json_step(json, "config", times->config);
        json_step(json, "prepare", times->prepare);
        json_step(json, "init", times->init);
        json_step(json, "serve", times->serve);
        if (times->ready_at_ns > 0)
            config_json_integer(json, "ready_at_ns", (int64_t)times->ready_at_ns);
    }
    config_json_close(json, '}');
}

static void json_platforms(struct config_json *json, const plugin_message *plugin)
{
    config_json_open(json, "platforms", '[');
    for (size_t i = 0; i < plugin->n_platforms; i++) {
        config_json_open(json, NULL, '{');
        json_text(json, "os", plugin->platforms[i]->os);
        json_text(json, "architecture", plugin->platforms[i]->architecture);
        json_text(json, "variant", plugin->platforms[i]->variant);
        config_json_close(json, '}');
    }
    config_json_close(json, ']');
}

static void json_exports(struct config_json *json, const plugin_message *plugin)
{
    config_json_open(json, "exports", '{');
    for (size_t i = 0; i < plugin->n_exports; i++)
        config_json_string(json, plugin->exports[i]->key, plugin->exports[i]->value);
    config_json_close(json, '}');
}

static void json_edges(struct config_json *json, const plugin_message *plugin)
{
    config_json_open(json, "edges", '[');
    for (size_t i = 0; i < plugin->n_edges; i++) {
        config_json_open(json, NULL, '{');
        config_json_string(json, "provider", plugin->edges[i]->provider);
        config_json_string(json, "requirement", plugin->edges[i]->requirement);
        config_json_bool(json, "binding", plugin->edges[i]->binding);
        config_json_close(json, '}');
    }
    config_json_close(json, ']');
}

static void json_isolation(struct config_json *json, const Berth__Inspect__V1__Isolation *isolation)
{
    if (isolation == NULL) {
        config_json_string(json, "isolation", NULL);
        return;
    }
    config_json_open(json, "isolation", '{');
    config_json_open(json, "ends", '{');
    for (size_t i = 0; i < isolation->n_ends; i++)
        config_json_integer(json, isolation->ends[i]->kind, (int64_t)isolation->ends[i]->count);
    config_json_close(json, '}');
    json_text(json, "last_end", isolation->last_end);
    json_text(json, "last_end_kind", isolation->last_end_kind);
    config_json_integer(json, "exposure", isolation->exposure);
    config_json_string(json, "exposure_name", isolation->exposure_name);
    config_json_open(json, "refused_calls", '{');
    for (size_t i = 0; i < isolation->n_refused_calls; i++)
        config_json_integer(json, isolation->refused_calls[i]->name,
                            (int64_t)isolation->refused_calls[i]->count);
    config_json_close(json, '}');
    config_json_open(json, "promises", '[');
    for (size_t i = 0; i < isolation->n_promises; i++) {
        config_json_open(json, NULL, '{');
        config_json_string(json, "name", isolation->promises[i]->name);
        config_json_string(json, "verdict", isolation->promises[i]->verdict);
        config_json_integer(json, "weight", isolation->promises[i]->weight);
        config_json_string(json, "text", isolation->promises[i]->text);
        config_json_close(json, '}');
    }
    config_json_close(json, ']');
    config_json_close(json, '}');
}

static void json_process(struct config_json *json, const plugin_message *plugin)
{
    config_json_bool(json, "isolated", plugin_is_isolated(plugin));
    if (plugin->isolation != NULL && plugin->isolation->process != 0)
        config_json_integer(json, "process", (int64_t)plugin->isolation->process);
    else
        config_json_string(json, "process", NULL);
    if (plugin->isolation != NULL)
        config_json_integer(json, "restarts", (int64_t)plugin->isolation->restarts);
    else
        config_json_string(json, "restarts", NULL);
    json_isolation(json, plugin->isolation);
}

static void json_identity(struct config_json *json, const plugin_message *plugin)
{
    json_text(json, "uri", plugin->uri);
    json_text(json, "type", plugin->type);
    json_text(json, "id", plugin->id);
    json_text(json, "path", plugin->path);
    json_text(json, "module", plugin->module);
    json_text(json, "version", plugin->version);
    json_text(json, "newest_version", plugin->newest_version);
    json_text(json, "held_back", plugin->held_back);
    config_json_bool(json, "starts_on_call", plugin->starts_on_call);
    json_text(json, "activation", plugin->activation);
    json_process(json, plugin);
    json_text(json, "signer", plugin->signer);
    config_json_bool(json, "signature_verified", plugin->signature_verified);
    json_text(json, "signer_comment", plugin->signer_comment);
    json_text(json, "description", plugin->description);
}

static void json_transports(struct config_json *json, const plugin_message *plugin)
{
    config_json_open(json, "transports", '{');
    for (size_t i = 0; i < plugin->n_transports; i++)
        json_list(json, plugin->transports[i]->service, plugin->transports[i]->transports,
                  plugin->transports[i]->n_transports);
    config_json_close(json, '}');
}

void plugin_print_json(struct config_json *json, const plugin_message *plugin, const plugin_costs *costs,
                       const settings_message *settings)
{
    config_json_open(json, NULL, '{');
    json_identity(json, plugin);
    config_json_string(json, "state", plugin_state_name(plugin));
    config_json_string(json, "status", plugin_status(plugin));
    config_json_string(json, "code", berth_code_name((enum berth_code)plugin->code));
    json_text(json, "reason", plugin->reason);
    json_text(json, "cause", plugin->cause);
    config_json_string(json, "condition", berth_code_name((enum berth_code)plugin->condition));
    json_text(json, "condition_reason", plugin->condition_reason);
    json_list(json, "requires", plugin->requires, plugin->n_requires);
    json_list(json, "wants", plugin->wants, plugin->n_wants);
    json_list(json, "services", plugin->services, plugin->n_services);
    json_transports(json, plugin);
    json_list(json, "capabilities", plugin->capabilities, plugin->n_capabilities);
    json_platforms(json, plugin);
    json_exports(json, plugin);
    json_edges(json, plugin);
    config_json_integer(json, "level", plugin->level);
    config_json_integer(json, "generation", (int64_t)plugin->generation);
    json_times(json, plugin->times);
    json_list(json, "holds", plugin->holds, plugin->n_holds);
    if (costs != NULL) {
        config_json_open(json, "costs", '{');
        costs_print_json(json, costs);
        config_json_close(json, '}');
    }
    if (settings != NULL)
        settings_print_json(json, settings);
    config_json_close(json, '}');
}
