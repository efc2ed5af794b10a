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
    void **slot = index_slot(index, key, key(entry));

    index->count += *slot == NULL;
    *slot = entry;
}

static void binding_destroy(struct binding *binding)
{
    LIST_REMOVE(binding, link);
    free(binding);
}

static void free_transports(char **transports, size_t count)
{
    for (size_t i = 0; transports != NULL && i < count; i++)
        free(transports[i]);
    free(transports);
}

static void method_destroy(struct route_method *method)
{
    free(method->path);
    free(method->name);
    if (!method->is_succeeded)
        free(method->counts);
    free(method);
}

static void route_destroy(struct route *route)
{
    struct binding *binding;

    if (route == NULL)
        return;
    while ((binding = LIST_FIRST(&route->bindings)) != NULL)
        binding_destroy(binding);
    for (size_t i = 0; i < route->method_count; i++)
        method_destroy(route->methods[i]);
    for (size_t i = 0; i < route->stray_count; i++)
        method_destroy(route->strays[i]);
    free(route->strays);
    free_transports(route->transports, route->transport_count);
    free(route->methods);
    free(route->service);
    free(route->plugin);
    free(route->reason);
    free(route);
}

static struct route_method *method_create(struct route *route, const struct router_method *declared)
{
    struct route_method *method = calloc(1, sizeof(*method));

    if (method == NULL)
        return NULL;
    method->route = route;
    method->kind = declared->kind;
    method->index = route->method_count;
    method->counts = calloc(1, sizeof(*method->counts));
    method->name = strdup(declared->name);
    if (method->name == NULL || method->counts == NULL ||
        asprintf(&method->path, "/%s/%s", route->service, method->name) < 0) {
        method->path = NULL;
        method_destroy(method);
        return NULL;
    }
    return method;
}

static struct route_method *find_method(const struct route *route, const char *name)
{
    for (size_t i = 0; i < route->method_count; i++)
        if (strcmp(route->methods[i]->name, name) == 0)
            return route->methods[i];
    return NULL;
}

/* Another method gets the path of this one, and its counts. */
static void succeed(struct route_method *method, struct route_method *former)
{
    if (former == NULL)
        return;
    free(method->counts);
    method->counts = former->counts;
    former->is_succeeded = true;
}

/* Methods that the route does not know yet, which nobody can call until they are offered. */
static bool add_methods(struct routes *routes, struct route *route, const struct router_service *service)
{
    struct route_method **methods;

    if (!index_reserve(&routes->by_path, key_of_method, service->method_count))
        return false;
    methods = reallocarray(route->methods, route->method_count + service->method_count + 1, sizeof(*methods));
    if (methods == NULL)
        return false;
    route->methods = methods;
    for (size_t i = 0; i < service->method_count; i++) {
        struct route_method *method;

        if (find_method(route, service->methods[i].name) != NULL)
            continue;
        method = method_create(route, &service->methods[i]);
        if (method == NULL)
            return false;
        methods[route->method_count++] = method;
        succeed(method, index_find(&routes->by_path, key_of_method, method->path));
        index_add(&routes->by_path, key_of_method, method);
    }
    return true;
}

static void offer_methods(struct route *route, const struct router_service *service)
{
    for (size_t i = 0; i < route->method_count; i++)
        route->methods[i]->is_offered = false;
    for (size_t i = 0; i < service->method_count; i++) {
        struct route_method *method = find_method(route, service->methods[i].name);

        method->is_offered = true;
        method->kind = service->methods[i].kind;
    }
}

/* @return NULL also if it names none. */
static char **copy_transports(const struct router_service *service, bool *ret_is_out_of_memory)
{
    char **transports;

    *ret_is_out_of_memory = false;
    if (service->transport_count == 0)
        return NULL;
    transports = calloc(service->transport_count, sizeof(*transports));
    for (size_t i = 0; transports != NULL && i < service->transport_count; i++) {
        transports[i] = strdup(service->transports[i]);
        if (transports[i] == NULL) {
            free_transports(transports, service->transport_count);
            transports = NULL;
        }
    }
    *ret_is_out_of_memory = transports == NULL;
    return transports;
}

static struct route *route_create(const struct router_service *service)
{
    struct route *route = calloc(1, sizeof(*route));

    if (route == NULL)
        return NULL;
    TAILQ_INIT(&route->held);
    route->service = strdup(service->name);
    if (route->service == NULL) {
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

/* The route of a name, perhaps one that was removed; created if there is none. NULL without memory. */
static struct route *find_or_create(struct routes *routes, const struct router_service *service)
{
    struct route *route = index_find(&routes->by_service, key_of_route, service->name);
    struct route **items;

    if (route != NULL)
        return route;
    items = reallocarray(routes->items, routes->count + 1, sizeof(struct route *));
    if (items == NULL)
        return NULL;
    routes->items = items;
    route = index_reserve(&routes->by_service, key_of_route, 1) ? route_create(service) : NULL;
    if (route == NULL)
        return NULL;
    routes->items[routes->count++] = route;
    index_add(&routes->by_service, key_of_route, route);
    return route;
}

/* What is not a question of methods. */
static bool copy_service(struct route_offer *offer, const struct router_service *service)
{
    bool is_out_of_memory;

    offer->service = service;
    offer->plugin = strdup(service->plugin);
    offer->transports = copy_transports(service, &is_out_of_memory);
    return offer->plugin != NULL && !is_out_of_memory;
}

static void take_service(struct route_offer *offer)
{
    struct route *route = offer->route;

    if (offer->service == NULL)
        return;
    free(route->plugin);
    free_transports(route->transports, route->transport_count);
    route->plugin = offer->plugin;
    route->transports = offer->transports;
    route->transport_count = offer->service->transport_count;
    offer->plugin = NULL;
    offer->transports = NULL;
    offer_methods(route, offer->service);
}

void route_drop(struct route_offer *offer)
{
    if (offer->transports != NULL)
        free_transports(offer->transports, offer->service->transport_count);
    free(offer->plugin);
    free(offer->binding);
    *offer = (struct route_offer){0};
}

enum berth_code route_redeclare(struct routes *routes, struct route *route,
                                const struct router_service *service, struct berth_error *err)
{
    struct route_offer offer = {.route = route};

    if (!copy_service(&offer, service) || !add_methods(routes, route, service)) {
        route_drop(&offer);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the methods of %s",
                               service->name);
    }
    take_service(&offer);
    return BERTH_OK;
}

enum berth_code routes_declare(struct routes *routes, const struct router_service *service,
                               struct berth_error *err)
{
    const struct route *before = routes_find(routes, service->name);
    struct route *route;
    enum berth_code code;

    if (before != NULL)
        return berth_error_set(err, BERTH_ALREADY_EXISTS,
                               "service %s is already exported by %s; %s cannot export it too", service->name,
                               before->plugin, service->plugin);
    route = find_or_create(routes, service);
    if (route == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the methods of %s",
                               service->name);
    route->routes = routes;
    code = route_redeclare(routes, route, service, err);
    if (code == BERTH_OK)
        route->state = ROUTE_DECLARED;
    return code;
}

size_t route_count_waiting(const struct route *route)
{
    size_t count = 0;

    for (size_t i = 0; i < route->routes->count; i++) {
        const struct route *other = route->routes->items[i];

        if (other->held_count > 0 && strcmp(other->plugin, route->plugin) == 0)
            count += other->held_count;
    }
    return count;
}

struct route *routes_find(const struct routes *routes, const char *service)
{
    struct route *route = index_find(&routes->by_service, key_of_route, service);

    return route != NULL && route->state != ROUTE_REMOVED ? route : NULL;
}

bool route_method_is_offered(const struct route_method *method)
{
    return method->any != NULL ? method->any->is_offered : method->is_offered;
}

static bool name_is_valid(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return length > 0 && length <= 128 && name[length] == '\0';
}

/* The method "*" of the service in a path; NULL if it has none, or if no method could have that path. */
static const struct route_method *find_any(const struct routes *routes, const char *path)
{
    const char *slash = strrchr(path, '/');
    const struct route_method *any;
    const struct route *route;
    char service[256];
    size_t length;

    if (path[0] != '/' || slash == path || !name_is_valid(slash + 1))
        return NULL;
    length = (size_t)(slash - path - 1);
    if (length >= sizeof(service))
        return NULL;
    memcpy(service, path + 1, length);
    service[length] = '\0';
    route = routes_find(routes, service);
    any = route != NULL ? find_method(route, ROUTE_ANY) : NULL;
    return any != NULL && any->is_offered ? any : NULL;
}

/* It is kept, like any method, so that their number has a limit. @return NULL if there are too many, or
 * without memory. */
static struct route_method *add_stray(struct routes *routes, const struct route_method *any, const char *name)
{
    const struct router_method declared = {name, any->kind};
    struct route *route = any->route;
    struct route_method *method, **strays;

    if (route->stray_count == ROUTE_STRAYS_MAX || !index_reserve(&routes->by_path, key_of_method, 1))
        return NULL;
    strays = reallocarray(route->strays, route->stray_count + 1, sizeof(*strays));
    if (strays == NULL)
        return NULL;
    route->strays = strays;
    method = method_create(route, &declared);
    if (method == NULL)
        return NULL;
    method->any = any;
    method->index = any->index;
    strays[route->stray_count++] = method;
    succeed(method, index_find(&routes->by_path, key_of_method, method->path));
    index_add(&routes->by_path, key_of_method, method);
    return method;
}

const struct route_method *routes_find_method(struct routes *routes, const char *path)
{
    struct route_method *method = index_find(&routes->by_path, key_of_method, path);
    const struct route_method *any;

    if (method != NULL && route_method_is_offered(method))
        return strcmp(method->name, ROUTE_ANY) != 0 ? method : NULL;
    any = find_any(routes, path);
    return any != NULL ? add_stray(routes, any, strrchr(path, '/') + 1) : NULL;
}

void route_remove(struct route *route)
{
    route_unbind(route);
    for (size_t i = 0; i < route->method_count; i++)
        route->methods[i]->is_offered = false;
    route->state = ROUTE_REMOVED;
}

bool route_takes_transport(const struct route *route, const char *transport)
{
    for (size_t i = 0; i < route->transport_count; i++)
        if (strcmp(route->transports[i], transport) == 0)
            return true;
    return route->transport_count == 0 || strcmp(transport, "test") == 0 ||
           strcmp(transport, BERTH_OUTGOING_TRANSPORT) == 0;
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

/* The plugin, the path and the kind are those of the declaration that the table has to match. */
static enum berth_code bind_method(const char *plugin, const char *path, const struct router_method *declared,
                                   const struct berth_service *table, struct berth_method *ret_method,
                                   struct berth_error *err)
{
    struct berth_method found;

    if (table_find(table, ROUTE_ANY, &found) && !table_find(table, declared->name, &found))
        found.kind = declared->kind;
    else if (!table_find(table, declared->name, &found))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: method %s is declared but missing from the code", plugin, path);
    if (found.kind != declared->kind)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: the code of %s has another streaming kind than declared", plugin, path);
    if (route_takes_one_request(found.kind) && found.on_message == NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s: the code of %s has no on_message", plugin,
                               path);
    *ret_method = found;
    return BERTH_OK;
}

static enum berth_code check_table(const char *plugin, const char *service, size_t declared_count,
                                   const struct berth_service *table, struct berth_error *err)
{
    struct berth_method any;

    if (table->size < offsetof(struct berth_service, method_count) + sizeof(table->method_count) ||
        table->method_size < offsetof(struct berth_method, on_end) + sizeof(table->methods->on_end))
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: the table of %s is too small (%u and %u bytes); rebuild it against this SDK", plugin,
            service, table->size, table->method_size);
    if (table->method_count != declared_count && !table_find(table, ROUTE_ANY, &any))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: %zu methods of %s are declared, but its code has %zu", plugin,
                               declared_count, service, table->method_count);
    return BERTH_OK;
}

static struct binding *binding_create(struct route *route, const struct router_target *target)
{
    struct binding *binding = calloc(1, sizeof(*binding) + route->method_count * sizeof(binding->methods[0]));
    const struct berth_service *table = target->table;

    if (binding == NULL)
        return NULL;
    binding->route = route;
    binding->instance = target->instance;
    binding->owner = target->owner;
    if (BERTH_HAS(table, descriptors) && BERTH_HAS(table, descriptors_length)) {
        binding->descriptors = table->descriptors;
        binding->descriptors_length = table->descriptors_length;
    }
    binding->handlers = BERTH_SERVICE_HANDLERS(table);
    binding->method_count = route->method_count;
    for (size_t i = 0; i < route->method_count; i++)
        binding->methods[i].kind = ROUTE_NO_KIND;
    return binding;
}

/* The methods of the service as it becomes, or as it is. */
static enum berth_code bind_methods(const struct route *route, const struct router_service *service,
                                    const struct berth_service *table, struct binding *binding,
                                    struct berth_error *err)
{
    const char *plugin = service != NULL ? service->plugin : route->plugin;
    size_t count = service != NULL ? service->method_count : 0;
    enum berth_code code;

    for (size_t i = 0; service == NULL && i < route->method_count; i++)
        count += route->methods[i]->is_offered;
    code = check_table(plugin, route->service, count, table, err);
    for (size_t i = 0; service != NULL && i < count && code == BERTH_OK; i++) {
        const struct route_method *method = find_method(route, service->methods[i].name);

        code = bind_method(plugin, method->path, &service->methods[i], table,
                           &binding->methods[method->index], err);
    }
    for (size_t i = 0; service == NULL && i < route->method_count && code == BERTH_OK; i++) {
        const struct route_method *method = route->methods[i];
        const struct router_method declared = {method->name, method->kind};

        if (method->is_offered)
            code = bind_method(plugin, method->path, &declared, table, &binding->methods[i], err);
    }
    return code;
}

enum berth_code route_prepare(struct routes *routes, struct route *route,
                              const struct router_service *service, const struct router_target *target,
                              struct route_offer *ret_offer, struct berth_error *err)
{
    struct route_offer offer = {.route = route};
    enum berth_code code;

    if (service != NULL && (!copy_service(&offer, service) || !add_methods(routes, route, service)))
        code = BERTH_RESOURCE_EXHAUSTED;
    else
        code = (offer.binding = binding_create(route, target)) != NULL ? BERTH_OK : BERTH_RESOURCE_EXHAUSTED;
    if (code != BERTH_OK)
        berth_error_set(err, code, "out of memory for %s", route->service);
    else
        code = bind_methods(route, service, target->table, offer.binding, err);
    if (code == BERTH_OK)
        *ret_offer = offer;
    else
        route_drop(&offer);
    return code;
}

void route_take(struct route_offer *offer)
{
    struct route *route = offer->route;

    take_service(offer);
    route_unbind(route);
    route->live = offer->binding;
    route->live->live = true;
    LIST_INSERT_HEAD(&route->bindings, route->live, link);
    route->state = ROUTE_LIVE;
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
