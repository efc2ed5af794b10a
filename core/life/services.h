/* SPDX-License-Identifier: Apache-2.0 */
/* Declares to the router what a manifest says about services. */
#ifndef CORE_LIFE_SERVICES_H
#define CORE_LIFE_SERVICES_H

#include <core/manifest/manifest.h>
#include <sdk/calls/router.h>

/** @return as router_declare. */
enum berth_code services_declare(struct router *router, const struct manifest_plugin *plugin,
                                 const struct manifest_service *service, struct berth_error *err);

#endif
