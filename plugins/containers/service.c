/* SPDX-License-Identifier: Apache-2.0 */
/* The containers service for any transport: its life, and how one container is read. */
#include "containers-plugin.h"

#include <stdlib.h>
#include <string.h>

#include "service.h"

/* Containers keep a namespace from being removed. */
static const struct berth_namespace_occupant occupant = {
    .size = sizeof(occupant),
    .kind = "containers",
    .bucket_prefix = BERTH_CONTAINERS_BUCKET_PREFIX,
};

static enum berth_code fetch(struct containers_service *service, struct berth_error *err)
{
    struct berth_ref store;
    struct berth_ref exchange;
    struct berth_ref namespaces;
    enum berth_code code = berth_get_single(service->host, BERTH_STORE_TYPE, &store, err);

    if (code == BERTH_OK)
        code = berth_get(service->host, BERTH_EXCHANGE_URI, &exchange, err);
    if (code == BERTH_OK)
        code = berth_get(service->host, BERTH_NAMESPACES_URI, &namespaces, err);
    if (code != BERTH_OK)
        return code;
    service->store = store.interface;
    service->store_instance = store.instance;
    service->exchange = exchange.interface;
    service->exchange_instance = exchange.instance;
    service->namespaces = namespaces.interface;
    service->namespaces_instance = namespaces.instance;
    return service->namespaces->occupy(service->namespaces_instance, &occupant, err);
}

static enum berth_code watch(struct containers_service *service, struct berth_error *err)
{
    service->watch = service->store->watch(service->store_instance, BERTH_CONTAINERS_BUCKET_PREFIX,
                                           containers_on_change, service);
    if (service->watch != NULL)
        return BERTH_OK;
    service->namespaces->leave(service->namespaces_instance, &occupant);
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to watch the store of containers");
}

enum berth_code containers_service_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                        struct berth_error *err)
{
    struct containers_service *service = calloc(1, sizeof(*service));
    enum berth_code code;

    if (service == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the containers service");
    service->host = host;
    code = fetch(service, err);
    if (code == BERTH_OK)
        code = watch(service, err);
    if (code == BERTH_OK)
        *ret_instance = service;
    else
        free(service);
    return code;
}

enum berth_code containers_service_close(const struct berth_host *host, void *instance,
                                         struct berth_error *err)
{
    struct containers_service *service = instance;

    service->store->unwatch(service->store_instance, service->watch);
    service->namespaces->leave(service->namespaces_instance, &occupant);
    service->closes = true;
    if (service->outstanding > 0)
        return BERTH_PENDING;
    free(service);
    return BERTH_OK;
}

void containers_release(struct containers_service *service)
{
    const struct berth_host *host = service->host;

    service->outstanding--;
    if (!service->closes || service->outstanding > 0)
        return;
    free(service);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code containers_bucket(const char *namespace_name, char ret_bucket[CONTAINERS_BUCKET_SIZE],
                                  struct berth_error *err)
{
    struct berth_error why;
    enum berth_code code = berth_identifier_check(namespace_name, &why);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "namespace validation: %.1900s", why.message);
    snprintf(ret_bucket, CONTAINERS_BUCKET_SIZE, "%s%s", BERTH_CONTAINERS_BUCKET_PREFIX, namespace_name);
    return BERTH_OK;
}

static enum berth_code not_there(const char *id, const char *namespace_name, struct berth_error *err)
{
    char quoted[BERTH_ERROR_MAX - 256];

    berth_identifier_quote(id, quoted, sizeof(quoted));
    return berth_error_set(err, BERTH_NOT_FOUND, "container %s in namespace \"%s\": not found", quoted,
                           namespace_name);
}

static enum berth_code get_in(const struct containers_service *service, struct berth_store_txn *txn,
                              const char *bucket, const char *id,
                              void (*on_container)(void *context, struct berth_store_bytes value),
                              void *context, struct berth_error *err)
{
    struct berth_store_txn *own = NULL;
    struct berth_store_bytes value;
    enum berth_code code = BERTH_OK;

    if (txn == NULL)
        code = service->store->begin(service->store_instance, &own, err);
    if (code == BERTH_OK)
        code = service->store->get(txn == NULL ? own : txn, bucket, berth_store_text(id), &value, err);
    if (code == BERTH_OK)
        on_container(context, value);
    service->store->end(own);
    return code;
}

/* Ids that are none could not have been stored. */
static enum berth_code get(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                           const char *id,
                           void (*on_container)(void *context, struct berth_store_bytes value), void *context,
                           struct berth_error *err)
{
    char bucket[CONTAINERS_BUCKET_SIZE];
    enum berth_code code = containers_bucket(namespace_name, bucket, err);

    if (code == BERTH_OK)
        code = strlen(id) > BERTH_IDENTIFIER_MAX || *id == '\0'
                   ? BERTH_NOT_FOUND
                   : get_in(instance, txn, bucket, id, on_container, context, err);
    return code == BERTH_NOT_FOUND ? not_there(id, namespace_name, err) : code;
}

const struct berth_containers containers_service_interface = {
    .size = sizeof(containers_service_interface),
    .get = get,
    .list = containers_list,
    .create = containers_create,
    .update = containers_update,
    .remove = containers_remove,
};
