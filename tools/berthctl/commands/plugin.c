/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl plugins inspect and berthctl explain: all that is known of one plugin, and why it is as it is. */
#include "command.h"

#include <stdio.h>
#include <string.h>

#include <tools/berthctl/plugin/explain.h>
#include <tools/berthctl/plugin/print.h>

/* Finds the plugin that the only word names. @return NULL after a message with the nearest one. */
static const plugin_message *find_plugin(const struct command_options *options,
                                         const struct plugin_list *list)
{
    const char *uri = options->words[0];
    const plugin_message *plugin = plugin_list_find(list, uri);
    size_t refused = plugin_list_refused(list);
    const char *nearest;

    if (plugin != NULL)
        return plugin;
    nearest = plugin_list_nearest(list, uri);
    if (nearest != NULL)
        fprintf(stderr, "berthctl: plugin \"%s\" not found; did you mean \"%s\"?\n", uri, nearest);
    else
        fprintf(stderr, "berthctl: plugin \"%s\" not found; berthctl plugins ls --all lists all plugins\n",
                uri);
    if (refused > 0)
        fprintf(stderr, "It may be in one of the rejected files (%zu); see berthctl plugins ls --all\n",
                refused);
    return NULL;
}

/* NULL if it has never run. */
static const plugin_costs *find_costs(const Berth__Inspect__V1__CostsResponse *all, const char *uri)
{
    for (size_t i = 0; all != NULL && i < all->n_plugins; i++)
        if (strcmp(all->plugins[i]->uri, uri) == 0)
            return all->plugins[i];
    return NULL;
}

static void inspect(const struct plugin_list *list, const plugin_message *plugin,
                    const struct command_options *options)
{
    struct config_json json = {.out = stdout};
    struct table table = {0};
    Berth__Inspect__V1__CostsResponse *all = NULL;
    settings_message *settings = NULL;
    const plugin_costs *costs;
    struct berth_error err;

    /* An older daemon does not tell them; nor has a plugin of a rejected file settings. */
    if (client_costs(&options->client, &all, &err) != BERTH_OK)
        all = NULL;
    if (client_settings(&options->client, plugin->uri, &settings, &err) != BERTH_OK)
        settings = NULL;
    else
        settings_clean(settings);
    costs = find_costs(all, plugin->uri);
    if (options->json) {
        plugin_print_json(&json, plugin, costs, settings);
    } else {
        plugin_print_text(&table, list, plugin);
        if (costs != NULL)
            costs_print_text(&table, costs);
        if (settings != NULL)
            settings_print_text(&table, settings);
        table_print(&table, stdout, options->with_colours);
        table_finish(&table);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)all, NULL);
    protobuf_c_message_free_unpacked((ProtobufCMessage *)settings, NULL);
}

static void explain(const struct plugin_list *list, const plugin_message *plugin,
                    const struct command_options *options)
{
    if (options->json)
        explain_print_json(stdout, list, plugin);
    else
        explain_print(stdout, list, plugin, options->with_colours);
}

static int show(const struct command_options *options,
                void (*print)(const struct plugin_list *list, const plugin_message *plugin,
                              const struct command_options *options))
{
    struct plugin_list list;
    const plugin_message *plugin;
    struct berth_error err;
    enum berth_code code = client_plugins(&options->client, NULL, 0, true, &list, &err);
    int exit_code = COMMAND_EXIT_BAD_NEWS;

    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    plugin = find_plugin(options, &list);
    if (plugin != NULL) {
        print(&list, plugin, options);
        if (plugin_is_well(plugin))
            exit_code = COMMAND_EXIT_OK;
    }
    plugin_list_finish(&list);
    return exit_code;
}

int command_plugins_inspect(const struct command_options *options)
{
    return show(options, inspect);
}

int command_explain(const struct command_options *options)
{
    return show(options, explain);
}
