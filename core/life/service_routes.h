/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's services at the router: declared from its manifest, live with its instance, gone with a reason.
 */
#ifndef CORE_LIFE_SERVICE_ROUTES_H
#define CORE_LIFE_SERVICE_ROUTES_H

#include <berth/plugin.h>

#include <core/manifest/manifest.h>
#include <core/plan/plan.h>
#include <sdk/calls/router.h>

/** @return as router_declare. */
enum berth_code service_routes_declare(struct router *router, const struct manifest_plugin *plugin,
                                       const struct manifest_service *service, struct berth_error *err);
/** Declares it, or declares it anew if nobody serves it; see router_redeclare. @return as these. */
enum berth_code service_routes_redeclare(struct router *router, const struct manifest_plugin *plugin,
                                         const struct manifest_service *service, struct berth_error *err);

/** What becomes live at once, see router_switch. Zero-initialise. */
struct service_targets {
    struct router_target *items;
    struct router_service **declarations;
    size_t count;
};

/**
 * Adds all services of a plugin. Borrows from everything it was given.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if its module lacks a service that its manifest names, or if
 *         another plugin exports one.
 */
enum berth_code service_targets_add(struct service_targets *targets, const struct router *router,
                                    const struct plan_entry *entry, const struct berth_plugin *table,
                                    void *instance, const void *owner, struct berth_error *err);
void service_targets_finish(struct service_targets *targets);

/**
 * Answers new calls of every service of a plugin with BERTH_UNAVAILABLE and the reason, except those that
 * another owner or another plugin has.
 */
void service_routes_close(struct router *router, const struct manifest_plugin *plugin, const void *owner,
                          const char *reason);

#endif
