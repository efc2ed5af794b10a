/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what the daemon and its plugins cost as JSON. */
#include "report.h"

void report_daemon_costs(struct json *json, const char *key, const struct berth_inspect *inspect)
{
    struct berth_daemon_costs costs = {.size = sizeof(costs)};

    json_open(json, key, '{');
    if (BERTH_HAS(inspect, daemon_costs)) {
        inspect->daemon_costs(inspect, &costs);
        json_count(json, "uptime_ns", costs.uptime_ns);
        json_count(json, "cpu_ns", costs.cpu_ns);
        json_count(json, "memory_bytes", costs.memory_bytes);
        json_count(json, "anonymous_bytes", costs.anonymous_bytes);
        json_count(json, "handles", costs.handles);
        json_count(json, "other_handles", costs.other_handles);
        json_count(json, "plugins_ns", costs.plugins_ns);
        json_count(json, "busy_ns", costs.busy_ns);
        json_count(json, "unattributed_ns", costs.unattributed_ns);
        json_count(json, "turns", costs.turns);
        json_count(json, "longest_turn_ns", costs.longest_turn_ns);
        json_count(json, "lag_ns", costs.lag_ns);
        json_count(json, "unattributed_stalls", costs.other_stalls);
    }
    json_close(json, '}');
}

static void put_method(struct json *json, const struct berth_method_costs *method)
{
    json_open(json, NULL, '{');
    json_string(json, "method", method->path);
    json_count(json, "calls", method->opened);
    json_count(json, "in_flight", method->in_flight);
    json_open(json, "ended", '{');
    for (size_t i = 0; i < method->ended_count; i++)
        if (method->ended[i] > 0)
            json_count(json, berth_code_name((enum berth_code)i), method->ended[i]);
    json_close(json, '}');
    json_count(json, "messages_received", method->messages_received);
    json_count(json, "bytes_received", method->bytes_received);
    json_count(json, "messages_sent", method->messages_sent);
    json_count(json, "bytes_sent", method->bytes_sent);
    json_close(json, '}');
}

void report_costs(struct json *json, const struct berth_plugin_costs *costs)
{
    json_open(json, NULL, '{');
    json_string(json, "uri", costs->uri);
    json_count(json, "loop_ns", costs->loop_ns);
    json_count(json, "longest_ns", costs->longest_ns);
    json_count(json, "entries", costs->entries);
    json_count(json, "slow", costs->slow);
    json_count(json, "stalls", costs->stalls);
    json_count(json, "degradations", costs->degradations);
    json_count(json, "misuses", costs->misuses);
    json_text(json, "module", costs->module);
    json_count(json, "module_plugins", costs->module_plugins);
    json_count(json, "module_handles", costs->handles);
    json_count(json, "module_memory_bytes", costs->memory_bytes);
    json_open(json, "methods", '[');
    for (size_t i = 0; i < costs->method_count; i++)
        put_method(json, &costs->methods[i]);
    json_close(json, ']');
    json_close(json, '}');
}
