/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as text: the defaults, what is in effect, and a file rewritten for newer plugins. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include <config/tree/load.h>

/* The map without its last field, `plugins`, which is printed section by section. */
static struct berth_value without_plugins(const struct berth_value *top)
{
    struct berth_value map = *top;

    map.count--;
    return map;
}

static void add_plugin_doc(struct config_text *out, const struct manifest_plugin *plugin)
{
    struct config_text doc = {0};

    config_text_add(&doc, "%s%smodule %s %s", plugin->description == NULL ? "" : plugin->description,
                    plugin->description == NULL ? "" : " ", plugin->manifest->module,
                    plugin->manifest->version == NULL ? "" : plugin->manifest->version);
    config_text_add(out, "\n");
    config_print_comment(out, doc.bytes, 2);
    config_text_finish(&doc);
}

static void add_plugin_defaults(struct config_text *out, const struct manifest_plugin *plugin)
{
    struct config_check_options options = {.partial = true};
    struct config_diagnostics diagnostics = {0};
    struct config_values *values;

    add_plugin_doc(out, plugin);
    if (plugin->config->field_count == 0) {
        config_text_add(out, "  # ");
        config_print_key(out, plugin->uri);
        config_text_add(out, " has no settings.\n");
        return;
    }
    values = config_values_create(plugin->config, NULL, &options, &diagnostics);
    config_text_add(out, "  ");
    config_print_key(out, plugin->uri);
    config_text_add(out, ":\n    config_version: %u\n", plugin->config_version);
    if (values != NULL)
        config_print_defaults(out, plugin->config, config_values_root(values), 4);
    config_values_destroy(values);
    config_diagnostics_finish(&diagnostics);
}

/* The imports of the installed file, so that a copy of this text imports the same files. */
static struct config_tree *create_shipped(void)
{
    static const char text[] = "imports: [conf.d/*.yaml]\n";
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree =
        config_yaml_read("berthd.yaml", text, sizeof(text) - 1, &config_limits_file, &diagnostics);

    config_diagnostics_finish(&diagnostics);
    if (tree == NULL)
        abort();
    return tree;
}

static void add_daemon_defaults(struct config_text *out, const struct settings_options *options)
{
    struct config_diagnostics diagnostics = {0};
    struct settings_options none = {0};
    struct settings *settings =
        settings_create(create_shipped(), options == NULL ? &none : options, &diagnostics);

    if (settings != NULL) {
        struct schema object = settings_schema;
        struct berth_value values = without_plugins(config_values_root(settings->store->values));

        object.field_count--;
        config_print_defaults(out, &object, &values, 0);
    }
    settings_destroy(settings);
    config_diagnostics_finish(&diagnostics);
}

char *settings_print_default(const struct settings_options *options, const struct catalog *catalog)
{
    struct config_text out = {0};

    config_text_add(
        &out,
        "# berthd's configuration. Every value is the default, except imports: without that line, no other\n"
        "# file is read. Keep only what you change.\n\n");
    add_daemon_defaults(&out, options);
    config_text_add(&out, "\n# Sections of plugins, by URI.\nplugins:\n");
    for (size_t i = 0; i < catalog->count; i++)
        add_plugin_defaults(&out, catalog->plugins[i]);
    return config_text_take(&out);
}

/* The key of a section: the URI, or the id of a plugin that the configuration declares. */
static const char *key_of(const struct settings_section *section)
{
    return section->plugin->made_by != NULL ? section->plugin->id : section->plugin->uri;
}

static void add_section(struct config_text *out, const struct settings_section *section,
                        const struct config_print_options *options)
{
    bool has_settings = section->values != NULL && config_values_root(section->values)->count > 0;

    config_text_add(out, has_settings ? "  " : "  # ");
    config_print_key(out, key_of(section));
    if (has_settings) {
        config_text_add(out, ":\n");
        config_print_values(out, config_values_root(section->values), 4, options);
    } else if (section->values != NULL) {
        config_text_add(out, " has no settings.\n");
    } else {
        config_text_add(out, " has a section of version %u; its module migrates it to version %u.\n",
                        section->migration.version, section->plugin->config_version);
    }
}

/* The daemon's own values without `imports`, which are merged, and the sections of plugins. Has room for two
 * more; malloced. */
static struct berth_value **effective_items(const struct settings *settings, size_t *ret_count)
{
    struct berth_value daemon = without_plugins(config_values_root(settings->store->values));
    struct berth_value **items = memory_allocate(daemon.count + 2, sizeof(struct berth_value *));

    *ret_count = 0;
    for (size_t i = 0; i < daemon.count; i++)
        if (strcmp(daemon.items[i]->key, "imports") != 0 && strcmp(daemon.items[i]->key, SETTINGS_MADE) != 0)
            items[(*ret_count)++] = daemon.items[i];
    return items;
}

/* Those that the configuration declares, or all others. */
static void add_sections(struct config_text *out, const struct settings_store *store, bool made,
                         const struct config_print_options *options)
{
    for (size_t i = 0; i < store->section_count; i++)
        if ((store->sections[i].plugin->made_by != NULL) == made)
            add_section(out, &store->sections[i], options);
}

char *settings_print(const struct settings *settings, const struct config_print_options *options)
{
    const struct settings_store *store = settings->store;
    struct berth_value daemon = {.kind = BERTH_VALUE_MAP};
    struct config_text out = {0};

    daemon.items = effective_items(settings, &daemon.count);
    config_print_values(&out, &daemon, 0, options);
    free(daemon.items);
    config_text_add(&out, SETTINGS_MADE ":%s\n", store->made == NULL || store->made->count == 0 ? " {}" : "");
    add_sections(&out, store, true, options);
    config_text_add(&out, "plugins:\n");
    add_sections(&out, store, false, options);
    return config_text_take(&out);
}

/* The daemon's values plus `plugins`, the map of all checked sections. */
char *settings_print_json(const struct settings *settings, const struct config_print_options *options)
{
    const struct settings_store *store = settings->store;
    struct berth_value *sections = memory_allocate(store->section_count, sizeof(*sections));
    struct berth_value plugins = {.kind = BERTH_VALUE_MAP, .key = "plugins"};
    struct berth_value made = {.kind = BERTH_VALUE_MAP, .key = SETTINGS_MADE};
    struct berth_value daemon = {.kind = BERTH_VALUE_MAP};
    char *text = NULL;
    size_t length;
    struct config_json json = {.out = open_memstream(&text, &length)};

    daemon.items = effective_items(settings, &daemon.count);
    plugins.items = memory_allocate(store->section_count, sizeof(struct berth_value *));
    made.items = memory_allocate(store->section_count, sizeof(struct berth_value *));
    if (json.out == NULL)
        abort();
    for (size_t i = 0; i < store->section_count; i++) {
        if (store->sections[i].values == NULL)
            continue;
        sections[i] = *config_values_root(store->sections[i].values);
        sections[i].key = key_of(&store->sections[i]);
        if (store->sections[i].plugin->made_by != NULL)
            made.items[made.count++] = &sections[i];
        else
            plugins.items[plugins.count++] = &sections[i];
    }
    daemon.items[daemon.count++] = &made;
    daemon.items[daemon.count++] = &plugins;
    config_print_json(&json, NULL, &daemon, options);
    if (fclose(json.out) != 0)
        abort();
    free(daemon.items);
    free(plugins.items);
    free(made.items);
    free(sections);
    return text;
}

/* `config_version` comes first in a section. */
static void put_version(struct config_tree *tree, struct config_node *section, uint32_t version)
{
    struct config_node *node;
    char text[16];

    snprintf(text, sizeof(text), "%u", version);
    node = config_tree_add_scalar(tree, text, section->mark);
    node->key = "config_version";
    node->key_mark = section->mark;
    node->plain = true;
    config_node_append(tree, section, node);
    memmove(section->items + 1, section->items, (section->count - 1) * sizeof(struct config_node *));
    section->items[0] = node;
}

/* Leaves a section unchanged if its module must not be loaded, and says so. */
static bool waits(const struct settings_migration *options, const struct settings_section *section,
                  struct config_diagnostics *diagnostics)
{
    if (options->on_migrate != NULL || !migration_needs_plugin(section))
        return false;
    config_diagnostics_add(diagnostics, CONFIG_WARNING, &section->node->key_mark,
                           "%s: its section has version %u and is left unchanged; only its module can "
                           "migrate it to version %u",
                           section->plugin->uri, section->migration.version, section->plugin->config_version);
    return true;
}

/* True if the section was changed. A section of the current version without `config_version` stays without.
 */
static bool migrate_section(const struct settings_migration *options, struct config_tree *tree,
                            struct settings_section *section, struct config_diagnostics *diagnostics)
{
    const struct manifest_plugin *plugin = section->plugin;
    const struct migration *migration = &section->migration;
    bool is_old, is_joined = section->part_count > 0;

    if (!migration_begin_all(tree, section, diagnostics))
        return false;
    if (waits(options, section, diagnostics)) {
        if (migration->is_said)
            put_version(tree, section->node, migration->version);
        return false;
    }
    if (migration_run_all(tree, section, options->on_migrate, options->context, diagnostics) != BERTH_OK)
        return false;
    is_old = migration->version < plugin->config_version;
    if (migration->is_said || is_old)
        put_version(tree, section->node, plugin->config_version);
    return migration->renamed > 0 || is_old || is_joined;
}

size_t settings_migrate_tree(const struct settings_migration *migration, struct config_tree *tree,
                             struct config_diagnostics *diagnostics)
{
    struct config_node *sections = config_node_find(config_tree_root(tree), "plugins"), *before;
    struct former_parts parts;
    size_t changed = 0;

    if (sections == NULL || sections->kind != CONFIG_MAP)
        return 0;
    before = config_tree_copy_node(tree, sections);
    former_apply(tree, sections, migration->catalog, &parts, diagnostics);
    for (size_t i = 0; i < sections->count; i++) {
        struct settings_section section = {
            .node = sections->items[i], .plugin = catalog_find(migration->catalog, sections->items[i]->key)};
        bool is_changed = config_node_find(before, sections->items[i]->key) == NULL;

        former_give(&parts, &section);
        sections->items[i] = section.node;
        if (section.plugin != NULL && section.node->kind == CONFIG_MAP)
            is_changed = migrate_section(migration, tree, &section, diagnostics) || is_changed;
        changed += is_changed;
    }
    former_finish(&parts);
    return changed;
}

static char *print_whole(const struct config_tree *tree)
{
    struct config_text out = {0};

    config_print_tree(&out, config_tree_root(tree), 0);
    return config_text_take(&out);
}

bool settings_migrate_file(const char *path, const struct settings_migration *migration, char **ret_text,
                           size_t *ret_changed, struct config_diagnostics *diagnostics)
{
    size_t errors = diagnostics->error_count;
    size_t changed = 0;
    size_t length;
    char *text = config_load_bytes(path, config_limits_file.max_bytes, diagnostics, &length);
    struct config_tree *tree = NULL;

    if (text != NULL)
        tree = config_yaml_read(path, text, length, &config_limits_file, diagnostics);
    if (tree != NULL)
        changed = settings_migrate_tree(migration, tree, diagnostics);
    if (tree == NULL || diagnostics->error_count > errors) {
        free(text);
        config_tree_destroy(tree);
        return false;
    }
    if (changed > 0) {
        struct config_mark whole = {.file = path};

        free(text);
        text = print_whole(tree);
        config_diagnostics_add(diagnostics, CONFIG_WARNING, &whole,
                               "the rewritten text has lost the comments and layout of the file");
    }
    config_tree_destroy(tree);
    *ret_text = text;
    *ret_changed = changed;
    return true;
}
