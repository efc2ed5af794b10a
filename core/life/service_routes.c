/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's services at the router: declared from its manifest, live with its instance, gone with a reason.
 */
#include "service_routes.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

/* The service as the router is told of it. Freed by free(): one block. */
static struct router_service *make_declaration(const struct manifest_plugin *plugin,
                                               const struct manifest_service *service)
{
    struct router_service *made =
        malloc(sizeof(*made) + service->method_count * sizeof(struct router_method));
    struct router_method *methods;

    if (made == NULL)
        return NULL;
    methods = (struct router_method *)(made + 1);
    for (size_t i = 0; i < service->method_count; i++)
        methods[i] =
            (struct router_method){.name = service->methods[i].name, .kind = service->methods[i].kind};
    *made = (struct router_service){
        .plugin = plugin->uri,
        .name = service->name,
        .methods = methods,
        .method_count = service->method_count,
        .transports = service->transports,
        .transport_count = service->transport_count,
    };
    return made;
}

enum berth_code service_routes_declare(struct router *router, const struct manifest_plugin *plugin,
                                       const struct manifest_service *service, struct berth_error *err)
{
    struct router_service *declaration = make_declaration(plugin, service);
    enum berth_code code;

    if (declaration == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the methods of %s",
                               service->name);
    code = router_declare(router, declaration, err);
    free(declaration);
    return code;
}

enum berth_code service_routes_redeclare(struct router *router, const struct manifest_plugin *plugin,
                                         const struct manifest_service *service, struct berth_error *err)
{
    struct router_service *declaration;
    enum berth_code code;

    if (router_find_exporter(router, service->name) == NULL)
        return service_routes_declare(router, plugin, service, err);
    declaration = make_declaration(plugin, service);
    if (declaration == NULL)
        abort();
    code = router_redeclare(router, declaration, err);
    free(declaration);
    return code;
}

static const struct berth_service *find_service(const struct berth_plugin *table, const char *name)
{
    if (!BERTH_HAS(table, services))
        return NULL;
    for (const struct berth_service *const *service = table->services; *service != NULL; service++)
        if (strcmp((*service)->name, name) == 0 || strcmp((*service)->name, MANIFEST_ANY) == 0)
            return *service;
    return NULL;
}

enum berth_code service_targets_add(struct service_targets *targets, const struct router *router,
                                    const struct plan_entry *entry, const struct berth_plugin *table,
                                    void *instance, const void *owner, struct berth_error *err)
{
    const struct manifest_plugin *plugin = entry->plugin;

    for (size_t i = 0; i < plugin->service_count; i++) {
        /* With the transports that the configuration adds. */
        const struct manifest_service *service =
            entry->services != NULL ? &entry->services[i] : &plugin->services[i];
        const struct berth_service *code = find_service(table, service->name);
        const char *exporter = router_find_exporter(router, service->name);
        struct router_service *declaration;

        if (code == NULL)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                                   "service %s is in the manifest, but not in the module", service->name);
        if (exporter != NULL && strcmp(exporter, plugin->uri) != 0)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "service %s is exported by %s",
                                   service->name, exporter);
        declaration = make_declaration(plugin, service);
        if (declaration == NULL)
            abort();
        targets->items = memory_grow(targets->items, targets->count, sizeof(*targets->items));
        targets->declarations =
            memory_grow(targets->declarations, targets->count, sizeof(*targets->declarations));
        targets->declarations[targets->count] = declaration;
        targets->items[targets->count++] = (struct router_target){.service = service->name,
                                                                  .declaration = declaration,
                                                                  .table = code,
                                                                  .instance = instance,
                                                                  .owner = owner};
    }
    return BERTH_OK;
}

void service_targets_finish(struct service_targets *targets)
{
    for (size_t i = 0; i < targets->count; i++)
        free(targets->declarations[i]);
    free(targets->declarations);
    free(targets->items);
    *targets = (struct service_targets){0};
}

void service_routes_close(struct router *router, const struct manifest_plugin *plugin, const void *owner,
                          const char *reason)
{
    for (size_t i = 0; i < plugin->service_count; i++) {
        const char *name = plugin->services[i].name;
        const char *exporter = router_find_exporter(router, name);
        const void *live = router_find_owner(router, name);

        if (exporter != NULL && strcmp(exporter, plugin->uri) == 0 && (live == NULL || live == owner))
            router_set_gone(router, name, BERTH_UNAVAILABLE, reason);
    }
}
