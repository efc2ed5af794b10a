/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call engine, used by the host, the fake host and libberth-rpc. It knows nothing of manifests,
 * configuration or plugin states. A router belongs to one thread: its loop's.
 *
 *     server ─open─▶ the path's route ─▶ the interceptors' on_start ─▶ by the route's state:
 *         live       the call is pinned to the instance and its owner; its handlers get it
 *         held       it waits, within its deadline and a limit, until the route is live or gone
 *         declared   UNAVAILABLE: the plugin has not started
 *         gone       rejected with the code and reason of router_set_gone
 *         removed    unknown, as if nobody had ever declared it
 *
 * Two instances of one service may have calls at once: each belongs to an owner, the generation of a plugin,
 * and by owner calls are counted, ended and waited for. A switch moves any number of services and
 * interceptors from one generation to another at once, and each brings its own set of methods.
 *
 * Messages pass the interceptors in order, then reach the handler; replies pass them in reverse. The end is
 * reported to the interceptors in reverse, then to the server, and last to the handler (on_end). Then the
 * instance is unpinned.
 *
 * From below: route.c has the services, handle.c what others hold of a call, chain.c the interceptors,
 * calls.c the memory of open calls, call.c one call's life, operations.c what a handler may do with it,
 * router.c the changes from outside, and above it outgoing.c the calls of plugins.
 */
#ifndef SDK_CALLS_ROUTER_H
#define SDK_CALLS_ROUTER_H

#include <berth/router.h>

struct router;

struct router_method {
    const char *name;
    enum berth_method_kind kind;
};

/** A service as declared by its plugin, possibly long before its code is loaded. */
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

/** A service that becomes live, see router_switch. */
struct router_target {
    const char *service;
    /** The service as it is from here on; NULL: as it was declared last. Copied. */
    const struct router_service *declaration;
    const struct berth_service *table;
    void *instance;
    /** Whose the calls are. */
    const void *owner;
};

/** An interceptor that joins, see router_add_interceptor. */
struct router_hook {
    const struct berth_interceptor *interceptor;
    void *self;
    const void *owner;
    size_t order;
};

/** What router_switch changes at once. */
struct router_switch {
    const struct router_target *targets;
    size_t target_count;
    const struct router_hook *hooks;
    size_t hook_count;
    /** Owners whose interceptors no later call gets; those in flight keep them until they end. */
    const void *const *retired;
    size_t retired_count;
};

/** Whose code a router is about to run. */
enum router_part {
    ROUTER_HANDLER,
    ROUTER_INTERCEPTOR,
    /** A callback of who made the call, if that is a plugin. */
    ROUTER_CALLER,
};

/** Statistics of one method. All on the loop's thread. */
struct router_counts {
    /** Calls that found the method, including those rejected by an interceptor or the route. */
    uint64_t opened;
    /** By code. */
    uint64_t ended[BERTH_UNAUTHENTICATED + 1];
    /** Messages delivered to handlers and sent by them, in bytes as seen inside the call. */
    uint64_t messages_received, bytes_received;
    uint64_t messages_sent, bytes_sent;
    /** Calls that the caller cancelled while the handler had them. */
    uint64_t abandoned;
};

/** What a router's owner can observe. Each function may be NULL. */
struct router_observer {
    void *context;
    /**
     * Called before and after each handler callback and interceptor hook. `owner` is the pointer passed to
     * router_set_live or router_add_interceptor. Pairs nest, because a handler's operation runs the
     * interceptors.
     */
    void (*on_enter)(void *context, const void *owner, enum router_part part, const struct berth_call *call);
    void (*on_leave)(void *context, const void *owner, const struct berth_call *call);
    /** A route was added or changed its state. */
    void (*on_change)(void *context);
    /** The first call waits for a held route. It only takes note: a call is in the middle of its opening. */
    void (*on_held)(void *context, const char *service, const char *plugin);
    /**
     * A call was used against the contract: after its end, twice where once is allowed, with a code that does
     * not exist, from another thread. Nothing has come of it, except that the code became UNKNOWN. Where this
     * is NULL nobody asks which thread it is. Called on the thread of who did it.
     *
     * @param owner   whose handler or interceptor had the call; NULL: unknown, such as a server.
     * @param call    NULL if there is none.
     * @param what    what was done, and what came of it: "replied to a call that has ended; ignored".
     * @param caller  an address in the code that did it, or in what called it last.
     */
    void (*on_misuse)(void *context, const void *owner, const struct berth_call *call, const char *what,
                      const void *caller);
};

/** It belongs to the calling thread. @return NULL without memory. */
struct router *router_create(void);
/** No call may be open. Accepts NULL. */
void router_destroy(struct router *router);
/**
 * How many calls must have ended after another before its `struct berth_call` may become that of a later one;
 * 1,024 unless set. SIZE_MAX: it never does.
 */
void router_set_rest(struct router *router, size_t calls);
/** Replaces the observer; there is none at first. Copied. */
void router_observe(struct router *router, const struct router_observer *observer);
/** The router as servers see it. */
const struct berth_router *router_interface(const struct router *router);

/**
 * Declares a service; calls are rejected until it is live or held. Everything is copied.
 *
 * @return BERTH_OK; BERTH_ALREADY_EXISTS if the name is taken; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code router_declare(struct router *router, const struct router_service *service,
                               struct berth_error *err);
/**
 * Declares a service anew, as another version or another plugin has it. Nobody serves it; calls that wait go
 * on waiting. Everything is copied.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if it is not declared, or somebody serves it;
 *         BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code router_redeclare(struct router *router, const struct router_service *service,
                                 struct berth_error *err);
/**
 * Directs new calls to this instance; calls in flight stay where they began.
 *
 * @param table  borrowed until no call runs on the instance and another is live or the route gone.
 * @param owner  whose the calls are, also for the observer.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if the service is not declared or its methods do not match the
 *         table; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code router_set_live(struct router *router, const char *service, const struct berth_service *table,
                                void *instance, const void *owner, struct berth_error *err);
/**
 * Makes services live and has interceptors join and leave, all at once: no call sees a part of it. Waiting
 * calls of these services proceed before this returns.
 *
 * @return as router_set_live; then nothing has changed.
 */
enum berth_code router_switch(struct router *router, const struct router_switch *change,
                              struct berth_error *err);
/** Declares a service by its table and makes it live, for services without another description. */
enum berth_code router_provide(struct router *router, const char *plugin, const struct berth_service *table,
                               void *instance, struct berth_error *err);
/**
 * Makes new calls wait, each within its deadline.
 *
 * @param max_calls  how many may wait for all services of the plugin; others are refused with
 *                   BERTH_RESOURCE_EXHAUSTED. SIZE_MAX: any number.
 */
void router_hold(struct router *router, const char *service, size_t max_calls);
/** Ends router_hold without a switch: calls reach the instance that they did before. */
void router_release(struct router *router, const char *service);
/** Rejects new calls with the code and the reason; calls in flight continue. */
void router_set_gone(struct router *router, const char *service, enum berth_code code, const char *reason);
/** Forgets a service: its name is free, new calls find nothing, and calls in flight continue. Its methods'
 * counters go on when it is declared again. */
void router_remove(struct router *router, const char *service);
/** No call reaches an owner any more: its services that are held stay so, without an instance. */
void router_detach(struct router *router, const void *owner);
/** Whose instance is live; NULL: none. */
const void *router_find_owner(const struct router *router, const char *service);
/** The URI of the plugin that has declared a service; NULL: nobody has. */
const char *router_find_exporter(const struct router *router, const char *service);

/**
 * Has all new calls wait, each within its deadline, before the first interceptor, so that interceptors can be
 * replaced without a call that passes none of them.
 */
void router_close_gate(struct router *router);
/** Lets them pass, in order, with the interceptors as they are then. */
void router_open_gate(struct router *router);

/**
 * How many calls hold an owner: in flight on its instance over all its services, or waiting for an answer of
 * its interceptors.
 */
size_t router_owner_calls(const struct router *router, const void *owner);
/** How many calls have been opened for the services that an owner serves, over all its generations. */
uint64_t router_owner_opened(const struct router *router, const void *owner);
/** Would router_when_idle call back at once? */
bool router_is_idle(const struct router *router, const void *owner);
/**
 * Describes the open calls by method, plugin and transport: "2 calls in flight: /a.B/C of a.v1.b over grpc
 * (2)"; "" if there is none.
 *
 * @param owner  whose calls; NULL: all.
 */
void router_describe_calls(const struct router *router, const void *owner, char *text, size_t size);
/**
 * Calls `on_idle` once, as soon as no call holds the owner and none passes interceptors of it that were
 * retired, possibly before this returns. One watch per owner; a NULL `on_idle` removes it.
 */
void router_when_idle(struct router *router, const void *owner, void (*on_idle)(void *context),
                      void *context);
/**
 * Ends every call on an owner's instance with UNAVAILABLE. A call with a running callback counts as in flight
 * until that returns; see router_when_idle.
 */
void router_end_calls(struct router *router, const void *owner, const char *reason);

/** Visits what interceptors and the handler have attached to an open call, in no order. */
void router_each_annotation(struct berth_call *call,
                            void (*on_annotation)(void *context, const char *key, const char *value),
                            void *context);

/**
 * Adds an interceptor, after those with a lower or the same `order`, for calls opened from here on.
 *
 * @param owner  identifies it for removal and for the observer.
 */
enum berth_code router_add_interceptor(struct router *router, const struct berth_interceptor *interceptor,
                                       void *self, size_t order, const void *owner, struct berth_error *err);
/** Gives the interceptors the order of another plan, for calls opened from here on. */
void router_order_interceptors(struct router *router, size_t (*order_of)(void *context, const void *owner),
                               void *context);
/** Removes an owner's interceptors: they are told the end of the calls they know, and nothing afterwards. */
void router_remove_interceptors(struct router *router, const void *owner);
/** Completes a pending on_start of `owner`. `caller` is for the observer. */
void router_admit(struct router *router, const void *owner, struct berth_call *call, enum berth_code code,
                  const char *message, const void *caller);

/** Around a callback of who made a call; `call` has its path and its trace. */
void router_enter_caller(const struct router *router, const void *owner, const struct berth_call *call);
void router_leave_caller(const struct router *router, const void *owner, const struct berth_call *call);
/** Is this the router's thread? If not, that `what` was done is reported. */
bool router_is_on_thread(const struct router *router, const char *what, const void *caller);
/** As router_observer.on_misuse. */
void router_report_misuse(const struct router *router, const void *owner, const char *what,
                          const void *caller);

#endif
