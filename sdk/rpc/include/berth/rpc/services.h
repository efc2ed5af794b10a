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

/** One service and what its handlers find in `call->instance`. */
struct berth_rpc_service_entry {
    const struct berth_service *service;
    void *instance;
};

/**
 * Makes a router of `count` services. Copies the entries; the services themselves are borrowed and must
 * outlive the router.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a service without a name or with a method that its kind does
 *         not allow; BERTH_ALREADY_EXISTS for a name that comes twice; BERTH_RESOURCE_EXHAUSTED.
 */
BERTH_RPC_API enum berth_code berth_rpc_services_create(const struct berth_rpc_service_entry *entries,
                                                        size_t count,
                                                        struct berth_rpc_services **ret_services,
                                                        struct berth_error *err);

/** After every call has ended. Takes NULL. */
BERTH_RPC_API void berth_rpc_services_destroy(struct berth_rpc_services *services);

/** What to give to a server; borrowed. */
BERTH_RPC_API const struct berth_router *berth_rpc_services_router(const struct berth_rpc_services *services);

#ifdef __cplusplus
}
#endif

#endif
