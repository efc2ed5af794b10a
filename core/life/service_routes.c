/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's services at the router: declared from its manifest, live with its instance, gone with a reason.
 */
#include "service_routes.h"

#include <stdlib.h>
#include <string.h>

enum berth_code service_routes_declare(struct router *router, const struct manifest_plugin *plugin,
                                       const struct manifest_service *service, struct berth_error *err)
{
    struct router_method *methods = calloc(service->method_count + 1, sizeof(*methods));
    enum berth_code code;

    if (methods == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the methods of %s",
                               service->name);
    for (size_t i = 0; i < service->method_count; i++)
        methods[i] =
            (struct router_method){.name = service->methods[i].name, .kind = service->methods[i].kind};
    code = router_declare(router,
                          &(struct router_service){
                              .plugin = plugin->uri,
                              .name = service->name,
                              .methods = methods,
                              .method_count = service->method_count,
                              .transports = service->transports,
                              .transport_count = service->transport_count,
                          },
                          err);
    free(methods);
    return code;
}

static const struct berth_service *find_service(const struct berth_plugin *table, const char *name)
{
    if (!BERTH_HAS(table, services))
        return NULL;
    for (const struct berth_service *const *service = table->services; *service != NULL; service++)
        if (strcmp((*service)->name, name) == 0)
            return *service;
    return NULL;
}

enum berth_code service_routes_open(struct router *router, const struct manifest_plugin *plugin,
                                    const struct service_routes_target *target, struct berth_error *err)
{
    for (size_t i = 0; i < plugin->service_count; i++) {
        const char *name = plugin->services[i].name;
        const struct berth_service *service = find_service(target->table, name);
        enum berth_code code;

        if (service == NULL)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                                   "service %s is in the manifest, but not in the module", name);
        code = router_set_live(router, name, service, target->instance, target->owner, err);
        if (code != BERTH_OK)
            return code;
    }
    return BERTH_OK;
}

void service_routes_close(struct router *router, const struct manifest_plugin *plugin, const char *reason)
{
    for (size_t i = 0; i < plugin->service_count; i++)
        router_set_gone(router, plugin->services[i].name, BERTH_UNAVAILABLE, reason);
}
