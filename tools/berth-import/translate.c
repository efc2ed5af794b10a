/* SPDX-License-Identifier: Apache-2.0 */
/* Translates containerd's settings into berth's; a setting without a counterpart becomes a loss. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/schema/value.h>
#include <sdk/base/memory.h>

#include "import.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Depth of a setting in its section. */
#define STEPS_MAX 64

/* Settings of the daemon that belong to the service manager here, or have no meaning. */
static const struct {
    const char *name, *reason;
} elsewhere[] = {
    {"oom_score", "set by the service manager: OOMScoreAdjust= of berthd.service"},
    {"cgroup", "set by the service manager: Slice= of berthd.service"},
    {"subreaper", "no counterpart: orphans are reaped only if berthd is process 1"},
    {"no_subreaper", "no counterpart: orphans are reaped only if berthd is process 1"},
    {"temp", "no counterpart: berthd creates no temporary files; plugins use TMPDIR"},
    {"plugin_dir", "containerd's plugins cannot be loaded; berth's own are in plugin_dirs"},
    {"timeouts", "no counterpart: these are timeouts of shims, tasks and containerd's database"},
    {"stream_processors", "no counterpart: image layers are not unpacked here"},
    {"proxy_plugins", "not translated: berthd.yaml has the same section with the same keys, so copy it"},
    {"grpc", "ignored by containerd since version 4; use the section io.containerd.server.v1.grpc"},
    {"ttrpc", "ignored by containerd since version 4; use the section io.containerd.server.v1.ttrpc"},
    {"metrics", "ignored by containerd since version 4; use the section io.containerd.server.v1.metrics"},
};

/* Settings that berth's plugin of the same URI calls by another name. */
static const struct {
    const char *uri, *from, *to;
} renamed[] = {
    {"io.containerd.server.v1.grpc", "max_recv_message_size", "max_recv_message_bytes"},
    {"io.containerd.server.v1.grpc", "max_send_message_size", "max_send_message_bytes"},
    {"io.containerd.server.v1.grpc-tcp", "max_recv_message_size", "max_recv_message_bytes"},
    {"io.containerd.server.v1.grpc-tcp", "max_send_message_size", "max_send_message_bytes"},
};

/* A section being translated: the plugin, and the path from its top to the present setting. */
struct section {
    struct import *import;
    const struct manifest_plugin *plugin;
    /** It is of an older version, which the plugin's own code migrates. */
    bool is_old;
    const char *steps[STEPS_MAX];
    size_t depth;
};

static bool matches(const struct section *section, const char *pattern)
{
    size_t i = 0;

    while (i < section->depth && *pattern != '\0') {
        size_t length = strcspn(pattern, ".");
        bool is_star = length == 1 && *pattern == '*';

        if (!is_star &&
            (strlen(section->steps[i]) != length || strncmp(section->steps[i], pattern, length) != 0))
            return false;
        i++;
        pattern += length + (pattern[length] == '.');
    }
    /* A setting that is left to code stays, with everything above and below it. */
    return true;
}

static bool is_left_to_code(const struct section *section)
{
    for (size_t i = 0; section->is_old && i < section->plugin->rename_count; i++)
        if (section->plugin->renames[i].to == NULL && matches(section, section->plugin->renames[i].from))
            return true;
    return false;
}

static const char *name_path(const struct section *section)
{
    char text[1024];
    size_t length = 0;

    for (size_t i = 0; i < section->depth; i++) {
        int more =
            snprintf(text + length, sizeof(text) - length, "%s%s", i == 0 ? "" : ".", section->steps[i]);

        if ((size_t)more >= sizeof(text) - length)
            break;
        length += (size_t)more;
    }
    text[length] = '\0';
    return config_tree_add_text(section->import->tree, text, length);
}

/* Removes quotes from a text that has another type in berth, or that does not need them. */
static void adapt_text(const struct schema *schema, struct config_node *node)
{
    if (node->plain)
        return;
    if (schema->kind == SCHEMA_DURATION || schema->kind == SCHEMA_BYTES)
        node->plain = node->length > 0;
    else if (schema->kind == SCHEMA_STRING || schema->kind == SCHEMA_PATH || schema->kind == SCHEMA_ENUM ||
             schema->kind == SCHEMA_ANY)
        node->plain = config_print_is_plain(node->text, node->length);
}

/* Does an empty text mean "not set"? */
static bool is_unset(const struct schema *schema, const struct config_node *node)
{
    if (node->kind != CONFIG_SCALAR || node->plain || node->length > 0)
        return false;
    return schema->kind != SCHEMA_ANY && (schema->kind != SCHEMA_STRING || schema->has_min);
}

/* True if the node stays. */
static bool adapt(struct section *section, const struct schema *schema, struct config_node *node);

static bool adapt_item(struct section *section, const struct schema *schema, struct config_node *item)
{
    size_t count = item->count;

    /* An empty one would only cause a warning. */
    if (schema != NULL && schema->deprecated != NULL && import_is_zero(item))
        return false;
    if (schema == NULL && is_left_to_code(section))
        return true;
    if (schema == NULL) {
        import_lose(section->import, section->plugin->uri, name_path(section), item, "no such setting");
        return false;
    }
    return adapt(section, schema, item) && (item->kind == CONFIG_SCALAR || item->count > 0 || count == 0);
}

static void adapt_items(struct section *section, const struct schema *schema, struct config_node *node)
{
    size_t kept = 0;

    for (size_t i = 0; i < node->count; i++) {
        struct config_node *item = node->items[i];
        const struct schema *inner = schema->kind == SCHEMA_OBJECT && node->kind == CONFIG_MAP
                                         ? schema_find_field(schema, item->key)
                                     : schema->kind == SCHEMA_ANY ? schema
                                                                  : schema->items;

        if (section->depth == STEPS_MAX)
            break;
        section->steps[section->depth++] = item->key == NULL ? "-" : item->key;
        if (adapt_item(section, inner, item))
            node->items[kept++] = item;
        section->depth--;
    }
    node->count = kept;
}

static bool adapt(struct section *section, const struct schema *schema, struct config_node *node)
{
    bool is_map = schema->kind == SCHEMA_MAP || schema->kind == SCHEMA_OBJECT;

    if (is_unset(schema, node))
        return false;
    if (node->kind == CONFIG_SCALAR)
        adapt_text(schema, node);
    else if (schema->kind == SCHEMA_ANY || (is_map && node->kind == CONFIG_MAP) ||
             (schema->kind == SCHEMA_LIST && node->kind == CONFIG_LIST))
        adapt_items(section, schema, node);
    return true;
}

static void rename_settings(struct config_node *node, const char *uri)
{
    for (size_t i = 0; i < COUNT(renamed); i++) {
        struct config_node *item =
            strcmp(renamed[i].uri, uri) == 0 ? config_node_find(node, renamed[i].from) : NULL;

        if (item != NULL && config_node_find(node, renamed[i].to) == NULL)
            item->key = renamed[i].to;
    }
}

static bool is_old(const struct manifest_plugin *plugin, const struct config_node *version)
{
    return version != NULL && strtoul(version->text, NULL, 10) < plugin->config_version;
}

/* What is left to the plugin's code is unknown to the schema; the rest of such a section must be right. */
static void check_section(struct import *import, const struct section *section,
                          const struct config_node *node)
{
    const struct config_check_options options = {
        .section = node->key, .lenient = section->is_old, .partial = section->is_old};
    struct config_diagnostics diagnostics = {0};

    config_values_destroy(config_values_create(section->plugin->config, node, &options, &diagnostics));
    for (size_t i = 0; i < diagnostics.count; i++) {
        const struct config_diagnostic *diagnostic = &diagnostics.items[i];

        if (diagnostic->severity == CONFIG_ERROR || !section->is_old)
            config_diagnostics_add(import->diagnostics, diagnostic->severity, &diagnostic->mark, "%s",
                                   diagnostic->message);
    }
    config_diagnostics_finish(&diagnostics);
}

/* True if something of it stays. */
static bool translate_section(struct import *import, struct config_node *node)
{
    struct section section = {.import = import, .plugin = catalog_find(import->catalog, node->key)};
    struct config_node *version;

    if (section.plugin == NULL) {
        import_lose(import, NULL, node->key, node, "no such plugin");
        return false;
    }
    if (node->kind != CONFIG_MAP) {
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &node->mark,
                               "plugins: %s: expected a table", node->key);
        return false;
    }
    rename_settings(node, node->key);
    version = config_node_take(node, "config_version");
    section.is_old = is_old(section.plugin, version);
    adapt_items(&section, section.plugin->config, node);
    check_section(import, &section, node);
    if (node->count == 0)
        return false;
    if (version != NULL) {
        config_node_append(import->tree, node, version);
        memmove(node->items + 1, node->items, (node->count - 1) * sizeof(struct config_node *));
        node->items[0] = version;
    }
    return true;
}

static void translate_sections(struct import *import)
{
    struct config_node *plugins = config_node_find(import->root, "plugins");
    size_t kept = 0;

    if (plugins == NULL)
        return;
    if (plugins->kind != CONFIG_MAP) {
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &plugins->mark, "plugins: expected tables");
        return;
    }
    for (size_t i = 0; i < plugins->count; i++)
        if (translate_section(import, plugins->items[i]))
            plugins->items[kept++] = plugins->items[i];
    plugins->count = kept;
}

/* Plugins that berth does not have can neither be required nor disabled. */
static void translate_list(struct import *import, const char *name, const char *reason)
{
    struct config_node *list = config_node_find(import->root, name);
    size_t kept = 0;

    if (list == NULL)
        return;
    if (list->kind != CONFIG_LIST) {
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &list->mark,
                               "%s: expected a list of plugins", name);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        struct config_node *item = list->items[i];

        if (item->kind != CONFIG_SCALAR || item->plain) {
            config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &item->mark,
                                   "%s: expected a plugin's name", name);
            continue;
        }
        item->plain = config_print_is_plain(item->text, item->length);
        if (catalog_find(import->catalog, item->text) == NULL)
            import_lose(import, NULL, name, item, reason);
        else
            list->items[kept++] = item;
    }
    list->count = kept;
}

/* berth has its own rules for paths: "~" and "$" are refused. */
static void check_path(struct import *import, struct config_node *node)
{
    const struct schema path = {.kind = SCHEMA_PATH, .name = node->key};
    const struct schema *const fields[] = {&path};
    const struct schema object = {.kind = SCHEMA_OBJECT, .fields = fields, .field_count = 1};
    const struct config_check_options options = {0};
    struct config_node map = {.kind = CONFIG_MAP, .mark = node->mark, .items = &node, .count = 1};

    config_values_destroy(config_values_create(&object, &map, &options, import->diagnostics));
}

static void translate_folder(struct import *import, const char *name)
{
    struct config_node *node = config_node_find(import->root, name);

    if (node == NULL)
        return;
    if (node->kind != CONFIG_SCALAR || node->plain || node->text[0] != '/') {
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &node->mark,
                               "%s: expected the absolute path of a directory", name);
        return;
    }
    check_path(import, node);
    node->plain = config_print_is_plain(node->text, node->length);
}

/* logrus knows more levels. */
static const char *const levels[][2] = {
    {"trace", "debug"},  {"debug", "debug"}, {"info", "info"},   {"warn", "warn"},
    {"warning", "warn"}, {"error", "error"}, {"fatal", "error"}, {"panic", "error"},
};

static const char *find_level(const char *text)
{
    for (size_t i = 0; i < COUNT(levels); i++)
        if (strcasecmp(levels[i][0], text) == 0)
            return levels[i][1];
    return NULL;
}

static void translate_level(struct import *import, struct config_node *level, struct config_node *log)
{
    const char *text = level->kind == CONFIG_SCALAR && !level->plain ? find_level(level->text) : NULL;

    if (text == NULL) {
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &level->mark,
                               "debug.level: expected one of trace, debug, info, warn, error, fatal, panic");
        return;
    }
    level->text = text;
    level->length = strlen(text);
    level->plain = true;
    config_node_append(import->tree, log, level);
}

static void translate_format(struct import *import, struct config_node *format, struct config_node *log)
{
    if (format->kind != CONFIG_SCALAR || format->plain ||
        (strcmp(format->text, "text") != 0 && strcmp(format->text, "json") != 0)) {
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &format->mark,
                               "debug.format: expected text or json");
        return;
    }
    format->plain = true;
    config_node_append(import->tree, log, format);
}

static const char *find_reason(const char *name)
{
    for (size_t i = 0; i < COUNT(elsewhere); i++)
        if (strcmp(elsewhere[i].name, name) == 0)
            return elsewhere[i].reason;
    return "containerd has no such setting";
}

/* `debug` is the log, and until version 3 also a server, which has moved to its section by now. */
static void translate_debug(struct import *import)
{
    struct config_node *debug = config_node_take(import->root, "debug"), *log;

    /* containerd does not know berth's name `log`. */
    if ((log = config_node_take(import->root, "log")) != NULL)
        import_lose(import, NULL, "log", log, find_reason("log"));
    if (debug == NULL)
        return;
    if (debug->kind != CONFIG_MAP) {
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &debug->mark, "debug: expected a table");
        return;
    }
    log = config_tree_add_node(import->tree, CONFIG_MAP, debug->mark);
    log->key = "log";
    log->key_mark = debug->key_mark;
    for (size_t i = 0; i < debug->count; i++) {
        struct config_node *item = debug->items[i];
        const char *name = memory_format("debug.%s", item->key);

        if (strcmp(item->key, "level") == 0 && !import_is_zero(item))
            translate_level(import, item, log);
        else if (strcmp(item->key, "format") == 0 && !import_is_zero(item))
            translate_format(import, item, log);
        else if (strcmp(item->key, "log_trace_id") == 0)
            import_lose(import, NULL, "debug.log_trace_id", item,
                        "no counterpart: log lines of traced calls always have the trace ID");
        else if (!import_is_zero(item) ||
                 (strcmp(item->key, "level") != 0 && strcmp(item->key, "format") != 0))
            import_lose(
                import, NULL, config_tree_add_text(import->tree, name, strlen(name)), item,
                "ignored by containerd since version 4; use the section io.containerd.server.v1.debug");
        free((void *)name);
    }
    if (log->count > 0)
        config_node_append(import->tree, import->root, log);
}

static bool is_ours(const char *name)
{
    static const char *const names[] = {
        "root", "state", "log", "plugins", "disabled_plugins", "required_plugins"};

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Tables of servers are empty once their settings have moved. */
static void translate_rest(struct import *import)
{
    size_t kept = 0;

    for (size_t i = 0; i < import->root->count; i++) {
        struct config_node *item = import->root->items[i];

        if (is_ours(item->key))
            import->root->items[kept++] = item;
        else if (item->kind != CONFIG_MAP || item->count > 0)
            import_lose(import, NULL, item->key, item, find_reason(item->key));
    }
    import->root->count = kept;
}

bool import_translate(struct import *import)
{
    size_t errors = import->diagnostics->error_count;

    translate_folder(import, "root");
    translate_folder(import, "state");
    translate_debug(import);
    translate_list(import, "required_plugins", "no such plugin, so it cannot be required");
    translate_list(import, "disabled_plugins", "no such plugin, so nothing to disable");
    translate_sections(import);
    translate_rest(import);
    return import->diagnostics->error_count == errors;
}
