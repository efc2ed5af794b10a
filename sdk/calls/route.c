/* SPDX-License-Identifier: Apache-2.0 */
/* One service as the router knows it: its methods, its state, and the instances on which calls still run. */
#include "route.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/hash.h>

/* Both kinds of entries, routes and methods, are found by a string that they own. */
typedef const char *key_of(const void *entry);

static const char *key_of_route(const void *entry)
{
    return ((const struct route *)entry)->service;
}

static const char *key_of_method(const void *entry)
{
    return ((const struct route_method *)entry)->path;
}

static void **index_slot(const struct route_index *index, key_of *key, const char *text)
{
    size_t mask = index->capacity - 1;
    size_t i = berth_hash(BERTH_HASH_START, text, strlen(text)) & mask;

    while (index->slots[i] != NULL && strcmp(key(index->slots[i]), text) != 0)
        i = (i + 1) & mask;
    return &index->slots[i];
}

static void *index_find(const struct route_index *index, key_of *key, const char *text)
{
    return index->capacity == 0 ? NULL : *index_slot(index, key, text);
}

/* Makes room for `more` entries, so that adding them cannot fail. */
static bool index_reserve(struct route_index *index, key_of *key, size_t more)
{
    struct route_index wider = {.capacity = index->capacity == 0 ? 64 : index->capacity};

    while ((index->count + more) * 2 > wider.capacity)
        wider.capacity *= 2;
    if (wider.capacity == index->capacity)
        return true;
    wider.slots = calloc(wider.capacity, sizeof(*wider.slots));
    if (wider.slots == NULL)
        return false;
    wider.count = index->count;
    for (size_t i = 0; i < index->capacity; i++)
        if (index->slots[i] != NULL)
            *index_slot(&wider, key, key(index->slots[i])) = index->slots[i];
    free(index->slots);
    *index = wider;
    return true;
}

static void index_add(struct route_index *index, key_of *key, void *entry)
{
    *index_slot(index, key, key(entry)) = entry;
    index->count++;
}

static void binding_destroy(struct binding *binding)
{
    LIST_REMOVE(binding, link);
    free(binding);
}

static void route_destroy(struct route *route)
{
    struct binding *binding;

    if (route == NULL)
        return;
    while ((binding = LIST_FIRST(&route->bindings)) != NULL)
        binding_destroy(binding);
    for (size_t i = 0; i < route->method_count; i++) {
        free(route->methods[i].path);
        free(route->methods[i].name);
    }
    for (size_t i = 0; i < route->transport_count; i++)
        free(route->transports[i]);
    free(route->transports);
    free(route->methods);
    free(route->counts);
    free(route->service);
    free(route->plugin);
    free(route->reason);
    free(route);
}

static bool add_methods(struct route *route, const struct router_service *service)
{
    route->methods = calloc(service->method_count + 1, sizeof(*route->methods));
    route->counts = calloc(service->method_count + 1, sizeof(*route->counts));
    if (route->methods == NULL || route->counts == NULL)
        return false;
    for (size_t i = 0; i < service->method_count; i++) {
        struct route_method *method = &route->methods[i];

        *method = (struct route_method){
            .route = route, .kind = service->methods[i].kind, .index = i, .counts = &route->counts[i]};
        route->method_count++;
        method->name = strdup(service->methods[i].name);
        if (method->name == NULL || asprintf(&method->path, "/%s/%s", service->name, method->name) < 0)
            return false;
    }
    return true;
}

static bool add_transports(struct route *route, const struct router_service *service)
{
    if (service->transport_count == 0)
        return true;
    route->transports = calloc(service->transport_count, sizeof(*route->transports));
    if (route->transports == NULL)
        return false;
    for (size_t i = 0; i < service->transport_count; i++) {
        route->transports[i] = strdup(service->transports[i]);
        if (route->transports[i] == NULL)
            return false;
        route->transport_count++;
    }
    return true;
}

static struct route *route_create(const struct router_service *service)
{
    struct route *route = calloc(1, sizeof(*route));

    if (route == NULL)
        return NULL;
    TAILQ_INIT(&route->held);
    route->service = strdup(service->name);
    route->plugin = strdup(service->plugin);
    if (route->service == NULL || route->plugin == NULL || !add_methods(route, service) ||
        !add_transports(route, service)) {
        route_destroy(route);
        return NULL;
    }
    return route;
}

void routes_finish(struct routes *routes)
{
    for (size_t i = 0; i < routes->count; i++)
        route_destroy(routes->items[i]);
    free(routes->items);
    free(routes->by_service.slots);
    free(routes->by_path.slots);
}

static bool routes_reserve(struct routes *routes, size_t methods)
{
    struct route **items = reallocarray(routes->items, routes->count + 1, sizeof(struct route *));

    if (items == NULL)
        return false;
    routes->items = items;
    return index_reserve(&routes->by_service, key_of_route, 1) &&
           index_reserve(&routes->by_path, key_of_method, methods);
}

enum berth_code routes_declare(struct routes *routes, const struct router_service *service,
                               struct berth_error *err)
{
    const struct route *before = routes_find(routes, service->name);
    struct route *route;

    if (before != NULL)
        return berth_error_set(err, BERTH_ALREADY_EXISTS,
                               "service %s is already exported by %s; %s cannot export it too", service->name,
                               before->plugin, service->plugin);
    route = route_create(service);
    if (route == NULL || !routes_reserve(routes, route->method_count)) {
        route_destroy(route);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the methods of %s",
                               service->name);
    }
    routes->items[routes->count++] = route;
    index_add(&routes->by_service, key_of_route, route);
    for (size_t i = 0; i < route->method_count; i++)
        index_add(&routes->by_path, key_of_method, &route->methods[i]);
    return BERTH_OK;
}

struct route *routes_find(const struct routes *routes, const char *service)
{
    return index_find(&routes->by_service, key_of_route, service);
}

const struct route_method *routes_find_method(const struct routes *routes, const char *path)
{
    return index_find(&routes->by_path, key_of_method, path);
}

bool route_takes_transport(const struct route *route, const char *transport)
{
    for (size_t i = 0; i < route->transport_count; i++)
        if (strcmp(route->transports[i], transport) == 0)
            return true;
    return route->transport_count == 0 || strcmp(transport, "test") == 0;
}

struct berth_method route_table_method(const struct berth_service *table, size_t i)
{
    struct berth_method method = {0};
    size_t width = table->method_size < sizeof(method) ? table->method_size : sizeof(method);

    memcpy(&method, (const char *)table->methods + i * table->method_size, width);
    return method;
}

static bool table_find(const struct berth_service *table, const char *name, struct berth_method *ret_method)
{
    for (size_t i = 0; i < table->method_count; i++) {
        struct berth_method method = route_table_method(table, i);

        if (strcmp(method.name, name) == 0) {
            *ret_method = method;
            return true;
        }
    }
    return false;
}

static enum berth_code bind_method(const struct route_method *method, const struct berth_service *table,
                                   struct berth_method *ret_method, struct berth_error *err)
{
    const struct route *route = method->route;
    struct berth_method found;

    if (!table_find(table, method->name, &found))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: method %s is declared but missing from the code", route->plugin,
                               method->path);
    if (found.kind != method->kind)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: the code of %s has another streaming kind than declared", route->plugin,
                               method->path);
    if (route_takes_one_request(found.kind) && found.on_message == NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s: the code of %s has no on_message",
                               route->plugin, method->path);
    *ret_method = found;
    return BERTH_OK;
}

static enum berth_code check_table(const struct route *route, const struct berth_service *table,
                                   struct berth_error *err)
{
    if (table->size < offsetof(struct berth_service, method_count) + sizeof(table->method_count) ||
        table->method_size < offsetof(struct berth_method, on_end) + sizeof(table->methods->on_end))
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: the table of %s is too small (%u and %u bytes); rebuild it against this SDK", route->plugin,
            route->service, table->size, table->method_size);
    if (table->method_count != route->method_count)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: %zu methods of %s are declared, but its code has %zu", route->plugin,
                               route->method_count, route->service, table->method_count);
    return BERTH_OK;
}

static struct binding *binding_create(struct route *route, const struct berth_service *table)
{
    struct binding *binding = calloc(1, sizeof(*binding) + route->method_count * sizeof(binding->methods[0]));

    if (binding == NULL)
        return NULL;
    binding->route = route;
    binding->live = true;
    if (BERTH_HAS(table, descriptors) && BERTH_HAS(table, descriptors_length)) {
        binding->descriptors = table->descriptors;
        binding->descriptors_length = table->descriptors_length;
    }
    binding->handlers = BERTH_SERVICE_HANDLERS(table);
    return binding;
}

enum berth_code route_bind(struct route *route, const struct berth_service *table, void *instance,
                           const void *owner, struct berth_error *err)
{
    enum berth_code code = check_table(route, table, err);
    struct binding *binding;

    if (code != BERTH_OK)
        return code;
    binding = binding_create(route, table);
    if (binding == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for %s", route->service);
    for (size_t i = 0; i < route->method_count && code == BERTH_OK; i++)
        code = bind_method(&route->methods[i], table, &binding->methods[i], err);
    if (code != BERTH_OK) {
        free(binding);
        return code;
    }
    binding->instance = instance;
    binding->owner = owner;
    route_unbind(route);
    route->live = binding;
    LIST_INSERT_HEAD(&route->bindings, binding, link);
    return BERTH_OK;
}

void route_unbind(struct route *route)
{
    struct binding *binding = route->live;

    if (binding == NULL)
        return;
    route->live = NULL;
    binding->live = false;
    if (binding->calls == 0)
        binding_destroy(binding);
}

void binding_pin(struct binding *binding)
{
    binding->calls++;
}

void binding_unpin(struct binding *binding)
{
    if (--binding->calls == 0 && !binding->live)
        binding_destroy(binding);
}
