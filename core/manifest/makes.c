/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins that the configuration declares: a manifest says under `makes` which section declares them, and
 * each entry of that section becomes a plugin of its own, planned and listed like any other.
 */
#include "makes.h"

#include <stdlib.h>
#include <string.h>

#include <config/text/diagnostics.h>
#include <config/tree/arena.h>

#include <sdk/base/memory.h>

#include "name.h"

#define SECTION_MAX 64
#define SERVICES_MAX 256

/* Any method: what kinds they are of is only known behind the socket. */
static const struct manifest_method any_method[] = {{MANIFEST_ANY, BERTH_METHOD_BIDI_STREAM}};
static const char *const only_grpc[] = {"grpc"};

#define complain(diagnostics, node, ...)                                                                     \
    config_diagnostics_add((diagnostics), CONFIG_ERROR, &(node)->mark, __VA_ARGS__)

/* The texts of a list; what is no list of valid ones is reported. */
const char **makes_read_list(struct berth_arena *arena, const struct config_node *list, const char *what,
                             bool (*is_valid)(const char *text), size_t *ret_count,
                             struct config_diagnostics *diagnostics)
{
    const char **texts;

    *ret_count = 0;
    if (list == NULL || config_node_is_empty(list))
        return NULL;
    if (list->kind != CONFIG_LIST) {
        complain(diagnostics, list, "%s must be a list", what);
        return NULL;
    }
    if (list->count > SERVICES_MAX) {
        complain(diagnostics, list, "%s has %zu items, more than %d", what, list->count, SERVICES_MAX);
        return NULL;
    }
    texts = config_arena_allocate(arena, list->count * sizeof(*texts));
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *item = list->items[i];

        if (item->kind != CONFIG_SCALAR || !is_valid(item->text))
            complain(diagnostics, item, "%s: \"%.200s\" is not valid here", what,
                     item->kind == CONFIG_SCALAR ? item->text : "(a list or map)");
        else
            texts[(*ret_count)++] = config_arena_copy(arena, item->text, item->length);
    }
    return texts;
}

const struct manifest_service *makes_services(struct berth_arena *arena, const char *const *names,
                                              size_t count)
{
    struct manifest_service *services = config_arena_allocate(arena, count * sizeof(*services));

    for (size_t i = 0; i < count; i++)
        services[i] = (struct manifest_service){.name = names[i],
                                                .methods = any_method,
                                                .method_count = 1,
                                                .transports = only_grpc,
                                                .transport_count = 1};
    return services;
}

static void read_type(struct berth_arena *arena, const struct config_node *node,
                      struct manifest_made_type *made, struct config_diagnostics *diagnostics)
{
    const struct config_node *type = config_node_find(node, "type");
    const char **names;

    made->word = config_arena_copy(arena, node->key, strlen(node->key));
    if (type == NULL || type->kind != CONFIG_SCALAR || !manifest_type_is_valid(type->text)) {
        complain(diagnostics, node, "makes: types: %s needs a type such as io.example.store.v1", node->key);
        return;
    }
    made->type = config_arena_copy(arena, type->text, type->length);
    names = makes_read_list(arena, config_node_find(node, "services"), "makes: services",
                            manifest_service_is_valid, &made->service_count, diagnostics);
    made->services = makes_services(arena, names, made->service_count);
}

struct manifest_maker *makes_read(const struct config_node *node, struct config_diagnostics *diagnostics)
{
    const struct config_node *section = config_node_find(node, "section");
    const struct config_node *types = config_node_find(node, "types");
    struct manifest_maker *maker;
    struct manifest_made_type *made;

    if (section == NULL || section->kind != CONFIG_SCALAR || section->length == 0 ||
        section->length > SECTION_MAX) {
        complain(diagnostics, node, "makes requires section, the name of a section of berthd.yaml");
        return NULL;
    }
    maker = memory_allocate(1, sizeof(*maker));
    maker->section = config_arena_copy(&maker->arena, section->text, section->length);
    if (types == NULL || types->kind != CONFIG_MAP)
        return maker;
    made = config_arena_allocate(&maker->arena, types->count * sizeof(*made));
    for (size_t i = 0; i < types->count; i++)
        read_type(&maker->arena, types->items[i], &made[i], diagnostics);
    maker->types = made;
    maker->type_count = types->count;
    return maker;
}

void makes_destroy(struct manifest_maker *maker)
{
    if (maker == NULL)
        return;
    berth_arena_finish(&maker->arena);
    free(maker);
}
