/* SPDX-License-Identifier: Apache-2.0 */
/* What one plugin costs, for people and for programs. */
#include "costs.h"

#include <inttypes.h>
#include <stdio.h>

void costs_format_size(uint64_t bytes, char ret_text[PLUGIN_DURATION_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
        value /= 1024;
        unit++;
    }
    snprintf(ret_text, PLUGIN_DURATION_MAX, "%.*f%s",
             unit == 0 || value >= 100 ? 0
             : value < 10              ? 2
                                       : 1,
             value, units[unit]);
}

static void add_line(struct table *table, const char *name, const char *text)
{
    table_add(table, name);
    table_add(table, text);
    table_end_line(table);
}

static void add_loop(struct table *table, const plugin_costs *costs)
{
    char time[PLUGIN_DURATION_MAX], longest[PLUGIN_DURATION_MAX], text[256];

    plugin_format_duration(costs->loop_ns, time);
    plugin_format_duration(costs->longest_ns, longest);
    snprintf(text, sizeof(text),
             "%s in %" PRIu64 " entries, longest %s; slow %" PRIu64 ", stalls %" PRIu64
             ", degradations %" PRIu64 ", misuses %" PRIu64,
             time, costs->entries, longest, costs->slow, costs->stalls, costs->degradations, costs->misuses);
    add_line(table, "Loop time:", text);
}

static void add_module(struct table *table, const plugin_costs *costs)
{
    char memory[PLUGIN_DURATION_MAX], text[256], shared[64] = "";

    costs_format_size(costs->memory_bytes, memory);
    if (costs->module_plugins > 1)
        snprintf(shared, sizeof(shared), ", shared by %" PRIu64 " plugins", costs->module_plugins);
    snprintf(text, sizeof(text), "%s without the heap, %" PRIu64 " handles%s", memory, costs->handles,
             shared);
    add_line(table, "Module's memory:", text);
}

static void add_method(struct table *table, const char *name, const Berth__Inspect__V1__MethodCosts *method)
{
    char received[PLUGIN_DURATION_MAX], sent[PLUGIN_DURATION_MAX], text[512];
    uint64_t failed = 0;

    for (size_t i = 1; i < method->n_ended; i++)
        failed += method->ended[i];
    costs_format_size(method->bytes_received, received);
    costs_format_size(method->bytes_sent, sent);
    snprintf(text, sizeof(text),
             "%.200s: %" PRIu64 " (%" PRIu64 " in flight, %" PRIu64 " failed), %s in, %s out", method->path,
             method->opened, method->in_flight, failed, received, sent);
    add_line(table, name, text);
}

void costs_print_text(struct table *table, const plugin_costs *costs)
{
    add_loop(table, costs);
    add_module(table, costs);
    for (size_t i = 0; i < costs->n_methods; i++)
        add_method(table, i == 0 ? "Calls:" : "", costs->methods[i]);
}

static void json_method(struct config_json *json, const Berth__Inspect__V1__MethodCosts *method)
{
    config_json_open(json, NULL, '{');
    config_json_string(json, "method", method->path);
    config_json_integer(json, "calls", (int64_t)method->opened);
    config_json_integer(json, "in_flight", (int64_t)method->in_flight);
    config_json_open(json, "ended", '{');
    for (size_t i = 0; i < method->n_ended; i++)
        if (method->ended[i] > 0)
            config_json_integer(json, berth_code_name((enum berth_code)i), (int64_t)method->ended[i]);
    config_json_close(json, '}');
    config_json_integer(json, "messages_received", (int64_t)method->messages_received);
    config_json_integer(json, "bytes_received", (int64_t)method->bytes_received);
    config_json_integer(json, "messages_sent", (int64_t)method->messages_sent);
    config_json_integer(json, "bytes_sent", (int64_t)method->bytes_sent);
    config_json_close(json, '}');
}

void costs_print_json(struct config_json *json, const plugin_costs *costs)
{
    config_json_integer(json, "loop_ns", (int64_t)costs->loop_ns);
    config_json_integer(json, "longest_ns", (int64_t)costs->longest_ns);
    config_json_integer(json, "entries", (int64_t)costs->entries);
    config_json_integer(json, "slow", (int64_t)costs->slow);
    config_json_integer(json, "stalls", (int64_t)costs->stalls);
    config_json_integer(json, "degradations", (int64_t)costs->degradations);
    config_json_integer(json, "misuses", (int64_t)costs->misuses);
    config_json_string(json, "module", costs->module);
    config_json_integer(json, "module_plugins", (int64_t)costs->module_plugins);
    config_json_integer(json, "module_handles", (int64_t)costs->handles);
    config_json_integer(json, "module_memory_bytes", (int64_t)costs->memory_bytes);
    config_json_open(json, "methods", '[');
    for (size_t i = 0; i < costs->n_methods; i++)
        json_method(json, costs->methods[i]);
    config_json_close(json, ']');
}
