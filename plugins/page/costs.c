/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what the daemon and its plugins cost as JSON. */
#include "report.h"

void report_daemon_costs(struct berth_json_writer *json, const char *key, const struct berth_inspect *inspect)
{
    struct berth_daemon_costs costs = {.size = sizeof(costs)};

    berth_json_open(json, key, '{');
    if (BERTH_HAS(inspect, daemon_costs)) {
        inspect->daemon_costs(inspect, &costs);
        berth_json_count(json, "uptime_ns", costs.uptime_ns);
        berth_json_count(json, "cpu_ns", costs.cpu_ns);
        berth_json_count(json, "memory_bytes", costs.memory_bytes);
        berth_json_count(json, "anonymous_bytes", costs.anonymous_bytes);
        berth_json_count(json, "handles", costs.handles);
        berth_json_count(json, "other_handles", costs.other_handles);
        berth_json_count(json, "plugins_ns", costs.plugins_ns);
        berth_json_count(json, "busy_ns", costs.busy_ns);
        berth_json_count(json, "unattributed_ns", costs.unattributed_ns);
        berth_json_count(json, "turns", costs.turns);
        berth_json_count(json, "longest_turn_ns", costs.longest_turn_ns);
        berth_json_count(json, "lag_ns", costs.lag_ns);
        berth_json_count(json, "unattributed_stalls", costs.other_stalls);
    }
    berth_json_close(json, '}');
}

static void put_method(struct berth_json_writer *json, const struct berth_method_costs *method)
{
    berth_json_open(json, NULL, '{');
    berth_json_string(json, "method", method->path);
    berth_json_count(json, "calls", method->opened);
    berth_json_count(json, "in_flight", method->in_flight);
    berth_json_open(json, "ended", '{');
    for (size_t i = 0; i < method->ended_count; i++)
        if (method->ended[i] > 0)
            berth_json_count(json, berth_code_name((enum berth_code)i), method->ended[i]);
    berth_json_close(json, '}');
    berth_json_count(json, "messages_received", method->messages_received);
    berth_json_count(json, "bytes_received", method->bytes_received);
    berth_json_count(json, "messages_sent", method->messages_sent);
    berth_json_count(json, "bytes_sent", method->bytes_sent);
    berth_json_close(json, '}');
}

void report_costs(struct berth_json_writer *json, const struct berth_plugin_costs *costs)
{
    berth_json_open(json, NULL, '{');
    berth_json_string(json, "uri", costs->uri);
    berth_json_count(json, "loop_ns", costs->loop_ns);
    berth_json_count(json, "longest_ns", costs->longest_ns);
    berth_json_count(json, "entries", costs->entries);
    berth_json_count(json, "slow", costs->slow);
    berth_json_count(json, "stalls", costs->stalls);
    berth_json_count(json, "degradations", costs->degradations);
    berth_json_count(json, "misuses", costs->misuses);
    berth_json_text(json, "module", costs->module);
    berth_json_count(json, "module_plugins", costs->module_plugins);
    berth_json_count(json, "module_handles", costs->handles);
    berth_json_count(json, "module_memory_bytes", costs->memory_bytes);
    berth_json_open(json, "methods", '[');
    for (size_t i = 0; i < costs->method_count; i++)
        put_method(json, &costs->methods[i]);
    berth_json_close(json, ']');
    berth_json_close(json, '}');
}
