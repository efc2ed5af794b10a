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

/* A step in double quotes may hold dots: mirrors."docker.io".endpoint. */
static char *split_step(char **rest)
{
    char *step = *rest;

    if (*step != '"')
        return strsep(rest, ".");
    step++;
    *rest = strchr(step, '"');
    if (*rest == NULL || ((*rest)[1] != '.' && (*rest)[1] != '\0'))
        return NULL;
    *(*rest)++ = '\0';
    *rest = **rest == '.' ? *rest + 1 : NULL;
    return step;
}

static bool split_path(const char *text, struct path *ret_path)
{
    char *rest = ret_path->text;

    ret_path->count = 0;
    if (strlen(text) >= sizeof(ret_path->text))
        return false;
    strcpy(ret_path->text, text);
    while (rest != NULL) {
        char *step = split_step(&rest);

        if (step == NULL || *step == '\0' || ret_path->count == PATH_MAX_STEPS)
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

static bool is_star(const char *step)
{
    return strcmp(step, "*") == 0;
}

static bool schema_knows(const struct schema *schema, const struct path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        if (is_star(path->steps[i]))
            schema = schema->kind == SCHEMA_MAP ? schema->items : NULL;
        else
            schema = schema->kind == SCHEMA_OBJECT ? schema_find_field(schema, path->steps[i]) : NULL;
        if (schema == NULL)
            return false;
    }
    return true;
}

/* Calls `on_match` with each setting that a path with stars names, after taking it out if `take`. */
struct walk {
    const struct path *path;
    bool take;
    /* The keys that the stars stand for. */
    const char *keys[PATH_MAX_STEPS];
    size_t key_count;
    size_t matches;
    void (*on_match)(struct walk *walk, struct config_node *node);
    void *context;
};

static void match(struct walk *walk, struct config_node *map, struct config_node *item)
{
    walk->matches++;
    if (walk->take)
        config_node_take(map, item->key);
    if (walk->on_match != NULL)
        walk->on_match(walk, item);
}

/* A star is never the last step. True if the map is empty afterwards because something was taken out of it.
 */
static bool walk_map(struct walk *walk, struct config_node *map, size_t step)
{
    const char *name = walk->path->steps[step];
    size_t kept = 0, count = map->count;

    if (map->kind != CONFIG_MAP)
        return false;
    if (!is_star(name)) {
        struct config_node *item = config_node_find(map, name);

        if (item != NULL && step + 1 == walk->path->count)
            match(walk, map, item);
        else if (item != NULL && walk_map(walk, item, step + 1))
            config_node_take(map, name);
        return map->count == 0 && count > 0;
    }
    for (size_t i = 0; i < count && step + 1 < walk->path->count; i++) {
        walk->keys[walk->key_count++] = map->items[i]->key;
        if (!walk_map(walk, map->items[i], step + 1))
            map->items[kept++] = map->items[i];
        walk->key_count--;
    }
    map->count = kept;
    return kept == 0 && count > 0;
}

static size_t walk_path(struct config_node *section, const char *path, bool take,
                        void (*on_match)(struct walk *walk, struct config_node *node), void *context)
{
    struct path steps;
    struct walk walk = {.path = &steps, .take = take, .on_match = on_match, .context = context};

    if (split_path(path, &steps))
        walk_map(&walk, section, 0);
    return walk.matches;
}

struct visit {
    void (*on_setting)(void *context, const struct config_node *node);
    void *context;
};

static void visit_match(struct walk *walk, struct config_node *node)
{
    struct visit *visit = walk->context;

    visit->on_setting(visit->context, node);
}

void migration_each_setting(struct config_node *section, const char *path,
                            void (*on_setting)(void *context, const struct config_node *node), void *context)
{
    struct visit visit = {on_setting, context};

    walk_path(section, path, false, visit_match, &visit);
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

/*
 * One rename in progress: what it takes out is collected in a separate tree and then merged into the section.
 */
struct renaming {
    struct config_tree *tree;
    const struct manifest_plugin *plugin;
    const struct manifest_rename *rename;
    struct path to;
    /* The steps of `to`, in the tree's memory. */
    const char *names[PATH_MAX_STEPS];
    struct config_node *moved;
    /* "sandbox_image of io.example.v1.old" */
    const char *was;
    const struct config_mark *first;
    /* The section says that it is of an older version, so both names may be set: the later one wins. */
    bool is_old;
    struct config_diagnostics *diagnostics;
};

static void set_origin(struct config_node *node, const char *was)
{
    node->was = was;
    for (size_t i = 0; i < node->count; i++)
        set_origin(node->items[i], was);
}

static struct config_node *wrap(struct config_tree *tree, struct config_node *node)
{
    struct config_node *list = config_tree_add_node(tree, CONFIG_LIST, node->mark);

    list->key_mark = node->key_mark;
    list->was = node->was;
    config_node_append(tree, list, node);
    return list;
}

/* Matches come in the order of their keys, so the map to put one into is the last one made, or does not
 * exist. */
static void place_match(struct walk *walk, struct config_node *node)
{
    struct renaming *renaming = walk->context;
    struct config_node *map = renaming->moved;
    struct config_mark key_mark = node->key_mark;
    size_t key = 0;

    if (renaming->first == NULL)
        renaming->first = &node->key_mark;
    set_origin(node, renaming->was);
    if (renaming->rename->is_wrapped && node->kind != CONFIG_LIST)
        node = wrap(renaming->tree, node);
    for (size_t i = 0; i < renaming->to.count; i++) {
        const char *step = renaming->names[i] != NULL ? renaming->names[i] : walk->keys[key++];
        struct config_node *last = map->count == 0 ? NULL : map->items[map->count - 1];
        bool is_last = i + 1 == renaming->to.count;

        if (!is_last && last != NULL && strcmp(last->key, step) == 0) {
            map = last;
            continue;
        }
        last = is_last ? node : config_tree_add_node(renaming->tree, CONFIG_MAP, node->mark);
        last->key = step;
        last->key_mark = key_mark;
        config_node_append(renaming->tree, map, last);
        map = last;
    }
}

/* Keys that stars stand for are texts of the tree already. */
static void keep_names(struct renaming *renaming)
{
    for (size_t i = 0; i < renaming->to.count; i++) {
        const char *step = renaming->to.steps[i];

        if (!is_star(step))
            renaming->names[i] = config_tree_add_text(renaming->tree, step, strlen(step));
    }
}

/* The same keys of two maps: `kept` is under the new name. */
static void report_both(void *context, const char *path, const struct config_node *kept,
                        const struct config_node *dropped)
{
    const struct renaming *renaming = context;
    const char *uri = renaming->plugin->uri, *from = renaming->rename->from;

    if (renaming->is_old)
        config_diagnostics_add(
            renaming->diagnostics, CONFIG_WARNING, &dropped->key_mark,
            "%s: %s is the old name of %s, which is also set (%s:%u:%u) and wins; remove this one", uri, from,
            path, kept->mark.file, kept->mark.line, kept->mark.column);
    else if (strlen(path) < strlen(renaming->rename->to) &&
             strncmp(path, renaming->rename->to, strlen(path)) == 0)
        config_diagnostics_add(
            renaming->diagnostics, CONFIG_ERROR, &dropped->key_mark,
            "%s: %s is now called %s, which conflicts with another setting; rename it by hand", uri, from,
            renaming->rename->to);
    else
        config_diagnostics_add(renaming->diagnostics, CONFIG_ERROR, &dropped->key_mark,
                               "%s: %s is the old name of %s, and both are set; remove this one", uri, from,
                               renaming->rename->to);
}

static const char *name_origin(struct config_tree *tree, const char *setting, const char *section)
{
    char text[512];

    snprintf(text, sizeof(text), "%s of %s", setting, section);
    return config_tree_add_text(tree, text, strlen(text));
}

/* True if it was applied. */
static bool apply_rename(struct config_tree *tree, const struct manifest_plugin *plugin,
                         struct config_node *section, const struct manifest_rename *rename,
                         const struct migration *migration, struct config_diagnostics *diagnostics)
{
    struct renaming renaming = {
        .tree = tree,
        .plugin = plugin,
        .rename = rename,
        .is_old = migration->is_said && migration->version < plugin->config_version,
        .diagnostics = diagnostics,
    };
    size_t errors = diagnostics->error_count;
    struct path from;

    if (rename->to == NULL || !split_path(rename->from, &from) || !split_path(rename->to, &renaming.to))
        return false;
    if (rename->before_version <= migration->version && schema_knows(plugin->config, &from))
        return false;
    if (walk_path(section, rename->from, false, NULL, NULL) == 0)
        return false;
    renaming.moved = config_tree_add_node(tree, CONFIG_MAP, section->mark);
    renaming.was = name_origin(tree, rename->from,
                               section->was != NULL   ? section->was
                               : section->key != NULL ? section->key
                                                      : plugin->uri);
    keep_names(&renaming);
    walk_path(section, rename->from, true, place_match, &renaming);
    config_tree_fill(tree, section, renaming.moved, report_both, &renaming);
    if (diagnostics->error_count > errors)
        return false;
    deprecate(plugin, rename->from, renaming.first, diagnostics,
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
                               struct config_node *section, const struct migration *migration,
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
        applied += apply_rename(tree, plugin, section, sorted[i], migration, diagnostics);
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

        if (rename->to == NULL && rename->before_version > version)
            walk_path(section, rename->from, true, NULL, NULL);
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
    const struct migration migration = {.version = version};

    migration_apply_renames(tree, plugin, copy, &migration, &diagnostics);
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

/* Does the section hold a setting that is left to the plugin's `migrate`? */
static bool holds_listed(const struct manifest_plugin *plugin, struct config_node *section,
                         const struct migration *migration)
{
    for (size_t i = 0; i < plugin->rename_count; i++) {
        const struct manifest_rename *rename = &plugin->renames[i];

        if (rename->to == NULL && rename->before_version > migration->version &&
            walk_path(section, rename->from, false, NULL, NULL) > 0)
            return true;
    }
    return false;
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
                                  (plugin->callbacks & MANIFEST_CALLBACK_MIGRATE) != 0 &&
                                  (!plugin->migrates_listed || holds_listed(plugin, section, ret_migration));
    return true;
}

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
                           "a migration may make %d changes, and set %d values and %zu bytes",
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
    if (!split_path(path, &steps))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.200s\" is not a valid dotted path", path);
    node = parse_value(run, yaml, err);
    if (node == NULL)
        return BERTH_INVALID_ARGUMENT;
    if (run->nodes > RUN_NODES_MAX)
        return exhaust(run, err);
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

    if (!may_change(run, 0)) {
        run->is_exhausted = true;
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (!split_path(path, &steps) || take_path(run->section, &steps) == NULL)
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
    if (!split_path(from, &source) || !split_path(to, &target) || is_within(&source, &target))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "cannot move \"%.200s\" to \"%.200s\"", from, to);
    node = take_path(run->section, &source);
    if (node == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "%s is not set", from);
    kept = find_path(run->section, &target, target.count);
    if (kept != NULL && !config_node_is_empty(kept)) {
        config_diagnostics_add(run->diagnostics, CONFIG_WARNING, &node->key_mark,
                               "%s: %s is now %s, which is also set (%s:%u:%u) and wins; remove this one",
                               run->plugin->uri, from, to, kept->mark.file, kept->mark.line,
                               kept->mark.column);
        renew_view(run);
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "%s is set", to);
    }
    if (node->was == NULL)
        set_origin(node, name_origin(run->tree, from, run->plugin->uri));
    if (!put_path(run->tree, run->section, &target, node))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "cannot move %s to %s: a step of the path is not a map; remove it first", from,
                               to);
    deprecate(run->plugin, from, &node->key_mark, run->diagnostics, "is now %s", to);
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

static enum berth_code call_plugin(struct config_tree *tree, const struct manifest_plugin *plugin,
                                   struct config_node *section, uint32_t version,
                                   migration_callback *on_migrate, void *context,
                                   struct config_diagnostics *diagnostics)
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

enum berth_code migration_run(struct config_tree *tree, const struct manifest_plugin *plugin,
                              struct config_node *section, struct migration *migration,
                              migration_callback *on_migrate, void *context,
                              struct config_diagnostics *diagnostics)
{
    size_t errors = diagnostics->error_count;
    enum berth_code code = BERTH_OK;

    if (!migration->is_renamed)
        migration->renamed = migration_apply_renames(tree, plugin, section, migration, diagnostics);
    migration->is_renamed = true;
    if (diagnostics->error_count > errors)
        return BERTH_INVALID_ARGUMENT;
    if (!migration->needs_plugin || on_migrate == NULL)
        return BERTH_OK;
    code = call_plugin(tree, plugin, section, migration->version, on_migrate, context, diagnostics);
    migration->needs_plugin = code != BERTH_OK;
    return code;
}

bool migration_begin_all(struct config_tree *tree, struct settings_section *section,
                         struct config_diagnostics *diagnostics)
{
    bool is_good = migration_begin(tree, section->plugin, section->node, &section->migration, diagnostics);

    for (size_t i = 0; i < section->part_count; i++)
        is_good = migration_begin(tree, section->plugin, section->parts[i].node, &section->parts[i].migration,
                                  diagnostics) &&
                  is_good;
    return is_good;
}

bool migration_needs_plugin(const struct settings_section *section)
{
    bool needs = section->migration.needs_plugin;

    for (size_t i = 0; i < section->part_count; i++)
        needs = needs || section->parts[i].migration.needs_plugin;
    return needs;
}

struct joining {
    const struct settings_section *section;
    const struct former_part *part;
    struct config_diagnostics *diagnostics;
};

/* A part that does not say its version may be of the same as the section: then one of the two is a mistake.
 */
static void report_loser(void *context, const char *path, const struct config_node *kept,
                         const struct config_node *dropped)
{
    const struct joining *joining = context;
    bool is_said = joining->part->migration.is_said;

    config_diagnostics_add(
        joining->diagnostics, is_said ? CONFIG_WARNING : CONFIG_ERROR, &dropped->key_mark,
        "%s: %s comes from section \"%.200s\", and is also set at %s:%u:%u%s; remove this one",
        joining->section->plugin->uri, path, joining->part->node->was, kept->mark.file, kept->mark.line,
        kept->mark.column, is_said ? ", which wins" : "");
}

enum berth_code migration_run_all(struct config_tree *tree, struct settings_section *section,
                                  migration_callback *on_migrate, void *context,
                                  struct config_diagnostics *diagnostics)
{
    size_t errors = diagnostics->error_count;
    enum berth_code code = migration_run(tree, section->plugin, section->node, &section->migration,
                                         on_migrate, context, diagnostics);

    for (size_t i = 0; i < section->part_count && code == BERTH_OK; i++)
        code = migration_run(tree, section->plugin, section->parts[i].node, &section->parts[i].migration,
                             on_migrate, context, diagnostics);
    if (code != BERTH_OK || migration_needs_plugin(section))
        return code;
    for (size_t i = 0; i < section->part_count; i++) {
        struct joining joining = {section, &section->parts[i], diagnostics};

        config_tree_fill(tree, section->node, section->parts[i].node, report_loser, &joining);
    }
    section->part_count = 0;
    return diagnostics->error_count > errors ? BERTH_INVALID_ARGUMENT : BERTH_OK;
}

struct check {
    struct berth_check table;
    const struct config_mark *section;
    struct config_diagnostics *diagnostics;
    bool failed;
};

/* The length of `key` at the start of a dotted path; 0 if something else is there. */
static size_t match_key(const char *path, const char *key)
{
    size_t length = strlen(key);

    return strncmp(path, key, length) == 0 && (path[length] == '.' || path[length] == '\0') ? length : 0;
}

/* The first item of a path; moves the path behind it. Keys of maps may contain dots. */
static const struct berth_value *step_into(const struct berth_settings *settings,
                                           const struct berth_value *value, const char **path)
{
    const struct berth_value *found = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < settings->count(value); i++) {
        char number[24];
        const char *key = number;
        const struct berth_value *item;
        size_t length;

        snprintf(number, sizeof(number), "%zu", i);
        item = settings->at(value, i, settings->kind(value) == BERTH_VALUE_MAP ? &key : NULL);
        length = match_key(*path, key);
        if (length > longest) {
            longest = length;
            found = item;
        }
    }
    *path += longest + ((*path)[longest] == '.');
    return found;
}

/* The mark of the innermost value on the way to `path` that is set. */
static const struct config_mark *find_mark(const struct check *check, const char *path)
{
    const struct berth_settings *settings = check->table.settings;
    const struct berth_value *value = settings->root;
    const struct config_mark *mark = check->section;

    while (*path != '\0' && value != NULL) {
        value = step_into(settings, value, &path);
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
