/* SPDX-License-Identifier: Apache-2.0 */
/* A router over a fixed list of services: the host's call engine, for programs without a host. */
#include <berth/rpc/services.h>

#include <sdk/calls/router.h>

/* The caller's pointer is the engine itself. */
static struct router *router_of(const struct berth_rpc_services *services)
{
    return (struct router *)(uintptr_t)services;
}

enum berth_code berth_rpc_services_create(const struct berth_rpc_service_entry *entries, size_t count,
                                          struct berth_rpc_services **ret_services, struct berth_error *err)
{
    struct router *router = router_create();

    if (router == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the services");
    for (size_t i = 0; i < count; i++) {
        enum berth_code code = router_provide(router, "", entries[i].service, entries[i].instance, err);

        if (code == BERTH_OK)
            continue;
        if (code == BERTH_ALREADY_EXISTS)
            berth_error_set(err, code, "service %s is listed twice", entries[i].service->name);
        router_destroy(router);
        return code;
    }
    *ret_services = (struct berth_rpc_services *)router;
    return BERTH_OK;
}

void berth_rpc_services_destroy(struct berth_rpc_services *services)
{
    router_destroy(router_of(services));
}

const struct berth_router *berth_rpc_services_router(const struct berth_rpc_services *services)
{
    return router_interface(router_of(services));
}
