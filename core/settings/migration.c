/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One plugin's section: migrated from an older version by declared renames and the plugin's own code, and
 * checked by the plugin.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bounds on a dotted path, from a rename or a plugin. */
enum {
    PATH_MAX_BYTES = 512,
    PATH_MAX_STEPS = 32,
};

/* "limits.burst" split into steps. */
struct path {
    char text[PATH_MAX_BYTES];
    const char *steps[PATH_MAX_STEPS];
    size_t count;
};

static bool split_path(const char *text, struct path *ret_path)
{
    char *rest = ret_path->text;

    ret_path->count = 0;
    if (strlen(text) >= sizeof(ret_path->text))
        return false;
    strcpy(ret_path->text, text);
    while (rest != NULL) {
        char *step = strsep(&rest, ".");

        if (*step == '\0' || ret_path->count == PATH_MAX_STEPS)
            return false;
        ret_path->steps[ret_path->count++] = step;
    }
    return true;
}

static struct config_node *find_path(struct config_node *map, const struct path *path, size_t count)
{
    for (size_t i = 0; map != NULL && i < count; i++)
        map = config_node_find(map, path->steps[i]);
    return map;
}

struct config_node *migration_find_setting(struct config_node *section, const char *path)
{
    struct path steps;

    return split_path(path, &steps) ? find_path(section, &steps, steps.count) : NULL;
}

/* Also removes maps on the way that become empty. NULL if there is nothing at the path. */
static struct config_node *take_path(struct config_node *section, const struct path *path)
{
    struct config_node *taken = find_path(section, path, path->count);
    struct config_node *child = taken;

    for (size_t i = path->count; child != NULL && i > 0; i--) {
        struct config_node *parent = find_path(section, path, i - 1);

        config_node_take(parent, child->key);
        child = parent->count == 0 ? parent : NULL;
    }
    return taken;
}

/* The map that holds the path's last step, created if missing; NULL if a step is not a map. */
static struct config_node *make_parents(struct config_tree *tree, struct config_node *section,
                                        const struct path *path, const struct config_node *origin)
{
    struct config_node *map = section;

    for (size_t i = 0; i + 1 < path->count; i++) {
        struct config_node *next = config_node_find(map, path->steps[i]);

        if (next == NULL) {
            next = config_tree_add_node(tree, CONFIG_MAP, origin->mark);
            next->key = config_tree_add_text(tree, path->steps[i], strlen(path->steps[i]));
            next->key_mark = origin->key_mark;
            config_node_append(tree, map, next);
        }
        if (next->kind != CONFIG_MAP)
            return NULL;
        map = next;
    }
    return map;
}

static bool put_path(struct config_tree *tree, struct config_node *section, const struct path *path,
                     struct config_node *node)
{
    struct config_node *map = make_parents(tree, section, path, node);
    const char *last = path->steps[path->count - 1];

    if (map == NULL)
        return false;
    config_node_take(map, last);
    node->key = config_tree_add_text(tree, last, strlen(last));
    config_node_append(tree, map, node);
    return true;
}

static bool schema_knows(const struct schema *schema, const struct path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        schema = schema->kind == SCHEMA_OBJECT ? schema_find_field(schema, path->steps[i]) : NULL;
        if (schema == NULL)
            return false;
    }
    return true;
}

/* A deprecation that `config migrate` fixes: an old name of a setting, or an old version of the section. */
BERTH_PRINTF(5, 6)
static void deprecate(const struct manifest_plugin *plugin, const char *name, const struct config_mark *mark,
                      struct config_diagnostics *diagnostics, const char *format, ...)
{
    char setting[1024], text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    snprintf(setting, sizeof(setting), "%s/%s", plugin->uri, name);
    config_diagnostics_add_deprecation(diagnostics, setting, mark,
                                       "%s: %s %s; run `berthd config migrate` to update the file",
                                       plugin->uri, name, text);
}

void migration_warn_of_version(const struct manifest_plugin *plugin, const struct config_node *section,
                               const struct migration *migration, struct config_diagnostics *diagnostics)
{
    uint32_t current = plugin->config_version;

    if (migration->version == current || (migration->renamed > 0 && migration->is_said))
        return;
    if (migration->is_said)
        deprecate(plugin, "config_version", &section->key_mark, diagnostics,
                  "is %u, but this module is made for version %u", migration->version, current);
    else
        deprecate(
            plugin, "config_version", &section->key_mark, diagnostics,
            "is not set; the section fits version %u but not the current version %u, so it was migrated",
            migration->version, current);
}

/* True if it was applied. */
static bool apply_rename(struct config_tree *tree, const struct manifest_plugin *plugin,
                         struct config_node *section, const struct manifest_rename *rename, uint32_t version,
                         struct config_diagnostics *diagnostics)
{
    struct path from, to;
    struct config_node *node;

    if (rename->to == NULL || !split_path(rename->from, &from) || !split_path(rename->to, &to))
        return false;
    if (rename->before_version <= version && schema_knows(plugin->config, &from))
        return false;
    node = find_path(section, &from, from.count);
    if (node == NULL)
        return false;
    if (find_path(section, &to, to.count) != NULL) {
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &node->key_mark,
                               "%s: %s is the old name of %s, and both are set; remove this one", plugin->uri,
                               rename->from, rename->to);
        return false;
    }
    take_path(section, &from);
    if (!put_path(tree, section, &to, node)) {
        config_diagnostics_add(
            diagnostics, CONFIG_ERROR, &node->key_mark,
            "%s: %s is now called %s, which conflicts with another setting; rename it by hand", plugin->uri,
            rename->from, rename->to);
        return false;
    }
    deprecate(plugin, rename->from, &node->key_mark, diagnostics,
              "was renamed to %s in version %u of this section", rename->to, rename->before_version);
    return true;
}

static int compare_versions(const void *a, const void *b)
{
    const struct manifest_rename *left = *(const struct manifest_rename *const *)a;
    const struct manifest_rename *right = *(const struct manifest_rename *const *)b;

    if (left->before_version != right->before_version)
        return left->before_version < right->before_version ? -1 : 1;
    return left < right ? -1 : left > right;
}

size_t migration_apply_renames(struct config_tree *tree, const struct manifest_plugin *plugin,
                               struct config_node *section, uint32_t version,
                               struct config_diagnostics *diagnostics)
{
    const struct manifest_rename **sorted;
    size_t applied = 0;

    if (plugin->rename_count == 0 || section == NULL || section->kind != CONFIG_MAP)
        return 0;
    sorted = memory_allocate(plugin->rename_count, sizeof(*sorted));
    for (size_t i = 0; i < plugin->rename_count; i++)
        sorted[i] = &plugin->renames[i];
    qsort(sorted, plugin->rename_count, sizeof(*sorted), compare_versions);
    for (size_t i = 0; i < plugin->rename_count; i++)
        applied += apply_rename(tree, plugin, section, sorted[i], version, diagnostics);
    free(sorted);
    return applied;
}

/* @return false, with an error, for an invalid version or one newer than the plugin's. */
static bool take_version(const struct manifest_plugin *plugin, struct config_node *section,
                         struct migration *ret_migration, struct config_diagnostics *diagnostics)
{
    struct config_node *node = config_node_take(section, "config_version");
    char *end;
    unsigned long version;

    *ret_migration = (struct migration){.version = plugin->config_version, .is_said = node != NULL};
    if (node == NULL)
        return true;
    version = node->kind == CONFIG_SCALAR && node->plain ? strtoul(node->text, &end, 10) : 0;
    if (version == 0 || *end != '\0' || version > UINT32_MAX || node->text[0] == '-') {
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &node->mark,
                               "%s: config_version: expected a number from 1 to %u, the version that this "
                               "section is written for",
                               plugin->uri, plugin->config_version);
        return false;
    }
    if (version > plugin->config_version) {
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &node->mark,
                               "%s: config_version: this section has version %lu, but module %s %s supports "
                               "versions up to %u; install a newer module",
                               plugin->uri, version, plugin->manifest->module, plugin->manifest->version,
                               plugin->config_version);
        return false;
    }
    ret_migration->version = (uint32_t)version;
    return true;
}

/* The number of versions tried for a section without `config_version`. */
#define VERSIONS_TRIED_MAX 16

/* Settings of an older version that the plugin's `migrate` handles are unknown to the schema. */
static void remove_migrated(const struct manifest_plugin *plugin, struct config_node *section,
                            uint32_t version)
{
    for (size_t i = 0; i < plugin->rename_count; i++) {
        const struct manifest_rename *rename = &plugin->renames[i];
        struct path from;

        if (rename->to == NULL && rename->before_version > version && split_path(rename->from, &from))
            take_path(section, &from);
    }
}

/* Do the section's names and values fit this version? Missing settings say nothing about the version. */
static bool fits_version(struct config_tree *tree, const struct manifest_plugin *plugin,
                         const struct config_node *section, uint32_t version)
{
    struct config_check_options options = {.partial = true};
    struct config_diagnostics diagnostics = {0};
    struct config_node *copy = config_tree_copy_node(tree, section);
    struct config_values *values = NULL;

    migration_apply_renames(tree, plugin, copy, version, &diagnostics);
    remove_migrated(plugin, copy, version);
    if (diagnostics.error_count == 0)
        values = config_values_create(plugin->config, copy, &options, &diagnostics);
    config_diagnostics_finish(&diagnostics);
    config_values_destroy(values);
    return values != NULL;
}

static uint32_t oldest_tried(const struct manifest_plugin *plugin)
{
    return plugin->config_version > VERSIONS_TRIED_MAX ? plugin->config_version - VERSIONS_TRIED_MAX : 1;
}

/* Without `config_version`, a section has the newest version that it fits. */
static uint32_t guess_version(struct config_tree *tree, const struct manifest_plugin *plugin,
                              const struct config_node *section, struct config_diagnostics *diagnostics)
{
    for (uint32_t version = plugin->config_version; version >= oldest_tried(plugin); version--)
        if (fits_version(tree, plugin, section, version))
            return version;
    config_diagnostics_add(diagnostics, CONFIG_WARNING, &section->key_mark,
                           "%s: config_version is not set, so the section is checked as version %u, the "
                           "current one; if it was written for an older version, add config_version: %u",
                           plugin->uri, plugin->config_version, plugin->config_version - 1);
    return plugin->config_version;
}

bool migration_begin(struct config_tree *tree, const struct manifest_plugin *plugin,
                     struct config_node *section, struct migration *ret_migration,
                     struct config_diagnostics *diagnostics)
{
    if (!take_version(plugin, section, ret_migration, diagnostics))
        return false;
    if (!ret_migration->is_said && plugin->config_version > 1)
        ret_migration->version = guess_version(tree, plugin, section, diagnostics);
    ret_migration->needs_plugin = ret_migration->version < plugin->config_version &&
                                  (plugin->callbacks & MANIFEST_CALLBACK_MIGRATE) != 0;
    return true;
}

/* What a plugin's callback works on. All views live until it returns: it may hold values of an earlier one.
 */
struct run {
    struct berth_migration table;
    struct config_tree *tree;
    struct config_node *section;
    struct config_values **views;
    size_t view_count;
};

static void renew_view(struct run *run)
{
    run->views = memory_grow(run->views, run->view_count, sizeof(struct config_values *));
    run->views[run->view_count] = config_values_create_untyped(run->section);
    run->table.settings = config_values_settings(run->views[run->view_count++]);
}

/* What a plugin sets has the mark of its section. */
static void set_marks(struct config_node *node, struct config_mark mark)
{
    node->mark = node->key_mark = mark;
    for (size_t i = 0; i < node->count; i++)
        set_marks(node->items[i], mark);
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
        set_marks(node, run->section->mark);
    config_diagnostics_finish(&diagnostics);
    return node;
}

static enum berth_code on_set(const struct berth_migration *migration, const char *path, const char *yaml,
                              struct berth_error *err)
{
    struct run *run = (struct run *)migration;
    struct path steps;
    struct config_node *node;

    if (!split_path(path, &steps))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.200s\" is not a valid dotted path", path);
    node = parse_value(run, yaml, err);
    if (node == NULL)
        return BERTH_INVALID_ARGUMENT;
    if (!put_path(run->tree, run->section, &steps, node))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "cannot set %s: a step of the path is not a map; remove it first", path);
    renew_view(run);
    return BERTH_OK;
}

static enum berth_code on_remove(const struct berth_migration *migration, const char *path)
{
    struct run *run = (struct run *)migration;
    struct path steps;

    if (!split_path(path, &steps) || take_path(run->section, &steps) == NULL)
        return BERTH_NOT_FOUND;
    renew_view(run);
    return BERTH_OK;
}

/* Did the callback read a setting as the wrong type? Then its result must not be used. */
static bool has_misread(const struct run *run, const struct manifest_plugin *plugin,
                        struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; i < run->view_count; i++) {
        const struct config_misread *misread = config_values_misread(run->views[i]);

        if (misread->err.message[0] == '\0')
            continue;
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &misread->mark, "%s: %s", plugin->uri,
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

static enum berth_code call_plugin(struct config_tree *tree, const struct manifest_plugin *plugin,
                                   struct config_node *section, uint32_t version,
                                   migration_callback *on_migrate, void *context,
                                   struct config_diagnostics *diagnostics)
{
    struct berth_error err = {""};
    struct run run = {
        .table = {.size = sizeof(run.table),
                  .uri = plugin->uri,
                  .from_version = version,
                  .to_version = plugin->config_version,
                  .set = on_set,
                  .remove = on_remove},
        .tree = tree,
        .section = section,
    };
    enum berth_code code;

    renew_view(&run);
    code = on_migrate(context, plugin, &run.table, &err);
    if (code != BERTH_OK)
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &section->mark,
                               "%s: cannot migrate its section from version %u to version %u: %s",
                               plugin->uri, version, plugin->config_version, err.message);
    if (has_misread(&run, plugin, diagnostics))
        code = code != BERTH_OK ? code : BERTH_INVALID_ARGUMENT;
    finish_run(&run);
    return code;
}

enum berth_code migration_run(struct config_tree *tree, const struct manifest_plugin *plugin,
                              struct config_node *section, struct migration *migration,
                              migration_callback *on_migrate, void *context,
                              struct config_diagnostics *diagnostics)
{
    size_t errors = diagnostics->error_count;
    enum berth_code code = BERTH_OK;

    if (!migration->is_renamed)
        migration->renamed = migration_apply_renames(tree, plugin, section, migration->version, diagnostics);
    migration->is_renamed = true;
    if (diagnostics->error_count > errors)
        return BERTH_INVALID_ARGUMENT;
    if (!migration->needs_plugin || on_migrate == NULL)
        return BERTH_OK;
    code = call_plugin(tree, plugin, section, migration->version, on_migrate, context, diagnostics);
    migration->needs_plugin = code != BERTH_OK;
    return code;
}

struct check {
    struct berth_check table;
    const struct config_mark *section;
    struct config_diagnostics *diagnostics;
    bool failed;
};

static const struct berth_value *step_into(const struct berth_settings *settings,
                                           const struct berth_value *value, const char *step)
{
    char *end;
    size_t index;

    if (settings->kind(value) != BERTH_VALUE_LIST)
        return settings->find(value, step);
    index = strtoul(step, &end, 10);
    return *end == '\0' && step[0] >= '0' && step[0] <= '9' ? settings->at(value, index, NULL) : NULL;
}

/* The mark of the innermost value on the way to `path` that is set. */
static const struct config_mark *find_mark(const struct check *check, const char *path)
{
    const struct berth_settings *settings = check->table.settings;
    const struct berth_value *value = settings->root;
    const struct config_mark *mark = check->section;
    char text[PATH_MAX_BYTES];
    char *rest = text;

    snprintf(text, sizeof(text), "%s", path);
    while (rest != NULL && value != NULL) {
        value = step_into(settings, value, strsep(&rest, "."));
        if (value != NULL && value->mark.file != NULL)
            mark = &value->mark;
    }
    return mark->file != NULL ? mark : NULL;
}

static void on_problem(const struct berth_check *table, enum berth_log_level level, const char *path,
                       const char *text)
{
    struct check *check = (struct check *)table;
    enum config_severity severity = level == BERTH_LOG_ERROR ? CONFIG_ERROR : CONFIG_WARNING;

    check->failed = check->failed || severity == CONFIG_ERROR;
    config_diagnostics_add(check->diagnostics, severity, find_mark(check, path == NULL ? "" : path),
                           "%s: %.200s%s%.2000s", table->uri, path == NULL ? "" : path,
                           path == NULL ? "" : ": ", text);
}

bool settings_check_run(const char *uri, void (*on_check)(const struct berth_check *check),
                        const struct config_values *values, const struct config_mark *section,
                        struct config_diagnostics *diagnostics)
{
    struct check check = {
        .table = {.size = sizeof(check.table),
                  .uri = uri,
                  .settings = config_values_settings(values),
                  .problem = on_problem},
        .section = section,
        .diagnostics = diagnostics,
    };

    on_check(&check.table);
    return !check.failed;
}
