/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl plugins graph: who requires or wants whom. */
#include "command.h"

#include <config/print/json.h>

typedef Berth__Inspect__V1__Edge edge_message;

static void print_text(const struct plugin_list *list)
{
    struct table table = {0};

    for (size_t i = 0; i < list->count; i++) {
        for (size_t j = 0; j < list->plugins[i]->n_edges; j++) {
            const edge_message *edge = list->plugins[i]->edges[j];

            table_add(&table, list->plugins[i]->uri);
            table_add(&table, edge->binding ? "requires" : "wants");
            table_add(&table, edge->provider);
            table_add(&table, edge->requirement);
            table_end_line(&table);
        }
    }
    table_print(&table, stdout, false);
    table_finish(&table);
}

static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

static const char *dot_colour(const plugin_message *plugin)
{
    switch (plugin_state_colour(plugin)) {
    case TABLE_GREEN:
        return "darkgreen";
    case TABLE_YELLOW:
        return "orange";
    case TABLE_RED:
        return "red";
    case TABLE_PLAIN:
    case TABLE_FAINT:
    case TABLE_BOLD:
        return "black";
    }
    return "black";
}

static void print_dot_plugin(const plugin_message *plugin)
{
    fputs("  ", stdout);
    print_quoted(plugin->uri);
    printf(" [color=%s];\n", dot_colour(plugin));
    for (size_t i = 0; i < plugin->n_edges; i++) {
        fputs("  ", stdout);
        print_quoted(plugin->uri);
        fputs(" -> ", stdout);
        print_quoted(plugin->edges[i]->provider);
        printf(" [style=%s];\n", plugin->edges[i]->binding ? "solid" : "dashed");
    }
}

static void print_dot(const struct plugin_list *list)
{
    puts("digraph plugins {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];");
    for (size_t i = 0; i < list->count; i++)
        if (*list->plugins[i]->uri != '\0')
            print_dot_plugin(list->plugins[i]);
    puts("}");
}

static void json_edge(struct config_json *json, const plugin_message *plugin, const edge_message *edge)
{
    config_json_open(json, NULL, '{');
    config_json_string(json, "dependent", plugin->uri);
    config_json_string(json, "provider", edge->provider);
    config_json_string(json, "requirement", edge->requirement);
    config_json_bool(json, "binding", edge->binding);
    config_json_close(json, '}');
}

static void print_json(const struct plugin_list *list)
{
    struct config_json json = {.out = stdout};

    config_json_open(&json, NULL, '{');
    config_json_open(&json, "plugins", '[');
    for (size_t i = 0; i < list->count; i++) {
        if (*list->plugins[i]->uri == '\0')
            continue;
        config_json_open(&json, NULL, '{');
        config_json_string(&json, "uri", list->plugins[i]->uri);
        config_json_string(&json, "state", plugin_state_name(list->plugins[i]));
        config_json_integer(&json, "level", list->plugins[i]->level);
        config_json_close(&json, '}');
    }
    config_json_close(&json, ']');
    config_json_open(&json, "edges", '[');
    for (size_t i = 0; i < list->count; i++)
        for (size_t j = 0; j < list->plugins[i]->n_edges; j++)
            json_edge(&json, list->plugins[i], list->plugins[i]->edges[j]);
    config_json_close(&json, ']');
    config_json_close(&json, '}');
}

int command_plugins_graph(const struct command_options *options)
{
    struct plugin_list list;
    struct berth_error err;
    enum berth_code code = client_plugins(&options->client, NULL, 0, true, &list, &err);

    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    if (options->json)
        print_json(&list);
    else if (options->dot)
        print_dot(&list);
    else
        print_text(&list);
    plugin_list_finish(&list);
    return COMMAND_EXIT_OK;
}
