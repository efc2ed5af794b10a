/* SPDX-License-Identifier: Apache-2.0 */
/* Reads containerd's files in the order in which it does, and merges them by its rules. */
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/tree/load.h>
#include <sdk/base/memory.h>

#include "import.h"
#include "toml.h"

/* A file to read, and where it is named; no mark for the main file. */
struct pending {
    char *path;
    struct config_mark mark;
};

struct queue {
    struct pending *items;
    size_t count, next;
    size_t bytes;
};

static void add_pending(struct queue *queue, char *path, struct config_mark mark)
{
    queue->items = memory_grow(queue->items, queue->count, sizeof(*queue->items));
    queue->items[queue->count++] = (struct pending){path, mark};
}

static bool is_known(const struct queue *queue, const char *path)
{
    for (size_t i = 0; i < queue->next; i++)
        if (strcmp(queue->items[i].path, path) == 0)
            return true;
    return false;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_matches(struct queue *queue, const char *pattern, const struct config_mark *mark)
{
    glob_t matches = {0};

    if (glob(pattern, GLOB_NOSORT, NULL, &matches) == 0) {
        qsort(matches.gl_pathv, matches.gl_pathc, sizeof(char *), compare_paths);
        for (size_t i = 0; i < matches.gl_pathc && queue->count <= CONFIG_LOAD_MAX_FILES; i++)
            add_pending(queue, memory_copy(matches.gl_pathv[i]), *mark);
    }
    globfree(&matches);
}

/* Removes "." and "name/.." in place, so that one file has one name. */
static char *clean(char *path)
{
    const char *end = path + strlen(path);
    char *from = path + (*path == '/'), *to = from, *first = from, *next;

    for (; from < end; from = next) {
        size_t length = strcspn(from, "/");
        bool is_up = length == 2 && strncmp(from, "..", 2) == 0;

        next = from + length + 1;
        if (is_up && to > first && (to - first < 3 || strncmp(to - 3, "../", 3) != 0)) {
            to--;
            while (to > first && to[-1] != '/')
                to--;
        } else if (length > 0 && !(length == 1 && *from == '.') && !(is_up && *path == '/')) {
            memmove(to, from, length);
            to += length;
            *to++ = '/';
        }
    }
    *(to > first ? to - 1 : to) = '\0';
    return path;
}

/* Relative names start from the folder of the file that imports them. */
static char *resolve(const char *importer, const char *name)
{
    const char *slash = strcmp(importer, "-") == 0 ? NULL : strrchr(importer, '/');

    if (*name == '/' || slash == NULL)
        return clean(memory_copy(name));
    return clean(memory_format("%.*s/%s", (int)(slash - importer), importer, name));
}

static void add_imports(struct import *import, struct queue *queue, const char *path,
                        struct config_node *root)
{
    const struct config_node *list = config_node_take(root, "imports");

    if (list != NULL && list->kind != CONFIG_LIST)
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &list->mark,
                               "imports: expected a list of files");
    for (size_t i = 0; list != NULL && list->kind == CONFIG_LIST && i < list->count; i++) {
        const struct config_node *item = list->items[i];
        char *name;

        if (item->kind != CONFIG_SCALAR || item->plain || item->length == 0 || item->length >= PATH_MAX) {
            config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &item->mark,
                                   "imports: expected a file name, or a pattern such as conf.d/*.toml");
            continue;
        }
        if (import->replaces_sections && item->text[0] != '/' && strchr(item->text, '*') != NULL)
            config_diagnostics_add(
                import->diagnostics, CONFIG_WARNING, &item->mark,
                "imports: taken relative to this file; containerd 1 looks for \"%.200s\" in its "
                "working directory",
                item->text);
        name = resolve(path, item->text);
        if (strchr(name, '*') != NULL) {
            add_matches(queue, name, &item->mark);
            free(name);
        } else {
            add_pending(queue, name, item->mark);
        }
    }
}

static struct config_node *find_or_add(struct config_tree *tree, struct config_node *map, const char *key)
{
    struct config_node *node = config_node_find(map, key);

    if (node != NULL)
        return node;
    node = config_tree_add_node(tree, CONFIG_MAP, map->mark);
    node->key = key;
    node->key_mark = map->mark;
    config_node_append(tree, map, node);
    return node;
}

static bool holds_text(const struct config_node *list, const struct config_node *item)
{
    for (size_t i = 0; i < list->count; i++)
        if (item->kind == CONFIG_SCALAR && list->items[i]->kind == CONFIG_SCALAR &&
            strcmp(list->items[i]->text, item->text) == 0)
            return true;
    return false;
}

/* Lists of the daemon grow with each file; those of plugins are replaced. */
static void join_lists(struct config_tree *tree, struct config_node *into, const struct config_node *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (!holds_text(into, from->items[i]))
            config_node_append(tree, into, from->items[i]);
}

/* A value that is unset in a later file does not replace that of an earlier one. */
static void drop_zeros(struct config_node *map)
{
    size_t kept = 0;

    for (size_t i = 0; i < map->count; i++) {
        struct config_node *item = map->items[i];

        if (item->kind == CONFIG_SCALAR && import_is_zero(item))
            continue;
        map->items[kept++] = item;
    }
    map->count = kept;
}

/* A section that still needs its plugin's code has the older of the two versions. */
static void keep_older_version(struct config_node *into, struct config_node *from)
{
    struct config_node *old = config_node_find(into, "config_version");
    struct config_node *young = config_node_find(from, "config_version");

    if (old == NULL || young == NULL || old->kind != CONFIG_SCALAR || young->kind != CONFIG_SCALAR)
        return;
    if (strtoul(old->text, NULL, 10) >= strtoul(young->text, NULL, 10))
        return;
    young->text = old->text;
    young->length = old->length;
}

static void replace(struct config_node *into, const struct config_node *from)
{
    for (size_t i = 0; from->kind == CONFIG_MAP && i < from->count; i++)
        config_node_take(into, from->items[i]->key);
}

/* Prepares both sides, so that merging them key by key gives what containerd would have. */
static void merge(struct import *import, struct config_tree *tree)
{
    static const char *const tables[] = {"grpc", "ttrpc", "debug", "metrics", "cgroup"};
    static const char *const replaced[] = {"stream_processors", "proxy_plugins", "timeouts"};
    struct config_node *root = config_tree_root(tree), *into = config_tree_root(import->tree), *from;

    drop_zeros(root);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        if ((from = config_node_find(root, tables[i])) != NULL && from->kind == CONFIG_MAP)
            drop_zeros(from);
    for (size_t i = 0; i < sizeof(replaced) / sizeof(replaced[0]); i++)
        if ((from = config_node_find(root, replaced[i])) != NULL)
            replace(find_or_add(import->tree, into, replaced[i]), from);
    from = config_node_find(root, "plugins");
    if (from != NULL && from->kind == CONFIG_MAP && import->replaces_sections)
        replace(find_or_add(import->tree, into, "plugins"), from);
    for (size_t i = 0; from != NULL && from->kind == CONFIG_MAP && i < from->count; i++) {
        struct config_node *section =
            config_node_find(config_node_find(into, "plugins"), from->items[i]->key);

        if (section != NULL && section->kind == CONFIG_MAP)
            keep_older_version(section, from->items[i]);
    }
    for (size_t i = 0; i < root->count; i++) {
        struct config_node *item = root->items[i], *base = config_node_find(into, item->key);

        if (item->kind == CONFIG_LIST && base != NULL && base->kind == CONFIG_LIST) {
            join_lists(import->tree, base, item);
            root->items[i] = base;
        }
    }
    config_tree_merge(import->tree, tree);
}

/* The main file decides whose rules count. @return its version; 0 with an error. */
static unsigned decide(struct import *import, const struct config_node *root)
{
    unsigned version = import_version(root, import->diagnostics);

    if (import->version == 0 && version > 0) {
        import->version = version;
        if (import->decides)
            import->replaces_sections = version < 3;
    }
    return version;
}

static void take_in(struct import *import, struct config_tree *tree, unsigned version)
{
    struct config_node *root = config_tree_root(tree);

    config_node_take(root, "version");
    import_name_plugins(tree, root, version);
    if (!import->replaces_sections)
        import_migrate(import, tree, version);
    if (import->tree == NULL)
        import->tree = tree;
    else
        merge(import, tree);
}

static char *read_bytes(struct import *import, struct queue *queue, const struct pending *file,
                        size_t *ret_length)
{
    size_t left = CONFIG_LOAD_MAX_BYTES - queue->bytes;
    size_t most = left < config_limits_file.max_bytes ? left : config_limits_file.max_bytes;
    bool is_import = file->mark.file != NULL;
    char *text = is_import && config_load_is_stream(file->path)
                     ? NULL
                     : config_load_bytes(file->path, most, import->diagnostics, ret_length);

    if (text != NULL)
        queue->bytes += *ret_length;
    else if (is_import)
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, &file->mark, "imports: cannot read %.200s",
                               file->path);
    return text;
}

static void read_next(struct import *import, struct queue *queue)
{
    const struct pending file = queue->items[queue->next];
    struct config_tree *tree;
    unsigned version;
    size_t length;
    char *text;

    if (is_known(queue, file.path)) {
        queue->next++;
        return;
    }
    queue->next++;
    text = read_bytes(import, queue, &file, &length);
    if (text == NULL)
        return;
    tree = toml_read(strcmp(file.path, "-") == 0 ? "standard input" : file.path, text, length,
                     &config_limits_file, import->diagnostics);
    free(text);
    if (tree == NULL)
        return;
    config_tree_add_file(tree, file.path);
    version = decide(import, config_tree_root(tree));
    if (version == 0) {
        config_tree_destroy(tree);
        return;
    }
    add_imports(import, queue, file.path, config_tree_root(tree));
    take_in(import, tree, version);
}

bool import_read(struct import *import, const char *path)
{
    struct queue queue = {0};
    size_t errors = import->diagnostics->error_count;

    add_pending(&queue, clean(memory_copy(path)), (struct config_mark){0});
    while (queue.next < queue.count && queue.count <= CONFIG_LOAD_MAX_FILES)
        read_next(import, &queue);
    if (queue.count > CONFIG_LOAD_MAX_FILES)
        config_diagnostics_add(import->diagnostics, CONFIG_ERROR, NULL, "imports: more than %d files",
                               CONFIG_LOAD_MAX_FILES);
    for (size_t i = 0; i < queue.count; i++)
        free(queue.items[i].path);
    free(queue.items);
    if (import->diagnostics->error_count > errors || import->tree == NULL)
        return false;
    if (import->replaces_sections)
        import_migrate(import, import->tree, import->version);
    import->root = config_tree_root(import->tree);
    return import->diagnostics->error_count == errors;
}
