/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call engine, inside the host, the fake host and libberth-rpc alike. It knows nothing of manifests,
 * configuration or plugin states. A router belongs to one thread: its loop's.
 *
 *     server ─open─▶ the path's route ─▶ the interceptors' on_start ─▶ as the route stands:
 *         live       the call is pinned to the instance; its handlers get it
 *         held       it waits, within its deadline and a bound, until the route is live or gone
 *         declared   UNAVAILABLE: the plugin has not started
 *         gone       refused with the code and reason of router_set_gone
 *
 * Messages pass the interceptors in order, then the handler; replies pass them in reverse. The end is told to
 * the interceptors in reverse, then to the server, and last to the handler (on_end); then the instance is
 * unpinned.
 *
 * route.c holds the services, call.c one call's life, router.c what changes them from outside.
 */
#ifndef SDK_CALLS_ROUTER_H
#define SDK_CALLS_ROUTER_H

#include <berth/router.h>

struct router;

struct router_method {
    const char *name;
    enum berth_method_kind kind;
};

/** A service as its plugin declares it, possibly long before its code is loaded. */
struct router_service {
    /** The URI of the plugin that exports it. */
    const char *plugin;
    const char *name;
    const struct router_method *methods;
    size_t method_count;
    /** The transports that may carry it; NULL: all. */
    const char *const *transports;
    size_t transport_count;
};

/** Whose code a router is about to run. */
enum router_part {
    ROUTER_HANDLER,
    ROUTER_INTERCEPTOR,
};

/** What one method's calls have come to. All on the loop's thread. */
struct router_counts {
    /** Calls that found the method, those that an interceptor or the route refused among them. */
    uint64_t opened;
    /** By code. */
    uint64_t ended[BERTH_UNAUTHENTICATED + 1];
    /** Messages that handlers were given, and that they sent; bytes as they are inside the call. */
    uint64_t messages_received, bytes_received;
    uint64_t messages_sent, bytes_sent;
};

/** What the owner of a router can watch. Each function may be NULL. */
struct router_observer {
    void *context;
    /**
     * Called before and after each handler and each interceptor hook: `owner` is what router_set_live or
     * router_add_interceptor was given. Pairs nest, because a handler's operation runs the interceptors.
     */
    void (*on_enter)(void *context, const void *owner, enum router_part part, const struct berth_call *call);
    void (*on_leave)(void *context, const void *owner, const struct berth_call *call);
    /** A route was added or changed its state. */
    void (*on_change)(void *context);
};

/** @return NULL if out of memory. */
struct router *router_create(void);
/** No call may be open. Takes NULL. */
void router_destroy(struct router *router);
/** Replaces the observer, of which there is none at first. Copied. */
void router_observe(struct router *router, const struct router_observer *observer);
/** The router as servers see it. */
const struct berth_router *router_interface(const struct router *router);

/**
 * Declares a service; calls to it are refused until it is live or held. Copies all of it.
 *
 * @return BERTH_OK; BERTH_ALREADY_EXISTS where the name is taken; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code router_declare(struct router *router, const struct router_service *service,
                               struct berth_error *err);
/**
 * Sends new calls to this instance; those that run stay where they began.
 *
 * @param table       borrowed until no call runs on the instance and another is live or the route gone.
 * @param generation  for router_calls.
 * @param owner       for the observer.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION where the service is not declared or its methods are not those
 *         of the table; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code router_set_live(struct router *router, const char *service, const struct berth_service *table,
                                void *instance, uint64_t generation, const void *owner,
                                struct berth_error *err);
/** Declares a service by its own table and makes it live, where nothing else describes it. */
enum berth_code router_provide(struct router *router, const char *plugin, const struct berth_service *table,
                               void *instance, struct berth_error *err);
/** New calls wait, up to `max_calls` of them and each within its deadline; more are refused. */
void router_hold(struct router *router, const char *service, size_t max_calls);
/** Refuses new calls with the code and the reason; calls that run are left alone. */
void router_set_gone(struct router *router, const char *service, enum berth_code code, const char *reason);

/** Tells of each method, service by service in the order they were declared, until the visitor returns false.
 */
void router_each_method(const struct router *router,
                        bool (*on_method)(void *context, const char *plugin, const char *path,
                                          const struct router_counts *counts),
                        void *context);
/** How many of them are in flight. */
uint64_t router_counts_open(const struct router_counts *counts);
/** Counts the calls that run on a generation of a service. */
size_t router_calls(const struct router *router, const char *service, uint64_t generation);
/** Counts the calls that run on an instance, over all its services. */
size_t router_instance_calls(const struct router *router, const void *instance);
/**
 * Describes the open calls by method, plugin and transport: "2 calls in flight: /a.B/C of a.v1.b over grpc
 * (2)"; "" where there is none.
 *
 * @param instance  whose calls; NULL: all.
 */
void router_describe_calls(const struct router *router, const void *instance, char *text, size_t size);
/**
 * Calls `on_idle` once, as soon as no call runs on the instance: perhaps before this returns. One watch for
 * an instance; a NULL `on_idle` forgets it.
 */
void router_when_idle(struct router *router, const void *instance, void (*on_idle)(void *context),
                      void *context);
/**
 * Ends every call that runs on the instance: UNAVAILABLE. A call that is in the middle of a callback counts
 * until that returns: router_when_idle tells.
 */
void router_end_calls(struct router *router, const void *instance, const char *reason);

/**
 * Adds an interceptor, behind those with a lower or the same `order`, for calls that begin from here on.
 *
 * @param owner  names it for removal and for the observer.
 */
enum berth_code router_add_interceptor(struct router *router, const struct berth_interceptor *interceptor,
                                       void *self, size_t order, const void *owner, struct berth_error *err);
/** Removes an owner's interceptors: they hear the end of the calls they know, and nothing after. */
void router_remove_interceptors(struct router *router, const void *owner);
/** Answers an on_start that was pending. */
void router_admit(struct router *router, struct berth_call *call, enum berth_code code, const char *message);

#endif
