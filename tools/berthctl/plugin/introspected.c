/* SPDX-License-Identifier: Apache-2.0 */
/* Prints a plugin as containerd's introspection reports it, laid out as containerd's own client does. */
#include "introspected.h"

#include <stdlib.h>
#include <string.h>

#include <berth/error.h>

#include <sdk/base/memory.h>

#include "join.h"

const char *introspected_status(const introspected_plugin *plugin)
{
    if (plugin->init_err == NULL)
        return "ok";
    return strstr(plugin->init_err->message, "skip plugin") != NULL ? "skip" : "error";
}

static char *format_platforms(const introspected_plugin *plugin)
{
    struct platform_set set = {0};

    for (size_t i = 0; i < plugin->n_platforms; i++)
        join_platform(&set, plugin->platforms[i]->os, plugin->platforms[i]->architecture,
                      plugin->platforms[i]->variant);
    return join_platforms(&set);
}

void introspected_add_line(struct table *table, const introspected_plugin *plugin,
                           enum table_colour status_colour, const char *note)
{
    char *platforms = format_platforms(plugin);

    table_add(table, plugin->type);
    table_add(table, plugin->id);
    table_add(table, platforms);
    table_add_coloured(table, status_colour, introspected_status(plugin));
    table_add(table, note);
    table_end_line(table);
    free(platforms);
}

/* A value stands behind a space, as Go's Fprintln puts it between its arguments. */
BERTH_PRINTF(2, 3)
static void add_value(struct table *table, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = memory_format_arguments(format, arguments);
    va_end(arguments);
    table_add(table, text);
    free(text);
}

static void add_pair(struct table *table, const char *name, const char *value)
{
    table_add(table, name);
    add_value(table, " %s", value);
    table_end_line(table);
}

static void add_heading(struct table *table, const char *name)
{
    table_add(table, name);
    table_add(table, "");
    table_end_line(table);
}

static void add_listed_exports(struct table *table, const introspected_plugin *plugin)
{
    if (plugin->n_exports == 0)
        return;
    add_heading(table, "Exports:");
    for (size_t i = 0; i < plugin->n_exports; i++) {
        table_add(table, "");
        add_value(table, " %s ", plugin->exports[i]->key);
        add_value(table, " %s", plugin->exports[i]->value);
        table_end_line(table);
    }
}

static void add_capabilities(struct table *table, const introspected_plugin *plugin)
{
    char *joined;

    if (plugin->n_capabilities == 0)
        return;
    joined = join_texts(plugin->capabilities, plugin->n_capabilities, ",");
    add_pair(table, "Capabilities:", joined);
    free(joined);
}

/* "FailedPrecondition": Go's spelling of "FAILED_PRECONDITION". */
static void add_code(struct table *table, int code)
{
    const char *name = berth_code_name((enum berth_code)code);
    char words[64] = {0};
    size_t length = 0;

    for (size_t i = 0; name[i] != '\0' && length < sizeof(words) - 1; i++) {
        bool is_first = i == 0 || name[i - 1] == '_';

        if (name[i] != '_')
            words[length++] = is_first ? name[i] : (char)(name[i] | 0x20);
    }
    table_add(table, "");
    table_add(table, " Code:");
    add_value(table, " %s", code == BERTH_CANCELLED ? "Canceled" : code == BERTH_OK ? "OK" : words);
    table_end_line(table);
}

static void add_error(struct table *table, const introspected_plugin *plugin)
{
    if (plugin->init_err == NULL)
        return;
    add_heading(table, "Error:");
    add_code(table, plugin->init_err->code);
    table_add(table, "");
    table_add(table, " Message:");
    add_value(table, " %s", plugin->init_err->message);
    table_end_line(table);
}

void introspected_add_block(struct table *table, const introspected_plugin *plugin, bool is_first)
{
    char *platforms = format_platforms(plugin);

    if (!is_first) {
        for (size_t i = 0; i < 4; i++)
            table_add(table, "");
        table_end_line(table);
    }
    add_pair(table, "Type:", plugin->type);
    add_pair(table, "ID:", plugin->id);
    if (plugin->n_requires > 0)
        add_heading(table, "Requires:");
    for (size_t i = 0; i < plugin->n_requires; i++)
        add_pair(table, "", plugin->requires[i]);
    if (plugin->n_platforms > 0)
        add_pair(table, "Platforms:", platforms);
    add_listed_exports(table, plugin);
    add_capabilities(table, plugin);
    add_error(table, plugin);
    free(platforms);
}
