/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins that the configuration declares: each entry of a section becomes a plugin of its own, planned and
 * listed like any other. A module's manifest says what becomes of it (`makes`).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/text/diagnostics.h>
#include <config/tree/arena.h>

#include <sdk/base/memory.h>

#include "makes.h"
#include "name.h"

#define MADE_MAX 256

#define complain(diagnostics, node, ...)                                                                     \
    config_diagnostics_add((diagnostics), CONFIG_ERROR, &(node)->mark, __VA_ARGS__)

/* One entry of the section. */
struct making {
    struct catalog *catalog;
    const struct manifest_plugin *maker;
    const struct config_node *node;
    struct config_diagnostics *diagnostics;
};

/* The type: as written, or what a word stands for; without one, that of the plugin that makes it. */
static const char *choose_type(const struct making *making, const struct manifest_made_type **ret_known)
{
    const struct config_node *node = config_node_find(making->node, "type");
    const struct manifest_maker *maker = making->maker->makes;

    *ret_known = NULL;
    if (node == NULL || config_node_is_empty(node))
        return making->maker->type;
    for (size_t i = 0; node->kind == CONFIG_SCALAR && i < maker->type_count; i++)
        if (strcmp(node->text, maker->types[i].word) == 0 || strcmp(node->text, maker->types[i].type) == 0) {
            *ret_known = &maker->types[i];
            return maker->types[i].type;
        }
    if (node->kind == CONFIG_SCALAR && manifest_type_is_valid(node->text))
        return config_arena_copy(&making->catalog->arena, node->text, node->length);
    complain(making->diagnostics, node, "%s.%s: type: \"%.200s\" is not a type such as io.example.store.v1",
             maker->section, making->node->key, node->kind == CONFIG_SCALAR ? node->text : "(a list or map)");
    return NULL;
}

static bool is_requirement(const char *name)
{
    size_t length;

    return strcmp(name, "*") == 0 || manifest_type_is_valid(name) || manifest_uri_split(name, &length);
}

/* Those of the entry, and those that every such plugin has. */
static const struct manifest_requirement *read_requirements(const struct making *making, const char *key,
                                                            const struct manifest_requirement *own,
                                                            size_t own_count, size_t *ret_count)
{
    const struct config_node *list = config_node_find(making->node, key);
    size_t count;
    const char **names =
        makes_read_list(&making->catalog->arena, list, key, is_requirement, &count, making->diagnostics);
    struct manifest_requirement *requirements =
        config_arena_allocate(&making->catalog->arena, (count + own_count) * sizeof(*requirements));

    for (size_t i = 0; i < count; i++)
        requirements[i] = (struct manifest_requirement){names[i], list->mark};
    for (size_t i = 0; i < own_count; i++)
        requirements[count + i] = own[i];
    *ret_count = count + own_count;
    return requirements;
}

static void read_services(const struct making *making, const struct manifest_made_type *known,
                          struct manifest_plugin *made)
{
    const struct config_node *list = config_node_find(making->node, "services");
    const char **names = makes_read_list(&making->catalog->arena, list, "services", manifest_service_is_valid,
                                         &made->service_count, making->diagnostics);

    if (list != NULL || known == NULL) {
        made->services = makes_services(&making->catalog->arena, names, made->service_count);
    } else {
        made->services = known->services;
        made->service_count = known->service_count;
    }
}

/* @return NULL with a diagnostic. */
static const struct manifest_plugin *make(const struct making *making)
{
    struct berth_arena *arena = &making->catalog->arena;
    struct manifest_plugin *made = config_arena_allocate(arena, sizeof(*made));
    const char *id = making->node->key, *type;
    const struct manifest_made_type *known;
    size_t length;
    char *uri;

    if (!manifest_id_is_valid(id)) {
        config_diagnostics_add(making->diagnostics, CONFIG_ERROR, &making->node->key_mark,
                               "%s: \"%.200s\" cannot be the id of a plugin: use 1 to %d of A-Z, a-z, 0-9, _ "
                               "and -",
                               making->maker->makes->section, id, MANIFEST_ID_MAX);
        return NULL;
    }
    type = choose_type(making, &known);
    if (type == NULL)
        return NULL;
    *made = *making->maker;
    made->makes = NULL;
    made->made_by = making->maker;
    made->type = type;
    made->id = config_arena_copy(arena, id, strlen(id));
    length = strlen(type) + strlen(id) + 2;
    uri = config_arena_allocate(arena, length);
    snprintf(uri, length, "%s.%s", type, id);
    made->uri = uri;
    made->mark = making->node->key_mark;
    made->requirements = read_requirements(making, "requires", making->maker->requirements,
                                           making->maker->requirement_count, &made->requirement_count);
    made->wants = read_requirements(making, "wants", making->maker->wants, making->maker->want_count,
                                    &made->want_count);
    read_services(making, known, made);
    return made;
}

static int compare_plugins(const void *a, const void *b)
{
    return strcmp((*(const struct manifest_plugin *const *)a)->uri,
                  (*(const struct manifest_plugin *const *)b)->uri);
}

static const struct manifest_plugin *find_maker(const struct catalog *catalog, const char *section)
{
    for (size_t i = 0; i < catalog->maker_count; i++)
        if (strcmp(catalog->makers[i]->makes->section, section) == 0)
            return catalog->makers[i];
    return NULL;
}

void catalog_make(struct catalog *catalog, const char *section, const struct config_node *map,
                  bool files_rejected, struct config_diagnostics *diagnostics)
{
    struct making making = {
        .catalog = catalog, .maker = find_maker(catalog, section), .diagnostics = diagnostics};
    size_t before = catalog->count, added = 0;

    if (map == NULL || map->count == 0)
        return;
    if (making.maker == NULL) {
        config_diagnostics_add(diagnostics, files_rejected ? CONFIG_WARNING : CONFIG_ERROR, &map->mark,
                               "%s: no module makes plugins of this section; install the one that does, or "
                               "remove the section",
                               section);
        return;
    }
    if (map->count > MADE_MAX) {
        complain(diagnostics, map, "%s: %zu plugins, more than %d", section, map->count, MADE_MAX);
        return;
    }
    catalog->plugins =
        memory_or_abort(reallocarray(catalog->plugins, before + map->count, sizeof(*catalog->plugins)));
    for (size_t i = 0; i < map->count; i++) {
        const struct manifest_plugin *made, *other;

        making.node = map->items[i];
        made = make(&making);
        other = made == NULL ? NULL : catalog_find(catalog, made->uri);
        if (other != NULL)
            config_diagnostics_add(diagnostics, CONFIG_ERROR, &made->mark,
                                   "%s.%s: %s is already provided by module %s; choose another name or type",
                                   section, made->id, made->uri, other->manifest->module);
        else if (made != NULL)
            catalog->plugins[before + added++] = made;
    }
    catalog->count += added;
    qsort(catalog->plugins, catalog->count, sizeof(*catalog->plugins), compare_plugins);
}
