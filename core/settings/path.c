/* SPDX-License-Identifier: Apache-2.0 */
/* Finds, takes out and puts in settings by dotted paths. */
#include "path.h"

#include <string.h>

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

bool path_split(const char *text, struct path *ret_path)
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

static struct config_node *find_steps(struct config_node *map, const struct path *path, size_t count)
{
    for (size_t i = 0; map != NULL && i < count; i++)
        map = config_node_find(map, path->steps[i]);
    return map;
}

struct config_node *path_find(struct config_node *map, const struct path *path)
{
    return find_steps(map, path, path->count);
}

struct config_node *path_take(struct config_node *section, const struct path *path)
{
    struct config_node *taken = find_steps(section, path, path->count);
    struct config_node *child = taken;

    for (size_t i = path->count; child != NULL && i > 0; i--) {
        struct config_node *parent = find_steps(section, path, i - 1);

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

bool path_put(struct config_tree *tree, struct config_node *section, const struct path *path,
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

bool path_is_star(const char *step)
{
    return strcmp(step, "*") == 0;
}

bool path_is_declared(const struct schema *schema, const struct path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        if (path_is_star(path->steps[i]))
            schema = schema->kind == SCHEMA_MAP ? schema->items : NULL;
        else
            schema = schema->kind == SCHEMA_OBJECT ? schema_find_field(schema, path->steps[i]) : NULL;
        if (schema == NULL)
            return false;
    }
    return true;
}

static void match(struct path_walk *walk, struct config_node *map, struct config_node *item)
{
    walk->matches++;
    if (walk->take)
        config_node_take(map, item->key);
    if (walk->on_match != NULL)
        walk->on_match(walk, item);
}

/* A star is never the last step. True if the map is empty afterwards because something was taken out of it.
 */
static bool walk_map(struct path_walk *walk, struct config_node *map, size_t step)
{
    const char *name = walk->path->steps[step];
    size_t kept = 0, count = map->count;

    if (map->kind != CONFIG_MAP)
        return false;
    if (!path_is_star(name)) {
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

size_t path_walk(struct config_node *section, const char *path, bool take,
                 void (*on_match)(struct path_walk *walk, struct config_node *node), void *context)
{
    struct path steps;
    struct path_walk walk = {.path = &steps, .take = take, .on_match = on_match, .context = context};

    if (path_split(path, &steps))
        walk_map(&walk, section, 0);
    return walk.matches;
}
