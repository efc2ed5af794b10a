/* SPDX-License-Identifier: Apache-2.0 */
/* The leases service for any transport: its life, and how leases are read. */
#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include <berth/filter.h>
#include <berth/protobuf.h>
#include <containerd/services/leases/v1/leases.pb-c.h>

#include "leases-plugin.h"
#include "record.h"

/* Leases do not keep a namespace from being removed; they are removed with it. */
static const struct berth_namespace_occupant occupant = {
    .size = sizeof(occupant),
    .bucket_prefix = SERVICE_BUCKET_PREFIX,
};

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

/* Whether there is a sweeper at all is decided by init. */
enum berth_code leases_service_reconfigure(const struct berth_host *host, void *instance,
                                           const struct berth_settings *before, struct berth_error *err)
{
    struct service *service = instance;
    bool sweeps = service->sweeper.store != NULL;
    struct leases_service_config config;
    enum berth_code code = leases_service_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    if (config.sweep != sweeps)
        code = BERTH_RESTART;
    else if (sweeps)
        sweeper_set(&service->sweeper, config.sweep_batch, config.sweep_retry);
    leases_service_config_finish(&config);
    return code;
}

static void on_sweeper_closed(struct sweeper *sweeper)
{
    struct service *service = (struct service *)sweeper;
    const struct berth_host *host = service->host;

    sweeper->store = NULL;
    if (service_free_if_closed(service))
        berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code leases_service_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct service *service = instance;

    service->is_closing = true;
    service->namespaces->leave(service->namespaces_instance, &occupant);
    if (service->sweeper.store != NULL)
        sweeper_close(&service->sweeper, on_sweeper_closed);
    return service_free_if_closed(service) ? BERTH_OK : BERTH_PENDING;
}

/* "labels.a.b" is the label a.b; a name of several parts is put together in `joined`. */
struct match {
    const Containerd__Services__Leases__V1__Lease *lease;
    char joined[BERTH_FILTER_MAX_BYTES + 1];
};

static const char *join(struct match *match, const char *const *parts, size_t count)
{
    size_t used = 0;

    match->joined[0] = '\0';
    for (size_t i = 0; i < count && used < sizeof(match->joined); i++)
        used += (size_t)snprintf(match->joined + used, sizeof(match->joined) - used, "%s%s", i > 0 ? "." : "",
                                 parts[i]);
    return match->joined;
}

/* They are stored in the order of their keys. */
static bool find_label(struct match *match, const char *key, const char **ret_value)
{
    size_t low = 0;
    size_t high = match->lease->n_labels;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(match->lease->labels[middle]->key, key);

        if (order == 0) {
            *ret_value = match->lease->labels[middle]->value;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool find_field(void *context, const char *const *path, size_t count, const char **ret_value)
{
    struct match *match = context;

    if (strcmp(path[0], "id") == 0 && match->lease->id[0] != '\0') {
        *ret_value = match->lease->id;
        return true;
    }
    if (strcmp(path[0], "labels") != 0 || count < 2)
        return false;
    return find_label(match, join(match, path + 1, count - 1), ret_value);
}

/* Memory that a packed byte of a lease may take when unpacked; labels of one byte take about a dozen. */
#define UNPACKED_MOST 32

struct listing {
    struct berth_filter *filter;
    struct match *match;
    bool (*on_lease)(void *context, const struct berth_store_entry *lease);
    bool (*on_other)(void *context, const struct berth_store_entry *lease);
    void *context;
};

static enum berth_code matches(struct listing *listing, struct berth_store_bytes id,
                               struct berth_store_bytes lease, bool *ret_matches, struct berth_error *err)
{
    ProtobufCMessage *message;
    enum berth_code code;

    *ret_matches = true;
    if (listing->match == NULL)
        return BERTH_OK;
    message = berth_unpack_within(&containerd__services__leases__v1__lease__descriptor, lease.data,
                                  lease.length, UNPACKED_MOST * lease.length + BERTH_UNPACK_SLACK);
    if (message == NULL)
        return berth_error_set(err, BERTH_DATA_LOSS, "lease \"%.*s\" is damaged in the store", (int)id.length,
                               (const char *)id.data);
    listing->match->lease = (const Containerd__Services__Leases__V1__Lease *)message;
    code = berth_filter_match(listing->filter, find_field, listing->match, ret_matches, err);
    protobuf_c_message_free_unpacked(message, NULL);
    return code;
}

static enum berth_code visit(const struct service *service, struct berth_store_txn *txn, const char *bucket,
                             struct berth_store_bytes after, struct listing *listing, struct berth_error *err)
{
    struct berth_store_entry entry = {.key = after.length > 0 ? after : (struct berth_store_bytes){"", 0}};
    enum berth_code code;
    bool goes_on = true;
    bool is_wanted;

    while (goes_on) {
        code = service->store->next(txn, bucket, entry.key, &entry, err);
        if (code == BERTH_NOT_FOUND)
            return BERTH_OK;
        if (code == BERTH_OK) {
            entry.value.length = record_lease_length(entry.value);
            code = matches(listing, entry.key, entry.value, &is_wanted, err);
        }
        if (code != BERTH_OK)
            return code;
        if (is_wanted)
            goes_on = listing->on_lease(listing->context, &entry);
        else if (listing->on_other != NULL)
            goes_on = listing->on_other(listing->context, &entry);
    }
    return BERTH_OK;
}

/* Without filters no lease need be looked into. */
static bool lets_all_through(const char *const *filters, size_t filter_count)
{
    for (size_t i = 0; i < filter_count; i++)
        if (*filters[i] == '\0')
            return true;
    return filter_count == 0;
}

static enum berth_code prepare_listing(struct listing *listing, const char *const *filters,
                                       size_t filter_count, struct berth_error *err)
{
    enum berth_code code = berth_filter_create(filters, filter_count, &listing->filter, err);

    if (code != BERTH_OK || lets_all_through(filters, filter_count))
        return code;
    listing->match = malloc(sizeof(*listing->match));
    if (listing->match != NULL)
        return BERTH_OK;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to filter leases");
}

static enum berth_code list_part(void *instance, struct berth_store_txn *txn,
                                 const struct berth_leases_query *query,
                                 bool (*on_lease)(void *context, const struct berth_store_entry *lease),
                                 void *context, struct berth_error *err)
{
    const struct service *service = instance;
    struct listing listing = {.on_lease = on_lease, .on_other = query->on_other, .context = context};
    char bucket[SERVICE_BUCKET_MAX];
    struct berth_store_txn *view;
    enum berth_code code = service_bucket(query->namespace_name, bucket, err);

    if (code == BERTH_OK)
        code = prepare_listing(&listing, query->filters, query->filter_count, err);
    if (code == BERTH_OK)
        code = berth_store_begin_view(service->store, service->store_instance, txn, &view, err);
    if (code == BERTH_OK) {
        code = visit(service, view, bucket, query->after, &listing, err);
        berth_store_end_view(service->store, txn, view);
    }
    berth_filter_destroy(listing.filter);
    free(listing.match);
    return code;
}

struct whole_list {
    bool (*on_lease)(void *context, struct berth_store_bytes value);
    void *context;
};

static bool pass_value(void *context, const struct berth_store_entry *lease)
{
    const struct whole_list *list = context;

    return list->on_lease(list->context, lease->value);
}

static enum berth_code list(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                            const char *const *filters, size_t filter_count,
                            bool (*on_lease)(void *context, struct berth_store_bytes value), void *context,
                            struct berth_error *err)
{
    const struct berth_leases_query query = {.size = sizeof(query),
                                             .namespace_name = namespace_name,
                                             .filters = filters,
                                             .filter_count = filter_count};
    struct whole_list whole = {on_lease, context};

    return list_part(instance, txn, &query, pass_value, &whole, err);
}

static enum berth_code resources(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                                 const char *id,
                                 bool (*on_resource)(void *context, struct berth_store_bytes resource),
                                 void *context, struct berth_error *err)
{
    const struct service *service = instance;
    char bucket[SERVICE_BUCKET_MAX];
    struct berth_store_bytes record;
    struct berth_store_txn *view;
    enum berth_code code = service_bucket(namespace_name, bucket, err);

    if (code == BERTH_OK)
        code = berth_store_begin_view(service->store, service->store_instance, txn, &view, err);
    if (code != BERTH_OK)
        return code;
    code = service_find(service, view, bucket, id, &record, err);
    if (code == BERTH_OK)
        record_each_resource(record, on_resource, context);
    berth_store_end_view(service->store, txn, view);
    return code;
}

const struct berth_leases leases_service_interface = {
    .size = sizeof(leases_service_interface),
    .create = change_create,
    .remove = change_remove,
    .add_resource = change_add_resource,
    .remove_resource = change_remove_resource,
    .hold = change_hold,
    .list = list,
    .resources = resources,
    .list_part = list_part,
};
