/* SPDX-License-Identifier: Apache-2.0 */
/* Makes containers: checked first, then a change that puts one where none is. */
#include "change.h"

#include <string.h>

#include <berth/protobuf.h>
#include <containerd/services/containers/v1/containers.pb-c.h>

#include "container.h"

static enum berth_code create(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct change *change = (struct change *)update;
    const struct containers_service *service = change->service;
    struct berth_store_bytes there;
    enum berth_code code = change_get(change, txn, &there, err);

    if (code == BERTH_OK)
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "container \"%s\": already exists", change->id);
    if (code == BERTH_NOT_FOUND)
        code = service->namespaces->ensure(service->namespaces_instance, txn,
                                           change->bucket + strlen(BERTH_CONTAINERS_BUCKET_PREFIX), err);
    return code == BERTH_OK ? change_put(change, txn, err) : code;
}

/* Whatever times the caller gave, the server sets its own. */
static enum berth_code complete(struct change *change, struct container *asked, struct berth_error *err)
{
    struct berth_error why;
    uint8_t time[24];
    enum berth_code code = container_check(asked, &why);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "create container failed validation: %.1900s", why.message);
    asked->fields[CONTAINER_CREATED_AT] = asked->fields[CONTAINER_UPDATED_AT] = container_now(time);
    return container_write(asked, &change->result) ? BERTH_OK : change_no_memory(err);
}

enum berth_code containers_create(void *instance, const char *namespace_name, struct berth_store_bytes value,
                                  berth_containers_done *done, void *context, struct berth_error *err)
{
    const struct change_request request = {instance, namespace_name, done, context};
    struct container asked = {0};
    struct change *change = NULL;
    enum berth_code code = berth_text_check(&containerd__services__containers__v1__container__descriptor,
                                            value.data, value.length, err);

    if (code == BERTH_OK)
        code = container_read(&asked, value, err);
    if (code == BERTH_OK)
        code = change_create(&request, asked.fields[CONTAINER_ID], CONTAINER_CREATED, &change, err);
    if (code == BERTH_OK)
        code = complete(change, &asked, err);
    container_finish(&asked);
    if (code == BERTH_OK)
        change_submit(change, create);
    else
        change_destroy(change);
    return code;
}
