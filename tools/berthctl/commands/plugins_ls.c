/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl plugins ls: containerd's table, and with --all what never could run. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

#include <config/text/utf8.h>

#include <sdk/base/memory.h>

#include <tools/berthctl/plugin/introspected.h>
#include <tools/berthctl/plugin/note.h>
#include <tools/berthctl/plugin/print.h>

static enum table_colour status_colour(const char *status)
{
    return *status == 'o' ? TABLE_GREEN : *status == 's' ? TABLE_YELLOW : TABLE_RED;
}

/* The last column is only named where it has something. */
static void add_header(struct table *table, const char *const *names, size_t count, bool has_notes)
{
    for (size_t i = 0; i < count; i++)
        table_add(table, names[i]);
    table_add(table, has_notes ? "NOTE" : "");
    table_end_line(table);
}

static bool has_notes(const struct plugin_list *list)
{
    bool has = false;

    for (size_t i = 0; i < list->count && !has; i++) {
        char *note = plugin_note(list, list->plugins[i]);

        has = *note != '\0';
        free(note);
    }
    return has;
}

static void print_table(struct table *table, const struct command_options *options)
{
    table_print(table, stdout, options->with_colours);
    table_finish(table);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static const char *signer_of(const plugin_message *plugin)
{
    if (*plugin->uri == '\0')
        return "-";
    return *plugin->signer == '\0' ? "unsigned" : plugin->signer;
}

/* A refused file has no type, and its name for an id. */
static void add_plugin(struct table *table, const plugin_message *plugin, const char *note)
{
    char *platforms = plugin_platforms(plugin);
    char state[PLUGIN_STATE_MAX];

    plugin_format_state(plugin, state);
    table_add(table, *plugin->uri == '\0' ? "-" : plugin->type);
    table_add(table, *plugin->uri == '\0' ? file_name(plugin->path) : plugin->id);
    table_add(table, platforms);
    table_add_coloured(table, status_colour(plugin_status(plugin)), plugin_status(plugin));
    table_add_coloured(table, plugin_state_colour(plugin), state);
    table_add(table, signer_of(plugin));
    table_add(table, *plugin->reason != '\0' ? plugin->reason : plugin->condition_reason);
    if (note != NULL)
        table_add(table, note);
    table_end_line(table);
    free(platforms);
}

static void print_all(const struct plugin_list *list, const struct command_options *options)
{
    static const char *const names[] = {"TYPE",  "ID",     "PLATFORMS", "STATUS",
                                        "STATE", "SIGNER", "REASON",    "NOTE"};
    struct table table = {0};
    bool with_notes = has_notes(list);

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) - (with_notes ? 0 : 1); i++)
        table_add(&table, names[i]);
    table_end_line(&table);
    for (size_t i = 0; i < list->count; i++) {
        char *note = with_notes ? plugin_note(list, list->plugins[i]) : NULL;

        add_plugin(&table, list->plugins[i], note);
        free(note);
    }
    print_table(&table, options);
}

static void print_blocks(const struct plugin_list *list, const struct command_options *options)
{
    struct table table = {0};

    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            table_end_line(&table);
        plugin_print_text(&table, list, list->plugins[i]);
    }
    print_table(&table, options);
}

static void print_json(const struct plugin_list *list)
{
    struct config_json json = {.out = stdout};

    config_json_open(&json, NULL, '[');
    for (size_t i = 0; i < list->count; i++)
        plugin_print_json(&json, list->plugins[i], NULL, NULL);
    config_json_close(&json, ']');
}

static int inspect(const struct command_options *options)
{
    struct plugin_list list;
    struct berth_error err;
    enum berth_code code =
        client_plugins(&options->client, options->words, options->word_count, options->all, &list, &err);

    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    if (options->json)
        print_json(&list);
    else if (options->detailed)
        print_blocks(&list, options);
    else if (!options->quiet)
        print_all(&list, options);
    for (size_t i = 0; i < list.count && options->quiet; i++)
        if (*list.plugins[i]->uri != '\0')
            puts(list.plugins[i]->uri);
    plugin_list_finish(&list);
    return COMMAND_EXIT_OK;
}

typedef Containerd__Services__Introspection__V1__PluginsResponse introspected_list;

/* Of two generations of a plugin, the first that is listed there is the first here. Malloced. */
static char *find_note(const struct plugin_list *list, const introspected_list *answer, size_t place)
{
    const introspected_plugin *wanted = answer->plugins[place];
    size_t before = 0;

    for (size_t i = 0; i < place; i++)
        before += strcmp(answer->plugins[i]->type, wanted->type) == 0 &&
                  strcmp(answer->plugins[i]->id, wanted->id) == 0;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->plugins[i]->type, wanted->type) == 0 &&
            strcmp(list->plugins[i]->id, wanted->id) == 0 && before-- == 0)
            return plugin_note(list, list->plugins[i]);
    return memory_copy("");
}

static void print_introspected(const introspected_list *answer, const struct plugin_list *list,
                               const struct command_options *options)
{
    static const char *const names[] = {"TYPE", "ID", "PLATFORMS", "STATUS"};
    struct table table = {0};

    if (!options->detailed)
        add_header(&table, names, sizeof(names) / sizeof(names[0]), has_notes(list));
    for (size_t i = 0; i < answer->n_plugins; i++) {
        char *note = find_note(list, answer, i);

        if (options->detailed)
            introspected_add_block(&table, answer->plugins[i], i == 0);
        else
            introspected_add_line(&table, answer->plugins[i],
                                  status_colour(introspected_status(answer->plugins[i])), note);
        free(note);
    }
    print_table(&table, options);
}

/*
 * containerd's service lists nothing where a field of a filter is unknown; ours refuses it. A daemon without
 * ours has no notes.
 */
static enum berth_code find_notes(const struct command_options *options, struct plugin_list *ret_list,
                                  struct berth_error *err)
{
    enum berth_code code =
        client_plugins(&options->client, options->words, options->word_count, false, ret_list, err);

    if (code == BERTH_OK)
        return code;
    *ret_list = (struct plugin_list){0};
    return code == BERTH_UNIMPLEMENTED ? BERTH_OK : code;
}

int command_plugins_ls(const struct command_options *options)
{
    introspected_list *answer;
    struct plugin_list list;
    struct berth_error err;
    enum berth_code code;

    if (options->all || options->json)
        return inspect(options);
    code = find_notes(options, &list, &err);
    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    code = client_introspect(&options->client, options->words, options->word_count, &answer, &err);
    if (code != BERTH_OK) {
        plugin_list_finish(&list);
        return command_fail(options, code, &err);
    }
    if (!options->quiet)
        print_introspected(answer, &list, options);
    for (size_t i = 0; i < answer->n_plugins && options->quiet; i++) {
        utf8_write_line(stdout, answer->plugins[i]->type);
        putchar('.');
        utf8_write_line(stdout, answer->plugins[i]->id);
        putchar('\n');
    }
    protobuf_c_message_free_unpacked(&answer->base, NULL);
    plugin_list_finish(&list);
    return COMMAND_EXIT_OK;
}
