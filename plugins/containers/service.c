/* SPDX-License-Identifier: Apache-2.0 */
/* The containers service for any transport: its life, and how containers are read. */
#include "containers-plugin.h"

#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "search.h"

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
    struct berth_store_txn *view;
    struct berth_store_bytes value;
    enum berth_code code = berth_store_begin_view(service->store, service->store_instance, txn, &view, err);

    if (code != BERTH_OK)
        return code;
    code = service->store->get(view, bucket, berth_store_text(id), &value, err);
    if (code == BERTH_OK)
        on_container(context, value);
    berth_store_end_view(service->store, txn, view);
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

struct listing {
    const struct berth_store *store;
    struct berth_store_txn *txn;
    const char *bucket;
    struct search search;
    bool (*on_container)(void *context, const struct berth_store_entry *container);
    /* NULL: they are passed over. */
    bool (*on_other)(void *context, const struct berth_store_entry *container);
    void *context;
};

/* A damaged container may or may not match: it is skipped, and the listing ends with an error. */
static enum berth_code visit(struct listing *listing, struct berth_store_bytes after, struct berth_error *err)
{
    struct berth_store_entry entry = {.key = after};
    enum berth_code end = BERTH_OK;
    bool goes_on = true;

    while (goes_on) {
        struct berth_error why;
        bool matches;
        enum berth_code code = listing->store->next(listing->txn, listing->bucket, entry.key, &entry, &why);

        if (code == BERTH_NOT_FOUND)
            return end;
        if (code != BERTH_OK && end == BERTH_OK)
            end = berth_error_set(err, code, "%s", why.message);
        if (code == BERTH_DATA_LOSS && entry.key.length > 0)
            continue;
        if (code != BERTH_OK)
            return end;
        code = search_match(&listing->search, entry.value, &matches, err);
        if (code != BERTH_OK)
            return code;
        if (matches)
            goes_on = listing->on_container(listing->context, &entry);
        else if (listing->on_other != NULL)
            goes_on = listing->on_other(listing->context, &entry);
    }
    return end;
}

static enum berth_code list(void *instance, struct berth_store_txn *txn,
                            const struct berth_containers_query *query,
                            bool (*on_container)(void *context, const struct berth_store_entry *container),
                            void *context, struct berth_error *err)
{
    const struct containers_service *service = instance;
    char bucket[CONTAINERS_BUCKET_SIZE];
    struct listing listing = {
        .store = service->store,
        .bucket = bucket,
        .on_container = on_container,
        .on_other = BERTH_HAS(query, on_other) ? query->on_other : NULL,
        .context = context,
    };
    enum berth_code code = containers_bucket(query->namespace_name, bucket, err);

    if (code == BERTH_OK)
        code = search_init(&listing.search, query->filters, query->filter_count, err);
    if (code == BERTH_OK)
        code = berth_store_begin_view(service->store, service->store_instance, txn, &listing.txn, err);
    if (code == BERTH_OK) {
        code = visit(&listing, query->after, err);
        berth_store_end_view(service->store, txn, listing.txn);
    }
    search_finish(&listing.search);
    return code;
}

const struct berth_containers containers_service_interface = {
    .size = sizeof(containers_service_interface),
    .get = get,
    .list = list,
    .create = containers_create,
    .update = containers_update,
    .remove = containers_remove,
};
