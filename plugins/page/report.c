/* SPDX-License-Identifier: Apache-2.0 */
/* Writes plugins, the daemon's state and connections as JSON. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_strings(struct json *json, const char *key, const struct berth_strings *strings)
{
    json_open(json, key, '[');
    for (size_t i = 0; i < strings->count; i++)
        json_string(json, NULL, strings->items[i]);
    json_close(json, ']');
}

static void put_transports(struct json *json, const struct berth_plugin_info *plugin)
{
    json_open(json, "transports", '{');
    for (size_t i = 0; BERTH_HAS(plugin, transports) && i < plugin->services.count; i++)
        put_strings(json, plugin->services.items[i], &plugin->transports[i]);
    json_close(json, '}');
}

static void put_published(struct json *json, const struct berth_plugin_info *plugin)
{
    put_strings(json, "capabilities", &plugin->capabilities);
    json_open(json, "platforms", '[');
    for (size_t i = 0; i < plugin->platform_count; i++) {
        json_open(json, NULL, '{');
        json_text(json, "os", plugin->platforms[i].os);
        json_text(json, "architecture", plugin->platforms[i].architecture);
        json_text(json, "variant", plugin->platforms[i].variant);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_open(json, "exports", '{');
    for (size_t i = 0; i < plugin->export_count; i++)
        json_string(json, plugin->exports[i].key, plugin->exports[i].value);
    json_close(json, '}');
}

/* With "*" each of n plugins would have up to n edges. */
static void put_edges(struct json *json, const struct berth_plugin_info *plugin)
{
    json_open(json, "edges", '[');
    for (size_t i = 0; i < plugin->edge_count; i++) {
        if (strcmp(plugin->edges[i].requirement, "*") == 0)
            continue;
        json_open(json, NULL, '{');
        json_string(json, "provider", plugin->edges[i].provider);
        json_string(json, "requirement", plugin->edges[i].requirement);
        json_bool(json, "binding", plugin->edges[i].binding);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_step(struct json *json, const char *key, uint64_t start_ns, uint64_t duration_ns)
{
    if (start_ns == 0 && duration_ns == 0)
        return;
    json_open(json, key, '{');
    json_count(json, "start_ns", start_ns);
    json_count(json, "duration_ns", duration_ns);
    json_close(json, '}');
}

static void put_times(struct json *json, const struct berth_times *times)
{
    json_open(json, "times", '{');
    put_step(json, "load", times->load_start_ns, times->load_ns);
    put_step(json, "config", times->config_start_ns, times->config_ns);
    put_step(json, "prepare", times->prepare_start_ns, times->prepare_ns);
    put_step(json, "init", times->init_start_ns, times->init_ns);
    put_step(json, "serve", times->serve_start_ns, times->serve_ns);
    if (times->ready_at_ns > 0)
        json_count(json, "ready_at_ns", times->ready_at_ns);
    json_close(json, '}');
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

static void put_identity(struct json *json, const struct berth_plugin_info *plugin)
{
    json_text(json, "uri", plugin->uri);
    json_text(json, "type", plugin->type);
    json_text(json, "id", plugin->id);
    json_text(json, "path", plugin->path);
    json_text(json, "module", plugin->module);
    json_text(json, "version", plugin->version);
    json_text(json, "description", plugin->description);
}

static void put_state(struct json *json, const struct berth_plugin_info *plugin)
{
    json_string(json, "state", berth_state_name(plugin->state));
    json_string(json, "status", status_of(plugin));
    json_string(json, "code", berth_code_name(plugin->code));
    json_text(json, "reason", plugin->reason);
    json_text(json, "cause", plugin->cause);
    json_string(json, "condition", berth_code_name(condition_of(plugin)));
    json_text(json, "condition_reason", condition_reason_of(plugin));
}

void report_plugin(struct json *json, const struct berth_plugin_info *plugin)
{
    json_open(json, NULL, '{');
    put_identity(json, plugin);
    put_state(json, plugin);
    put_strings(json, "requires", &plugin->requirements);
    put_strings(json, "wants", &plugin->wants);
    put_strings(json, "services", &plugin->services);
    put_transports(json, plugin);
    put_published(json, plugin);
    put_edges(json, plugin);
    json_integer(json, "level", plugin->level);
    json_count(json, "generation", plugin->generation);
    put_times(json, &plugin->times);
    put_strings(json, "holds", &plugin->holds);
    json_close(json, '}');
}

/* The numbers of the status, and where its problems go. */
struct counts {
    struct json *json;
    uint64_t plugins, ready, skipped, rejected, problems;
};

static bool is_broken(const struct berth_plugin_info *plugin)
{
    return plugin->code != BERTH_OK && plugin->code != BERTH_SKIP;
}

static void put_problem(struct json *json, const struct berth_plugin_info *plugin)
{
    json_open(json, NULL, '{');
    json_text(json, "uri", plugin->uri);
    json_string(json, "state", is_broken(plugin) ? berth_state_name(plugin->state) : "degraded");
    json_text(json, "reason", is_broken(plugin) ? plugin->reason : condition_reason_of(plugin));
    json_text(json, "cause", plugin->cause);
    json_close(json, '}');
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

static void put_deprecations(struct json *json, const struct berth_daemon_info *daemon)
{
    size_t total = BERTH_HAS(daemon, deprecations) ? daemon->deprecation_count : 0;

    json_open(json, "deprecations", '[');
    for (size_t i = 0; i < total; i++) {
        json_open(json, NULL, '{');
        json_text(json, "subject", daemon->deprecations[i].subject);
        json_text(json, "message", daemon->deprecations[i].message);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void report_status(struct json *json, const struct berth_inspect *inspect)
{
    const struct berth_daemon_info *daemon = inspect->daemon;
    struct berth_daemon_costs costs = {.size = sizeof(costs)};
    struct counts counts = {.json = json};

    if (BERTH_HAS(inspect, daemon_costs))
        inspect->daemon_costs(inspect, &costs);
    json_open(json, NULL, '{');
    json_open(json, "problems", '[');
    inspect->each(inspect, count, &counts);
    json_close(json, ']');
    json_string(json, "verdict", verdict(&counts, daemon));
    json_count(json, "plugins", counts.plugins);
    json_count(json, "ready", counts.ready);
    json_count(json, "skipped", counts.skipped);
    json_count(json, "rejected", counts.rejected);
    json_text(json, "version", daemon->version);
    json_text(json, "revision", daemon->revision);
    json_integer(json, "pid", daemon->pid);
    json_text(json, "root", daemon->root);
    json_text(json, "state", daemon->state);
    json_bool(json, "is_ready", daemon->ready);
    json_count(json, "ready_ns", daemon->ready_ns);
    json_count(json, "uptime_ns", costs.uptime_ns);
    json_text(json, "last_death", BERTH_HAS(daemon, last_death) ? daemon->last_death : NULL);
    json_text(json, "last_death_plugin",
              BERTH_HAS(daemon, last_death_plugin) ? daemon->last_death_plugin : NULL);
    put_deprecations(json, daemon);
    json_close(json, '}');
}

struct visit {
    struct json *json;
    size_t count;
};

static bool put_connection(void *context, const struct berth_connection *connection)
{
    struct visit *visit = context;
    struct json *json = visit->json;
    const struct berth_peer *peer = connection->peer;
    const char *dot = strrchr(connection->server, '.');
    char id[256];

    if (visit->count++ == REPORT_CONNECTIONS_MAX)
        return false;
    snprintf(id, sizeof(id), "%s/%" PRIu64, dot != NULL ? dot + 1 : connection->server, connection->number);
    json_open(json, NULL, '{');
    json_string(json, "id", id);
    json_string(json, "server", connection->server);
    json_string(json, "transport", connection->transport);
    json_string(json, "peer", peer->address);
    if (peer->uid >= 0) {
        json_integer(json, "pid", peer->pid);
        json_integer(json, "uid", peer->uid);
        json_integer(json, "gid", peer->gid);
    } else {
        json_string(json, "pid", NULL);
        json_string(json, "uid", NULL);
        json_string(json, "gid", NULL);
    }
    json_text(json, "tls_subject", peer->tls_subject);
    json_open(json, "tls_names", '[');
    for (size_t i = 0; i < peer->tls_name_count; i++)
        json_string(json, NULL, peer->tls_names[i]);
    json_close(json, ']');
    json_count(json, "age_ns", uv_hrtime() - connection->since_ns);
    json_count(json, "calls_in_flight", connection->calls);
    json_close(json, '}');
    return !json->failed;
}

void report_connections(struct json *json, const struct berth_inspect *inspect)
{
    struct visit visit = {.json = json};

    json_open(json, NULL, '[');
    if (BERTH_HAS(inspect, connections))
        inspect->connections(inspect, put_connection, &visit);
    json_close(json, ']');
}
