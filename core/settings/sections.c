/* SPDX-License-Identifier: Apache-2.0 */
/* Checks what the configuration says about plugins against the plugins found. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include <config/print/each.h>
#include <config/text/diagnostics.h>

#include <sdk/base/hash.h>

/* The plugins found, by name. */
struct found {
    const struct catalog *catalog;
    /* Their names, for guesses. */
    const char **uris;
    struct service {
        const char *name;
        const struct manifest_plugin *plugin;
    } * services;
    size_t service_count;
    bool files_rejected;
};

static int compare_services(const void *a, const void *b)
{
    const struct service *left = a;
    const struct service *right = b;
    int order = strcmp(left->name, right->name);

    return order != 0 ? order : strcmp(left->plugin->uri, right->plugin->uri);
}

static void find_services(struct found *found)
{
    size_t total = 0;

    for (size_t i = 0; i < found->catalog->count; i++)
        total += found->catalog->plugins[i]->service_count;
    found->services = memory_allocate(total, sizeof(*found->services));
    for (size_t i = 0; i < found->catalog->count; i++) {
        const struct manifest_plugin *plugin = found->catalog->plugins[i];

        for (size_t j = 0; j < plugin->service_count; j++)
            found->services[found->service_count++] = (struct service){plugin->services[j].name, plugin};
    }
    qsort(found->services, total, sizeof(*found->services), compare_services);
}

static void find_all(struct found *found)
{
    found->uris = memory_allocate(found->catalog->count, sizeof(*found->uris));
    for (size_t i = 0; i < found->catalog->count; i++)
        found->uris[i] = found->catalog->plugins[i]->uri;
    find_services(found);
}

static void forget_all(struct found *found)
{
    free(found->uris);
    free(found->services);
}

/* A rejected file must not stop the daemon by making its plugins unknown. */
static enum config_severity severity_of_unknown(const struct settings *settings, const struct found *found)
{
    return settings->store->lenient || found->files_rejected ? CONFIG_WARNING : CONFIG_ERROR;
}

/* The URI of the plugin with that id or former name. */
static const char *find_short_name(const struct found *found, const char *name)
{
    for (size_t i = 0; i < found->catalog->count; i++) {
        const struct manifest_plugin *plugin = found->catalog->plugins[i];

        if (strcmp(plugin->id, name) == 0)
            return plugin->uri;
        for (size_t j = 0; j < plugin->formerly_count; j++)
            if (strcmp(plugin->formerly[j], name) == 0)
                return plugin->uri;
    }
    return NULL;
}

/* `what`: "required_plugins". */
static void check_uri(const struct settings *settings, const struct found *found, const char *what,
                      const char *uri, const struct config_mark *mark, struct config_diagnostics *diagnostics)
{
    const struct catalog_loser *loser;
    const char *short_of;
    struct config_hint hint = {""};

    if (catalog_find(found->catalog, uri) != NULL)
        return;
    loser = catalog_find_loser(found->catalog, uri);
    if (loser != NULL) {
        config_diagnostics_add(diagnostics, CONFIG_WARNING, mark, "%s: ignoring this entry: %s: %s", what,
                               loser->plugin->manifest->path, loser->reason);
        return;
    }
    if (diagnostics->count < CONFIG_DIAGNOSTICS_MAX) {
        short_of = find_short_name(found, uri);
        hint = short_of != NULL ? config_hint(short_of, &short_of, 1)
                                : config_hint(uri, found->uris, found->catalog->count);
    }
    config_diagnostics_add(diagnostics, severity_of_unknown(settings, found), mark,
                           "%s: no plugin \"%.200s\" was found%s%s", what, uri, hint.text,
                           found->files_rejected ? "; it may be in a rejected file" : "");
}

static void check_uris(const struct settings *settings, const struct found *found, const char *what,
                       const struct settings_uri *uris, size_t count, struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; i < count; i++)
        check_uri(settings, found, what, uris[i].uri, &uris[i].mark, diagnostics);
}

/* The keys of a map are URIs. */
static void check_keys(const struct settings *settings, const struct found *found, const char *what,
                       const struct config_node *map, struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; map != NULL && map->kind == CONFIG_MAP && i < map->count; i++)
        check_uri(settings, found, what, map->items[i]->key, &map->items[i]->key_mark, diagnostics);
}

/* The first exporter of a service, or NULL. */
static const struct service *find_service(const struct found *found, const char *name)
{
    size_t low = 0;
    size_t high = found->service_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(found->services[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < found->service_count && strcmp(found->services[low].name, name) == 0 ? &found->services[low]
                                                                                      : NULL;
}

/* `what`: "services". */
static void report_unknown_service(const struct settings *settings, const struct found *found,
                                   const char *what, const struct config_node *item,
                                   struct config_diagnostics *diagnostics)
{
    const char **names = memory_allocate(found->service_count, sizeof(*names));
    struct config_hint hint = {""};

    for (size_t i = 0; i < found->service_count; i++)
        names[i] = found->services[i].name;
    if (diagnostics->count < CONFIG_DIAGNOSTICS_MAX)
        hint = config_hint(item->key, names, found->service_count);
    config_diagnostics_add(diagnostics, severity_of_unknown(settings, found), &item->key_mark,
                           "%s: no plugin exports \"%.200s\"%s", what, item->key, hint.text);
    free(names);
}

static void check_choice(const struct settings *settings, const struct found *found,
                         const struct config_node *choice, struct config_diagnostics *diagnostics)
{
    const struct service *first = find_service(found, choice->key);

    /* Anything else has been refused by its kind. */
    if (choice->kind != CONFIG_SCALAR || config_node_is_empty(choice))
        return;
    if (first == NULL) {
        report_unknown_service(settings, found, "services", choice, diagnostics);
        return;
    }
    if (catalog_find(found->catalog, choice->text) == NULL) {
        check_uri(settings, found, "services", choice->text, &choice->mark, diagnostics);
        return;
    }
    for (const struct service *at = first;
         at < found->services + found->service_count && strcmp(at->name, choice->key) == 0; at++) {
        if (strcmp(at->plugin->uri, choice->text) == 0)
            return;
    }
    config_diagnostics_add(diagnostics, CONFIG_ERROR, &choice->mark,
                           "services: %s does not export %s, but %s does", choice->text, choice->key,
                           first->plugin->uri);
}

/* A plugin that the configuration declares has its settings where it is declared. */
static void check_made(const struct settings *settings, const struct found *found,
                       struct config_diagnostics *diagnostics)
{
    const struct config_node *plugins = settings->store->plugins;

    for (size_t i = 0; plugins != NULL && i < plugins->count; i++) {
        const struct manifest_plugin *plugin = catalog_find(found->catalog, plugins->items[i]->key);

        if (plugin != NULL && plugin->made_by != NULL)
            config_diagnostics_add(diagnostics, CONFIG_ERROR, &plugins->items[i]->key_mark,
                                   "plugins: the settings of %s belong to " SETTINGS_MADE ".%s", plugin->uri,
                                   plugin->id);
    }
}

static void check_names(const struct settings *settings, const struct found *found,
                        struct config_diagnostics *diagnostics)
{
    const struct config_node *root = config_tree_root(settings->store->tree);
    const struct config_node *services = config_node_find(root, "services");
    const struct config_node *transports = config_node_find(root, "transports");

    check_keys(settings, found, "plugins", settings->store->plugins, diagnostics);
    check_made(settings, found, diagnostics);
    check_keys(settings, found, "timeouts.plugins",
               config_node_find(config_node_find(root, "timeouts"), "plugins"), diagnostics);
    check_keys(settings, found, "isolation", config_node_find(root, "isolation"), diagnostics);
    check_keys(settings, found, "activation.plugins",
               config_node_find(config_node_find(root, "activation"), "plugins"), diagnostics);
    check_uris(settings, found, "required_plugins", settings->required, settings->required_count,
               diagnostics);
    check_uris(settings, found, "disabled_plugins", settings->plan.disabled, settings->plan.disabled_count,
               diagnostics);
    for (size_t i = 0; transports != NULL && transports->kind == CONFIG_MAP && i < transports->count; i++)
        if (find_service(found, transports->items[i]->key) == NULL)
            report_unknown_service(settings, found, "transports", transports->items[i], diagnostics);
    for (size_t i = 0; services != NULL && services->kind == CONFIG_MAP && i < services->count; i++)
        check_choice(settings, found, services->items[i], diagnostics);
}

/* The first plugin with a setting of that name, and how many there are. */
static const struct manifest_plugin *find_setting(const struct found *found, const char *name,
                                                  size_t *ret_count)
{
    const struct manifest_plugin *first = NULL;

    *ret_count = 0;
    for (size_t i = 0; i < found->catalog->count; i++) {
        if (schema_find_field(found->catalog->plugins[i]->config, name) == NULL)
            continue;
        first = first == NULL ? found->catalog->plugins[i] : first;
        (*ret_count)++;
    }
    return first;
}

/* Says where an unknown key of the daemon's own settings belongs. */
static void explain_misplaced(const struct settings *settings, const struct found *found,
                              struct config_diagnostics *diagnostics)
{
    const struct config_node *root = config_tree_root(settings->store->tree);

    for (size_t i = 0; i < root->count && diagnostics->count < CONFIG_DIAGNOSTICS_MAX; i++) {
        const struct config_node *item = root->items[i];
        const struct manifest_plugin *plugin = catalog_find(found->catalog, item->key);
        size_t count = 1;

        if (schema_find_field(&settings_schema, item->key) != NULL)
            continue;
        if (plugin == NULL)
            plugin = find_setting(found, item->key, &count);
        if (plugin == NULL)
            continue;
        if (strcmp(plugin->uri, item->key) == 0)
            config_diagnostics_add(diagnostics, CONFIG_WARNING, &item->key_mark,
                                   "%s is a plugin; its section belongs under plugins", plugin->uri);
        else
            config_diagnostics_add(
                diagnostics, CONFIG_WARNING, &item->key_mark,
                "%s is a setting of %s%s; it belongs in the plugin's section under plugins", item->key,
                plugin->uri, count > 1 ? " and others" : "");
    }
}

static int compare_sections(const void *a, const void *b)
{
    return strcmp(((const struct settings_section *)a)->plugin->uri,
                  ((const struct settings_section *)b)->plugin->uri);
}

struct settings_section *settings_find_section(const struct settings *settings, const char *uri)
{
    struct manifest_plugin plugin = {.uri = uri};
    struct settings_section key = {.plugin = &plugin};

    if (settings->store->section_count == 0)
        return NULL;
    return bsearch(&key, settings->store->sections, settings->store->section_count, sizeof(key),
                   compare_sections);
}

/* Plugins come sorted, and so do the sections. */
static void create_sections(struct settings *settings, const struct found *found)
{
    struct settings_store *store = settings->store;

    store->sections = config_arena_allocate(&store->arena, found->catalog->count * sizeof(*store->sections));
    store->section_count = found->catalog->count;
    for (size_t i = 0; i < found->catalog->count; i++) {
        store->sections[i].plugin = found->catalog->plugins[i];
        if (store->sections[i].plugin->made_by != NULL)
            store->sections[i].node = config_node_find(store->made, store->sections[i].plugin->id);
    }
    for (size_t i = 0; store->plugins != NULL && i < store->plugins->count; i++) {
        struct settings_section *section = settings_find_section(settings, store->plugins->items[i]->key);

        if (section == NULL || section->plugin->made_by != NULL)
            continue;
        section->node = store->plugins->items[i];
        former_give(&store->parts, section);
    }
    for (size_t i = 0; i < settings->plan.disabled_count; i++) {
        struct settings_section *section = settings_find_section(settings, settings->plan.disabled[i].uri);

        if (section != NULL)
            section->disabled = true;
    }
}

static const struct config_mark *mark_of_disabled(const struct settings *settings, const char *uri)
{
    size_t i = 0;

    while (strcmp(settings->plan.disabled[i].uri, uri) != 0)
        i++;
    return &settings->plan.disabled[i].mark;
}

/* A plugin cannot be both required and disabled. */
static void check_required(const struct settings *settings, struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; i < settings->required_count; i++) {
        const char *uri = settings->required[i].uri;
        const struct settings_section *section = settings_find_section(settings, uri);
        const struct config_mark *mark;

        if (section == NULL || !section->disabled)
            continue;
        mark = mark_of_disabled(settings, uri);
        config_diagnostics_add(
            diagnostics, CONFIG_ERROR, &settings->required[i].mark,
            "required_plugins: %s is also disabled (disabled_plugins, %s:%u:%u); remove it "
            "from one of the two",
            uri, mark->file, mark->line, mark->column);
    }
}

/* A skipped plugin may lack required settings, as a disabled one. */
static const char *find_unset(const struct settings_section *section,
                              const struct config_check_options *options)
{
    struct config_check_options partial = *options;
    struct config_diagnostics unsaid = {0};
    struct config_values *values;
    const char *unset = NULL;

    if (section->plugin->skip_unless_count == 0)
        return NULL;
    partial.partial = true;
    values = config_values_create(section->plugin->config, section->node, &partial, &unsaid);
    if (values != NULL)
        unset = manifest_find_unset(section->plugin, config_values_settings(values));
    config_values_destroy(values);
    config_diagnostics_finish(&unsaid);
    return unset;
}

/* Checks a section that needs no migration by the plugin, and keeps its values. */
static bool check_section(struct settings *settings, struct settings_section *section,
                          struct config_diagnostics *diagnostics)
{
    struct config_check_options options = {
        .lenient = settings->store->lenient,
        .section = section->plugin->uri,
    };

    section->unset = section->disabled ? NULL : find_unset(section, &options);
    options.partial = section->disabled || section->unset != NULL;
    options.look_at_files = settings->store->look_at_files && !options.partial;
    section->values = config_values_create(section->plugin->config, section->node, &options, diagnostics);
    settings_find_files(settings->store, section);
    return section->values != NULL;
}

/* With its key and all below it, without places. As deep as a file may be. */
static uint64_t hash_node(const struct config_node *node, uint64_t hash)
{
    hash = berth_hash(hash, &node->kind, sizeof(node->kind));
    if (node->key != NULL)
        hash = berth_hash(hash, node->key, strlen(node->key) + 1);
    if (node->kind == CONFIG_SCALAR) {
        hash = berth_hash(hash, &node->plain, sizeof(node->plain));
        return berth_hash(hash, node->text, node->length + 1);
    }
    hash = berth_hash(hash, &node->count, sizeof(node->count));
    for (size_t i = 0; i < node->count; i++)
        hash = hash_node(node->items[i], hash);
    return hash;
}

/* Two configurations are compared before either plugin has migrated its section. */
static uint64_t hash_written(const struct settings_section *section)
{
    uint64_t hash = BERTH_HASH_START;

    if (section->node != NULL)
        hash = hash_node(section->node, hash);
    for (size_t i = 0; i < section->part_count; i++)
        hash = hash_node(section->parts[i].node, hash);
    return hash;
}

static void prepare_section(struct settings *settings, struct settings_section *section,
                            struct config_diagnostics *diagnostics)
{
    section->migration.version = section->plugin->config_version;
    if (section->node != NULL && section->node->kind == CONFIG_MAP) {
        if (!migration_begin_all(settings->store->tree, section, diagnostics) ||
            migration_run_all(settings->store->tree, section, NULL, NULL, diagnostics) != BERTH_OK)
            return;
        migration_warn_of_version(section->plugin, section->node, &section->migration, diagnostics);
    }
    if (migration_needs_plugin(section)) {
        section->waits = !section->disabled;
        section->written = hash_written(section);
    } else {
        check_section(settings, section, diagnostics);
    }
}

/* For the plan, which skips these plugins. */
static void list_unset(struct settings *settings)
{
    const struct settings_store *store = settings->store;
    struct settings_unset *unset =
        config_arena_allocate(&settings->store->arena, store->section_count * sizeof(*unset));

    settings->plan.unset = unset;
    for (size_t i = 0; i < store->section_count; i++)
        if (store->sections[i].unset != NULL)
            unset[settings->plan.unset_count++] =
                (struct settings_unset){store->sections[i].plugin->uri, store->sections[i].unset};
}

bool settings_check_plugins(struct settings *settings, const struct catalog *catalog, bool files_rejected,
                            struct config_diagnostics *diagnostics)
{
    struct found found = {
        .catalog = catalog,
        .files_rejected = files_rejected || settings->store->is_incomplete,
    };
    size_t errors = diagnostics->error_count;

    find_all(&found);
    former_apply(settings->store->tree, settings->store->plugins, catalog, &settings->store->parts,
                 diagnostics);
    check_names(settings, &found, diagnostics);
    explain_misplaced(settings, &found, diagnostics);
    create_sections(settings, &found);
    check_required(settings, diagnostics);
    for (size_t i = 0; i < settings->store->section_count; i++) {
        struct settings_section *section = &settings->store->sections[i];

        section->check_start_ns = uv_hrtime();
        prepare_section(settings, section, diagnostics);
        section->check_ns = uv_hrtime() - section->check_start_ns;
    }
    list_unset(settings);
    forget_all(&found);
    return diagnostics->error_count == errors;
}

bool settings_needs_migration(const struct settings *settings, const char *uri)
{
    const struct settings_section *section = settings_find_section(settings, uri);

    return section != NULL && section->waits;
}

bool settings_check_plugin(const struct settings *settings, const char *uri, const struct berth_plugin *table,
                           struct config_diagnostics *diagnostics)
{
    static const struct config_mark nowhere = {0};
    const struct settings_section *section = settings_find_section(settings, uri);

    if (section == NULL || section->values == NULL || !BERTH_HAS(table, check))
        return true;
    return settings_check_run(uri, table->check, section->values,
                              section->node == NULL ? &nowhere : &section->node->key_mark, diagnostics);
}

/* The callback of a plugin's table, as migration_run calls it. */
struct table_callback {
    enum berth_code (*migrate)(const struct berth_migration *migration, struct berth_error *err);
};

static enum berth_code call_table(void *context, const struct manifest_plugin *plugin,
                                  const struct berth_migration *migration, struct berth_error *err)
{
    return ((struct table_callback *)context)->migrate(migration, err);
}

enum berth_code settings_migrate_plugin(struct settings *settings, const struct manifest_plugin *plugin,
                                        enum berth_code (*migrate)(const struct berth_migration *migration,
                                                                   struct berth_error *err),
                                        struct config_diagnostics *diagnostics)
{
    struct settings_section *section = settings_find_section(settings, plugin->uri);
    struct table_callback callback = {migrate};
    enum berth_code code;

    if (section == NULL || !section->waits)
        return BERTH_OK;
    code = migration_run_all(settings->store->tree, section, call_table, &callback, diagnostics);
    if (code != BERTH_OK)
        return code;
    section->waits = false;
    return check_section(settings, section, diagnostics) ? BERTH_OK : BERTH_INVALID_ARGUMENT;
}

const struct berth_settings *settings_of_plugin(const struct settings *settings, const char *uri)
{
    const struct settings_section *section = settings_find_section(settings, uri);

    return section == NULL || section->values == NULL ? NULL : config_values_settings(section->values);
}

bool settings_each(const struct settings *settings, const char *uri,
                   bool (*on_setting)(void *context, const struct berth_setting *setting), void *context)
{
    const struct settings_section *section = settings_find_section(settings, uri);

    if (section == NULL || section->values == NULL)
        return false;
    config_print_each(section->values, on_setting, context);
    return true;
}

const char *settings_find_unset(const struct settings *settings, const char *uri)
{
    const struct settings_section *section = settings_find_section(settings, uri);

    return section == NULL ? NULL : section->unset;
}

void settings_get_check_time(const struct settings *settings, const char *uri, uint64_t *ret_start_ns,
                             uint64_t *ret_took_ns)
{
    const struct settings_section *section = settings_find_section(settings, uri);

    *ret_start_ns = section == NULL ? 0 : section->check_start_ns;
    *ret_took_ns = section == NULL ? 0 : section->check_ns;
}
