/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl plugins blame: what the start took, and which chain of plugins decided it. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

#include <config/print/json.h>

#include <sdk/base/memory.h>

/* The dearest first; equal ones by URI. */
static int compare_costs(const void *a, const void *b)
{
    const plugin_message *left = *(plugin_message *const *)a, *right = *(plugin_message *const *)b;
    uint64_t left_ns = plugin_cost_ns(left), right_ns = plugin_cost_ns(right);

    if (left_ns != right_ns)
        return left_ns < right_ns ? 1 : -1;
    return strcmp(left->uri, right->uri);
}

static void add_duration(struct table *table, uint64_t ns)
{
    char text[PLUGIN_DURATION_MAX];

    plugin_format_duration(ns, text);
    table_add(table, text);
}

static void add_costs(struct table *table, const plugin_message *plugin)
{
    static const Berth__Inspect__V1__Times none = BERTH__INSPECT__V1__TIMES__INIT;
    const Berth__Inspect__V1__Times *times = plugin->times == NULL ? &none : plugin->times;

    add_duration(table, plugin_cost_ns(plugin));
    add_duration(table, plugin_step_ns(times->load));
    add_duration(table, plugin_step_ns(times->config));
    add_duration(table, plugin_step_ns(times->prepare));
    add_duration(table, plugin_step_ns(times->init));
    add_duration(table, plugin_step_ns(times->serve));
    add_duration(table, times->ready_at_ns);
    table_add(table, plugin->uri);
    table_end_line(table);
}

static void print_costs(const struct plugin_list *list, const struct command_options *options)
{
    static const char *const names[] = {"TOTAL", "LOAD",  "CONFIG",   "PREPARE",
                                        "INIT",  "SERVE", "READY AT", "PLUGIN"};
    struct table table = {0};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        table_add(&table, names[i]);
    table_end_line(&table);
    for (size_t i = 0; i < list->count; i++)
        if (plugin_cost_ns(list->plugins[i]) > 0)
            add_costs(&table, list->plugins[i]);
    table_print(&table, stdout, options->with_colours);
    table_finish(&table);
}

static void print_path(const plugin_message *const *path, size_t count, const struct command_options *options)
{
    struct table table = {0};

    puts("\nCritical path: each waited for the one above it.");
    for (size_t i = 0; i < 4; i++)
        table_add(&table, (const char *const[]){"SETTLED AT", "PREPARE", "INIT", "PLUGIN"}[i]);
    table_end_line(&table);
    for (size_t i = 0; i < count; i++) {
        const Berth__Inspect__V1__Times *times = path[i]->times;

        add_duration(&table, plugin_settled_ns(path[i]));
        add_duration(&table, times == NULL ? 0 : plugin_step_ns(times->prepare));
        add_duration(&table, times == NULL ? 0 : plugin_step_ns(times->init));
        table_add(&table, path[i]->uri);
        table_end_line(&table);
    }
    table_print(&table, stdout, options->with_colours);
    table_finish(&table);
}

static void json_costs(struct config_json *json, const plugin_message *plugin)
{
    config_json_open(json, NULL, '{');
    config_json_string(json, "uri", plugin->uri);
    config_json_integer(json, "total_ns", (int64_t)plugin_cost_ns(plugin));
    if (plugin->times != NULL) {
        config_json_integer(json, "load_ns", (int64_t)plugin_step_ns(plugin->times->load));
        config_json_integer(json, "config_ns", (int64_t)plugin_step_ns(plugin->times->config));
        config_json_integer(json, "prepare_ns", (int64_t)plugin_step_ns(plugin->times->prepare));
        config_json_integer(json, "init_ns", (int64_t)plugin_step_ns(plugin->times->init));
        config_json_integer(json, "serve_ns", (int64_t)plugin_step_ns(plugin->times->serve));
        config_json_integer(json, "ready_at_ns", (int64_t)plugin->times->ready_at_ns);
    }
    config_json_close(json, '}');
}

static void print_json(const struct plugin_list *list, const plugin_message *const *path, size_t count,
                       uint64_t ready_ns)
{
    struct config_json json = {.out = stdout};

    config_json_open(&json, NULL, '{');
    config_json_integer(&json, "ready_ns", (int64_t)ready_ns);
    config_json_open(&json, "plugins", '[');
    for (size_t i = 0; i < list->count; i++)
        if (*list->plugins[i]->uri != '\0')
            json_costs(&json, list->plugins[i]);
    config_json_close(&json, ']');
    config_json_open(&json, "critical_path", '[');
    for (size_t i = 0; i < count; i++)
        config_json_string(&json, NULL, path[i]->uri);
    config_json_close(&json, ']');
    config_json_close(&json, '}');
}

static void print(struct plugin_list *list, const Berth__Inspect__V1__DaemonResponse *daemon,
                  const struct command_options *options)
{
    const plugin_message **path = memory_allocate(list->count, sizeof(*path));
    char ready[PLUGIN_DURATION_MAX];
    size_t count;

    count = critical_path_find(list, path);
    qsort(list->plugins, list->count, sizeof(plugin_message *), compare_costs);
    if (options->json) {
        print_json(list, path, count, daemon->ready_ns);
        free(path);
        return;
    }
    plugin_format_duration(daemon->ready_ns, ready);
    if (daemon->ready_ns > 0)
        printf("Ready after %s.\n\n", ready);
    else
        puts("Not ready yet.\n");
    print_costs(list, options);
    if (count > 0)
        print_path(path, count, options);
    free(path);
}

int command_plugins_blame(const struct command_options *options)
{
    Berth__Inspect__V1__DaemonResponse *daemon;
    struct plugin_list list;
    struct berth_error err;
    enum berth_code code = client_daemon(&options->client, &daemon, &err);

    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    code = client_plugins(&options->client, NULL, 0, true, &list, &err);
    if (code == BERTH_OK) {
        print(&list, daemon, options);
        plugin_list_finish(&list);
    }
    protobuf_c_message_free_unpacked(&daemon->base, NULL);
    return code == BERTH_OK ? COMMAND_EXIT_OK : command_fail(options, code, &err);
}
