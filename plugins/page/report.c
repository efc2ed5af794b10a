/* SPDX-License-Identifier: Apache-2.0 */
/* Writes plugins, their settings, the daemon's state and connections as JSON. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_strings(struct berth_json_writer *json, const char *key, const struct berth_strings *strings)
{
    berth_json_open(json, key, '[');
    for (size_t i = 0; i < strings->count; i++)
        berth_json_string(json, NULL, strings->items[i]);
    berth_json_close(json, ']');
}

static void put_transports(struct berth_json_writer *json, const struct berth_plugin_info *plugin)
{
    berth_json_open(json, "transports", '{');
    for (size_t i = 0; BERTH_HAS(plugin, transports) && i < plugin->services.count; i++)
        put_strings(json, plugin->services.items[i], &plugin->transports[i]);
    berth_json_close(json, '}');
}

static void put_published(struct berth_json_writer *json, const struct berth_plugin_info *plugin)
{
    put_strings(json, "capabilities", &plugin->capabilities);
    berth_json_open(json, "platforms", '[');
    for (size_t i = 0; i < plugin->platform_count; i++) {
        berth_json_open(json, NULL, '{');
        berth_json_text(json, "os", plugin->platforms[i].os);
        berth_json_text(json, "architecture", plugin->platforms[i].architecture);
        berth_json_text(json, "variant", plugin->platforms[i].variant);
        berth_json_close(json, '}');
    }
    berth_json_close(json, ']');
    berth_json_open(json, "exports", '{');
    for (size_t i = 0; i < plugin->export_count; i++)
        berth_json_string(json, plugin->exports[i].key, plugin->exports[i].value);
    berth_json_close(json, '}');
}

/* With "*" each of n plugins would have up to n edges. */
static void put_edges(struct berth_json_writer *json, const struct berth_plugin_info *plugin)
{
    berth_json_open(json, "edges", '[');
    for (size_t i = 0; i < plugin->edge_count; i++) {
        if (strcmp(plugin->edges[i].requirement, "*") == 0)
            continue;
        berth_json_open(json, NULL, '{');
        berth_json_string(json, "provider", plugin->edges[i].provider);
        berth_json_string(json, "requirement", plugin->edges[i].requirement);
        berth_json_bool(json, "binding", plugin->edges[i].binding);
        berth_json_close(json, '}');
    }
    berth_json_close(json, ']');
}

static void put_step(struct berth_json_writer *json, const char *key, uint64_t start_ns, uint64_t duration_ns)
{
    if (start_ns == 0 && duration_ns == 0)
        return;
    berth_json_open(json, key, '{');
    berth_json_count(json, "start_ns", start_ns);
    berth_json_count(json, "duration_ns", duration_ns);
    berth_json_close(json, '}');
}

static void put_times(struct berth_json_writer *json, const struct berth_times *times)
{
    berth_json_open(json, "times", '{');
    put_step(json, "load", times->load_start_ns, times->load_ns);
    put_step(json, "config", times->config_start_ns, times->config_ns);
    put_step(json, "prepare", times->prepare_start_ns, times->prepare_ns);
    put_step(json, "init", times->init_start_ns, times->init_ns);
    put_step(json, "serve", times->serve_start_ns, times->serve_ns);
    if (times->ready_at_ns > 0)
        berth_json_count(json, "ready_at_ns", times->ready_at_ns);
    berth_json_close(json, '}');
}

static enum berth_code condition_of(const struct berth_plugin_info *plugin)
{
    return plugin->size >= offsetof(struct berth_plugin_info, condition_reason) ? plugin->condition
                                                                                : BERTH_OK;
}

static const char *condition_reason_of(const struct berth_plugin_info *plugin)
{
    return BERTH_HAS(plugin, condition_reason) ? plugin->condition_reason : NULL;
}

static const char *status_of(const struct berth_plugin_info *plugin)
{
    if (plugin->code == BERTH_OK)
        return "ok";
    return plugin->code == BERTH_SKIP ? "skip" : "error";
}

static void put_isolation(struct berth_json_writer *json, const struct berth_isolation *isolation)
{
    if (isolation == NULL) {
        berth_json_string(json, "isolation", NULL);
        return;
    }
    berth_json_open(json, "isolation", '{');
    berth_json_open(json, "ends", '{');
    for (size_t i = 0; i < BERTH_PROCESS_ENDS; i++)
        berth_json_integer(json, berth_process_end_name((enum berth_process_end)i),
                           (int64_t)isolation->ends[i]);
    berth_json_close(json, '}');
    berth_json_text(json, "last_end", isolation->last_end);
    berth_json_string(json, "last_end_kind",
                      isolation->last_end != NULL ? berth_process_end_name(isolation->last_end_kind) : NULL);
    berth_json_integer(json, "exposure", isolation->exposure);
    berth_json_string(json, "exposure_name", isolation->exposure_name);
    berth_json_open(json, "promises", '[');
    for (size_t i = 0; i < isolation->promise_count; i++) {
        berth_json_open(json, NULL, '{');
        berth_json_string(json, "name", isolation->promises[i].name);
        berth_json_string(json, "verdict", berth_promise_verdict_name(isolation->promises[i].verdict));
        berth_json_integer(json, "weight", isolation->promises[i].weight);
        berth_json_text(json, "text", isolation->promises[i].text);
        berth_json_close(json, '}');
    }
    berth_json_close(json, ']');
    berth_json_close(json, '}');
}

static void put_process(struct berth_json_writer *json, const struct berth_plugin_info *plugin)
{
    const struct berth_isolation *isolation = BERTH_HAS(plugin, isolation) ? plugin->isolation : NULL;

    berth_json_bool(json, "isolated", isolation != NULL);
    if (isolation != NULL && isolation->process != 0)
        berth_json_integer(json, "process", (int64_t)isolation->process);
    else
        berth_json_string(json, "process", NULL);
    if (isolation != NULL)
        berth_json_integer(json, "restarts", (int64_t)isolation->restarts);
    else
        berth_json_string(json, "restarts", NULL);
    put_isolation(json, isolation);
}

static void put_identity(struct berth_json_writer *json, const struct berth_plugin_info *plugin)
{
    berth_json_text(json, "uri", plugin->uri);
    berth_json_text(json, "type", plugin->type);
    berth_json_text(json, "id", plugin->id);
    berth_json_text(json, "path", plugin->path);
    berth_json_text(json, "module", plugin->module);
    berth_json_text(json, "version", plugin->version);
    berth_json_text(json, "newest_version",
                    BERTH_HAS(plugin, newest_version) ? plugin->newest_version : NULL);
    berth_json_text(json, "held_back", BERTH_HAS(plugin, held_back) ? plugin->held_back : NULL);
    put_process(json, plugin);
    if (plugin->size > offsetof(struct berth_plugin_info, signer_comment)) {
        berth_json_text(json, "signer", plugin->signer);
        berth_json_bool(json, "signature_verified", plugin->signature_verified);
        berth_json_text(json, "signer_comment", plugin->signer_comment);
    }
    berth_json_text(json, "description", plugin->description);
    berth_json_bool(json, "starts_on_call", BERTH_HAS(plugin, activation) && plugin->starts_on_call);
    berth_json_text(json, "activation", BERTH_HAS(plugin, activation) ? plugin->activation : NULL);
}

static void put_state(struct berth_json_writer *json, const struct berth_plugin_info *plugin)
{
    berth_json_string(json, "state", berth_state_name(plugin->state));
    berth_json_string(json, "status", status_of(plugin));
    berth_json_string(json, "code", berth_code_name(plugin->code));
    berth_json_text(json, "reason", plugin->reason);
    berth_json_text(json, "cause", plugin->cause);
    berth_json_string(json, "condition", berth_code_name(condition_of(plugin)));
    berth_json_text(json, "condition_reason", condition_reason_of(plugin));
}

void report_plugin(struct berth_json_writer *json, const struct berth_plugin_info *plugin)
{
    berth_json_open(json, NULL, '{');
    put_identity(json, plugin);
    put_state(json, plugin);
    put_strings(json, "requires", &plugin->requirements);
    put_strings(json, "wants", &plugin->wants);
    put_strings(json, "services", &plugin->services);
    put_transports(json, plugin);
    put_published(json, plugin);
    put_edges(json, plugin);
    berth_json_integer(json, "level", plugin->level);
    berth_json_count(json, "generation", plugin->generation);
    put_times(json, &plugin->times);
    put_strings(json, "holds", &plugin->holds);
    berth_json_close(json, '}');
}

/* The numbers of the status, and where its problems go. */
struct counts {
    struct berth_json_writer *json;
    uint64_t plugins, ready, skipped, idle, rejected, problems;
};

static bool is_broken(const struct berth_plugin_info *plugin)
{
    return plugin->code != BERTH_OK && plugin->code != BERTH_SKIP;
}

static void put_problem(struct berth_json_writer *json, const struct berth_plugin_info *plugin)
{
    berth_json_open(json, NULL, '{');
    berth_json_text(json, "uri", plugin->uri);
    berth_json_string(json, "state", is_broken(plugin) ? berth_state_name(plugin->state) : "degraded");
    berth_json_text(json, "reason", is_broken(plugin) ? plugin->reason : condition_reason_of(plugin));
    berth_json_text(json, "cause", plugin->cause);
    berth_json_close(json, '}');
}

static bool count(void *context, const struct berth_plugin_info *plugin)
{
    struct counts *counts = context;

    if (plugin->uri == NULL || plugin->state == BERTH_STATE_REJECTED) {
        counts->rejected++;
        return true;
    }
    counts->plugins++;
    counts->ready += plugin->state == BERTH_STATE_READY || plugin->state == BERTH_STATE_SERVING;
    counts->skipped += plugin->code == BERTH_SKIP;
    counts->idle += plugin->state == BERTH_STATE_IDLE;
    if (is_broken(plugin) || condition_of(plugin) != BERTH_OK) {
        counts->problems++;
        put_problem(counts->json, plugin);
    }
    return !counts->json->failed;
}

static const char *verdict(const struct counts *counts, const struct berth_daemon_info *daemon)
{
    if (daemon->draining)
        return "shutting down";
    if (counts->problems > 0)
        return "degraded";
    return daemon->ready ? "ready" : "starting";
}

static void put_deprecations(struct berth_json_writer *json, const struct berth_daemon_info *daemon)
{
    size_t total = BERTH_HAS(daemon, deprecations) ? daemon->deprecation_count : 0;

    berth_json_open(json, "deprecations", '[');
    for (size_t i = 0; i < total; i++) {
        berth_json_open(json, NULL, '{');
        berth_json_text(json, "subject", daemon->deprecations[i].subject);
        berth_json_text(json, "message", daemon->deprecations[i].message);
        berth_json_close(json, '}');
    }
    berth_json_close(json, ']');
}

static void put_residents(struct berth_json_writer *json, const struct berth_daemon_info *daemon)
{
    size_t total = BERTH_HAS(daemon, resident_count) ? daemon->resident_count : 0;

    berth_json_open(json, "residents", '[');
    for (size_t i = 0; i < total; i++) {
        berth_json_open(json, NULL, '{');
        berth_json_text(json, "module", daemon->residents[i].module);
        berth_json_text(json, "path", daemon->residents[i].path);
        berth_json_text(json, "reason", daemon->residents[i].reason);
        berth_json_count(json, "bytes", daemon->residents[i].bytes);
        berth_json_close(json, '}');
    }
    berth_json_close(json, ']');
}

void report_status(struct berth_json_writer *json, const struct berth_inspect *inspect)
{
    const struct berth_daemon_info *daemon = inspect->daemon;
    struct berth_daemon_costs costs = {.size = sizeof(costs)};
    struct counts counts = {.json = json};

    if (BERTH_HAS(inspect, daemon_costs))
        inspect->daemon_costs(inspect, &costs);
    berth_json_open(json, NULL, '{');
    berth_json_open(json, "problems", '[');
    inspect->each(inspect, count, &counts);
    berth_json_close(json, ']');
    berth_json_string(json, "verdict", verdict(&counts, daemon));
    berth_json_count(json, "plugins", counts.plugins);
    berth_json_count(json, "ready", counts.ready);
    berth_json_count(json, "skipped", counts.skipped);
    berth_json_count(json, "idle", counts.idle);
    berth_json_count(json, "rejected", counts.rejected);
    berth_json_text(json, "version", daemon->version);
    berth_json_text(json, "revision", daemon->revision);
    berth_json_integer(json, "pid", daemon->pid);
    berth_json_text(json, "root", daemon->root);
    berth_json_text(json, "state", daemon->state);
    berth_json_bool(json, "is_ready", daemon->ready);
    berth_json_count(json, "ready_ns", daemon->ready_ns);
    berth_json_count(json, "uptime_ns", costs.uptime_ns);
    berth_json_text(json, "last_death", BERTH_HAS(daemon, last_death) ? daemon->last_death : NULL);
    berth_json_text(json, "last_death_plugin",
                    BERTH_HAS(daemon, last_death_plugin) ? daemon->last_death_plugin : NULL);
    put_residents(json, daemon);
    put_deprecations(json, daemon);
    berth_json_close(json, '}');
}

struct visit {
    struct berth_json_writer *json;
    size_t count;
};

static bool put_connection(void *context, const struct berth_connection *connection)
{
    struct visit *visit = context;
    struct berth_json_writer *json = visit->json;
    const struct berth_peer *peer = connection->peer;
    const char *dot = strrchr(connection->server, '.');
    char id[256];

    if (visit->count++ == REPORT_CONNECTIONS_MAX)
        return false;
    snprintf(id, sizeof(id), "%s/%" PRIu64, dot != NULL ? dot + 1 : connection->server, connection->number);
    berth_json_open(json, NULL, '{');
    berth_json_string(json, "id", id);
    berth_json_string(json, "server", connection->server);
    berth_json_string(json, "transport", connection->transport);
    berth_json_string(json, "peer", peer->address);
    if (peer->uid >= 0) {
        berth_json_integer(json, "pid", peer->pid);
        berth_json_integer(json, "uid", peer->uid);
        berth_json_integer(json, "gid", peer->gid);
    } else {
        berth_json_string(json, "pid", NULL);
        berth_json_string(json, "uid", NULL);
        berth_json_string(json, "gid", NULL);
    }
    berth_json_text(json, "tls_subject", peer->tls_subject);
    berth_json_open(json, "tls_names", '[');
    for (size_t i = 0; i < peer->tls_name_count; i++)
        berth_json_string(json, NULL, peer->tls_names[i]);
    berth_json_close(json, ']');
    berth_json_count(json, "age_ns", uv_hrtime() - connection->since_ns);
    berth_json_count(json, "calls_in_flight", connection->calls);
    berth_json_close(json, '}');
    return !json->failed;
}

void report_connections(struct berth_json_writer *json, const struct berth_inspect *inspect)
{
    struct visit visit = {.json = json};

    berth_json_open(json, NULL, '[');
    if (BERTH_HAS(inspect, connections))
        inspect->connections(inspect, put_connection, &visit);
    berth_json_close(json, ']');
}

struct settings_visit {
    struct berth_json_writer *json;
    size_t count;
    bool has_more;
};

static bool put_setting(void *context, const struct berth_setting *setting)
{
    struct settings_visit *visit = context;
    struct berth_json_writer *json = visit->json;

    visit->has_more = visit->count++ == REPORT_SETTINGS_MAX;
    if (visit->has_more)
        return false;
    berth_json_open(json, NULL, '{');
    berth_json_string(json, "path", setting->path);
    berth_json_text(json, "value", setting->value);
    berth_json_text(json, "where", setting->where);
    berth_json_text(json, "was", setting->was);
    berth_json_bool(json, "secret", setting->is_secret);
    berth_json_bool(json, "cut", setting->is_cut);
    berth_json_close(json, '}');
    return !json->failed;
}

bool report_settings(struct berth_json_writer *json, const struct berth_inspect *inspect, const char *uri)
{
    struct settings_visit visit = {.json = json};
    struct berth_error err;
    enum berth_code code = BERTH_OK;

    berth_json_open(json, NULL, '{');
    berth_json_open(json, "settings", '[');
    if (BERTH_HAS(inspect, settings))
        code = inspect->settings(inspect, uri, put_setting, &visit, &err);
    berth_json_close(json, ']');
    berth_json_bool(json, "more_settings", visit.has_more);
    berth_json_close(json, '}');
    return code != BERTH_NOT_FOUND;
}
