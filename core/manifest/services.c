/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a manifest that says which services a plugin exports, and over which transports. */
#include "services.h"

#include <stdlib.h>
#include <string.h>

#include "name.h"

/* Where a service goes whose plugin does not say: nothing is on a network by accident. */
static const char *const only_grpc[] = {"grpc"};

static enum berth_method_kind read_kind(struct manifest_reader *reader, const struct config_node *node)
{
    static const char *const kinds[] = {
        [BERTH_METHOD_UNARY] = "unary",
        [BERTH_METHOD_SERVER_STREAM] = "server_stream",
        [BERTH_METHOD_CLIENT_STREAM] = "client_stream",
        [BERTH_METHOD_BIDI_STREAM] = "bidi_stream",
    };

    if (!manifest_expect(reader, node, CONFIG_SCALAR, "a method's kind"))
        return BERTH_METHOD_UNARY;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(node->text, kinds[i]) == 0)
            return (enum berth_method_kind)i;
    }
    manifest_complain(
        reader, &node->mark,
        "\"%.60s\" is no kind of method: use unary, server_stream, client_stream or bidi_stream", node->text);
    return BERTH_METHOD_UNARY;
}

static void read_service(struct manifest_reader *reader, const struct config_node *node,
                         struct manifest_service *service)
{
    struct manifest_method *methods;

    service->name = node->key;
    service->transports = only_grpc;
    service->transport_count = 1;
    if (!manifest_service_is_valid(node->key))
        manifest_complain(reader, &node->key_mark,
                          "\"%.200s\" is no name of a service such as helloworld.Greeter", node->key);
    if (!manifest_expect(reader, node, CONFIG_MAP, "a service"))
        return;
    methods = manifest_allocate(reader, node, node->count, sizeof(*methods));
    if (methods == NULL)
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *method = node->items[i];

        if (!manifest_identifier_is_valid(method->key))
            manifest_complain(reader, &method->key_mark, "\"%.200s\" is no name of a method such as SayHello",
                              method->key);
        methods[i] = (struct manifest_method){.name = method->key, .kind = read_kind(reader, method)};
    }
    service->methods = methods;
    service->method_count = node->count;
}

static void read_services(struct manifest_reader *reader, const struct config_node *map,
                          struct manifest_plugin *plugin)
{
    const struct config_node *node = manifest_find(map, "services");
    struct manifest_service *services;

    if (node == NULL || !manifest_expect(reader, node, CONFIG_MAP, "services"))
        return;
    services = manifest_allocate(reader, node, node->count, sizeof(*services));
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

/* Names of transports, each once. */
static void read_transport(struct manifest_reader *reader, const struct config_node *list, size_t i,
                           const char **ret_name)
{
    const struct config_node *node = list->items[i];

    if (!manifest_expect(reader, node, CONFIG_SCALAR, "a transport"))
        return;
    if (!manifest_transport_is_valid(node->text))
        manifest_complain(
            reader, &node->mark,
            "\"%.60s\" is no name of a transport such as grpc, tcp or ttrpc: use a-z, then a-z, "
            "0-9 and -",
            node->text);
    else if (is_named_before(list, i))
        manifest_complain(reader, &node->mark, "the transport %s is named twice", node->text);
    *ret_name = node->text;
}

static void read_service_transports(struct manifest_reader *reader, const struct config_node *list,
                                    struct manifest_service *service)
{
    const char **names;

    if (!manifest_expect(reader, list, CONFIG_LIST, "the transports of a service"))
        return;
    if (list->count == 0) {
        manifest_complain(reader, &list->mark,
                          "%s goes over no transport: name one or leave the line out, which means [grpc]",
                          list->key);
        return;
    }
    names = manifest_allocate(reader, list, list->count, sizeof(*names));
    if (names == NULL)
        return;
    for (size_t i = 0; i < list->count; i++)
        read_transport(reader, list, i, &names[i]);
    service->transports = names;
    service->transport_count = list->count;
}

static void read_transports(struct manifest_reader *reader, const struct config_node *map,
                            struct manifest_plugin *plugin)
{
    const struct config_node *node = manifest_find(map, "transports");

    if (node == NULL || !manifest_expect(reader, node, CONFIG_MAP, "transports"))
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *list = node->items[i];
        struct manifest_service *service = find_service(plugin, list->key);

        if (service != NULL)
            read_service_transports(reader, list, service);
        else
            manifest_complain(reader, &list->key_mark,
                              "transports: \"%.200s\" does not stand under services of this plugin",
                              list->key);
    }
}

static void read_carried(struct manifest_reader *reader, const struct config_node *map,
                         struct manifest_plugin *plugin)
{
    const struct config_node *list = manifest_find(map, "carries");
    const char **names;

    if (list == NULL || !manifest_expect(reader, list, CONFIG_LIST, "carries"))
        return;
    names = manifest_allocate(reader, list, list->count, sizeof(*names));
    if (names == NULL)
        return;
    for (size_t i = 0; i < list->count; i++)
        read_transport(reader, list, i, &names[i]);
    plugin->carries = names;
    plugin->carry_count = list->count;
}

void manifest_read_services(struct manifest_reader *reader, const struct config_node *map,
                            struct manifest_plugin *plugin)
{
    read_services(reader, map, plugin);
    read_transports(reader, map, plugin);
    read_carried(reader, map, plugin);
}

void manifest_finish_services(struct manifest_plugin *plugin)
{
    for (size_t i = 0; i < plugin->service_count; i++) {
        free((void *)plugin->services[i].methods);
        if (plugin->services[i].transports != only_grpc)
            free((void *)plugin->services[i].transports);
    }
    free((void *)plugin->services);
    free((void *)plugin->carries);
}
