/* SPDX-License-Identifier: Apache-2.0 */
/* Where the host sends the calls of each service: routes, interceptors, and the generation a call is pinned
 * to. */
#ifndef SDK_CALLS_ROUTER_H
#define SDK_CALLS_ROUTER_H

#include <berth/router.h>

#include <core/state/changes.h>
#include <core/manifest/manifest.h>

struct router;

struct router *router_create(void);
/** No call may be open. */
void router_destroy(struct router *router);
/** Who is told when routes change; borrowed. NULL, as at the beginning: nobody. */
void router_set_changes(struct router *router, struct changes *changes);
/** As servers see it. */
const struct berth_router *router_interface(const struct router *router);

/** Declares a service of a manifest; calls to it are held or refused until it is live. */
enum berth_code router_declare(struct router *router, const struct manifest_plugin *plugin,
                               const struct manifest_service *service, struct berth_error *err);
/** Calls reach this instance from here on. The service's methods must be those of the manifest. */
enum berth_code router_set_live(struct router *router, const char *service, const struct berth_service *table,
                                void *instance, uint64_t generation, struct berth_error *err);
/** New calls wait, up to `max_calls` of them and each within its deadline; more are refused. */
void router_hold(struct router *router, const char *service, size_t max_calls);
/** New calls are refused with the code and the reason; calls that run are left alone. */
void router_set_gone(struct router *router, const char *service, enum berth_code code, const char *reason);

/** How many calls run on a generation of a service. */
size_t router_calls(const struct router *router, const char *service, uint64_t generation);
/** How many calls run on an instance, over all its services. */
size_t router_instance_calls(const struct router *router, const void *instance);
/**
 * Names the calls that are open by method, plugin and transport: "2 calls in flight: /a.B/C of a.v1.b over
 * grpc (2)";
 * "" where there is none.
 *
 * @param instance  of which they are; NULL: any.
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

/** Adds an interceptor at a place in the plan's order; chains are rebuilt. `owner` names it for removal. */
enum berth_code router_add_interceptor(struct router *router, const struct berth_interceptor *interceptor,
                                       void *self, size_t order, const void *owner, struct berth_error *err);
void router_remove_interceptors(struct router *router, const void *owner);
/** Answers an on_start that was pending. */
void router_admit(struct router *router, struct berth_call *call, enum berth_code code, const char *message);

#endif
