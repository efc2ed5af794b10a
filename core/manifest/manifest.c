/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the YAML text of a note into what the module registers. Strict, and says all that is wrong at once.
 */
#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/nearest.h>
#include <config/schema_reader.h>
#include <config/value.h>

#include "name.h"
#include "reader.h"
#include "services.h"

#define PLUGINS_MAX 256

static const char *const module_keys[] = {"module",  "version", "description", "author",
                                          "licence", "needs",   "plugins"};

static const char *const plugin_keys[] = {
    "type",      "id",        "description",    "requires", "wants",  "services", "transports",  "carries",
    "callbacks", "interface", "config_version", "renames",  "config", "protos",   "skip_unless", "formerly",
};

/* In the order of enum manifest_callback. */
static const char *const callback_names[] = {"prepare", "discard", "serve", "drain",
                                             "close",   "migrate", "check"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A manifest and the tree that its texts are borrowed from. */
struct owned_manifest {
    struct manifest manifest;
    struct config_tree *tree;
};

uint64_t manifest_hash(const char *text, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3u;
    return hash;
}

/* That "*" stands alone is a rule of the plan's. */
static bool is_requirement(const char *name)
{
    size_t type_length;

    return strcmp(name, "*") == 0 || manifest_type_is_valid(name) || manifest_uri_split(name, &type_length);
}

static struct manifest_requirement *read_requirements(struct manifest_reader *reader,
                                                      const struct config_node *map, const char *key,
                                                      size_t *ret_count)
{
    const struct config_node *list = manifest_find(map, key);
    struct manifest_requirement *requirements;

    if (list == NULL || !manifest_expect(reader, list, CONFIG_LIST, key))
        return NULL;
    requirements = manifest_allocate(reader, list, list->count, sizeof(*requirements));
    if (requirements == NULL)
        return NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];

        if (!manifest_expect(reader, node, CONFIG_SCALAR, "a requirement"))
            continue;
        if (!is_requirement(node->text))
            manifest_complain(reader, &node->mark,
                              "\"%.200s\" is neither a type such as io.example.store.v1, nor a URI such as "
                              "io.example.store.v1.main, nor \"*\"",
                              node->text);
        requirements[(*ret_count)++] = (struct manifest_requirement){.name = node->text, .mark = node->mark};
    }
    return requirements;
}

static uint32_t read_callback(struct manifest_reader *reader, const struct config_node *node)
{
    const char *nearest;

    if (!manifest_expect(reader, node, CONFIG_SCALAR, "a callback"))
        return 0;
    for (size_t i = 0; i < COUNT(callback_names); i++) {
        if (strcmp(node->text, callback_names[i]) == 0)
            return 1u << i;
    }
    nearest = config_nearest(node->text, callback_names, COUNT(callback_names));
    manifest_complain_of_unknown(
        reader, &node->mark, "callbacks: unknown callback \"%.60s\" (%s%s%s)", node->text,
        nearest != NULL ? "did you mean \"" : "use prepare, discard, serve, drain, close, migrate or check",
        nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
    return 0;
}

static void read_callbacks(struct manifest_reader *reader, const struct config_node *map,
                           struct manifest_plugin *plugin)
{
    const struct config_node *list = manifest_find(map, "callbacks");

    if (list == NULL || !manifest_expect(reader, list, CONFIG_LIST, "callbacks"))
        return;
    for (size_t i = 0; i < list->count; i++) {
        uint32_t callback = read_callback(reader, list->items[i]);

        if ((plugin->callbacks & callback) != 0)
            manifest_complain(reader, &list->items[i]->mark, "%s is named twice", list->items[i]->text);
        plugin->callbacks |= callback;
    }
    if ((plugin->callbacks & MANIFEST_CALLBACK_DISCARD) != 0 &&
        (plugin->callbacks & MANIFEST_CALLBACK_PREPARE) == 0)
        manifest_complain(reader, &list->mark, "discard frees what prepare made: name prepare too");
}

static void read_interface(struct manifest_reader *reader, const struct config_node *map,
                           struct manifest_plugin *plugin)
{
    plugin->interface = manifest_read_text(reader, map, "interface", false, "a plugin");
    if (plugin->interface != NULL && !manifest_identifier_is_valid(plugin->interface))
        manifest_complain(reader, &manifest_find(map, "interface")->mark,
                          "interface: \"%.60s\" is no name of a C struct such as berth_store",
                          plugin->interface);
}

static void read_protos(struct manifest_reader *reader, const struct config_node *map,
                        struct manifest_plugin *plugin)
{
    const struct config_node *list = manifest_find(map, "protos");
    const char **protos;

    if (list == NULL || !manifest_expect(reader, list, CONFIG_LIST, "protos"))
        return;
    protos = manifest_allocate(reader, list, list->count, sizeof(*protos));
    if (protos == NULL)
        return;
    plugin->protos = protos;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];

        if (!manifest_expect(reader, node, CONFIG_SCALAR, "a file under protos"))
            continue;
        if (!manifest_proto_is_valid(node->text))
            manifest_complain(reader, &node->mark,
                              "protos: \"%.200s\" is no .proto file as protoc is given it, such as "
                              "greeter.proto or example/v1/greeter.proto",
                              node->text);
        protos[plugin->proto_count++] = node->text;
    }
}

static const char *read_setting_path(struct manifest_reader *reader, const struct config_node *map,
                                     const char *key, bool required)
{
    const char *path = manifest_read_text(reader, map, key, required, "a rename");

    if (path != NULL && *path != '\0' && !manifest_setting_is_valid(path))
        manifest_complain(reader, &manifest_find(map, key)->mark,
                          "%s: \"%.200s\" is no name of a setting such as limits.burst", key, path);
    return path;
}

static void read_rename(struct manifest_reader *reader, const struct config_node *node,
                        const struct manifest_plugin *plugin, struct manifest_rename *rename)
{
    static const char *const known[] = {"before", "from", "to"};
    const struct config_node *before;

    if (!manifest_expect(reader, node, CONFIG_MAP, "a rename"))
        return;
    manifest_check_keys(reader, node, "a rename", known, sizeof(known) / sizeof(known[0]));
    rename->from = read_setting_path(reader, node, "from", true);
    rename->to = read_setting_path(reader, node, "to", (plugin->callbacks & MANIFEST_CALLBACK_MIGRATE) == 0);
    before = manifest_find(node, "before");
    if (before == NULL)
        manifest_complain(reader, &node->mark, "a rename has no before, which it must have");
    else if (manifest_read_number(reader, before, "before", &rename->before_version) &&
             (rename->before_version < 2 || rename->before_version > plugin->config_version))
        manifest_complain(reader, &before->mark,
                          "before: %u applies to no older version: config_version is %u",
                          rename->before_version, plugin->config_version);
}

static void read_renames(struct manifest_reader *reader, const struct config_node *map,
                         struct manifest_plugin *plugin)
{
    const struct config_node *list = manifest_find(map, "renames");
    struct manifest_rename *renames;

    if (list == NULL || !manifest_expect(reader, list, CONFIG_LIST, "renames"))
        return;
    renames = manifest_allocate(reader, list, list->count, sizeof(*renames));
    if (renames == NULL)
        return;
    for (size_t i = 0; i < list->count; i++)
        read_rename(reader, list->items[i], plugin, &renames[i]);
    plugin->renames = renames;
    plugin->rename_count = list->count;
}

/* A section has had few names. */
#define FORMERLY_MAX 16

static void read_formerly(struct manifest_reader *reader, const struct config_node *map,
                          struct manifest_plugin *plugin)
{
    const struct config_node *list = manifest_find(map, "formerly");
    const char **names;

    if (list == NULL || !manifest_expect(reader, list, CONFIG_LIST, "formerly"))
        return;
    if (list->count > FORMERLY_MAX) {
        manifest_complain(reader, &list->mark, "formerly: %zu names are too many (at most %d)", list->count,
                          FORMERLY_MAX);
        return;
    }
    names = manifest_allocate(reader, list, list->count, sizeof(*names));
    if (names == NULL)
        return;
    plugin->formerly = names;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];
        size_t type_length;

        if (!manifest_expect(reader, node, CONFIG_SCALAR, "a name under formerly"))
            continue;
        if (!manifest_id_is_valid(node->text) && !manifest_uri_split(node->text, &type_length))
            manifest_complain(reader, &node->mark,
                              "formerly: \"%.200s\" is not a name of a section (use a word such as cri, or a "
                              "URI such as io.example.store.v1.main)",
                              node->text);
        else if (plugin->uri != NULL && strcmp(node->text, plugin->uri) == 0)
            manifest_complain(reader, &node->mark, "formerly: %s is the plugin's own URI", plugin->uri);
        names[plugin->formerly_count++] = node->text;
    }
}

static void read_config(struct manifest_reader *reader, const struct config_node *map,
                        struct manifest_plugin *plugin)
{
    const struct config_node *version = manifest_find(map, "config_version");
    const struct config_node *config = manifest_find(map, "config");

    plugin->config_version = 1;
    if (version != NULL)
        manifest_read_number(reader, version, "config_version", &plugin->config_version);
    read_renames(reader, map, plugin);
    read_formerly(reader, map, plugin);
    if (config == NULL || manifest_expect(reader, config, CONFIG_MAP, "config"))
        plugin->config = schema_create(config, reader->diagnostics);
}

/* Is it a setting of the plugin's section, perhaps inside objects? */
static bool has_setting(const struct schema *config, const char *path)
{
    char name[MANIFEST_SETTING_MAX + 1];

    while (config != NULL) {
        size_t length = strcspn(path, ".");

        snprintf(name, sizeof(name), "%.*s", (int)length, path);
        config = config->kind == SCHEMA_OBJECT ? schema_find_field(config, name) : NULL;
        if (path[length] == '\0')
            return config != NULL;
        path += length + 1;
    }
    return false;
}

static void check_condition(struct manifest_reader *reader, const struct manifest_plugin *plugin,
                            const struct config_node *node)
{
    if (strncmp(node->text, MANIFEST_ENV, strlen(MANIFEST_ENV)) == 0) {
        if (!manifest_identifier_is_valid(node->text + strlen(MANIFEST_ENV)))
            manifest_complain(
                reader, &node->mark,
                "skip_unless: \"%.200s\" does not name an environment variable such as env:NAME", node->text);
    } else if (!manifest_setting_is_valid(node->text) || !has_setting(plugin->config, node->text)) {
        manifest_complain(reader, &node->mark,
                          "skip_unless: \"%.200s\" is not a setting under config (for an environment "
                          "variable write env:NAME)",
                          node->text);
    }
}

static void read_skip_unless(struct manifest_reader *reader, const struct config_node *map,
                             struct manifest_plugin *plugin)
{
    const struct config_node *list = manifest_find(map, "skip_unless");
    const char **conditions;

    if (list == NULL || !manifest_expect(reader, list, CONFIG_LIST, "skip_unless"))
        return;
    conditions = manifest_allocate(reader, list, list->count, sizeof(*conditions));
    if (conditions == NULL)
        return;
    plugin->skip_unless = conditions;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];

        if (!manifest_expect(reader, node, CONFIG_SCALAR, "a condition under skip_unless"))
            continue;
        if (plugin->config != NULL)
            check_condition(reader, plugin, node);
        conditions[plugin->skip_unless_count++] = node->text;
    }
}

static bool is_set(const struct berth_settings *settings, const struct berth_value *value)
{
    switch (settings->kind(value)) {
    case BERTH_VALUE_NONE:
        return false;
    case BERTH_VALUE_BOOL:
        return settings->boolean(value);
    case BERTH_VALUE_INT:
    case BERTH_VALUE_FLOAT:
        return true;
    case BERTH_VALUE_STRING:
        return *settings->string(value) != '\0';
    case BERTH_VALUE_LIST:
    case BERTH_VALUE_MAP:
        return settings->count(value) > 0;
    }
    return true;
}

static bool setting_is_set(const struct berth_settings *settings, const char *path)
{
    const struct berth_value *value = settings->root;
    char name[MANIFEST_SETTING_MAX + 1];

    for (;;) {
        size_t length = strcspn(path, ".");

        snprintf(name, sizeof(name), "%.*s", (int)length, path);
        value = settings->find(value, name);
        if (path[length] == '\0')
            return is_set(settings, value);
        path += length + 1;
    }
}

const char *manifest_find_unset(const struct manifest_plugin *plugin, const struct berth_settings *settings)
{
    for (size_t i = 0; i < plugin->skip_unless_count; i++) {
        const char *condition = plugin->skip_unless[i];

        if (strncmp(condition, MANIFEST_ENV, strlen(MANIFEST_ENV)) == 0) {
            const char *value = getenv(condition + strlen(MANIFEST_ENV));

            if (value == NULL || *value == '\0')
                return condition;
        } else if (!setting_is_set(settings, condition)) {
            return condition;
        }
    }
    return NULL;
}

void manifest_explain_unset(const char *condition, struct berth_error *ret_sentence)
{
    if (strncmp(condition, MANIFEST_ENV, strlen(MANIFEST_ENV)) == 0)
        berth_error_set(ret_sentence, BERTH_SKIP, "the environment variable %.255s is not set",
                        condition + strlen(MANIFEST_ENV));
    else
        berth_error_set(ret_sentence, BERTH_SKIP, "%.255s is not set in its configuration", condition);
}

/* Type, id and the URI that they make. */
static void read_name(struct manifest_reader *reader, const struct config_node *map,
                      struct manifest_plugin *plugin)
{
    char uri[MANIFEST_TYPE_MAX + MANIFEST_ID_MAX + 2];
    int length;

    plugin->type = manifest_read_text(reader, map, "type", true, "a plugin");
    plugin->id = manifest_read_text(reader, map, "id", true, "a plugin");
    if (plugin->type != NULL && !manifest_type_is_valid(plugin->type))
        manifest_complain(
            reader, &manifest_find(map, "type")->mark,
            "type: \"%.200s\" is no type such as io.example.store.v1: a reversed domain name of two "
            "labels or more, and a version",
            plugin->type);
    if (plugin->id != NULL && !manifest_id_is_valid(plugin->id))
        manifest_complain(reader, &manifest_find(map, "id")->mark,
                          "id: \"%.200s\" is no id: use 1 to %d of A-Z, a-z, 0-9, _ and -", plugin->id,
                          MANIFEST_ID_MAX);
    if (plugin->type == NULL || plugin->id == NULL)
        return;
    length = snprintf(uri, sizeof(uri), "%s.%s", plugin->type, plugin->id);
    if (length > 0 && (size_t)length < sizeof(uri))
        plugin->uri = config_tree_add_text(reader->tree, uri, (size_t)length);
}

static void read_plugin(struct manifest_reader *reader, const struct config_node *node,
                        struct manifest_plugin *plugin)
{
    plugin->mark = node->mark;
    if (!manifest_expect(reader, node, CONFIG_MAP, "a plugin"))
        return;
    manifest_check_keys(reader, node, "a plugin", plugin_keys, COUNT(plugin_keys));
    read_name(reader, node, plugin);
    plugin->description = manifest_read_text(reader, node, "description", false, "a plugin");
    plugin->requirements = read_requirements(reader, node, "requires", &plugin->requirement_count);
    plugin->wants = read_requirements(reader, node, "wants", &plugin->want_count);
    manifest_read_services(reader, node, plugin);
    read_callbacks(reader, node, plugin);
    read_interface(reader, node, plugin);
    read_protos(reader, node, plugin);
    read_config(reader, node, plugin);
    read_skip_unless(reader, node, plugin);
}

static int compare_uris(const void *a, const void *b)
{
    const struct manifest_plugin *left = *(const struct manifest_plugin *const *)a;
    const struct manifest_plugin *right = *(const struct manifest_plugin *const *)b;
    int order = strcmp(left->uri, right->uri);

    return order != 0 ? order : (left > right) - (left < right);
}

static void check_twins(struct manifest_reader *reader, const struct manifest *manifest)
{
    const struct manifest_plugin *sorted[PLUGINS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < manifest->plugin_count; i++) {
        if (manifest->plugins[i].uri != NULL)
            sorted[count++] = &manifest->plugins[i];
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_uris);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sorted[i - 1]->uri, sorted[i]->uri) == 0)
            manifest_complain(reader, &sorted[i]->mark, "%s is there already, at line %u", sorted[i]->uri,
                              sorted[i - 1]->mark.line);
    }
}

static void read_plugins(struct manifest_reader *reader, const struct config_node *root,
                         struct manifest *manifest)
{
    const struct config_node *list = manifest_find(root, "plugins");

    if (list == NULL) {
        manifest_complain(reader, &root->mark, "a manifest has no plugins, which it must have");
        return;
    }
    if (!manifest_expect(reader, list, CONFIG_LIST, "plugins"))
        return;
    if (list->count == 0 || list->count > PLUGINS_MAX) {
        manifest_complain(reader, &list->mark, "plugins: %zu of them, a module holds 1 to %d", list->count,
                          PLUGINS_MAX);
        return;
    }
    manifest->plugins = manifest_allocate(reader, list, list->count, sizeof(*manifest->plugins));
    if (manifest->plugins == NULL)
        return;
    manifest->plugin_count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        manifest->plugins[i].manifest = manifest;
        read_plugin(reader, list->items[i], &manifest->plugins[i]);
    }
    check_twins(reader, manifest);
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* What a host understands it can name: its keys and its callbacks. */
static bool is_understood(const char *need)
{
    return is_among(need, module_keys, COUNT(module_keys)) ||
           is_among(need, plugin_keys, COUNT(plugin_keys)) ||
           is_among(need, callback_names, COUNT(callback_names));
}

/* Said first and alone: whatever else looks wrong may be what is not understood. */
static bool check_needs(struct manifest_reader *reader, const struct config_node *root)
{
    const struct config_node *list = manifest_find(root, "needs");
    size_t errors = reader->diagnostics->error_count;

    if (list == NULL)
        return true;
    if (!manifest_expect(reader, list, CONFIG_LIST, "needs"))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];

        if (manifest_expect(reader, node, CONFIG_SCALAR, "a name under needs") && !is_understood(node->text))
            manifest_complain(reader, &node->mark,
                              "needs \"%.60s\", which this version of berth does not understand: upgrade "
                              "berth, or use an older version of the module",
                              node->text);
    }
    return reader->diagnostics->error_count == errors;
}

static void read_manifest(struct manifest_reader *reader, const struct config_node *root,
                          struct manifest *manifest)
{
    if (!manifest_expect(reader, root, CONFIG_MAP, "a manifest") || !check_needs(reader, root))
        return;
    manifest_check_keys(reader, root, "a manifest", module_keys, COUNT(module_keys));
    manifest->module = manifest_read_text(reader, root, "module", true, "a manifest");
    if (manifest->module != NULL && *manifest->module != '\0' && !manifest_id_is_valid(manifest->module))
        manifest_complain(reader, &manifest_find(root, "module")->mark,
                          "module: \"%.200s\" is no name: use 1 to %d of A-Z, a-z, 0-9, _ and -",
                          manifest->module, MANIFEST_ID_MAX);
    manifest->version = manifest_read_text(reader, root, "version", true, "a manifest");
    manifest->description = manifest_read_text(reader, root, "description", false, "a manifest");
    manifest->author = manifest_read_text(reader, root, "author", false, "a manifest");
    manifest->licence = manifest_read_text(reader, root, "licence", false, "a manifest");
    read_plugins(reader, root, manifest);
}

struct manifest *manifest_parse(const char *path, const char *text, size_t length,
                                struct config_diagnostics *diagnostics)
{
    struct manifest_reader reader = {.diagnostics = diagnostics};
    size_t errors_before = diagnostics->error_count;
    struct owned_manifest *owned;
    const struct config_node *root;
    char name[4096 + 16];

    snprintf(name, sizeof(name), "%s: note", path);
    reader.tree = config_yaml_read(name, text, length, &config_limits_manifest, diagnostics);
    if (reader.tree == NULL)
        return NULL;
    owned = calloc(1, sizeof(*owned));
    if (owned == NULL) {
        config_tree_destroy(reader.tree);
        manifest_complain(&reader, &(struct config_mark){.file = name}, "no memory for the manifest");
        return NULL;
    }
    owned->tree = reader.tree;
    owned->manifest.path = config_tree_add_text(reader.tree, path, strlen(path));
    owned->manifest.hash = manifest_hash(text, length);
    root = config_tree_root(reader.tree);
    if (root == NULL)
        manifest_complain(&reader, &(struct config_mark){.file = name}, "the manifest is empty");
    else
        read_manifest(&reader, root, &owned->manifest);
    if (diagnostics->error_count == errors_before)
        return &owned->manifest;
    manifest_destroy(&owned->manifest);
    return NULL;
}

static void finish_plugin(struct manifest_plugin *plugin)
{
    manifest_finish_services(plugin);
    free((void *)plugin->requirements);
    free((void *)plugin->wants);
    free((void *)plugin->renames);
    free((void *)plugin->formerly);
    free((void *)plugin->protos);
    free((void *)plugin->skip_unless);
    schema_destroy((struct schema *)plugin->config);
}

void manifest_destroy(struct manifest *manifest)
{
    struct owned_manifest *owned = (struct owned_manifest *)manifest;

    if (manifest == NULL)
        return;
    for (size_t i = 0; i < manifest->plugin_count; i++)
        finish_plugin(&manifest->plugins[i]);
    free(manifest->objection);
    free(manifest->plugins);
    config_tree_destroy(owned->tree);
    free(owned);
}
