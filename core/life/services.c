/* SPDX-License-Identifier: Apache-2.0 */
/* Declares to the router what a manifest says about services. */
#include "services.h"

#include <stdlib.h>

enum berth_code services_declare(struct router *router, const struct manifest_plugin *plugin,
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
