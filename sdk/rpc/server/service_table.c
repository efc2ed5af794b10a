/* SPDX-License-Identifier: Apache-2.0 */
/* A router over a fixed list of services. */
#include <berth/rpc/services.h>

#include <stdlib.h>
#include <string.h>

#include "service_call.h"

struct berth_rpc_services {
    struct berth_router router;
    size_t count;
    struct berth_rpc_service_entry entries[];
};

/* The router is the first member of the table that it stands for. */
static const struct berth_rpc_services *from_router(const struct berth_router *router)
{
    return (const struct berth_rpc_services *)router;
}

static const struct berth_method *method_at(const struct berth_service *service, size_t index)
{
    return (const struct berth_method *)(const void *)((const char *)service->methods +
                                                       index * service->method_size);
}

static int compare_entries(const void *a, const void *b)
{
    const struct berth_rpc_service_entry *left = a;
    const struct berth_rpc_service_entry *right = b;

    return strcmp(left->service->name, right->service->name);
}

static const struct berth_rpc_service_entry *find_service(const struct berth_rpc_services *services,
                                                          const char *name, size_t length)
{
    size_t low = 0;
    size_t high = services->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = services->entries[middle].service->name;
        int order = strncmp(name, other, length);

        if (order == 0 && other[length] == '\0')
            return &services->entries[middle];
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const struct berth_method *find_method(const struct berth_service *service, const char *name)
{
    for (size_t i = 0; i < service->method_count; i++)
        if (strcmp(method_at(service, i)->name, name) == 0)
            return method_at(service, i);
    return NULL;
}

BERTH_PRINTF(2, 3)
static struct berth_call *refuse(const struct berth_call_request *request, const char *format, ...)
{
    struct berth_error error;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error.message, sizeof(error.message), format, arguments);
    va_end(arguments);
    request->stream_ops->finish(request->stream, BERTH_UNIMPLEMENTED, error.message, NULL, 0);
    return NULL;
}

static struct berth_call *open_call(const struct berth_router *router,
                                    const struct berth_call_request *request)
{
    const char *slash = strrchr(request->path, '/');
    const struct berth_rpc_service_entry *entry;
    const struct berth_method *method;
    size_t length;

    if (request->path[0] != '/' || slash == request->path)
        return refuse(request, "malformed method name: \"%s\"", request->path);
    length = (size_t)(slash - request->path - 1);
    entry = find_service(from_router(router), request->path + 1, length);
    if (entry == NULL)
        return refuse(request, "unknown service %.*s", (int)length, request->path + 1);
    method = find_method(entry->service, slash + 1);
    if (method == NULL)
        return refuse(request, "unknown method %s for service %s", slash + 1, entry->service->name);
    return service_call_open(request, entry->service, method, entry->instance);
}

static void each(const struct berth_router *router,
                 bool (*on_route)(void *context, const struct berth_route_info *route), void *context)
{
    const struct berth_rpc_services *services = from_router(router);

    for (size_t i = 0; i < services->count; i++) {
        const struct berth_service *service = services->entries[i].service;
        const struct berth_route_info route = {
            .size = sizeof(route),
            .service = service->name,
            .plugin = "",
            .live = true,
            .descriptors = service->descriptors,
            .descriptors_length = service->descriptors_length,
        };

        if (!on_route(context, &route))
            return;
    }
}

static enum berth_code check_service(const struct berth_service *service, struct berth_error *err)
{
    if (service->name == NULL || service->name[0] == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "a service has no name");
    for (size_t i = 0; i < service->method_count; i++) {
        const struct berth_method *method = method_at(service, i);

        if (method->name == NULL || method->name[0] == '\0')
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "service %s: method %zu has no name",
                                   service->name, i);
        if (method->on_message == NULL &&
            (method->kind == BERTH_METHOD_UNARY || method->kind == BERTH_METHOD_SERVER_STREAM))
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "service %s: method %s takes one message and has no on_message",
                                   service->name, method->name);
    }
    return BERTH_OK;
}

static enum berth_code fill(struct berth_rpc_services *services,
                            const struct berth_rpc_service_entry *entries, size_t count,
                            struct berth_error *err)
{
    for (size_t i = 0; i < count; i++) {
        enum berth_code code = check_service(entries[i].service, err);

        if (code != BERTH_OK)
            return code;
        services->entries[i] = entries[i];
    }
    services->count = count;
    if (count > 1)
        qsort(services->entries, count, sizeof(*entries), compare_entries);
    for (size_t i = 1; i < count; i++)
        if (compare_entries(&services->entries[i - 1], &services->entries[i]) == 0)
            return berth_error_set(err, BERTH_ALREADY_EXISTS, "service %s comes twice",
                                   services->entries[i].service->name);
    return BERTH_OK;
}

enum berth_code berth_rpc_services_create(const struct berth_rpc_service_entry *entries, size_t count,
                                          struct berth_rpc_services **ret_services, struct berth_error *err)
{
    struct berth_rpc_services *services = calloc(1, sizeof(*services) + count * sizeof(*entries));
    enum berth_code code;

    if (services == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot make a router: out of memory");
    code = fill(services, entries, count, err);
    if (code != BERTH_OK) {
        free(services);
        return code;
    }
    services->router = (struct berth_router){
        .size = sizeof(services->router),
        .open = open_call,
        .deliver = service_call_deliver,
        .half_close = service_call_half_close,
        .writable = service_call_writable,
        .cancel = service_call_cancel,
        .each = each,
        .deliver_last = service_call_deliver_last,
    };
    *ret_services = services;
    return BERTH_OK;
}

void berth_rpc_services_destroy(struct berth_rpc_services *services)
{
    free(services);
}

const struct berth_router *berth_rpc_services_router(const struct berth_rpc_services *services)
{
    return &services->router;
}
