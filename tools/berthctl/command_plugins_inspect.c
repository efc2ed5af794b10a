/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl plugins inspect: all that is known of one plugin. */
#include "command.h"
#include "plugin_print.h"

static void print(const plugin_message *plugin, const struct command_options *options)
{
    struct config_json json = {.out = stdout};
    struct table table = {0};

    if (options->json) {
        plugin_print_json(&json, plugin);
        return;
    }
    plugin_print_text(&table, plugin);
    table_print(&table, stdout, options->with_colours);
    table_finish(&table);
}

int command_plugins_inspect(const struct command_options *options)
{
    struct plugin_list list;
    const plugin_message *plugin;
    struct berth_error err;
    enum berth_code code = client_plugins(&options->client, NULL, 0, true, &list, &err);
    int exit_code = COMMAND_EXIT_BAD_NEWS;

    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    plugin = command_find_plugin(options, &list);
    if (plugin != NULL) {
        print(plugin, options);
        if (plugin_is_well(plugin))
            exit_code = COMMAND_EXIT_OK;
    }
    plugin_list_finish(&list);
    return exit_code;
}
