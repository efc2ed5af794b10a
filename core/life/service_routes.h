/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's services at the router: declared from its manifest, live with its instance, gone with a reason.
 */
#ifndef CORE_LIFE_SERVICE_ROUTES_H
#define CORE_LIFE_SERVICE_ROUTES_H

#include <berth/plugin.h>

#include <core/manifest/manifest.h>
#include <sdk/calls/router.h>

/** @return as router_declare. */
enum berth_code service_routes_declare(struct router *router, const struct manifest_plugin *plugin,
                                       const struct manifest_service *service, struct berth_error *err);

/** Where calls go, and under which owner they are counted. All borrowed until service_routes_close. */
struct service_routes_target {
    const struct berth_plugin *table;
    void *instance;
    const void *owner;
};

/**
 * Leads calls of every service of a plugin to an instance.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if its module lacks a service that its manifest names; else
 * as router_set_live.
 */
enum berth_code service_routes_open(struct router *router, const struct manifest_plugin *plugin,
                                    const struct service_routes_target *target, struct berth_error *err);
/** Answers new calls of every service of a plugin with BERTH_UNAVAILABLE and the reason. */
void service_routes_close(struct router *router, const struct manifest_plugin *plugin, const char *reason);

#endif
