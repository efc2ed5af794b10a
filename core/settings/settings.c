/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the daemon's configuration and answers questions about it. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include <config/load.h>

static struct config_tree *load_tree(const struct settings_options *options,
                                     struct config_diagnostics *diagnostics, bool *ret_is_complete)
{
    char *path;
    struct config_tree *tree;

    if (options->path != NULL)
        return config_load(options->path, false, diagnostics, ret_is_complete);
    path = settings_default_path();
    tree = config_load(path, true, diagnostics, ret_is_complete);
    free(path);
    return tree;
}

static struct config_node *find_or_make_root(struct config_tree *tree)
{
    struct config_mark nowhere = {.file = NULL};

    if (config_tree_root(tree) == NULL)
        config_tree_set_root(tree, config_tree_add_node(tree, CONFIG_MAP, nowhere));
    return config_tree_root(tree);
}

/* `origin` is the option of the command line that gives the value, NULL for a default. */
static struct config_node *make_scalar(struct config_tree *tree, const char *origin, const char *text)
{
    return config_tree_add_scalar(tree, text, (struct config_mark){.file = origin});
}

static void override(struct config_tree *tree, const char *key, struct config_node *node)
{
    struct config_node *root = config_tree_root(tree);

    config_node_take(root, key);
    node->key = key;
    node->key_mark = node->mark;
    config_node_append(tree, root, node);
}

/* The defaults that depend on the user. A list without a value counts as missing. */
static void add_defaults(struct config_tree *tree)
{
    struct config_node *root = config_tree_root(tree), *list = config_node_find(root, "plugin_dirs");
    char *folder;

    if (config_node_find(root, "root") == NULL) {
        folder = settings_default_root();
        override(tree, "root", make_scalar(tree, NULL, folder));
        free(folder);
    }
    if (config_node_find(root, "state") == NULL) {
        folder = settings_default_state();
        override(tree, "state", make_scalar(tree, NULL, folder));
        free(folder);
    }
    if (list != NULL && !config_node_is_empty(list))
        return;
    list = config_tree_add_node(tree, CONFIG_LIST, (struct config_mark){.file = NULL});
    folder = settings_user_plugins();
    if (folder != NULL)
        config_node_append(tree, list, make_scalar(tree, NULL, folder));
    free(folder);
    config_node_append(tree, list, make_scalar(tree, NULL, BERTH_PLUGIN_DIR));
    override(tree, "plugin_dirs", list);
}

static void apply_options(struct config_tree *tree, const struct settings_options *options)
{
    struct config_node *list;

    if (options->root != NULL)
        override(tree, "root", make_scalar(tree, "--root", options->root));
    if (options->state != NULL)
        override(tree, "state", make_scalar(tree, "--state", options->state));
    if (options->plugin_dir_count == 0)
        return;
    list = config_tree_add_node(tree, CONFIG_LIST, (struct config_mark){.file = "--plugin-dir"});
    for (size_t i = 0; i < options->plugin_dir_count; i++)
        config_node_append(tree, list, make_scalar(tree, "--plugin-dir", options->plugin_dirs[i]));
    override(tree, "plugin_dirs", list);
}

/* Their schemas are not known before the plugin directories are scanned. */
static void take_plugins(struct settings_store *store, struct config_diagnostics *diagnostics)
{
    struct config_node *plugins = config_node_take(config_tree_root(store->tree), "plugins");

    if (plugins == NULL || config_node_is_empty(plugins))
        return;
    if (plugins->kind == CONFIG_MAP)
        store->plugins = plugins;
    else
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &plugins->mark,
                               "plugins: expected a map of plugin URIs to settings");
}

/* The version is often mistaken for the daemon's, or that of another program's file. */
static void check_version(struct settings_store *store, struct config_diagnostics *diagnostics)
{
    const struct config_node *node = config_node_find(config_tree_root(store->tree), "version");

    if (node == NULL || node->kind != CONFIG_SCALAR || strspn(node->text, "0123456789") != node->length ||
        node->length == 0 || strcmp(node->text, "1") == 0)
        return;
    config_diagnostics_add(diagnostics, CONFIG_ERROR, &node->mark,
                           "version: %.20s is not supported; this is the version of the file format, and "
                           "this berthd reads version 1",
                           node->text);
    config_node_take(config_tree_root(store->tree), "version");
}

static const struct berth_value *find(const struct settings *settings, const struct berth_value *map,
                                      const char *key)
{
    return config_values_settings(settings->store->values)->find(map, key);
}

static const struct berth_value *find_top(const struct settings *settings, const char *key)
{
    return find(settings, config_values_root(settings->store->values), key);
}

static void fill_directories(struct settings *settings)
{
    const struct berth_value *list = find_top(settings, "plugin_dirs");
    struct berth_arena *arena = &settings->store->arena;
    const char **directories = config_arena_allocate(arena, list->count * sizeof(*directories));
    struct config_mark *marks = config_arena_allocate(arena, list->count * sizeof(*marks));

    for (size_t i = 0; i < list->count; i++) {
        directories[i] = list->items[i]->string;
        marks[i] = list->items[i]->mark;
    }
    settings->plugin_dirs = directories;
    settings->plugin_dir_marks = marks;
    settings->plugin_dir_count = list->count;
}

static void fill_files(struct settings *settings)
{
    const struct config_node *list = config_tree_files(settings->store->tree);
    size_t count = list == NULL ? 0 : list->count;
    const char **files = config_arena_allocate(&settings->store->arena, count * sizeof(*files));

    for (size_t i = 0; i < count; i++)
        files[i] = list->items[i]->text;
    settings->files = files;
    settings->file_count = count;
}

static const struct settings_uri *copy_uris(struct settings *settings, const char *key, size_t *ret_count)
{
    const struct berth_value *list = find_top(settings, key);
    struct settings_uri *uris = config_arena_allocate(&settings->store->arena, list->count * sizeof(*uris));

    for (size_t i = 0; i < list->count; i++)
        uris[i] = (struct settings_uri){list->items[i]->string, list->items[i]->mark};
    *ret_count = list->count;
    return uris;
}

static void fill_choices(struct settings *settings)
{
    const struct berth_value *map = find_top(settings, "services");
    struct settings_choice *choices =
        config_arena_allocate(&settings->store->arena, map->count * sizeof(*choices));

    for (size_t i = 0; i < map->count; i++)
        choices[i] = (struct settings_choice){map->items[i]->key, map->items[i]->string};
    settings->plan.choices = choices;
    settings->plan.choice_count = map->count;
}

static void fill_transports(struct settings *settings)
{
    const struct berth_value *map = find_top(settings, "transports");
    struct settings_transports *transports =
        config_arena_allocate(&settings->store->arena, map->count * sizeof(*transports));

    for (size_t i = 0; i < map->count; i++) {
        const struct berth_value *list = map->items[i];
        const char **names = config_arena_allocate(&settings->store->arena, list->count * sizeof(*names));

        for (size_t k = 0; k < list->count; k++)
            names[k] = list->items[k]->string;
        transports[i] = (struct settings_transports){list->key, names, list->count};
    }
    settings->plan.transports = transports;
    settings->plan.transport_count = map->count;
}

static void fill_log(struct settings *settings)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    const struct berth_value *log = find_top(settings, "log");
    const char *level = find(settings, log, "level")->string;
    const char *format = find(settings, log, "format")->string;

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(levels[i], level) == 0)
            settings->log_level = (enum berth_log_level)i;
    }
    if (strcmp(format, "auto") == 0)
        settings->log_format = log_format_of(2);
    else
        settings->log_format = strcmp(format, "json") == 0 ? LOG_JSON : LOG_TEXT;
}

static void read_timeout(const struct settings *settings, const struct berth_value *map, const char *key,
                         uint64_t *ret_ns)
{
    const struct berth_value *value = find(settings, map, key);

    if (value != NULL && value->kind == BERTH_VALUE_INT)
        *ret_ns = (uint64_t)value->integer;
}

/* Unset ones stay unchanged. */
static void read_timeouts(const struct settings *settings, const struct berth_value *map,
                          struct settings_timeouts *timeouts)
{
    read_timeout(settings, map, "prepare", &timeouts->prepare_ns);
    read_timeout(settings, map, "init", &timeouts->init_ns);
    read_timeout(settings, map, "serve", &timeouts->serve_ns);
    read_timeout(settings, map, "drain", &timeouts->drain_ns);
    read_timeout(settings, map, "close", &timeouts->close_ns);
}

static void fill(struct settings *settings)
{
    settings->version = (uint32_t)find_top(settings, "version")->integer;
    settings->root = find_top(settings, "root")->string;
    settings->state = find_top(settings, "state")->string;
    settings->prepare_threads = (unsigned)find_top(settings, "prepare_threads")->integer;
    settings->required = copy_uris(settings, "required_plugins", &settings->required_count);
    settings->plan.disabled = copy_uris(settings, "disabled_plugins", &settings->plan.disabled_count);
    fill_files(settings);
    fill_directories(settings);
    fill_choices(settings);
    fill_transports(settings);
    fill_log(settings);
    read_timeouts(settings, find_top(settings, "timeouts"), &settings->timeouts);
}

static struct settings *create_empty(void)
{
    struct settings *settings = calloc(1, sizeof(*settings));

    if (settings == NULL || (settings->store = calloc(1, sizeof(*settings->store))) == NULL)
        abort();
    return settings;
}

/* Are the plugin directories known despite errors? */
static bool directories_are_known(const struct settings *settings)
{
    const struct config_node *node = config_node_find(config_tree_root(settings->store->tree), "plugin_dirs");

    return node == NULL || (node->kind == CONFIG_LIST && node->count == settings->plugin_dir_count);
}

struct settings *settings_create(struct config_tree *tree, const struct settings_options *options,
                                 struct config_diagnostics *diagnostics)
{
    struct config_check_options check = {.lenient = options->lenient, .forgiving = true};
    struct settings *settings = create_empty();
    struct settings_store *store = settings->store;
    size_t errors = diagnostics->error_count;

    store->tree = tree;
    store->lenient = options->lenient;
    store->look_at_files = options->look_at_files;
    find_or_make_root(tree);
    apply_options(tree, options);
    add_defaults(tree);
    take_plugins(store, diagnostics);
    check_version(store, diagnostics);
    store->values = config_values_create(&settings_schema, config_tree_root(tree), &check, diagnostics);
    if (store->values != NULL)
        fill(settings);
    if (store->values != NULL &&
        (diagnostics->error_count == errors || (options->keep_going && directories_are_known(settings))))
        return settings;
    settings_destroy(settings);
    return NULL;
}

struct settings *settings_load(const struct settings_options *options, struct config_diagnostics *diagnostics)
{
    bool is_complete;
    struct config_tree *tree = load_tree(options, diagnostics, &is_complete);
    struct settings *settings = tree == NULL ? NULL : settings_create(tree, options, diagnostics);

    if (settings == NULL || is_complete)
        return settings;
    if (options->keep_going) {
        settings->store->is_incomplete = true;
        return settings;
    }
    settings_destroy(settings);
    return NULL;
}

void settings_destroy(struct settings *settings)
{
    struct settings_store *store;

    if (settings == NULL)
        return;
    store = settings->store;
    for (size_t i = 0; i < store->section_count; i++)
        config_values_destroy(store->sections[i].values);
    config_values_destroy(store->values);
    config_tree_destroy(store->tree);
    berth_arena_finish(&store->arena);
    free(store);
    free(settings);
}

const struct berth_settings *settings_of_plugin(const struct settings *settings, const char *uri)
{
    const struct settings_section *section = settings_find_section(settings, uri);

    return section == NULL || section->values == NULL ? NULL : config_values_settings(section->values);
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

struct settings_timeouts settings_timeouts_of(const struct settings *settings, const char *uri)
{
    struct settings_timeouts timeouts = settings->timeouts;
    const struct berth_value *plugins = find(settings, find_top(settings, "timeouts"), "plugins");
    const struct berth_value *own = find(settings, plugins, uri);

    if (own != NULL)
        read_timeouts(settings, own, &timeouts);
    return timeouts;
}
