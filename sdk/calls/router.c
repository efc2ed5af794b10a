/* SPDX-License-Identifier: Apache-2.0 */
/* The router: servers open calls here, and the host changes routes and interceptors and ends calls. */
#include "router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>

#include "call.h"
#include "chain.h"
#include "operations.h"

/* Waits for the last call on an owner. */
struct watch {
    LIST_ENTRY(watch) link;
    const void *owner;
    void (*on_idle)(void *context);
    void *context;
};

struct router {
    struct berth_router interface;
    struct calls calls;
    struct chain *chain;
    struct hooks hooks;
    /* Calls that are opened wait before the first interceptor. */
    bool is_gated;
    struct routes routes;
    LIST_HEAD(, watch) watches;
};

static struct router *router_of(const struct berth_router *interface)
{
    return CONTAINER_OF(interface, struct router, interface);
}

static void note_change(const struct router *router)
{
    if (router->calls.observer.on_change != NULL)
        router->calls.observer.on_change(router->calls.observer.context);
}

/*
 * Why no method has this path. A service that the call's transport may not carry is reported as unknown, like
 * one that is not exported.
 */
static void explain_unknown(const struct routes *routes, const char *path, const char *transport,
                            struct berth_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *service = path + 1;
    size_t length;

    if (path[0] != '/' || slash == path) {
        berth_error_set(err, BERTH_UNIMPLEMENTED, "malformed method name: \"%s\"", path);
        return;
    }
    length = (size_t)(slash - service);
    for (size_t i = 0; i < routes->count; i++) {
        const struct route *route = routes->items[i];

        if (route->state == ROUTE_REMOVED || strncmp(route->service, service, length) != 0 ||
            route->service[length] != '\0' || !route_takes_transport(route, transport))
            continue;
        berth_error_set(err, BERTH_UNIMPLEMENTED, "unknown method %s for service %s", slash + 1,
                        route->service);
        return;
    }
    berth_error_set(err, BERTH_UNIMPLEMENTED, "unknown service %.*s", (int)length, service);
}

static struct berth_call *open_call(const struct berth_router *interface,
                                    const struct berth_call_request *request)
{
    struct router *router = router_of(interface);
    const struct route_method *method;
    struct berth_error err;

    if (!handles_on_thread(&router->calls.handles, "opened a call", __builtin_return_address(0))) {
        request->stream_ops->finish(request->stream, BERTH_INTERNAL,
                                    "the server opened the call from a thread other than the loop's", NULL,
                                    0);
        return NULL;
    }
    method = routes_find_method(&router->routes, request->path);

    if (method != NULL && route_takes_transport(method->route, request->transport))
        return (router->is_gated ? call_open_gated : call_open)(&router->calls, router->chain, method,
                                                                request);
    explain_unknown(&router->routes, request->path, request->transport, &err);
    request->stream_ops->finish(request->stream, BERTH_UNIMPLEMENTED, err.message, NULL, 0);
    return NULL;
}

static struct berth_route_info info_of_route(const struct route *route)
{
    struct berth_route_info info = {
        .size = sizeof(info),
        .service = route->service,
        .plugin = route->plugin,
        .live = route->state == ROUTE_LIVE || route->state == ROUTE_HELD,
        .transports = (const char *const *)route->transports,
        .transport_count = route->transport_count,
    };

    if (route->live != NULL) {
        info.descriptors = route->live->descriptors;
        info.descriptors_length = route->live->descriptors_length;
    }
    return info;
}

static void each_route(const struct berth_router *interface,
                       bool (*on_route)(void *context, const struct berth_route_info *route), void *context)
{
    const struct router *router = router_of(interface);

    if (!handles_on_thread(&router->calls.handles, "listed the services", __builtin_return_address(0)))
        return;
    for (size_t i = 0; i < router->routes.count; i++) {
        const struct berth_route_info info = info_of_route(router->routes.items[i]);

        if (router->routes.items[i]->state != ROUTE_REMOVED && !on_route(context, &info))
            return;
    }
}

static uint64_t count_open(const struct router_counts *counts)
{
    uint64_t open = counts->opened;

    for (size_t i = 0; i < sizeof(counts->ended) / sizeof(counts->ended[0]); i++)
        open -= counts->ended[i];
    return open;
}

static struct berth_method_info info_of(const struct route_method *method)
{
    const struct router_counts *counts = method->counts;

    return (struct berth_method_info){
        .size = sizeof(struct berth_method_info),
        .kind = method->kind,
        .plugin = method->route->plugin,
        .path = method->path,
        .service = method->route->service,
        .method = method->name,
        .opened = counts->opened,
        .in_flight = count_open(counts),
        .ended = counts->ended,
        .ended_count = sizeof(counts->ended) / sizeof(counts->ended[0]),
        .abandoned = counts->abandoned,
        .messages_received = counts->messages_received,
        .bytes_received = counts->bytes_received,
        .messages_sent = counts->messages_sent,
        .bytes_sent = counts->bytes_sent,
    };
}

/* Not "*" itself, which nobody can call. @return false if the visitor has seen enough. */
static bool visit_methods(struct route_method *const *methods, size_t count,
                          bool (*on_method)(void *context, const struct berth_method_info *method),
                          void *context)
{
    for (size_t i = 0; i < count; i++) {
        const struct berth_method_info info = info_of(methods[i]);

        if (route_method_is_offered(methods[i]) && !methods[i]->is_succeeded &&
            strcmp(methods[i]->name, ROUTE_ANY) != 0 && !on_method(context, &info))
            return false;
    }
    return true;
}

static void each_method(const struct berth_router *interface,
                        bool (*on_method)(void *context, const struct berth_method_info *method),
                        void *context)
{
    const struct router *router = router_of(interface);

    if (!handles_on_thread(&router->calls.handles, "listed the methods", __builtin_return_address(0)))
        return;
    for (size_t i = 0; i < router->routes.count; i++) {
        const struct route *route = router->routes.items[i];

        if (!visit_methods(route->methods, route->method_count, on_method, context) ||
            !visit_methods(route->strays, route->stray_count, on_method, context))
            return;
    }
}

static bool find_method(const struct berth_router *interface, const char *path, const char *transport,
                        struct berth_method_info *ret_method, struct berth_route_info *ret_route)
{
    struct router *router = router_of(interface);
    const struct route_method *method;

    if (!handles_on_thread(&router->calls.handles, "looked up a method", __builtin_return_address(0)))
        return false;
    method = routes_find_method(&router->routes, path);
    if (method == NULL || !route_takes_transport(method->route, transport))
        return false;
    *ret_method = info_of(method);
    *ret_route = info_of_route(method->route);
    return true;
}

static size_t route_calls(const struct route *route, const void *owner)
{
    const struct binding *binding;
    size_t calls = 0;

    LIST_FOREACH(binding, &route->bindings, link)
    if (binding->owner == owner)
        calls += binding->calls;
    return calls;
}

size_t router_owner_calls(const struct router *router, const void *owner)
{
    const struct hook *hook;
    size_t calls = 0;

    for (size_t i = 0; i < router->routes.count; i++)
        calls += route_calls(router->routes.items[i], owner);
    LIST_FOREACH(hook, &router->hooks, link)
    if (hook->owner == owner)
        calls += hook->pending;
    return calls;
}

uint64_t router_owner_opened(const struct router *router, const void *owner)
{
    uint64_t opened = 0;

    for (size_t i = 0; i < router->routes.count; i++) {
        const struct route *route = router->routes.items[i];

        if (route->live == NULL || route->live->owner != owner)
            continue;
        for (size_t k = 0; k < route->method_count; k++)
            opened += route->methods[k]->counts->opened;
        for (size_t k = 0; k < route->stray_count; k++)
            opened += route->strays[k]->counts->opened;
    }
    return opened;
}

/* Of one that was retired: calls that began with it. */
static bool has_retired_hooks(const struct router *router, const void *owner)
{
    const struct hook *hook;

    LIST_FOREACH(hook, &router->hooks, link)
    if (hook->owner == owner && hook->retired && !hook->removed)
        return true;
    return false;
}

/* How many kinds of calls a description lists; others are only counted. */
#define KINDS_MAX 8

struct kind {
    const struct route_method *method;
    const char *transport;
    size_t count;
};

static void count_call(const struct call *call, struct kind *kinds, size_t *kind_count)
{
    size_t i = 0;

    while (i < *kind_count &&
           (kinds[i].method != call->method || strcmp(kinds[i].transport, call->public->transport) != 0))
        i++;
    if (i == KINDS_MAX)
        return;
    if (i == *kind_count)
        kinds[(*kind_count)++] = (struct kind){call->method, call->public->transport, 0};
    kinds[i].count++;
}

void router_describe_calls(const struct router *router, const void *owner, char *text, size_t size)
{
    struct kind kinds[KINDS_MAX];
    size_t kind_count = 0, count = 0, used = 0;
    const struct call *call;

    LIST_FOREACH(call, &router->calls.all, link)
    {
        if (call->ended || (owner != NULL && (!call->started || call->binding->owner != owner)))
            continue;
        count++;
        count_call(call, kinds, &kind_count);
    }
    text[0] = '\0';
    if (count > 0)
        used = (size_t)snprintf(text, size, "%zu call%s in flight:", count, count == 1 ? "" : "s");
    for (size_t i = 0; i < kind_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s %s of %s over %s (%zu)", i > 0 ? "," : "",
                                 kinds[i].method->path, kinds[i].method->route->plugin, kinds[i].transport,
                                 kinds[i].count);
}

static struct watch *find_watch(const struct router *router, const void *owner)
{
    struct watch *watch;

    LIST_FOREACH(watch, &router->watches, link)
    if (watch->owner == owner)
        return watch;
    return NULL;
}

static void drop_watch(struct watch *watch)
{
    LIST_REMOVE(watch, link);
    free(watch);
}

bool router_is_idle(const struct router *router, const void *owner)
{
    return router_owner_calls(router, owner) == 0 && !has_retired_hooks(router, owner);
}

/* Whoever is told may set and drop watches, so the list is looked at anew. */
static void tell_who_is_idle(struct router *router)
{
    struct watch *watch = LIST_FIRST(&router->watches);

    while (watch != NULL) {
        void (*on_idle)(void *context) = watch->on_idle;
        void *context = watch->context;

        if (!router_is_idle(router, watch->owner)) {
            watch = LIST_NEXT(watch, link);
            continue;
        }
        drop_watch(watch);
        on_idle(context);
        watch = LIST_FIRST(&router->watches);
    }
}

static void on_gone(struct calls *calls, struct chain *chain)
{
    struct router *router = CONTAINER_OF(calls, struct router, calls);

    if (chain != NULL)
        chain_drop(chain);
    if (!LIST_EMPTY(&router->watches))
        tell_who_is_idle(router);
}

void router_when_idle(struct router *router, const void *owner, void (*on_idle)(void *context), void *context)
{
    struct watch *watch = find_watch(router, owner);

    if (watch != NULL)
        drop_watch(watch);
    if (on_idle == NULL)
        return;
    watch = malloc(sizeof(*watch));
    if (watch == NULL)
        abort();
    *watch = (struct watch){.owner = owner, .on_idle = on_idle, .context = context};
    LIST_INSERT_HEAD(&router->watches, watch, link);
    call_reap(&router->calls);
    tell_who_is_idle(router);
}

struct router *router_create(void)
{
    struct router *router = calloc(1, sizeof(*router));
    struct chain *chain = chain_create(0);

    if (router == NULL || chain == NULL) {
        free(router);
        free(chain);
        return NULL;
    }
    router->chain = chain;
    calls_init(&router->calls, &call_operations, on_gone);
    router->interface = (struct berth_router){
        .size = sizeof(router->interface),
        .open = open_call,
        .deliver = call_deliver,
        .half_close = call_half_close,
        .writable = call_writable,
        .cancel = call_cancel,
        .each = each_route,
        .deliver_last = call_deliver_last,
        .each_method = each_method,
        .find = find_method,
    };
    return router;
}

void router_destroy(struct router *router)
{
    struct watch *watch;

    if (router == NULL)
        return;
    call_reap(&router->calls);
    while ((watch = LIST_FIRST(&router->watches)) != NULL)
        drop_watch(watch);
    chain_drop(router->chain);
    routes_finish(&router->routes);
    calls_finish(&router->calls);
    free(router);
}

const struct berth_router *router_interface(const struct router *router)
{
    return &router->interface;
}

void router_set_rest(struct router *router, size_t calls)
{
    router->calls.handles.rest = calls;
}

void router_observe(struct router *router, const struct router_observer *observer)
{
    router->calls.observer = *observer;
}

enum berth_code router_declare(struct router *router, const struct router_service *service,
                               struct berth_error *err)
{
    enum berth_code code = routes_declare(&router->routes, service, err);

    if (code == BERTH_OK)
        note_change(router);
    return code;
}

enum berth_code router_redeclare(struct router *router, const struct router_service *service,
                                 struct berth_error *err)
{
    struct route *route = routes_find(&router->routes, service->name);
    enum berth_code code;

    if (route == NULL || route->live != NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "service %s is %s", service->name,
                               route == NULL ? "not declared" : "being served");
    code = route_redeclare(&router->routes, route, service, err);
    if (code == BERTH_OK)
        note_change(router);
    return code;
}

/* Retries the calls waiting at this moment; those that join the queue meanwhile stay. */
static void retry_held(struct route *route)
{
    for (size_t waiting = route->held_count; waiting > 0 && route->held_count > 0; waiting--)
        call_retry(TAILQ_FIRST(&route->held));
}

/* The chain as it will be; NULL without memory. */
static struct chain *make_chain(struct router *router, const struct router_switch *change)
{
    struct chain *chain = chain_sorted(router->chain);

    for (size_t i = 0; i < change->retired_count && chain != NULL; i++) {
        struct chain *next = chain_without(chain, change->retired[i]);

        chain_drop(chain);
        chain = next;
    }
    for (size_t i = 0; i < change->hook_count && chain != NULL; i++) {
        const struct router_hook *added = &change->hooks[i];
        const struct hook hook = {.interceptor = added->interceptor,
                                  .self = added->self,
                                  .owner = added->owner,
                                  .order = added->order};
        struct chain *next = chain_with(chain, &hook, &router->hooks);

        chain_drop(chain);
        chain = next;
    }
    return chain;
}

/* Those that no later call will have are retired first, so that dropping the chain before frees them. */
static void take_chain(struct router *router, struct chain *chain, const struct router_switch *change)
{
    struct chain *before = router->chain;

    for (size_t i = 0; i < change->retired_count; i++)
        for (size_t k = 0; k < before->count; k++)
            if (before->hooks[k]->owner == change->retired[i])
                before->hooks[k]->retired = true;
    router->chain = chain;
    chain_drop(before);
}

static enum berth_code prepare_offers(struct router *router, const struct router_switch *change,
                                      struct route_offer *offers, struct berth_error *err)
{
    for (size_t i = 0; i < change->target_count; i++) {
        const struct router_target *target = &change->targets[i];
        struct route *route = routes_find(&router->routes, target->service);
        enum berth_code code;

        if (route == NULL)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "service %s is not declared",
                                   target->service);
        code = route_prepare(&router->routes, route, target->declaration, target, &offers[i], err);
        if (code != BERTH_OK)
            return code;
    }
    return BERTH_OK;
}

enum berth_code router_switch(struct router *router, const struct router_switch *change,
                              struct berth_error *err)
{
    struct route_offer *offers = calloc(change->target_count + 1, sizeof(*offers));
    bool has_hooks = change->hook_count + change->retired_count > 0;
    struct chain *chain = has_hooks ? make_chain(router, change) : NULL;
    enum berth_code code = BERTH_RESOURCE_EXHAUSTED;

    if (offers == NULL || (has_hooks && chain == NULL))
        berth_error_set(err, code, "out of memory for a change of routes");
    else
        code = prepare_offers(router, change, offers, err);
    for (size_t i = 0; code == BERTH_OK && i < change->target_count; i++)
        route_take(&offers[i]);
    for (size_t i = 0; code != BERTH_OK && offers != NULL && i < change->target_count; i++)
        route_drop(&offers[i]);
    if (code == BERTH_OK && has_hooks)
        take_chain(router, chain, change);
    else if (chain != NULL)
        chain_drop(chain);
    if (code == BERTH_OK && change->target_count > 0)
        note_change(router);
    for (size_t i = 0; code == BERTH_OK && i < change->target_count; i++)
        retry_held(offers[i].route);
    free(offers);
    if (code == BERTH_OK && !LIST_EMPTY(&router->watches))
        tell_who_is_idle(router);
    return code;
}

enum berth_code router_set_live(struct router *router, const char *service, const struct berth_service *table,
                                void *instance, const void *owner, struct berth_error *err)
{
    const struct router_target target = {
        .service = service, .table = table, .instance = instance, .owner = owner};

    return router_switch(router, &(struct router_switch){.targets = &target, .target_count = 1}, err);
}

void router_remove(struct router *router, const char *service)
{
    struct route *route = routes_find(&router->routes, service);

    if (route == NULL)
        return;
    route_remove(route);
    note_change(router);
    retry_held(route);
}

void router_release(struct router *router, const char *service)
{
    struct route *route = routes_find(&router->routes, service);

    if (route == NULL || route->state != ROUTE_HELD)
        return;
    route->state = route->live != NULL ? ROUTE_LIVE : ROUTE_DECLARED;
    note_change(router);
    retry_held(route);
}

void router_detach(struct router *router, const void *owner)
{
    for (size_t i = 0; i < router->routes.count; i++) {
        struct route *route = router->routes.items[i];

        if (route->live == NULL || route->live->owner != owner)
            continue;
        route_unbind(route);
        if (route->state == ROUTE_LIVE)
            route->state = ROUTE_DECLARED;
    }
}

const void *router_find_owner(const struct router *router, const char *service)
{
    const struct route *route = routes_find(&router->routes, service);

    return route != NULL && route->live != NULL ? route->live->owner : NULL;
}

const char *router_find_exporter(const struct router *router, const char *service)
{
    const struct route *route = routes_find(&router->routes, service);

    return route != NULL ? route->plugin : NULL;
}

void router_close_gate(struct router *router)
{
    router->is_gated = true;
}

/* Whoever is let pass may close it again. */
void router_open_gate(struct router *router)
{
    struct call *call;

    router->is_gated = false;
    while (!router->is_gated && (call = TAILQ_FIRST(&router->calls.gated)) != NULL)
        call_pass_gate(call, router->chain);
}

/* For a table that neither a manifest nor a generator has checked. */
static enum berth_code check_table(const struct berth_service *table, struct berth_error *err)
{
    if (table->name == NULL || table->name[0] == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "a service has no name");
    for (size_t i = 0; i < table->method_count; i++) {
        struct berth_method method = route_table_method(table, i);

        if (method.name == NULL || method.name[0] == '\0')
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "service %s: method %zu has no name",
                                   table->name, i);
        if (method.on_message == NULL && route_takes_one_request(method.kind))
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "service %s: method %s takes one message and has no on_message",
                                   table->name, method.name);
    }
    return BERTH_OK;
}

enum berth_code router_provide(struct router *router, const char *plugin, const struct berth_service *table,
                               void *instance, struct berth_error *err)
{
    struct router_service service = {
        .plugin = plugin, .name = table->name, .method_count = table->method_count};
    enum berth_code code = check_table(table, err);
    struct router_method *methods;

    if (code != BERTH_OK)
        return code;
    methods = calloc(table->method_count + 1, sizeof(*methods));
    if (methods == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the methods of %s",
                               table->name);
    for (size_t i = 0; i < table->method_count; i++) {
        struct berth_method method = route_table_method(table, i);

        methods[i] = (struct router_method){.name = method.name, .kind = method.kind};
    }
    service.methods = methods;
    code = router_declare(router, &service, err);
    free(methods);
    return code == BERTH_OK ? router_set_live(router, table->name, table, instance, NULL, err) : code;
}

void router_hold(struct router *router, const char *service, size_t max_calls)
{
    struct route *route = routes_find(&router->routes, service);

    if (route == NULL)
        return;
    route->state = ROUTE_HELD;
    route->max_held = max_calls;
    note_change(router);
}

void router_set_gone(struct router *router, const char *service, enum berth_code code, const char *reason)
{
    struct route *route = routes_find(&router->routes, service);
    char *copy;

    if (route == NULL)
        return;
    copy = strdup(reason);
    if (copy == NULL)
        abort();
    free(route->reason);
    route->reason = copy;
    route->code = code;
    route->state = ROUTE_GONE;
    route_unbind(route);
    note_change(router);
    retry_held(route);
}

void router_end_calls(struct router *router, const void *owner, const char *reason)
{
    struct call_cursor cursor;
    struct call *call = calls_first(&router->calls, &cursor);

    for (; call != NULL; call = calls_next(&router->calls, &cursor))
        if (call->started && call->binding->owner == owner)
            call_end(call, BERTH_UNAVAILABLE, reason);
}

enum berth_code router_add_interceptor(struct router *router, const struct berth_interceptor *interceptor,
                                       void *self, size_t order, const void *owner, struct berth_error *err)
{
    const struct router_hook hook = {interceptor, self, owner, order};

    return router_switch(router, &(struct router_switch){.hooks = &hook, .hook_count = 1}, err);
}

void router_order_interceptors(struct router *router, size_t (*order_of)(void *context, const void *owner),
                               void *context)
{
    struct chain *chain;
    struct hook *hook;

    LIST_FOREACH(hook, &router->hooks, link)
    if (!hook->removed)
        hook->order = order_of(context, hook->owner);
    chain = chain_sorted(router->chain);
    if (chain == NULL)
        abort();
    chain_drop(router->chain);
    router->chain = chain;
}

static void forget_hooks(struct router *router, const void *owner)
{
    struct call_cursor cursor;
    struct call *call = calls_first(&router->calls, &cursor);

    for (; call != NULL; call = calls_next(&router->calls, &cursor))
        call_forget_hooks(call, owner);
}

void router_remove_interceptors(struct router *router, const void *owner)
{
    struct chain *before = router->chain;
    struct chain *chain = chain_without(before, owner);
    struct hook *hook;

    if (chain == NULL)
        abort();
    router->chain = chain;
    forget_hooks(router, owner);
    LIST_FOREACH(hook, &router->hooks, link)
    if (hook->owner == owner) {
        hook->removed = true;
        /* It need not live any longer, and the next one may have its address. */
        hook->owner = NULL;
    }
    chain_drop(before);
    if (!LIST_EMPTY(&router->watches))
        tell_who_is_idle(router);
}

void router_admit(struct router *router, const void *owner, struct berth_call *call, enum berth_code code,
                  const char *message, const void *caller)
{
    call_admit(call, code, message, owner, caller);
}

void router_enter_caller(const struct router *router, const void *owner, const struct berth_call *call)
{
    const struct router_observer *observer = &router->calls.observer;

    if (observer->on_enter != NULL)
        observer->on_enter(observer->context, owner, ROUTER_CALLER, call);
}

void router_leave_caller(const struct router *router, const void *owner, const struct berth_call *call)
{
    const struct router_observer *observer = &router->calls.observer;

    if (observer->on_leave != NULL)
        observer->on_leave(observer->context, owner, call);
}

bool router_is_on_thread(const struct router *router, const char *what, const void *caller)
{
    return handles_on_thread(&router->calls.handles, what, caller);
}

void router_report_misuse(const struct router *router, const void *owner, const char *what,
                          const void *caller)
{
    handles_report(&router->calls.handles, NULL, owner, caller, "%s", what);
}
