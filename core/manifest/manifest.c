/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the YAML text of a note into what the module registers. Strict, and says all that is wrong at once.
 */
#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/text/diagnostics.h>
#include <config/print/print.h>
#include <config/schema/schema.h>

#include <core/scan/scan.h>
#include <sdk/base/hash.h>

#include "makes.h"
#include "name.h"
#include "reader.h"

#define PLUGINS_MAX 256

static const char *const module_keys[] = {"module",  "version", "description", "author",
                                          "licence", "needs",   "plugins"};

static const char *const plugin_keys[] = {
    "type",        "id",        "description", "requires",       "wants",    "services", "transports",
    "carries",     "callbacks", "interface",   "config_version", "renames",  "config",   "protos",
    "skip_unless", "formerly",  "leaves",      "gives_to",       "migrates", "upgrade",  "state",
    "uses",        "makes",     "activate",    "http_prefix",    "remote",
};

/* In the order of enum manifest_callback. */
static const char *const callback_names[] = {"prepare", "discard", "serve",       "drain",      "close",
                                             "migrate", "check",   "reconfigure", "save_state", "load_state"};

/* In the order of enum manifest_uses. */
static const char *const uses_names[] = {"router", "inspect", "intercept"};

/* In the order of enum manifest_upgrade. */
static const char *const upgrade_names[] = {"exclusive", "handover", "beside"};

/* A manifest and the tree that its texts are borrowed from. */
struct owned_manifest {
    struct manifest manifest;
    struct config_tree *tree;
};

uint64_t manifest_hash(const char *text, size_t length)
{
    return berth_hash(BERTH_HASH_START, text, length);
}

/* That "*" stands alone is a rule of the plan's. */
static bool is_requirement(const char *name)
{
    size_t type_length;

    return strcmp(name, "*") == 0 || manifest_type_is_valid(name) || manifest_uri_split(name, &type_length);
}

static struct manifest_requirement *read_requirements(struct reader *reader, const struct config_node *map,
                                                      const char *key, size_t *ret_count)
{
    const struct config_node *list = reader_find(map, key);
    struct manifest_requirement *requirements;

    if (list == NULL || !reader_expect(reader, list, CONFIG_LIST, key))
        return NULL;
    requirements = reader_allocate(reader, list, list->count, sizeof(*requirements));
    if (requirements == NULL)
        return NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];

        if (!reader_expect(reader, node, CONFIG_SCALAR, "a requirement"))
            continue;
        if (!is_requirement(node->text))
            complain(reader, &node->mark,
                     "\"%.200s\" is neither a type such as io.example.store.v1, nor a URI such as "
                     "io.example.store.v1.main, nor \"*\"",
                     node->text);
        requirements[(*ret_count)++] = (struct manifest_requirement){.name = node->text, .mark = node->mark};
    }
    return requirements;
}

static uint32_t read_callback(struct reader *reader, const struct config_node *node)
{
    const char *nearest;

    if (!reader_expect(reader, node, CONFIG_SCALAR, "a callback"))
        return 0;
    for (size_t i = 0; i < COUNT(callback_names); i++) {
        if (strcmp(node->text, callback_names[i]) == 0)
            return 1u << i;
    }
    nearest = config_nearest(node->text, callback_names, COUNT(callback_names));
    complain_of_unknown(reader, &node->mark, "callbacks: unknown callback \"%.60s\" (%s%s%s)", node->text,
                        nearest != NULL ? "did you mean \""
                                        : "use prepare, discard, serve, drain, close, migrate, check, "
                                          "reconfigure, save_state or load_state",
                        nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
    return 0;
}

static void read_callbacks(struct reader *reader, const struct config_node *map,
                           struct manifest_plugin *plugin)
{
    const struct config_node *list = reader_find(map, "callbacks");

    if (list == NULL || !reader_expect(reader, list, CONFIG_LIST, "callbacks"))
        return;
    for (size_t i = 0; i < list->count; i++) {
        uint32_t callback = read_callback(reader, list->items[i]);

        if ((plugin->callbacks & callback) != 0)
            complain(reader, &list->items[i]->mark, "%s is named twice", list->items[i]->text);
        plugin->callbacks |= callback;
    }
    if ((plugin->callbacks & MANIFEST_CALLBACK_DISCARD) != 0 &&
        (plugin->callbacks & MANIFEST_CALLBACK_PREPARE) == 0)
        complain(reader, &list->mark, "discard frees what prepare made: name prepare too");
}

/* What the plan cannot see in the code: a key of its own, because it keeps the plugin in the daemon. */
static void read_uses(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin)
{
    const struct config_node *list = reader_find(map, "uses");

    if (list == NULL || !reader_expect(reader, list, CONFIG_LIST, "uses"))
        return;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];
        size_t k = 0;

        if (!reader_expect(reader, node, CONFIG_SCALAR, "a table of the host"))
            continue;
        while (k < COUNT(uses_names) && strcmp(node->text, uses_names[k]) != 0)
            k++;
        if (k == COUNT(uses_names))
            complain_of_unknown(
                reader, &node->mark,
                "uses: \"%.60s\" is not a table of the host: use router, inspect or intercept", node->text);
        else
            plugin->uses |= 1u << k;
    }
}

const char *manifest_upgrade_name(enum manifest_upgrade mode)
{
    return upgrade_names[mode];
}

static void read_upgrade(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin)
{
    const char *name = reader_text(reader, map, "upgrade", false, "a plugin");

    for (size_t i = 0; name != NULL && i < COUNT(upgrade_names); i++) {
        if (strcmp(name, upgrade_names[i]) != 0)
            continue;
        plugin->upgrade = (enum manifest_upgrade)i;
        return;
    }
    if (name != NULL && *name != '\0')
        complain(reader, &reader_find(map, "upgrade")->mark,
                 "upgrade: \"%.60s\" is not a mode: use beside, handover or exclusive", name);
}

/* A plugin has had few formats of its state. */
#define STATE_READS_MAX 32

bool manifest_reads_state(const struct manifest_plugin *to, const struct manifest_plugin *from)
{
    for (size_t i = 0; i < to->state.read_count; i++)
        if (to->state.reads[i] == from->state.writes)
            return true;
    return from->state.writes == 0;
}

/* Without a list it reads what it writes. */
static void read_state_reads(struct reader *reader, const struct config_node *state,
                             const struct config_node *list, struct manifest_plugin *plugin)
{
    size_t count = list == NULL ? 1 : list->count;
    uint32_t *reads;

    if (list != NULL && !reader_expect(reader, list, CONFIG_LIST, "state.reads"))
        return;
    if (count > STATE_READS_MAX) {
        complain(reader, &list->mark, "state.reads: %zu versions are too many (at most %d)", count,
                 STATE_READS_MAX);
        return;
    }
    reads = reader_allocate(reader, state, count, sizeof(*reads));
    if (reads == NULL)
        return;
    plugin->state.reads = reads;
    if (list == NULL)
        reads[plugin->state.read_count++] = plugin->state.writes;
    for (size_t i = 0; list != NULL && i < count; i++)
        if (reader_number(reader, list->items[i], "a version under state.reads",
                          &reads[plugin->state.read_count]))
            plugin->state.read_count++;
    if (plugin->state.writes != 0 && !manifest_reads_state(plugin, plugin))
        complain(reader, &list->mark,
                 "state.reads lacks %u, the version under writes: a restart hands over the state too",
                 plugin->state.writes);
}

static bool has_callback(const struct manifest_plugin *plugin, uint32_t callback)
{
    return (plugin->callbacks & callback) != 0;
}

static void read_state(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin)
{
    static const char *const known[] = {"writes", "reads"};
    const struct config_node *state = reader_find(map, "state"), *writes;

    if (state == NULL) {
        if (has_callback(plugin, MANIFEST_CALLBACK_SAVE_STATE | MANIFEST_CALLBACK_LOAD_STATE))
            complain(reader, &reader_find(map, "callbacks")->mark,
                     "save_state and load_state require the versions they write and read, such as state: "
                     "{writes: 1}");
        return;
    }
    if (!reader_expect(reader, state, CONFIG_MAP, "state"))
        return;
    reader_check_keys(reader, state, "state", known, COUNT(known));
    if (!has_callback(plugin, MANIFEST_CALLBACK_SAVE_STATE) ||
        !has_callback(plugin, MANIFEST_CALLBACK_LOAD_STATE))
        complain(reader, &state->mark, "state requires save_state and load_state under callbacks");
    if (plugin->upgrade == MANIFEST_UPGRADE_BESIDE)
        complain(reader, &state->mark,
                 "state: with upgrade: beside, both generations run at once and no state is handed over; use "
                 "upgrade: handover");
    writes = reader_find(state, "writes");
    if (writes == NULL)
        complain(reader, &state->mark, "state requires writes");
    else if (reader_number(reader, writes, "state.writes", &plugin->state.writes))
        read_state_reads(reader, state, reader_find(state, "reads"), plugin);
}

/* When it starts, and what of it can be called besides its services. */
static void read_activate(struct reader *reader, const struct config_node *map,
                          struct manifest_plugin *plugin)
{
    const char *when = reader_text(reader, map, "activate", false, "a plugin");

    plugin->http_prefix = reader_text(reader, map, "http_prefix", false, "a plugin");
    if (plugin->http_prefix != NULL && plugin->http_prefix[0] != '/')
        complain(reader, &reader_find(map, "http_prefix")->mark,
                 "http_prefix: \"%.200s\" is not a path prefix such as /hello", plugin->http_prefix);
    if (when == NULL)
        return;
    if (strcmp(when, "call") == 0)
        plugin->activate = MANIFEST_ACTIVATE_CALL;
    else if (strcmp(when, "start") == 0)
        plugin->activate = MANIFEST_ACTIVATE_START;
    else
        complain(reader, &reader_find(map, "activate")->mark,
                 "activate: \"%.60s\" is neither start nor call (start: with the daemon; call: when it is "
                 "first called)",
                 when);
}

static void read_interface(struct reader *reader, const struct config_node *map,
                           struct manifest_plugin *plugin)
{
    plugin->interface = reader_text(reader, map, "interface", false, "a plugin");
    if (plugin->interface != NULL && !manifest_identifier_is_valid(plugin->interface))
        complain(reader, &reader_find(map, "interface")->mark,
                 "interface: \"%.60s\" is not the name of a C struct such as berth_store", plugin->interface);
}

static void check_remote(struct reader *reader, const struct config_node *list, size_t i,
                         const struct manifest_plugin *plugin)
{
    if (!manifest_identifier_is_valid(list->items[i]->text))
        complain(reader, &list->items[i]->mark,
                 "remote: \"%.60s\" is not the name of a C struct such as berth_image_verifier",
                 list->items[i]->text);
}

static void check_proto(struct reader *reader, const struct config_node *list, size_t i,
                        const struct manifest_plugin *plugin)
{
    const struct config_node *node = list->items[i];

    if (!manifest_proto_is_valid(node->text))
        complain(reader, &node->mark,
                 "protos: \"%.200s\" is not a .proto path as passed to protoc, such as greeter.proto or "
                 "example/v1/greeter.proto",
                 node->text);
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

/* Names between bars, none of them empty. */
static bool variables_are_valid(const char *names)
{
    char name[MANIFEST_SETTING_MAX + 1];

    do {
        size_t length = strcspn(names, MANIFEST_ENV_OR);

        if (length == 0 || length > MANIFEST_SETTING_MAX)
            return false;
        snprintf(name, sizeof(name), "%.*s", (int)length, names);
        if (!manifest_identifier_is_valid(name))
            return false;
        names += length;
    } while (*names++ != '\0');
    return true;
}

static void check_condition(struct reader *reader, const struct config_node *list, size_t i,
                            const struct manifest_plugin *plugin)
{
    const struct config_node *node = list->items[i];

    if (plugin->config == NULL)
        return;
    if (strncmp(node->text, MANIFEST_ENV, strlen(MANIFEST_ENV)) == 0) {
        if (!variables_are_valid(node->text + strlen(MANIFEST_ENV)))
            complain(reader, &node->mark,
                     "skip_unless: \"%.200s\" does not name an environment variable such as env:NAME",
                     node->text);
    } else if (!manifest_setting_is_valid(node->text) || !has_setting(plugin->config, node->text)) {
        complain(reader, &node->mark,
                 "skip_unless: \"%.200s\" is not a setting under config (for an environment variable write "
                 "env:NAME)",
                 node->text);
    }
}

/* Type, id, and their URI. */
static void read_name(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin)
{
    char uri[MANIFEST_TYPE_MAX + MANIFEST_ID_MAX + 2];
    int length;

    plugin->type = reader_text(reader, map, "type", true, "a plugin");
    plugin->id = reader_text(reader, map, "id", true, "a plugin");
    if (plugin->type != NULL && !manifest_type_is_valid(plugin->type))
        complain(reader, &reader_find(map, "type")->mark,
                 "type: \"%.200s\" is not a type such as io.example.store.v1: a reversed domain name of two "
                 "labels or more, then a version",
                 plugin->type);
    if (plugin->id != NULL && !manifest_id_is_valid(plugin->id))
        complain(reader, &reader_find(map, "id")->mark,
                 "id: \"%.200s\" is not an id: use 1 to %d of A-Z, a-z, 0-9, _ and -", plugin->id,
                 MANIFEST_ID_MAX);
    if (plugin->type == NULL || plugin->id == NULL)
        return;
    length = snprintf(uri, sizeof(uri), "%s.%s", plugin->type, plugin->id);
    if (length > 0 && (size_t)length < sizeof(uri))
        plugin->uri = config_tree_add_text(reader->tree, uri, (size_t)length);
}

static void read_plugin(struct reader *reader, const struct config_node *node, struct manifest_plugin *plugin)
{
    plugin->mark = node->mark;
    if (!reader_expect(reader, node, CONFIG_MAP, "a plugin"))
        return;
    reader_check_keys(reader, node, "a plugin", plugin_keys, COUNT(plugin_keys));
    read_name(reader, node, plugin);
    plugin->description = reader_text(reader, node, "description", false, "a plugin");
    plugin->requirements = read_requirements(reader, node, "requires", &plugin->requirement_count);
    plugin->wants = read_requirements(reader, node, "wants", &plugin->want_count);
    services_read(reader, node, plugin);
    read_callbacks(reader, node, plugin);
    read_upgrade(reader, node, plugin);
    read_activate(reader, node, plugin);
    read_uses(reader, node, plugin);
    read_state(reader, node, plugin);
    read_interface(reader, node, plugin);
    reader_texts(reader, reader_find(node, "remote"), "remote", "an interface under remote", check_remote,
                 plugin, &plugin->remotes, &plugin->remote_count);
    reader_texts(reader, reader_find(node, "protos"), "protos", "a file under protos", check_proto, plugin,
                 &plugin->protos, &plugin->proto_count);
    section_read(reader, node, plugin);
    if (reader_find(node, "makes") != NULL)
        plugin->makes = makes_read(reader_find(node, "makes"), reader->diagnostics);
    reader_texts(reader, reader_find(node, "skip_unless"), "skip_unless", "a condition under skip_unless",
                 check_condition, plugin, &plugin->skip_unless, &plugin->skip_unless_count);
}

static int compare_uris(const void *a, const void *b)
{
    const struct manifest_plugin *left = *(const struct manifest_plugin *const *)a;
    const struct manifest_plugin *right = *(const struct manifest_plugin *const *)b;
    int order = strcmp(left->uri, right->uri);

    return order != 0 ? order : (left > right) - (left < right);
}

static void check_twins(struct reader *reader, const struct manifest *manifest)
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
            complain(reader, &sorted[i]->mark, "%s is already registered at line %u", sorted[i]->uri,
                     sorted[i - 1]->mark.line);
    }
}

static void read_plugins(struct reader *reader, const struct config_node *root, struct manifest *manifest)
{
    const struct config_node *list = reader_find(root, "plugins");

    if (list == NULL) {
        complain(reader, &root->mark, "a manifest has no plugins, which are required");
        return;
    }
    if (!reader_expect(reader, list, CONFIG_LIST, "plugins"))
        return;
    if (list->count == 0 || list->count > PLUGINS_MAX) {
        complain(reader, &list->mark, "plugins: %zu listed, expected 1 to %d", list->count, PLUGINS_MAX);
        return;
    }
    manifest->plugins = reader_allocate(reader, list, list->count, sizeof(*manifest->plugins));
    if (manifest->plugins == NULL)
        return;
    manifest->plugin_count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        manifest->plugins[i].manifest = manifest;
        read_plugin(reader, list->items[i], &manifest->plugins[i]);
    }
    check_twins(reader, manifest);
}

/* A host understands its keys and its callbacks. */
static bool is_understood(const char *need)
{
    return reader_is_among(need, module_keys, COUNT(module_keys)) ||
           reader_is_among(need, plugin_keys, COUNT(plugin_keys)) ||
           reader_is_among(need, callback_names, COUNT(callback_names));
}

/* Reported first and alone: whatever else looks wrong may be what this version does not understand. */
static bool check_needs(struct reader *reader, const struct config_node *root)
{
    const struct config_node *list = reader_find(root, "needs");
    size_t errors = reader->diagnostics->error_count;

    if (list == NULL)
        return true;
    if (!reader_expect(reader, list, CONFIG_LIST, "needs"))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];

        if (reader_expect(reader, node, CONFIG_SCALAR, "a name under needs") && !is_understood(node->text))
            complain(reader, &node->mark,
                     "needs \"%.60s\", which this version of berth does not understand: upgrade berth, or "
                     "use an older version of the module",
                     node->text);
    }
    return reader->diagnostics->error_count == errors;
}

static void read_manifest(struct reader *reader, const struct config_node *root, struct manifest *manifest)
{
    if (!reader_expect(reader, root, CONFIG_MAP, "a manifest") || !check_needs(reader, root))
        return;
    reader_check_keys(reader, root, "a manifest", module_keys, COUNT(module_keys));
    manifest->module = reader_text(reader, root, "module", true, "a manifest");
    if (manifest->module != NULL && *manifest->module != '\0' && !manifest_id_is_valid(manifest->module))
        complain(reader, &reader_find(root, "module")->mark,
                 "module: \"%.200s\" is not a module name: use 1 to %d of A-Z, a-z, 0-9, _ and -",
                 manifest->module, MANIFEST_ID_MAX);
    manifest->version = reader_text(reader, root, "version", true, "a manifest");
    manifest->description = reader_text(reader, root, "description", false, "a manifest");
    manifest->author = reader_text(reader, root, "author", false, "a manifest");
    manifest->licence = reader_text(reader, root, "licence", false, "a manifest");
    read_plugins(reader, root, manifest);
}

/* Takes `tree` over, which may be NULL after an error. @param name  of the text in marks. */
static struct manifest *parse_tree(const char *path, const char *name, struct config_tree *tree,
                                   struct config_diagnostics *diagnostics)
{
    struct reader reader = {.diagnostics = diagnostics, .tree = tree};
    size_t errors_before = diagnostics->error_count;
    struct owned_manifest *owned;
    const struct config_node *root;

    if (reader.tree == NULL)
        return NULL;
    owned = calloc(1, sizeof(*owned));
    if (owned == NULL) {
        config_tree_destroy(reader.tree);
        complain(&reader, &(struct config_mark){.file = name}, "no memory for the manifest");
        return NULL;
    }
    owned->tree = reader.tree;
    owned->manifest.path = config_tree_add_text(reader.tree, path, strlen(path));
    root = config_tree_root(reader.tree);
    if (root == NULL)
        complain(&reader, &(struct config_mark){.file = name}, "the manifest is empty");
    else
        read_manifest(&reader, root, &owned->manifest);
    if (diagnostics->error_count == errors_before)
        return &owned->manifest;
    manifest_destroy(&owned->manifest);
    return NULL;
}

struct manifest *manifest_parse(const char *path, const char *text, size_t length,
                                struct config_diagnostics *diagnostics)
{
    char name[4096 + 16];
    struct config_tree *tree;
    struct manifest *manifest;

    snprintf(name, sizeof(name), "%s: note", path);
    tree = config_yaml_read(name, text, length, &config_limits_manifest, diagnostics);
    manifest = parse_tree(path, name, tree, diagnostics);
    if (manifest == NULL)
        return NULL;
    manifest->hash = manifest_hash(text, length);
    for (size_t i = 0; i < manifest->plugin_count; i++)
        schema_own_defaults((struct schema *)manifest->plugins[i].config);
    config_tree_forget_nodes(tree);
    return manifest;
}

void manifest_forget_patterns(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->plugin_count; i++)
        schema_forget_patterns((struct schema *)manifest->plugins[i].config);
}

struct manifest *manifest_parse_source(const char *path, const char *text, size_t length,
                                       struct config_diagnostics *diagnostics, char **ret_note)
{
    struct config_tree *tree = config_yaml_read(path, text, length, &config_limits_source, diagnostics);
    struct manifest *manifest = parse_tree(path, path, tree, diagnostics);
    struct config_text note = {0};

    if (manifest == NULL)
        return NULL;
    if (config_tree_is_expanded(tree))
        config_print_tree(&note, config_tree_root(tree), 0);
    else
        config_text_add_bytes(&note, text, length);
    manifest->hash = manifest_hash(note.bytes, note.length);
    *ret_note = config_text_take(&note);
    return manifest;
}

static void finish_plugin(struct manifest_plugin *plugin)
{
    services_finish(plugin);
    section_finish(plugin);
    free((void *)plugin->requirements);
    free((void *)plugin->wants);
    free((void *)plugin->protos);
    free((void *)plugin->remotes);
    free((void *)plugin->skip_unless);
    free((void *)plugin->state.reads);
    makes_destroy(plugin->makes);
}

enum berth_code manifest_verify_libraries(const struct manifest *manifest, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < manifest->library_count && code == BERTH_OK; i++)
        code = verify_same_behind(manifest->libraries[i].path, &manifest->libraries[i].status, err);
    return code;
}

void manifest_destroy(struct manifest *manifest)
{
    struct owned_manifest *owned = (struct owned_manifest *)manifest;

    if (manifest == NULL)
        return;
    for (size_t i = 0; i < manifest->plugin_count; i++)
        finish_plugin(&manifest->plugins[i]);
    free(manifest->objection);
    free(manifest->signer);
    free(manifest->signer_comment);
    free(manifest->sha256);
    free(manifest->signature);
    for (size_t i = 0; i < manifest->library_count; i++)
        free(manifest->libraries[i].path);
    free(manifest->libraries);
    free(manifest->conflict);
    free(manifest->plugins);
    config_tree_destroy(owned->tree);
    free(owned);
}
