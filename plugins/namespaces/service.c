/* SPDX-License-Identifier: Apache-2.0 */
/* The namespaces service for any transport: its life, how namespaces are read, and what occupies them. */
#include "namespaces-plugin.h"

#include <stdlib.h>
#include <string.h>

#include <berth/namespace.h>
#include <berth/wire.h>

#include "changes.h"

static enum berth_code fetch(struct namespaces_service *service, struct berth_error *err)
{
    struct berth_ref store;
    struct berth_ref exchange;
    enum berth_code code = berth_get_single(service->host, BERTH_STORE_TYPE, &store, err);

    if (code == BERTH_OK)
        code = berth_get(service->host, BERTH_EXCHANGE_URI, &exchange, err);
    if (code != BERTH_OK)
        return code;
    service->store = store.interface;
    service->store_instance = store.instance;
    service->exchange = exchange.interface;
    service->exchange_instance = exchange.instance;
    service->watch = service->store->watch(store.instance, NAMESPACES_BUCKET, namespaces_on_change, service);
    if (service->watch == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to watch %s", store.uri);
    return BERTH_OK;
}

enum berth_code namespaces_service_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                        struct berth_error *err)
{
    struct namespaces_service *service = calloc(1, sizeof(*service));
    enum berth_code code;

    if (service == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the namespaces service");
    service->host = host;
    code = fetch(service, err);
    if (code == BERTH_OK)
        *ret_instance = service;
    else
        free(service);
    return code;
}

enum berth_code namespaces_service_close(const struct berth_host *host, void *instance,
                                         struct berth_error *err)
{
    struct namespaces_service *service = instance;

    service->store->unwatch(service->store_instance, service->watch);
    service->closes = true;
    if (service->outstanding > 0)
        return BERTH_PENDING;
    namespaces_destroy(service);
    return BERTH_OK;
}

static enum berth_code ensure(void *instance, struct berth_store_txn *txn, const char *name,
                              struct berth_error *err)
{
    const struct namespaces_service *service = instance;
    struct berth_store_bytes key = berth_store_text(name);
    struct berth_store_bytes value;
    uint8_t bytes[2 + BERTH_IDENTIFIER_MAX] = {1 << 3 | BERTH_WIRE_BYTES, (uint8_t)key.length};
    enum berth_code code = berth_identifier_check(name, err);

    if (code != BERTH_OK)
        return code;
    code = service->store->get(txn, NAMESPACES_BUCKET, key, &value, err);
    if (code != BERTH_NOT_FOUND)
        return code;
    memcpy(bytes + 2, name, key.length);
    return service->store->put(txn, NAMESPACES_BUCKET, key, (struct berth_store_bytes){bytes, 2 + key.length},
                               err);
}

static enum berth_code occupy(void *instance, const struct berth_namespace_occupant *occupant,
                              struct berth_error *err)
{
    struct namespaces_service *service = instance;
    size_t count = service->occupant_count + 1;
    const struct berth_namespace_occupant **occupants =
        realloc(service->occupants, count * sizeof(struct berth_namespace_occupant *));

    if (occupants == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for another occupant of namespaces");
    occupants[count - 1] = occupant;
    service->occupants = occupants;
    service->occupant_count = count;
    return BERTH_OK;
}

static void leave(void *instance, const struct berth_namespace_occupant *occupant)
{
    struct namespaces_service *service = instance;
    size_t kept = 0;

    for (size_t i = 0; i < service->occupant_count; i++)
        if (service->occupants[i] != occupant)
            service->occupants[kept++] = service->occupants[i];
    service->occupant_count = kept;
}

/* Reports a namespace that does not exist. */
static enum berth_code tell_name(const char *name,
                                 void (*on_namespace)(void *context, struct berth_store_bytes value),
                                 void *context, struct berth_error *err)
{
    struct berth_wire_buffer buffer = {0};

    if (*name != '\0')
        berth_wire_put_bytes(&buffer, 1, name, strlen(name));
    if (buffer.failed)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the name of a namespace");
    on_namespace(context, (struct berth_store_bytes){buffer.bytes, buffer.length});
    berth_wire_finish(&buffer);
    return BERTH_OK;
}

static enum berth_code get(void *instance, struct berth_store_txn *txn, const char *name,
                           void (*on_namespace)(void *context, struct berth_store_bytes value), void *context,
                           struct berth_error *err)
{
    const struct namespaces_service *service = instance;
    struct berth_store_txn *view;
    struct berth_store_bytes value;
    enum berth_code code;

    if (!berth_identifier_matches(name) || strlen(name) > BERTH_IDENTIFIER_MAX)
        return tell_name(name, on_namespace, context, err);
    code = berth_store_begin_view(service->store, service->store_instance, txn, &view, err);
    if (code != BERTH_OK)
        return code;
    code = service->store->get(view, NAMESPACES_BUCKET, berth_store_text(name), &value, err);
    if (code == BERTH_OK)
        on_namespace(context, value);
    else if (code == BERTH_NOT_FOUND)
        code = tell_name(name, on_namespace, context, err);
    berth_store_end_view(service->store, txn, view);
    return code;
}

static enum berth_code list(void *instance, struct berth_store_txn *txn,
                            bool (*on_namespace)(void *context, struct berth_store_bytes value),
                            void *context, struct berth_error *err)
{
    const struct namespaces_service *service = instance;
    struct berth_store_entry entry = {.key = {.length = 0}};
    struct berth_store_txn *view;
    enum berth_code code = berth_store_begin_view(service->store, service->store_instance, txn, &view, err);

    if (code != BERTH_OK)
        return code;
    do
        code = service->store->next(view, NAMESPACES_BUCKET, entry.key, &entry, err);
    while (code == BERTH_OK && on_namespace(context, entry.value));
    berth_store_end_view(service->store, txn, view);
    return code == BERTH_NOT_FOUND ? BERTH_OK : code;
}

const struct berth_namespaces namespaces_service_interface = {
    .size = sizeof(namespaces_service_interface),
    .ensure = ensure,
    .occupy = occupy,
    .leave = leave,
    .get = get,
    .list = list,
    .create = namespaces_create,
    .update = namespaces_update,
    .remove = namespaces_remove,
};
