/* SPDX-License-Identifier: Apache-2.0 */
/* Lays a plugin out as containerd's own client does, so that scripts made for that one keep working. */
#include "introspected.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/error.h>

#include "platform_set.h"

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
        platform_set_add(&set, plugin->platforms[i]->os, plugin->platforms[i]->architecture,
                         plugin->platforms[i]->variant);
    return platform_set_join(&set);
}

void introspected_add_line(struct table *table, const introspected_plugin *plugin,
                           enum table_colour status_colour)
{
    char *platforms = format_platforms(plugin);

    table_add(table, plugin->type);
    table_add(table, plugin->id);
    table_add(table, platforms);
    table_add_coloured(table, status_colour, introspected_status(plugin));
    table_add(table, "");
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
    if (vasprintf(&text, format, arguments) < 0)
        abort();
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

static void add_exports(struct table *table, const introspected_plugin *plugin)
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
    char *joined = NULL;
    size_t length;
    FILE *out;

    if (plugin->n_capabilities == 0)
        return;
    out = open_memstream(&joined, &length);
    if (out == NULL)
        abort();
    for (size_t i = 0; i < plugin->n_capabilities; i++)
        fprintf(out, "%s%s", i == 0 ? "" : ",", plugin->capabilities[i]);
    if (fclose(out) != 0)
        abort();
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
    add_exports(table, plugin);
    add_capabilities(table, plugin);
    add_error(table, plugin);
    free(platforms);
}
