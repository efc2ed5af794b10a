/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One service as the router knows it: its methods, its state, and the instances on which calls still run.
 * Data for the engine; about calls it knows only their number and the queue of those held.
 */
#ifndef SDK_CALLS_ROUTE_H
#define SDK_CALLS_ROUTE_H

#include <sys/queue.h>

#include <berth/plugin.h>

#include "router.h"

struct call;
struct route;

/** A method by its path. Once known it is kept for as long as the router: ended calls still show its names.
 */
struct route_method {
    struct route *route;
    /** "/helloworld.Greeter/SayHello" */
    char *path;
    char *name;
    enum berth_method_kind kind;
    /** Does the service have it, as it was last declared? */
    bool is_offered;
    /** Its place in the methods of every binding; that of `any` if it is one of those. */
    size_t index;
    /** The method "*" through which this one is known, because somebody has called it; else NULL. */
    const struct route_method *any;
    /** Over all generations. */
    struct router_counts *counts;
    /** Another method has this path and these counts by now; calls that began with this one keep it. */
    bool is_succeeded;
};

/** An instance that serves a route. It lives while it is live or a call is pinned to it. */
struct binding {
    LIST_ENTRY(binding) link;
    struct route *route;
    void *instance;
    /** The generation: by it calls are counted, ended and waited for. */
    const void *owner;
    bool live;
    size_t calls;
    const void *descriptors;
    size_t descriptors_length;
    const void *handlers;
    /** Copies of the module's, as wide as this engine knows them, by `index`. Those it does not have are
     * ROUTE_NO_KIND. */
    size_t method_count;
    struct berth_method methods[];
};

/** The kind of a method that a binding does not have. */
#define ROUTE_NO_KIND ((enum berth_method_kind) - 1)

enum route_state {
    /** Unknown to callers; its name is free. */
    ROUTE_REMOVED,
    ROUTE_DECLARED,
    ROUTE_LIVE,
    ROUTE_HELD,
    ROUTE_GONE,
};

struct route {
    char *service;
    char *plugin;
    /** The transports that may carry it; NULL: all. */
    char **transports;
    size_t transport_count;
    enum route_state state;
    /** All that it ever had. */
    struct route_method **methods;
    size_t method_count;
    /** Those that were called through "*". */
    struct route_method **strays;
    size_t stray_count;
    struct binding *live;
    LIST_HEAD(, binding) bindings;
    /** ROUTE_GONE: the error for callers. */
    enum berth_code code;
    char *reason;
    /** ROUTE_HELD: the waiting calls, oldest first, and how many may wait for the plugin. */
    TAILQ_HEAD(, call) held;
    size_t held_count;
    size_t max_held;
    struct routes *routes;
};

/** All routes, in the order they were first declared, and where each path leads. */
struct routes {
    struct route **items;
    size_t count;
    struct route_index {
        void **slots;
        size_t capacity, count;
    } by_service, by_path;
};

void routes_finish(struct routes *routes);

/** BERTH_ALREADY_EXISTS if another plugin has declared the service; BERTH_RESOURCE_EXHAUSTED. */
enum berth_code routes_declare(struct routes *routes, const struct router_service *service,
                               struct berth_error *err);
/** Its methods, transports and plugin are those of `service` from here on. BERTH_RESOURCE_EXHAUSTED. */
enum berth_code route_redeclare(struct routes *routes, struct route *route,
                                const struct router_service *service, struct berth_error *err);
/** How many calls wait for held routes of the plugin that has this one. */
size_t route_count_waiting(const struct route *route);
/** NULL if there is none, or if it was removed. */
struct route *routes_find(const struct routes *routes, const char *service);
/** Only one that is offered. If the service has a method "*", that is any, up to ROUTE_STRAYS_MAX. */
const struct route_method *routes_find_method(struct routes *routes, const char *path);
/** The name of the method that stands for all that have no name of their own. */
#define ROUTE_ANY "*"
#define ROUTE_STRAYS_MAX 4096
/** Is it offered to callers, by its own name or through "*"? */
bool route_method_is_offered(const struct route_method *method);
/** Calls in flight keep their instance. The waiting calls must have been refused. */
void route_remove(struct route *route);

/** Does the handler get exactly one whole request, after the caller's half-close? */
static inline bool route_takes_one_request(enum berth_method_kind kind)
{
    return kind == BERTH_METHOD_UNARY || kind == BERTH_METHOD_SERVER_STREAM;
}

/** May this transport carry it? Tests and calls from inside the daemon may carry everything. */
bool route_takes_transport(const struct route *route, const char *transport);

/** What a route becomes in a switch, ready to be taken without failing. */
struct route_offer {
    struct route *route;
    struct binding *binding;
    /** What the service is from here on; NULL: as declared before. Borrowed until the offer is taken. */
    const struct router_service *service;
    char *plugin;
    char **transports;
};

/**
 * Readies an instance to become the route's live one, with the methods of `service`, or with those that were
 * declared if that is NULL.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if the table does not have just these methods;
 *         BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code route_prepare(struct routes *routes, struct route *route,
                              const struct router_service *service, const struct router_target *target,
                              struct route_offer *ret_offer, struct berth_error *err);
/** Replaces the instance before. */
void route_take(struct route_offer *offer);
void route_drop(struct route_offer *offer);
/** Closes the live instance to new calls; calls in flight keep it. */
void route_unbind(struct route *route);

/** The method at `i` of a module's table, whose methods may be smaller or larger than ours. */
struct berth_method route_table_method(const struct berth_service *table, size_t i);

void binding_pin(struct binding *binding);
/** Frees the binding if it is not live and this was its last call. */
void binding_unpin(struct binding *binding);

#endif
