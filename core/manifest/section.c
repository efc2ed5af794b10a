/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the settings of a plugin, and how former ones become them. */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include <config/schema/schema.h>

#include "name.h"

static const char *read_setting_path(struct reader *reader, const struct config_node *map, const char *key,
                                     bool required)
{
    const char *path = reader_text(reader, map, key, required, "a rename");

    if (path != NULL && *path != '\0' && !manifest_rename_is_valid(path))
        complain(reader, &reader_find(map, key)->mark,
                 "%s: \"%.200s\" is not a setting name such as limits.burst or hosts.*.port", key, path);
    return path;
}

static size_t count_stars(const char *path)
{
    size_t count = 0;

    for (; *path != '\0'; path++)
        count += *path == '*';
    return count;
}

static void read_wrap(struct reader *reader, const struct config_node *map, struct manifest_rename *rename)
{
    const struct config_node *node = reader_find(map, "wrap");

    if (node == NULL || !reader_expect(reader, node, CONFIG_SCALAR, "wrap"))
        return;
    rename->is_wrapped = strcmp(node->text, "true") == 0;
    if (!rename->is_wrapped && strcmp(node->text, "false") != 0)
        complain(reader, &node->mark, "wrap: \"%.60s\" is neither true nor false", node->text);
    else if (rename->is_wrapped && rename->to == NULL)
        complain(reader, &node->mark, "wrap: a rename without to leaves the setting to migrate; remove wrap");
}

static void read_rename(struct reader *reader, const struct config_node *node,
                        const struct manifest_plugin *plugin, struct manifest_rename *rename)
{
    static const char *const known[] = {"before", "from", "to", "wrap"};
    const struct config_node *before;

    if (!reader_expect(reader, node, CONFIG_MAP, "a rename"))
        return;
    reader_check_keys(reader, node, "a rename", known, COUNT(known));
    rename->from = read_setting_path(reader, node, "from", true);
    rename->to = read_setting_path(reader, node, "to", (plugin->callbacks & MANIFEST_CALLBACK_MIGRATE) == 0);
    if (rename->from != NULL && rename->to != NULL && count_stars(rename->from) != count_stars(rename->to))
        complain(reader, &node->mark,
                 "from has %zu \"*\" and to has %zu: each key must have its place in both",
                 count_stars(rename->from), count_stars(rename->to));
    read_wrap(reader, node, rename);
    before = reader_find(node, "before");
    if (before == NULL)
        complain(reader, &node->mark, "a rename has no before, which is required");
    else if (reader_number(reader, before, "before", &rename->before_version) &&
             (rename->before_version < 2 || rename->before_version > plugin->config_version))
        complain(reader, &before->mark, "before: %u matches no older version: config_version is %u",
                 rename->before_version, plugin->config_version);
}

static void read_renames(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin)
{
    const struct config_node *list = reader_find(map, "renames");
    struct manifest_rename *renames;

    if (list == NULL || !reader_expect(reader, list, CONFIG_LIST, "renames"))
        return;
    renames = reader_allocate(reader, list, list->count, sizeof(*renames));
    if (renames == NULL)
        return;
    for (size_t i = 0; i < list->count; i++)
        read_rename(reader, list->items[i], plugin, &renames[i]);
    plugin->renames = renames;
    plugin->rename_count = list->count;
}

/* A section has had few names. */
#define FORMERLY_MAX 16

static void check_former_name(struct reader *reader, const struct config_node *list, size_t i,
                              const struct manifest_plugin *plugin)
{
    const struct config_node *node = list->items[i];
    size_t type_length;

    if (!manifest_id_is_valid(node->text) && !manifest_uri_split(node->text, &type_length))
        complain(reader, &node->mark,
                 "formerly: \"%.200s\" is not a section name (use a word such as cri, or a URI such as "
                 "io.example.store.v1.main)",
                 node->text);
    else if (plugin->uri != NULL && strcmp(node->text, plugin->uri) == 0)
        complain(reader, &node->mark, "formerly: %s is the plugin's own URI", plugin->uri);
}

static void read_formerly(struct reader *reader, const struct config_node *map,
                          struct manifest_plugin *plugin)
{
    const struct config_node *list = reader_find(map, "formerly");

    if (list != NULL && list->kind == CONFIG_LIST && list->count > FORMERLY_MAX)
        complain(reader, &list->mark, "formerly: %zu names are too many (at most %d)", list->count,
                 FORMERLY_MAX);
    else
        reader_texts(reader, list, "formerly", "a name under formerly", check_former_name, plugin,
                     &plugin->formerly, &plugin->formerly_count);
}

static void check_left(struct reader *reader, const struct config_node *list, size_t i,
                       const struct manifest_plugin *plugin)
{
    const struct config_node *node = list->items[i];

    if (!manifest_setting_is_valid(node->text))
        complain(reader, &node->mark, "leaves: \"%.200s\" is not a setting name such as limits.burst",
                 node->text);
    else if (plugin->formerly_count == 0)
        complain(reader, &node->mark, "leaves requires former names under formerly");
}

static void check_taker(struct reader *reader, const struct config_node *list, size_t i,
                        const struct manifest_plugin *plugin)
{
    const struct config_node *node = list->items[i];
    size_t type_length;

    if (!manifest_uri_split(node->text, &type_length))
        complain(reader, &node->mark,
                 "gives_to: \"%.200s\" is not the URI of a plugin such as io.example.store.v1.main",
                 node->text);
    else if (plugin->uri != NULL && strcmp(node->text, plugin->uri) == 0)
        complain(reader, &node->mark, "gives_to: %s is the plugin's own URI", plugin->uri);
}

static void read_migrates(struct reader *reader, const struct config_node *map,
                          struct manifest_plugin *plugin)
{
    const struct config_node *node = reader_find(map, "migrates");

    if (node == NULL || !reader_expect(reader, node, CONFIG_SCALAR, "migrates"))
        return;
    plugin->migrates_listed = strcmp(node->text, "listed") == 0;
    if (!plugin->migrates_listed && strcmp(node->text, "all") != 0)
        complain(reader, &node->mark, "migrates: \"%.60s\" is neither all nor listed", node->text);
    else if (plugin->migrates_listed && (plugin->callbacks & MANIFEST_CALLBACK_MIGRATE) == 0)
        complain(reader, &node->mark, "migrates: listed requires migrate under callbacks");
}

void section_read(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin)
{
    const struct config_node *version = reader_find(map, "config_version");
    const struct config_node *config = reader_find(map, "config");

    plugin->config_version = 1;
    if (version != NULL)
        reader_number(reader, version, "config_version", &plugin->config_version);
    read_renames(reader, map, plugin);
    read_formerly(reader, map, plugin);
    reader_texts(reader, reader_find(map, "leaves"), "leaves", "a setting under leaves", check_left, plugin,
                 &plugin->leaves, &plugin->leave_count);
    reader_texts(reader, reader_find(map, "gives_to"), "gives_to", "a URI under gives_to", check_taker,
                 plugin, &plugin->gives_to, &plugin->gives_to_count);
    read_migrates(reader, map, plugin);
    if (config == NULL || reader_expect(reader, config, CONFIG_MAP, "config"))
        plugin->config = schema_create(config, reader->diagnostics);
}

void section_finish(struct manifest_plugin *plugin)
{
    free((void *)plugin->renames);
    free((void *)plugin->formerly);
    free((void *)plugin->leaves);
    free((void *)plugin->gives_to);
    schema_destroy((struct schema *)plugin->config);
}
