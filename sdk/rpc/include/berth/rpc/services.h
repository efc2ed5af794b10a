/* SPDX-License-Identifier: Apache-2.0 */
/* A router over a fixed list of services, for a program that serves calls without a berth host. */
#ifndef BERTH_RPC_SERVICES_H
#define BERTH_RPC_SERVICES_H

#include <berth/router.h>
#include <berth/rpc/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_rpc_services;

/** One service, and what its handlers get as `call->instance`. */
struct berth_rpc_service_entry {
    const struct berth_service *service;
    void *instance;
};

/**
 * Creates a router for `count` services. Copies the entries; the services themselves are borrowed and must
 * outlive the router. A router belongs to one loop: servers on several loops take one each.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a service without a name or with a handler that its method's
 *         kind does not allow; BERTH_FAILED_PRECONDITION for tables smaller than those of the first
 * berth/call.h; BERTH_ALREADY_EXISTS for a service that is listed twice; BERTH_RESOURCE_EXHAUSTED.
 */
BERTH_RPC_API enum berth_code berth_rpc_services_create(const struct berth_rpc_service_entry *entries,
                                                        size_t count,
                                                        struct berth_rpc_services **ret_services,
                                                        struct berth_error *err);

/** Once every call has ended. Takes NULL. */
BERTH_RPC_API void berth_rpc_services_destroy(struct berth_rpc_services *services);

/** What a server is given; borrowed. */
BERTH_RPC_API const struct berth_router *berth_rpc_services_router(const struct berth_rpc_services *services);

#ifdef __cplusplus
}
#endif

#endif
