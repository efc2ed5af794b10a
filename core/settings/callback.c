/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin's own `migrate` may do to its section, within bounds. */
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "store.h"

/* Bounds on what one `migrate` may do. */
enum {
    RUN_CHANGES_MAX = 20000,
    RUN_NODES_MAX = 100000,
};

/* What a plugin's callback works on. All views live until it returns: it may hold values of an earlier one.
 */
struct run {
    struct berth_migration table;
    struct config_tree *tree;
    struct config_node *section;
    const struct manifest_plugin *plugin;
    struct config_values **views;
    size_t view_count;
    size_t changes, nodes, bytes;
    /* A limit was exceeded: the migration has no effect, whatever the callback returns. */
    bool is_exhausted;
    struct config_diagnostics *diagnostics;
};

static void renew_view(struct run *run)
{
    run->views = memory_grow(run->views, run->view_count, sizeof(struct config_values *));
    run->views[run->view_count] = config_values_create_untyped(run->section);
    run->table.settings = config_values_settings(run->views[run->view_count++]);
}

static enum berth_code exhaust(struct run *run, struct berth_error *err)
{
    run->is_exhausted = true;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                           "exceeded the limits of a migration: %d changes, %d values, %zu bytes",
                           RUN_CHANGES_MAX, RUN_NODES_MAX, config_limits_file.max_bytes);
}

static bool may_change(struct run *run, size_t bytes)
{
    run->changes++;
    run->bytes = bytes > config_limits_file.max_bytes ? SIZE_MAX / 2 : run->bytes + bytes;
    return !run->is_exhausted && run->changes <= RUN_CHANGES_MAX &&
           run->bytes <= config_limits_file.max_bytes;
}

/* What a plugin sets has the mark of its section. @return the number of nodes. */
static size_t set_marks(struct config_node *node, struct config_mark mark, const char *was)
{
    size_t count = 1;

    node->mark = node->key_mark = mark;
    node->was = was;
    for (size_t i = 0; i < node->count; i++)
        count += set_marks(node->items[i], mark, was);
    return count;
}

static struct config_node *parse_value(struct run *run, const char *yaml, struct berth_error *err)
{
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree =
        config_yaml_read(run->section->mark.file, yaml, strlen(yaml), &config_limits_manifest, &diagnostics);
    struct config_node *node = NULL;

    if (tree == NULL)
        berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.200s\" is not valid YAML: %s", yaml,
                        diagnostics.items[0].message);
    else if ((node = config_tree_adopt(run->tree, tree)) == NULL)
        berth_error_set(err, BERTH_INVALID_ARGUMENT, "the value is empty; use \"\" for an empty text");
    else
        run->nodes += set_marks(node, run->section->mark, "computed by the plugin's migration");
    config_diagnostics_finish(&diagnostics);
    return node;
}

static enum berth_code on_set(const struct berth_migration *migration, const char *path, const char *yaml,
                              struct berth_error *err)
{
    struct run *run = (struct run *)migration;
    struct path steps;
    struct config_node *node;

    if (!may_change(run, strnlen(yaml, config_limits_file.max_bytes + 1)))
        return exhaust(run, err);
    if (!path_split(path, &steps))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.200s\" is not a valid dotted path", path);
    node = parse_value(run, yaml, err);
    if (node == NULL)
        return BERTH_INVALID_ARGUMENT;
    if (run->nodes > RUN_NODES_MAX)
        return exhaust(run, err);
    if (!path_put(run->tree, run->section, &steps, node))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "cannot set %s: a step of the path is not a map; remove it first", path);
    renew_view(run);
    return BERTH_OK;
}

static enum berth_code on_remove(const struct berth_migration *migration, const char *path)
{
    struct run *run = (struct run *)migration;
    struct path steps;

    if (!may_change(run, 0)) {
        run->is_exhausted = true;
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (!path_split(path, &steps) || path_take(run->section, &steps) == NULL)
        return BERTH_NOT_FOUND;
    renew_view(run);
    return BERTH_OK;
}

/* Is one path the other, or on the way to it? Then a value would be moved into itself. */
static bool is_within(const struct path *outer, const struct path *inner)
{
    if (outer->count > inner->count)
        return false;
    for (size_t i = 0; i < outer->count; i++)
        if (strcmp(outer->steps[i], inner->steps[i]) != 0)
            return false;
    return true;
}

static enum berth_code on_move(const struct berth_migration *migration, const char *from, const char *to,
                               struct berth_error *err)
{
    struct run *run = (struct run *)migration;
    struct path source, target;
    struct config_node *node, *kept;

    if (!may_change(run, 0))
        return exhaust(run, err);
    if (!path_split(from, &source) || !path_split(to, &target) || is_within(&source, &target))
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "cannot move \"%.200s\" to \"%.200s\": expected two dotted paths, neither within the other", from,
            to);
    node = path_take(run->section, &source);
    if (node == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "%s is not set", from);
    kept = path_find(run->section, &target);
    if (kept != NULL && !config_node_is_empty(kept)) {
        config_diagnostics_add(run->diagnostics, CONFIG_WARNING, &node->key_mark,
                               "%s: %s is now %s, which is also set (%s:%u:%u) and wins; remove this one",
                               run->plugin->uri, from, to, kept->mark.file, kept->mark.line,
                               kept->mark.column);
        renew_view(run);
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "%s is set", to);
    }
    if (node->was == NULL)
        migration_set_origin(node, migration_name_origin(run->tree, from, run->plugin->uri));
    if (!path_put(run->tree, run->section, &target, node))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "cannot move %s to %s: a step of the path is not a map; remove it first", from,
                               to);
    migration_deprecate(run->plugin, from, &node->key_mark, run->diagnostics, "is now %s", to);
    renew_view(run);
    return BERTH_OK;
}

/* Did the callback read a setting as the wrong type? Then its result must not be used. */
static bool has_misread(const struct run *run)
{
    for (size_t i = 0; i < run->view_count; i++) {
        const struct config_misread *misread = config_values_misread(run->views[i]);

        if (misread->err.message[0] == '\0')
            continue;
        config_diagnostics_add(run->diagnostics, CONFIG_ERROR, &misread->mark, "%s: %s", run->plugin->uri,
                               misread->err.message);
        return true;
    }
    return false;
}

static void finish_run(struct run *run)
{
    for (size_t i = 0; i < run->view_count; i++)
        config_values_destroy(run->views[i]);
    free(run->views);
}

enum berth_code migration_call(struct config_tree *tree, const struct manifest_plugin *plugin,
                               struct config_node *section, uint32_t version, migration_callback *on_migrate,
                               void *context, struct config_diagnostics *diagnostics)
{
    struct berth_error err = {""}, bound = {""};
    struct run run = {
        .table = {.size = sizeof(run.table),
                  .uri = plugin->uri,
                  .from_version = version,
                  .to_version = plugin->config_version,
                  .set = on_set,
                  .remove = on_remove,
                  .move = on_move},
        .tree = tree,
        .section = section,
        .plugin = plugin,
        .diagnostics = diagnostics,
    };
    enum berth_code code;

    renew_view(&run);
    code = on_migrate(context, plugin, &run.table, &err);
    if (run.is_exhausted)
        code = exhaust(&run, &bound);
    if (code != BERTH_OK)
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &section->mark,
                               "%s: cannot migrate its section from version %u to version %u: %s",
                               plugin->uri, version, plugin->config_version,
                               run.is_exhausted ? bound.message : err.message);
    if (has_misread(&run))
        code = code != BERTH_OK ? code : BERTH_INVALID_ARGUMENT;
    finish_run(&run);
    return code;
}
