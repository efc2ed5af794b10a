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

#define PLUGINS_MAX 256

static const char *const module_keys[] = {"module",  "version", "description", "author",
                                          "licence", "needs",   "plugins"};

static const char *const plugin_keys[] = {
    "type",        "id",        "description", "requires",       "wants",    "services", "transports",
    "carries",     "callbacks", "interface",   "config_version", "renames",  "config",   "protos",
    "skip_unless", "formerly",  "leaves",      "gives_to",       "migrates", "upgrade",  "state",
    "uses",        "makes",     "activate",    "http_prefix",
};

/* In the order of enum manifest_callback. */
static const char *const callback_names[] = {"prepare", "discard", "serve",       "drain",      "close",
                                             "migrate", "check",   "reconfigure", "save_state", "load_state"};

/* In the order of enum manifest_uses. */
static const char *const uses_names[] = {"router", "inspect", "intercept"};

/* In the order of enum manifest_upgrade. */
static const char *const upgrade_names[] = {"exclusive", "handover", "beside"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A manifest and the tree that its texts are borrowed from. */
struct owned_manifest {
    struct manifest manifest;
    struct config_tree *tree;
};

#define VERSION_NUMBER_MAX 1000000

struct reader {
    struct config_tree *tree;
    struct config_diagnostics *diagnostics;
};

#define complain(reader, mark, ...)                                                                          \
    config_diagnostics_add((reader)->diagnostics, CONFIG_ERROR, (mark), __VA_ARGS__)

/* The same for a name that a newer berth may know. */
#define complain_of_unknown(reader, mark, format, ...)                                                       \
    config_diagnostics_add((reader)->diagnostics, config_diagnostics_of_unknown((reader)->diagnostics),      \
                           (mark), format "%s", __VA_ARGS__,                                                 \
                           (reader)->diagnostics->forgives_unknown ? "; ignoring it" : "")

/* Never empty, so NULL always means out of memory. */
static void *allocate(struct reader *reader, const struct config_node *node, size_t count, size_t size)
{
    void *array = calloc(count > 0 ? count : 1, size);

    if (array == NULL)
        complain(reader, &node->mark, "no memory for its %zu items", count);
    return array;
}

static const char *kind_name(enum config_node_kind kind)
{
    switch (kind) {
    case CONFIG_SCALAR:
        return "a text";
    case CONFIG_LIST:
        return "a list";
    case CONFIG_MAP:
        return "a map";
    }
    return "nothing";
}

static bool expect(struct reader *reader, const struct config_node *node, enum config_node_kind kind,
                   const char *what)
{
    if (node->kind == kind)
        return true;
    complain(reader, &node->mark, "%s must be %s, not %s", what, kind_name(kind), kind_name(node->kind));
    return false;
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void check_keys(struct reader *reader, const struct config_node *map, const char *what,
                       const char *const *known, size_t count)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct config_node *item = map->items[i];
        const char *nearest;

        if (is_among(item->key, known, count))
            continue;
        nearest = config_nearest(item->key, known, count);
        complain_of_unknown(reader, &item->key_mark, "%s has no key \"%.60s\"%s%s%s", what, item->key,
                            nearest != NULL ? " (did you mean \"" : "", nearest != NULL ? nearest : "",
                            nearest != NULL ? "\"?)" : "");
    }
}

/* The value at a key; NULL if the key is missing or empty. */
static const struct config_node *find(const struct config_node *map, const char *key)
{
    const struct config_node *node = config_node_find(map, key);

    return node != NULL && config_node_is_empty(node) ? NULL : node;
}

/* The text at a key; NULL if it is missing or wrong, which has been reported. */
static const char *read_text(struct reader *reader, const struct config_node *map, const char *key,
                             bool required, const char *what)
{
    const struct config_node *node = find(map, key);

    if (node == NULL) {
        if (required)
            complain(reader, &map->mark, "%s has no %s, which is required", what, key);
        return NULL;
    }
    if (!expect(reader, node, CONFIG_SCALAR, key))
        return NULL;
    if (node->length == 0)
        complain(reader, &node->mark, "%s is empty", key);
    return node->text;
}

static bool read_number(struct reader *reader, const struct config_node *node, const char *key,
                        uint32_t *ret_number)
{
    uint32_t number = 0;

    if (!expect(reader, node, CONFIG_SCALAR, key))
        return false;
    for (size_t i = 0; i < node->length && number <= VERSION_NUMBER_MAX; i++)
        number = node->text[i] >= '0' && node->text[i] <= '9' ? number * 10 + (uint32_t)(node->text[i] - '0')
                                                              : UINT32_MAX;
    if (number == 0 || number > VERSION_NUMBER_MAX) {
        complain(reader, &node->mark, "%s: \"%.60s\" is not a number from 1 to %d", key, node->text,
                 VERSION_NUMBER_MAX);
        return false;
    }
    *ret_number = number;
    return true;
}

/* Reads a list of texts, each judged by `check` at its place. */
static void read_texts(struct reader *reader, const struct config_node *list, const char *name,
                       const char *what,
                       void (*check)(struct reader *reader, const struct config_node *list, size_t i,
                                     const struct manifest_plugin *plugin),
                       const struct manifest_plugin *plugin, const char *const **ret_texts, size_t *ret_count)
{
    const char **texts;

    if (list == NULL || !expect(reader, list, CONFIG_LIST, name))
        return;
    texts = allocate(reader, list, list->count, sizeof(*texts));
    if (texts == NULL)
        return;
    *ret_texts = texts;
    *ret_count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!expect(reader, list->items[i], CONFIG_SCALAR, what))
            continue;
        check(reader, list, i, plugin);
        texts[(*ret_count)++] = list->items[i]->text;
    }
}

/* The default transports of a service: nothing ends up on a network by accident. */
static const char *const only_grpc[] = {"grpc"};

static enum berth_method_kind read_kind(struct reader *reader, const struct config_node *node)
{
    static const char *const kinds[] = {
        [BERTH_METHOD_UNARY] = "unary",
        [BERTH_METHOD_SERVER_STREAM] = "server_stream",
        [BERTH_METHOD_CLIENT_STREAM] = "client_stream",
        [BERTH_METHOD_BIDI_STREAM] = "bidi_stream",
    };

    if (!expect(reader, node, CONFIG_SCALAR, "a method's kind"))
        return BERTH_METHOD_UNARY;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (strcmp(node->text, kinds[i]) == 0)
            return (enum berth_method_kind)i;
    }
    complain(reader, &node->mark,
             "\"%.60s\" is not a kind of method: use unary, server_stream, client_stream or bidi_stream",
             node->text);
    return BERTH_METHOD_UNARY;
}

static void read_service(struct reader *reader, const struct config_node *node,
                         struct manifest_service *service)
{
    struct manifest_method *methods;

    service->name = node->key;
    service->transports = only_grpc;
    service->transport_count = 1;
    if (!manifest_service_is_valid(node->key))
        complain(reader, &node->key_mark, "\"%.200s\" is not a service name such as helloworld.Greeter",
                 node->key);
    if (!expect(reader, node, CONFIG_MAP, "a service"))
        return;
    methods = allocate(reader, node, node->count, sizeof(*methods));
    if (methods == NULL)
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *method = node->items[i];

        if (!manifest_identifier_is_valid(method->key))
            complain(reader, &method->key_mark, "\"%.200s\" is not a method name such as SayHello",
                     method->key);
        methods[i] = (struct manifest_method){.name = method->key, .kind = read_kind(reader, method)};
    }
    service->methods = methods;
    service->method_count = node->count;
}

static void read_services(struct reader *reader, const struct config_node *map,
                          struct manifest_plugin *plugin)
{
    const struct config_node *node = find(map, "services");
    struct manifest_service *services;

    if (node == NULL || !expect(reader, node, CONFIG_MAP, "services"))
        return;
    services = allocate(reader, node, node->count, sizeof(*services));
    if (services == NULL)
        return;
    for (size_t i = 0; i < node->count; i++)
        read_service(reader, node->items[i], &services[i]);
    plugin->services = services;
    plugin->service_count = node->count;
}

static struct manifest_service *find_service(const struct manifest_plugin *plugin, const char *name)
{
    for (size_t i = 0; i < plugin->service_count; i++)
        if (strcmp(plugin->services[i].name, name) == 0)
            return (struct manifest_service *)&plugin->services[i];
    return NULL;
}

static bool is_named_before(const struct config_node *list, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (list->items[k]->kind == CONFIG_SCALAR && strcmp(list->items[k]->text, list->items[i]->text) == 0)
            return true;
    return false;
}

static void check_transport(struct reader *reader, const struct config_node *list, size_t i,
                            const struct manifest_plugin *plugin)
{
    const struct config_node *node = list->items[i];

    if (!manifest_transport_is_valid(node->text))
        complain(
            reader, &node->mark,
            "\"%.60s\" is not a transport name such as grpc, ttrpc or http: use a-z, then a-z, 0-9 and -",
            node->text);
    else if (is_named_before(list, i))
        complain(reader, &node->mark, "the transport %s is named twice", node->text);
}

static void read_service_transports(struct reader *reader, const struct config_node *list,
                                    struct manifest_service *service)
{
    if (list->kind == CONFIG_LIST && list->count == 0)
        complain(reader, &list->mark, "%s has no transport: name one, or remove the line for [grpc]",
                 list->key);
    else
        read_texts(reader, list, "the transports of a service", "a transport", check_transport, NULL,
                   &service->transports, &service->transport_count);
}

static void read_transports(struct reader *reader, const struct config_node *map,
                            struct manifest_plugin *plugin)
{
    const struct config_node *node = find(map, "transports");

    if (node == NULL || !expect(reader, node, CONFIG_MAP, "transports"))
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *list = node->items[i];
        struct manifest_service *service = find_service(plugin, list->key);

        if (service != NULL)
            read_service_transports(reader, list, service);
        else
            complain(reader, &list->key_mark,
                     "transports: \"%.200s\" is not one of the services of this plugin", list->key);
    }
}

static void finish_services(struct manifest_plugin *plugin)
{
    for (size_t i = 0; i < plugin->service_count; i++) {
        free((void *)plugin->services[i].methods);
        if (plugin->services[i].transports != only_grpc)
            free((void *)plugin->services[i].transports);
    }
    free((void *)plugin->services);
    free((void *)plugin->carries);
}

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
    const struct config_node *list = find(map, key);
    struct manifest_requirement *requirements;

    if (list == NULL || !expect(reader, list, CONFIG_LIST, key))
        return NULL;
    requirements = allocate(reader, list, list->count, sizeof(*requirements));
    if (requirements == NULL)
        return NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];

        if (!expect(reader, node, CONFIG_SCALAR, "a requirement"))
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

    if (!expect(reader, node, CONFIG_SCALAR, "a callback"))
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
    const struct config_node *list = find(map, "callbacks");

    if (list == NULL || !expect(reader, list, CONFIG_LIST, "callbacks"))
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
    const struct config_node *list = find(map, "uses");

    if (list == NULL || !expect(reader, list, CONFIG_LIST, "uses"))
        return;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];
        size_t k = 0;

        if (!expect(reader, node, CONFIG_SCALAR, "a table of the host"))
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
    const char *name = read_text(reader, map, "upgrade", false, "a plugin");

    for (size_t i = 0; name != NULL && i < COUNT(upgrade_names); i++) {
        if (strcmp(name, upgrade_names[i]) != 0)
            continue;
        plugin->upgrade = (enum manifest_upgrade)i;
        return;
    }
    if (name != NULL && *name != '\0')
        complain(reader, &find(map, "upgrade")->mark,
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

    if (list != NULL && !expect(reader, list, CONFIG_LIST, "state.reads"))
        return;
    if (count > STATE_READS_MAX) {
        complain(reader, &list->mark, "state.reads: %zu versions are too many (at most %d)", count,
                 STATE_READS_MAX);
        return;
    }
    reads = allocate(reader, state, count, sizeof(*reads));
    if (reads == NULL)
        return;
    plugin->state.reads = reads;
    if (list == NULL)
        reads[plugin->state.read_count++] = plugin->state.writes;
    for (size_t i = 0; list != NULL && i < count; i++)
        if (read_number(reader, list->items[i], "a version under state.reads",
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
    const struct config_node *state = find(map, "state"), *writes;

    if (state == NULL) {
        if (has_callback(plugin, MANIFEST_CALLBACK_SAVE_STATE | MANIFEST_CALLBACK_LOAD_STATE))
            complain(reader, &find(map, "callbacks")->mark,
                     "save_state and load_state require the versions they write and read, such as state: "
                     "{writes: 1}");
        return;
    }
    if (!expect(reader, state, CONFIG_MAP, "state"))
        return;
    check_keys(reader, state, "state", known, COUNT(known));
    if (!has_callback(plugin, MANIFEST_CALLBACK_SAVE_STATE) ||
        !has_callback(plugin, MANIFEST_CALLBACK_LOAD_STATE))
        complain(reader, &state->mark, "state requires save_state and load_state under callbacks");
    if (plugin->upgrade == MANIFEST_UPGRADE_BESIDE)
        complain(reader, &state->mark,
                 "state: with upgrade: beside, both generations run at once and no state is handed over; use "
                 "upgrade: handover");
    writes = find(state, "writes");
    if (writes == NULL)
        complain(reader, &state->mark, "state requires writes");
    else if (read_number(reader, writes, "state.writes", &plugin->state.writes))
        read_state_reads(reader, state, find(state, "reads"), plugin);
}

/* When it starts, and what of it can be called besides its services. */
static void read_activate(struct reader *reader, const struct config_node *map,
                          struct manifest_plugin *plugin)
{
    const char *when = read_text(reader, map, "activate", false, "a plugin");

    plugin->http_prefix = read_text(reader, map, "http_prefix", false, "a plugin");
    if (plugin->http_prefix != NULL && plugin->http_prefix[0] != '/')
        complain(reader, &find(map, "http_prefix")->mark,
                 "http_prefix: \"%.200s\" is not a path prefix such as /hello", plugin->http_prefix);
    if (when == NULL)
        return;
    if (strcmp(when, "call") == 0)
        plugin->activate = MANIFEST_ACTIVATE_CALL;
    else if (strcmp(when, "start") == 0)
        plugin->activate = MANIFEST_ACTIVATE_START;
    else
        complain(reader, &find(map, "activate")->mark,
                 "activate: \"%.60s\" is neither start nor call (start: with the daemon; call: when it is "
                 "first called)",
                 when);
}

static void read_interface(struct reader *reader, const struct config_node *map,
                           struct manifest_plugin *plugin)
{
    plugin->interface = read_text(reader, map, "interface", false, "a plugin");
    if (plugin->interface != NULL && !manifest_identifier_is_valid(plugin->interface))
        complain(reader, &find(map, "interface")->mark,
                 "interface: \"%.60s\" is not the name of a C struct such as berth_store", plugin->interface);
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

static const char *read_setting_path(struct reader *reader, const struct config_node *map, const char *key,
                                     bool required)
{
    const char *path = read_text(reader, map, key, required, "a rename");

    if (path != NULL && *path != '\0' && !manifest_rename_is_valid(path))
        complain(reader, &find(map, key)->mark,
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
    const struct config_node *node = find(map, "wrap");

    if (node == NULL || !expect(reader, node, CONFIG_SCALAR, "wrap"))
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

    if (!expect(reader, node, CONFIG_MAP, "a rename"))
        return;
    check_keys(reader, node, "a rename", known, COUNT(known));
    rename->from = read_setting_path(reader, node, "from", true);
    rename->to = read_setting_path(reader, node, "to", (plugin->callbacks & MANIFEST_CALLBACK_MIGRATE) == 0);
    if (rename->from != NULL && rename->to != NULL && count_stars(rename->from) != count_stars(rename->to))
        complain(reader, &node->mark,
                 "from has %zu \"*\" and to has %zu: each key must have its place in both",
                 count_stars(rename->from), count_stars(rename->to));
    read_wrap(reader, node, rename);
    before = find(node, "before");
    if (before == NULL)
        complain(reader, &node->mark, "a rename has no before, which is required");
    else if (read_number(reader, before, "before", &rename->before_version) &&
             (rename->before_version < 2 || rename->before_version > plugin->config_version))
        complain(reader, &before->mark, "before: %u matches no older version: config_version is %u",
                 rename->before_version, plugin->config_version);
}

static void read_renames(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin)
{
    const struct config_node *list = find(map, "renames");
    struct manifest_rename *renames;

    if (list == NULL || !expect(reader, list, CONFIG_LIST, "renames"))
        return;
    renames = allocate(reader, list, list->count, sizeof(*renames));
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
    const struct config_node *list = find(map, "formerly");

    if (list != NULL && list->kind == CONFIG_LIST && list->count > FORMERLY_MAX)
        complain(reader, &list->mark, "formerly: %zu names are too many (at most %d)", list->count,
                 FORMERLY_MAX);
    else
        read_texts(reader, list, "formerly", "a name under formerly", check_former_name, plugin,
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
    const struct config_node *node = find(map, "migrates");

    if (node == NULL || !expect(reader, node, CONFIG_SCALAR, "migrates"))
        return;
    plugin->migrates_listed = strcmp(node->text, "listed") == 0;
    if (!plugin->migrates_listed && strcmp(node->text, "all") != 0)
        complain(reader, &node->mark, "migrates: \"%.60s\" is neither all nor listed", node->text);
    else if (plugin->migrates_listed && (plugin->callbacks & MANIFEST_CALLBACK_MIGRATE) == 0)
        complain(reader, &node->mark, "migrates: listed requires migrate under callbacks");
}

static void read_config(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin)
{
    const struct config_node *version = find(map, "config_version");
    const struct config_node *config = find(map, "config");

    plugin->config_version = 1;
    if (version != NULL)
        read_number(reader, version, "config_version", &plugin->config_version);
    read_renames(reader, map, plugin);
    read_formerly(reader, map, plugin);
    read_texts(reader, find(map, "leaves"), "leaves", "a setting under leaves", check_left, plugin,
               &plugin->leaves, &plugin->leave_count);
    read_texts(reader, find(map, "gives_to"), "gives_to", "a URI under gives_to", check_taker, plugin,
               &plugin->gives_to, &plugin->gives_to_count);
    read_migrates(reader, map, plugin);
    if (config == NULL || expect(reader, config, CONFIG_MAP, "config"))
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

    plugin->type = read_text(reader, map, "type", true, "a plugin");
    plugin->id = read_text(reader, map, "id", true, "a plugin");
    if (plugin->type != NULL && !manifest_type_is_valid(plugin->type))
        complain(reader, &find(map, "type")->mark,
                 "type: \"%.200s\" is not a type such as io.example.store.v1: a reversed domain name of two "
                 "labels or more, then a version",
                 plugin->type);
    if (plugin->id != NULL && !manifest_id_is_valid(plugin->id))
        complain(reader, &find(map, "id")->mark,
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
    if (!expect(reader, node, CONFIG_MAP, "a plugin"))
        return;
    check_keys(reader, node, "a plugin", plugin_keys, COUNT(plugin_keys));
    read_name(reader, node, plugin);
    plugin->description = read_text(reader, node, "description", false, "a plugin");
    plugin->requirements = read_requirements(reader, node, "requires", &plugin->requirement_count);
    plugin->wants = read_requirements(reader, node, "wants", &plugin->want_count);
    read_services(reader, node, plugin);
    read_transports(reader, node, plugin);
    read_texts(reader, find(node, "carries"), "carries", "a transport", check_transport, plugin,
               &plugin->carries, &plugin->carry_count);
    read_callbacks(reader, node, plugin);
    read_upgrade(reader, node, plugin);
    read_activate(reader, node, plugin);
    read_uses(reader, node, plugin);
    read_state(reader, node, plugin);
    read_interface(reader, node, plugin);
    read_texts(reader, find(node, "protos"), "protos", "a file under protos", check_proto, plugin,
               &plugin->protos, &plugin->proto_count);
    read_config(reader, node, plugin);
    if (find(node, "makes") != NULL)
        plugin->makes = makes_read(find(node, "makes"), reader->diagnostics);
    read_texts(reader, find(node, "skip_unless"), "skip_unless", "a condition under skip_unless",
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
    const struct config_node *list = find(root, "plugins");

    if (list == NULL) {
        complain(reader, &root->mark, "a manifest has no plugins, which are required");
        return;
    }
    if (!expect(reader, list, CONFIG_LIST, "plugins"))
        return;
    if (list->count == 0 || list->count > PLUGINS_MAX) {
        complain(reader, &list->mark, "plugins: %zu listed, expected 1 to %d", list->count, PLUGINS_MAX);
        return;
    }
    manifest->plugins = allocate(reader, list, list->count, sizeof(*manifest->plugins));
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
    return is_among(need, module_keys, COUNT(module_keys)) ||
           is_among(need, plugin_keys, COUNT(plugin_keys)) ||
           is_among(need, callback_names, COUNT(callback_names));
}

/* Reported first and alone: whatever else looks wrong may be what this version does not understand. */
static bool check_needs(struct reader *reader, const struct config_node *root)
{
    const struct config_node *list = find(root, "needs");
    size_t errors = reader->diagnostics->error_count;

    if (list == NULL)
        return true;
    if (!expect(reader, list, CONFIG_LIST, "needs"))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];

        if (expect(reader, node, CONFIG_SCALAR, "a name under needs") && !is_understood(node->text))
            complain(reader, &node->mark,
                     "needs \"%.60s\", which this version of berth does not understand: upgrade berth, or "
                     "use an older version of the module",
                     node->text);
    }
    return reader->diagnostics->error_count == errors;
}

static void read_manifest(struct reader *reader, const struct config_node *root, struct manifest *manifest)
{
    if (!expect(reader, root, CONFIG_MAP, "a manifest") || !check_needs(reader, root))
        return;
    check_keys(reader, root, "a manifest", module_keys, COUNT(module_keys));
    manifest->module = read_text(reader, root, "module", true, "a manifest");
    if (manifest->module != NULL && *manifest->module != '\0' && !manifest_id_is_valid(manifest->module))
        complain(reader, &find(root, "module")->mark,
                 "module: \"%.200s\" is not a module name: use 1 to %d of A-Z, a-z, 0-9, _ and -",
                 manifest->module, MANIFEST_ID_MAX);
    manifest->version = read_text(reader, root, "version", true, "a manifest");
    manifest->description = read_text(reader, root, "description", false, "a manifest");
    manifest->author = read_text(reader, root, "author", false, "a manifest");
    manifest->licence = read_text(reader, root, "licence", false, "a manifest");
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
    finish_services(plugin);
    free((void *)plugin->requirements);
    free((void *)plugin->wants);
    free((void *)plugin->renames);
    free((void *)plugin->formerly);
    free((void *)plugin->leaves);
    free((void *)plugin->gives_to);
    free((void *)plugin->protos);
    free((void *)plugin->skip_unless);
    free((void *)plugin->state.reads);
    makes_destroy(plugin->makes);
    schema_destroy((struct schema *)plugin->config);
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
