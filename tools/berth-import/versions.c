/* SPDX-License-Identifier: Apache-2.0 */
/* Brings one file of containerd to the newest version: names of plugins, servers as plugins, sections. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

#include "import.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

unsigned import_version(const struct config_node *root, struct config_diagnostics *diagnostics)
{
    const struct config_node *node = config_node_find(root, "version");
    unsigned long version;

    if (node == NULL)
        return 1;
    version = node->kind == CONFIG_SCALAR && node->plain && node->text[0] >= '0' && node->text[0] <= '9' &&
                      strspn(node->text, "0123456789") == node->length
                  ? strtoul(node->text, NULL, 10)
                  : IMPORT_VERSION_MAX + 1;
    if (version <= IMPORT_VERSION_MAX)
        return version == 0 ? 1 : (unsigned)version;
    config_diagnostics_add(
        diagnostics, CONFIG_ERROR, &node->mark,
        "version: expected a number from 1 to %d, the version of containerd's configuration",
        IMPORT_VERSION_MAX);
    return 0;
}

/* Version 1 named plugins by their ID alone. @return a URI, allocated by the tree if it is made up. */
static const char *name_plugin(struct config_tree *tree, const char *name)
{
    static const char *const names[][2] = {
        {"cri", "io.containerd.grpc.v1.cri"},
        {"cgroups", "io.containerd.monitor.v1.cgroups"},
        {"linux", "io.containerd.runtime.v1.linux"},
        {"scheduler", "io.containerd.gc.v1.scheduler"},
        {"bolt", "io.containerd.metadata.v1.bolt"},
        {"task", "io.containerd.runtime.v2.task"},
        {"opt", "io.containerd.internal.v1.opt"},
        {"restart", "io.containerd.internal.v1.restart"},
        {"tracing", "io.containerd.internal.v1.tracing"},
        {"otlp", "io.containerd.tracing.processor.v1.otlp"},
        {"aufs", "io.containerd.snapshotter.v1.aufs"},
        {"btrfs", "io.containerd.snapshotter.v1.btrfs"},
        {"devmapper", "io.containerd.snapshotter.v1.devmapper"},
        {"native", "io.containerd.snapshotter.v1.native"},
        {"overlayfs", "io.containerd.snapshotter.v1.overlayfs"},
        {"zfs", "io.containerd.snapshotter.v1.zfs"},
        {"windows", "io.containerd.snapshotter.v1.windows"},
        {"windows-lcow", "io.containerd.snapshotter.v1.windows-lcow"},
    };
    static const char service[] = "-service";
    size_t length = strlen(name);
    const char *made;
    char *uri;

    if (strchr(name, '.') != NULL)
        return name;
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i][0]) == 0)
            return names[i][1];
    uri = memory_format("io.containerd.%s.v1.%s",
                        length >= strlen(service) && strcmp(name + length - strlen(service), service) == 0
                            ? "service"
                            : "grpc",
                        name);
    made = config_tree_add_text(tree, uri, strlen(uri));
    free(uri);
    return made;
}

void import_name_plugins(struct config_tree *tree, struct config_node *root, unsigned version)
{
    static const char *const lists[] = {"disabled_plugins", "required_plugins"};
    struct config_node *plugins = config_node_find(root, "plugins");

    if (version > 1)
        return;
    for (size_t i = 0; plugins != NULL && plugins->kind == CONFIG_MAP && i < plugins->count; i++)
        plugins->items[i]->key = name_plugin(tree, plugins->items[i]->key);
    for (size_t i = 0; i < COUNT(lists); i++) {
        struct config_node *list = config_node_find(root, lists[i]);

        for (size_t j = 0; list != NULL && list->kind == CONFIG_LIST && j < list->count; j++) {
            struct config_node *item = list->items[j];

            if (item->kind != CONFIG_SCALAR)
                continue;
            item->text = name_plugin(tree, item->text);
            item->length = strlen(item->text);
        }
    }
}

bool import_is_zero(const struct config_node *node)
{
    if (node->kind == CONFIG_SCALAR && !node->plain)
        return node->length == 0;
    if (node->kind == CONFIG_SCALAR)
        return strcmp(node->text, "false") == 0 || strcmp(node->text, "0") == 0 ||
               strcmp(node->text, "0.0") == 0;
    if (node->kind == CONFIG_LIST)
        return node->count == 0;
    for (size_t i = 0; i < node->count; i++)
        if (!import_is_zero(node->items[i]))
            return false;
    return true;
}

static struct config_node *add_map(struct config_tree *tree, struct config_node *map, const char *key,
                                   const struct config_node *origin)
{
    struct config_node *node = config_tree_add_node(tree, CONFIG_MAP, origin->mark);

    node->key = key;
    node->key_mark = origin->key_mark;
    config_node_append(tree, map, node);
    return node;
}

static struct config_node *add_text(struct config_tree *tree, struct config_node *map, const char *key,
                                    const char *text, const struct config_node *origin)
{
    struct config_node *node = config_tree_add_scalar(tree, text, origin->mark);

    node->key = key;
    node->key_mark = origin->key_mark;
    node->length = strlen(text);
    config_node_append(tree, map, node);
    return node;
}

/* One setting of a server: where version 3 has it, and what the server's own plugin calls it. */
struct server_setting {
    const char *table, *name, *uri, *to;
};

static const struct server_setting server_settings[] = {
    {"grpc", "address", "io.containerd.server.v1.grpc", "address"},
    {"grpc", "uid", "io.containerd.server.v1.grpc", "uid"},
    {"grpc", "gid", "io.containerd.server.v1.grpc", "gid"},
    {"grpc", "max_recv_message_size", "io.containerd.server.v1.grpc", "max_recv_message_size"},
    {"grpc", "max_send_message_size", "io.containerd.server.v1.grpc", "max_send_message_size"},
    {"grpc", "tcp_address", "io.containerd.server.v1.grpc-tcp", "address"},
    {"grpc", "tcp_tls_ca", "io.containerd.server.v1.grpc-tcp", "tls_ca"},
    {"grpc", "tcp_tls_cert", "io.containerd.server.v1.grpc-tcp", "tls_cert"},
    {"grpc", "tcp_tls_key", "io.containerd.server.v1.grpc-tcp", "tls_key"},
    {"grpc", "tcp_tls_common_name", "io.containerd.server.v1.grpc-tcp", "tls_common_name"},
    {"ttrpc", "address", "io.containerd.server.v1.ttrpc", "address"},
    {"ttrpc", "uid", "io.containerd.server.v1.ttrpc", "uid"},
    {"ttrpc", "gid", "io.containerd.server.v1.ttrpc", "gid"},
    {"debug", "address", "io.containerd.server.v1.debug", "address"},
    {"debug", "uid", "io.containerd.server.v1.debug", "uid"},
    {"debug", "gid", "io.containerd.server.v1.debug", "gid"},
    {"metrics", "address", "io.containerd.server.v1.metrics", "address"},
    {"metrics", "grpc_histogram", "io.containerd.metrics.v1.grpc-prometheus", "grpc_histogram"},
};

/* Servers that exist only where they have an address. */
static bool needs_address(const char *uri)
{
    return strcmp(uri, "io.containerd.server.v1.grpc-tcp") == 0 ||
           strcmp(uri, "io.containerd.server.v1.debug") == 0;
}

static bool is_set(const struct config_node *table, const char *name)
{
    const struct config_node *node = config_node_find(table, name);

    return node != NULL && !import_is_zero(node);
}

/* With an address, owner 0 of a socket is root; without one it means "not set". */
static bool counts(const struct config_node *table, const struct config_node *value)
{
    if (!import_is_zero(value))
        return true;
    return (strcmp(value->key, "uid") == 0 || strcmp(value->key, "gid") == 0) && is_set(table, "address");
}

static void move_setting(struct config_tree *tree, struct config_node *root, struct config_node *plugins,
                         const bool *is_own, size_t i)
{
    const struct server_setting *setting = &server_settings[i];
    struct config_node *table = config_node_find(root, setting->table), *value, *section;

    value = table == NULL ? NULL : config_node_find(table, setting->name);
    if (value == NULL || table->kind != CONFIG_MAP || is_own[i])
        return;
    if (needs_address(setting->uri) &&
        !is_set(table, strcmp(setting->table, "grpc") == 0 ? "tcp_address" : "address"))
        return;
    if (counts(table, value)) {
        section = config_node_find(plugins, setting->uri);
        if (section == NULL)
            section = add_map(tree, plugins, setting->uri, table);
        value = config_tree_copy_node(tree, value);
        value->key = setting->to;
        config_node_append(tree, section, value);
    }
}

static void remove_moved(struct config_node *root)
{
    for (size_t i = 0; i < COUNT(server_settings); i++) {
        struct config_node *table = config_node_find(root, server_settings[i].table);

        if (table != NULL && table->kind == CONFIG_MAP)
            config_node_take(table, server_settings[i].name);
    }
}

/* Without an address, the ttrpc server listens next to the gRPC server, with the same owner. */
static void derive_ttrpc(struct config_tree *tree, struct config_node *root, struct config_node *plugins)
{
    static const char uri[] = "io.containerd.server.v1.ttrpc";
    static const char *const owners[] = {"uid", "gid"};
    const struct config_node *grpc = config_node_find(root, "grpc");
    const struct config_node *address = config_node_find(grpc, "address"), *owner;
    struct config_node *section = config_node_find(plugins, uri);
    char *derived;

    if (!is_set(grpc, "address") || address->kind != CONFIG_SCALAR || is_set(section, "address"))
        return;
    if (section == NULL)
        section = add_map(tree, plugins, uri, address);
    if (section->kind != CONFIG_MAP)
        return;
    config_node_take(section, "address");
    derived = memory_format("%s.ttrpc", address->text);
    add_text(tree, section, "address", config_tree_add_text(tree, derived, strlen(derived)), address);
    free(derived);
    for (size_t i = 0; i < COUNT(owners); i++) {
        owner = config_node_find(grpc, owners[i]);
        if (owner == NULL || is_set(section, owners[i]))
            continue;
        config_node_take(section, owners[i]);
        config_node_append(tree, section, config_tree_copy_node(tree, owner));
    }
}

/* A value in a plugin's own section takes precedence over the old tables. */
static void move_servers(struct config_tree *tree, struct config_node *root)
{
    struct config_node *plugins = config_node_find(root, "plugins");
    bool is_own[COUNT(server_settings)], has_ttrpc;

    if (plugins == NULL)
        plugins = add_map(tree, root, "plugins", root);
    if (plugins->kind != CONFIG_MAP)
        return;
    for (size_t i = 0; i < COUNT(server_settings); i++)
        is_own[i] = config_node_find(plugins, server_settings[i].uri) != NULL;
    has_ttrpc = config_node_find(plugins, "io.containerd.server.v1.ttrpc") != NULL;
    for (size_t i = 0; i < COUNT(server_settings); i++)
        move_setting(tree, root, plugins, is_own, i);
    if (!has_ttrpc)
        derive_ttrpc(tree, root, plugins);
    remove_moved(root);
}

static bool knows_section(const struct manifest_plugin *plugin, const char *name)
{
    for (size_t i = 0; i < plugin->formerly_count; i++)
        if (strcmp(plugin->formerly[i], name) == 0)
            return true;
    return strcmp(plugin->uri, name) == 0;
}

/* The newest version that plugins know of a section by that name; 0 if nobody does. */
static uint32_t version_of(const struct import *import, const char *name)
{
    uint32_t version = 0;

    for (size_t i = 0; i < import->catalog->count; i++) {
        const struct manifest_plugin *plugin = import->catalog->plugins[i];

        if (knows_section(plugin, name) && plugin->config_version > version)
            version = plugin->config_version;
    }
    return version;
}

/* `config_version` follows containerd's numbering, for plugins that have had as many versions. */
static void set_version(struct import *import, struct config_tree *tree, struct config_node *section,
                        unsigned version)
{
    uint32_t known = version_of(import, section->key);
    char text[16];

    if (section->kind != CONFIG_MAP || known < 2)
        return;
    snprintf(text, sizeof(text), "%u", version < known ? version : known);
    add_text(tree, section, "config_version", config_tree_add_text(tree, text, strlen(text)), section)
        ->plain = true;
}

/* A setting that a plugin leaves to its own code. */
struct leftover {
    struct import *import;
    const char *section, *name;
};

/* containerd does not know berth's name for the version of a section. */
static void drop_version(struct import *import, struct config_node *section)
{
    struct config_node *version =
        section->kind == CONFIG_MAP ? config_node_take(section, "config_version") : NULL;

    if (version != NULL)
        import_lose(import, section->key, "config_version", version, "no such setting");
}

/* Takes out a setting that is unset in containerd's sense; a star stands for every key. */
static void drop_path(const struct leftover *leftover, struct config_node *map, const char *path)
{
    size_t length = strcspn(path, "."), kept = 0;
    bool is_star = length == 1 && *path == '*', is_last = path[length] == '\0';

    if (map->kind != CONFIG_MAP)
        return;
    for (size_t i = 0; i < map->count; i++) {
        struct config_node *item = map->items[i];
        bool is_meant = is_star || (strlen(item->key) == length && strncmp(item->key, path, length) == 0);

        if (is_meant && !is_last)
            drop_path(leftover, item, path + length + 1);
        if (!is_meant || !is_last || !import_is_zero(item))
            map->items[kept++] = item;
        else
            import_lose(leftover->import, leftover->section, leftover->name, item,
                        "unset, and no longer a setting");
    }
    map->count = kept;
}

/* A setting that is left to its plugin's code, but unset, does not need that code. */
static void drop_unset(struct import *import, struct config_node *section, unsigned version)
{
    for (size_t i = 0; i < import->catalog->count; i++) {
        const struct manifest_plugin *plugin = import->catalog->plugins[i];

        for (size_t j = 0; j < plugin->rename_count && knows_section(plugin, section->key); j++) {
            const struct leftover leftover = {import, plugin->uri, plugin->renames[j].from};

            if (plugin->renames[j].to == NULL && plugin->renames[j].before_version > version)
                drop_path(&leftover, section, plugin->renames[j].from);
        }
    }
}

/* All sections are of an older version here: renames are not reported, but values that are not used are. */
static void keep_conflicts(struct import *import, const struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct config_diagnostic *diagnostic = &diagnostics->items[i];

        if (diagnostic->deprecated == NULL && diagnostic->mark.line > 0)
            config_diagnostics_add(import->diagnostics, diagnostic->severity, &diagnostic->mark, "%s",
                                   diagnostic->message);
    }
}

void import_migrate(struct import *import, struct config_tree *tree, unsigned version)
{
    const struct settings_migration migration = {.catalog = import->catalog};
    struct config_node *root = config_tree_root(tree), *plugins;
    struct config_diagnostics diagnostics = {0};

    if (version < 4)
        move_servers(tree, root);
    plugins = config_node_find(root, "plugins");
    for (size_t i = 0; plugins != NULL && plugins->kind == CONFIG_MAP && i < plugins->count; i++) {
        drop_version(import, plugins->items[i]);
        drop_unset(import, plugins->items[i], version);
        set_version(import, tree, plugins->items[i], version);
    }
    settings_migrate_tree(&migration, tree, &diagnostics);
    keep_conflicts(import, &diagnostics);
    config_diagnostics_finish(&diagnostics);
}

void import_lose(struct import *import, const char *section, const char *name, const struct config_node *node,
                 const char *reason)
{
    import->losses = memory_grow(import->losses, import->loss_count, sizeof(*import->losses));
    import->losses[import->loss_count++] = (struct import_loss){section, name, node, reason};
}

void import_finish(struct import *import)
{
    config_tree_destroy(import->tree);
    free(import->losses);
}
