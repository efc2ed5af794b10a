/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps leases in the store, and removes those whose time is over. */
#include "service.h"

#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "leases-plugin.h"
#include "reading.h"

/* Leases keep no namespace: they go with it. */
static const struct berth_namespace_occupant occupant = {
    .size = sizeof(occupant),
    .bucket_prefix = SERVICE_BUCKET_PREFIX,
};

enum berth_code service_bucket(const char *namespace_name, char ret_bucket[SERVICE_BUCKET_MAX],
                               struct berth_error *err)
{
    enum berth_code code = berth_identifier_check(namespace_name, err);

    if (code == BERTH_OK)
        snprintf(ret_bucket, SERVICE_BUCKET_MAX, SERVICE_BUCKET_PREFIX "%s", namespace_name);
    return code;
}

enum berth_code service_say_not_found(const char *id, struct berth_error *err)
{
    char quoted[BERTH_ERROR_MAX - 256];

    berth_identifier_quote(id, quoted, sizeof(quoted));
    return berth_error_set(err, BERTH_NOT_FOUND, "lease %s: not found", quoted);
}

enum berth_code service_find(const struct service *service, struct berth_store_txn *txn, const char *bucket,
                             const char *id, struct berth_store_bytes *ret_record, struct berth_error *err)
{
    size_t length = strlen(id);
    enum berth_code code = BERTH_NOT_FOUND;

    if (length > 0 && length <= BERTH_LEASE_ID_MAX)
        code = service->store->get(txn, bucket, berth_store_text(id), ret_record, err);
    return code == BERTH_NOT_FOUND ? service_say_not_found(id, err) : code;
}

static enum berth_code find_others(struct service *service, struct berth_error *err)
{
    struct berth_ref store, namespaces;
    enum berth_code code = berth_get_single(service->host, BERTH_STORE_TYPE, &store, err);

    if (code == BERTH_OK)
        code = berth_get(service->host, BERTH_NAMESPACES_URI, &namespaces, err);
    if (code != BERTH_OK)
        return code;
    service->store = store.interface;
    service->store_instance = store.instance;
    service->namespaces = namespaces.interface;
    service->namespaces_instance = namespaces.instance;
    return service->namespaces->occupy(service->namespaces_instance, &occupant, err);
}

static enum berth_code start_sweeper(struct service *service, struct berth_error *err)
{
    struct sweeper_settings settings = {
        .host = service->host,
        .store = service->store,
        .store_instance = service->store_instance,
    };
    struct leases_service_config config;
    enum berth_code code = leases_service_config_init(&config, service->host->settings, err);

    if (code != BERTH_OK)
        return code;
    settings.batch = config.sweep_batch;
    settings.retry_ns = config.sweep_retry;
    if (config.sweep)
        code = sweeper_start(&service->sweeper, &settings, err);
    leases_service_config_finish(&config);
    return code;
}

enum berth_code leases_service_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                    struct berth_error *err)
{
    struct service *service = calloc(1, sizeof(*service));
    enum berth_code code;

    if (service == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the leases service");
    service->host = host;
    code = find_others(service, err);
    if (code != BERTH_OK)
        goto free_service;
    code = start_sweeper(service, err);
    if (code != BERTH_OK)
        goto leave;
    *ret_instance = service;
    return BERTH_OK;
leave:
    service->namespaces->leave(service->namespaces_instance, &occupant);
free_service:
    free(service);
    return code;
}

/* Has all ended that close waits for? */
static bool is_closed(const struct service *service)
{
    return service->is_closing && service->changes == 0 && service->sweeper.store == NULL;
}

static void end_close(struct service *service)
{
    if (!is_closed(service))
        return;
    berth_complete(service->host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
    free(service);
}

void service_end_change(struct service *service)
{
    service->changes--;
    end_close(service);
}

static void on_sweeper_closed(struct sweeper *sweeper)
{
    struct service *service = (struct service *)((char *)sweeper - offsetof(struct service, sweeper));

    sweeper->store = NULL;
    end_close(service);
}

enum berth_code leases_service_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct service *service = instance;

    service->is_closing = true;
    service->namespaces->leave(service->namespaces_instance, &occupant);
    if (service->sweeper.store != NULL)
        sweeper_close(&service->sweeper, on_sweeper_closed);
    if (!is_closed(service))
        return BERTH_PENDING;
    free(service);
    return BERTH_OK;
}

const struct berth_leases leases_service_interface = {
    .size = sizeof(leases_service_interface),
    .create = change_create,
    .remove = change_remove,
    .add_resource = change_add_resource,
    .remove_resource = change_remove_resource,
    .hold = change_hold,
    .list = reading_list,
    .resources = reading_resources,
};
