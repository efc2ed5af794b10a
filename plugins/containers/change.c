/* SPDX-License-Identifier: Apache-2.0 */
/* One change of a container on its way through the store: made, submitted, told, forgotten. */
#include "change.h"

#include <stdlib.h>
#include <string.h>

enum berth_code change_no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the change of a container");
}

static void on_done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct change *change = (struct change *)update;
    struct containers_service *service = change->service;
    struct berth_store_bytes result = {change->result.bytes, change->result.length};

    if (code == BERTH_OK)
        containers_publish(service, change->event, change->bucket + strlen(BERTH_CONTAINERS_BUCKET_PREFIX),
                           result);
    if (change->event == CONTAINER_DELETED)
        result.length = 0;
    change->done(change->context, code, message, result);
    change_destroy(change);
    containers_release(service);
}

enum berth_code change_create(const struct change_request *request, struct berth_store_bytes id,
                              enum container_event event, struct change **ret_change, struct berth_error *err)
{
    struct change *change = calloc(1, sizeof(*change));
    enum berth_code code;

    if (change == NULL)
        return change_no_memory(err);
    code = containers_bucket(request->namespace_name, change->bucket, err);
    if (code != BERTH_OK) {
        free(change);
        return code;
    }
    change->update.done = on_done;
    change->service = request->service;
    change->event = event;
    change->done = request->done;
    change->context = request->context;
    if (id.length > 0)
        snprintf(change->id, sizeof(change->id), "%.*s",
                 (int)(id.length <= BERTH_IDENTIFIER_MAX ? id.length : 0), (const char *)id.data);
    *ret_change = change;
    return BERTH_OK;
}

void change_destroy(struct change *change)
{
    if (change == NULL)
        return;
    berth_wire_finish(&change->asked);
    berth_wire_finish(&change->result);
    free(change);
}

void change_submit(struct change *change,
                   enum berth_code (*function)(struct berth_store_update *update, struct berth_store_txn *txn,
                                               struct berth_error *err))
{
    struct containers_service *service = change->service;

    change->update.change = function;
    service->outstanding++;
    service->store->update(service->store_instance, &change->update);
}

enum berth_code change_get(const struct change *change, struct berth_store_txn *txn,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    if (*change->id == '\0')
        return BERTH_NOT_FOUND;
    return change->service->store->get(txn, change->bucket, berth_store_text(change->id), ret_value, err);
}

enum berth_code change_put(const struct change *change, struct berth_store_txn *txn, struct berth_error *err)
{
    return change->service->store->put(
        txn, change->bucket, berth_store_text(change->id),
        (struct berth_store_bytes){change->result.bytes, change->result.length}, err);
}
