/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl explain: why a plugin is as it is. */
#include "command.h"
#include "explain.h"

int command_explain(const struct command_options *options)
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
        if (options->json)
            explain_print_json(stdout, &list, plugin);
        else
            explain_print(stdout, &list, plugin, options->with_colours);
        if (plugin_is_well(plugin))
            exit_code = COMMAND_EXIT_OK;
    }
    plugin_list_finish(&list);
    return exit_code;
}
