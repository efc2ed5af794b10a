/* SPDX-License-Identifier: Apache-2.0 */
/* Reads which services a plugin has. */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include "name.h"

/* The default transports of a service: nothing ends up on a network by accident. */
static const char *const only_grpc[] = {"grpc"};

static enum berth_method_kind read_kind(struct reader *reader, const struct config_node *node)
{
    static const char *const kinds[] = {
        [BERTH_METHOD_UNARY] = "unary",
        [BERTH_METHOD_SERVER_STREAM] = "server_stream",
        [BERTH_METHOD_CLIENT_STREAM] = "client_stream",
        [BERTH_METHOD_BIDI_STREAM] = "bidi_stream",
    };

    if (!reader_expect(reader, node, CONFIG_SCALAR, "a method's kind"))
        return BERTH_METHOD_UNARY;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (strcmp(node->text, kinds[i]) == 0)
            return (enum berth_method_kind)i;
    }
    complain(reader, &node->mark,
             "\"%.60s\" is not a kind of method: use unary, server_stream, client_stream or bidi_stream",
             node->text);
    return BERTH_METHOD_UNARY;
}

static void read_service(struct reader *reader, const struct config_node *node,
                         struct manifest_service *service)
{
    struct manifest_method *methods;

    service->name = node->key;
    service->transports = only_grpc;
    service->transport_count = 1;
    if (!manifest_service_is_valid(node->key))
        complain(reader, &node->key_mark, "\"%.200s\" is not a service name such as helloworld.Greeter",
                 node->key);
    if (!reader_expect(reader, node, CONFIG_MAP, "a service"))
        return;
    methods = reader_allocate(reader, node, node->count, sizeof(*methods));
    if (methods == NULL)
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *method = node->items[i];

        if (!manifest_identifier_is_valid(method->key))
            complain(reader, &method->key_mark, "\"%.200s\" is not a method name such as SayHello",
                     method->key);
        methods[i] = (struct manifest_method){.name = method->key, .kind = read_kind(reader, method)};
    }
    service->methods = methods;
    service->method_count = node->count;
}

static void read_services(struct reader *reader, const struct config_node *map,
                          struct manifest_plugin *plugin)
{
    const struct config_node *node = reader_find(map, "services");
    struct manifest_service *services;

    if (node == NULL || !reader_expect(reader, node, CONFIG_MAP, "services"))
        return;
    services = reader_allocate(reader, node, node->count, sizeof(*services));
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

static void check_transport(struct reader *reader, const struct config_node *list, size_t i,
                            const struct manifest_plugin *plugin)
{
    const struct config_node *node = list->items[i];

    if (!manifest_transport_is_valid(node->text))
        complain(
            reader, &node->mark,
            "\"%.60s\" is not a transport name such as grpc, ttrpc or http: use a-z, then a-z, 0-9 and -",
            node->text);
    else if (is_named_before(list, i))
        complain(reader, &node->mark, "the transport %s is named twice", node->text);
}

static void read_service_transports(struct reader *reader, const struct config_node *list,
                                    struct manifest_service *service)
{
    if (list->kind == CONFIG_LIST && list->count == 0)
        complain(reader, &list->mark, "%s has no transport: name one, or remove the line for [grpc]",
                 list->key);
    else
        reader_texts(reader, list, "the transports of a service", "a transport", check_transport, NULL,
                     &service->transports, &service->transport_count);
}

static void read_transports(struct reader *reader, const struct config_node *map,
                            struct manifest_plugin *plugin)
{
    const struct config_node *node = reader_find(map, "transports");

    if (node == NULL || !reader_expect(reader, node, CONFIG_MAP, "transports"))
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *list = node->items[i];
        struct manifest_service *service = find_service(plugin, list->key);

        if (service != NULL)
            read_service_transports(reader, list, service);
        else
            complain(reader, &list->key_mark,
                     "transports: \"%.200s\" is not one of the services of this plugin", list->key);
    }
}

void services_read(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin)
{
    read_services(reader, map, plugin);
    read_transports(reader, map, plugin);
    reader_texts(reader, reader_find(map, "carries"), "carries", "a transport", check_transport, plugin,
                 &plugin->carries, &plugin->carry_count);
}

void services_finish(struct manifest_plugin *plugin)
{
    for (size_t i = 0; i < plugin->service_count; i++) {
        free((void *)plugin->services[i].methods);
        if (plugin->services[i].transports != only_grpc)
            free((void *)plugin->services[i].transports);
    }
    free((void *)plugin->services);
    free((void *)plugin->carries);
}
