/* SPDX-License-Identifier: Apache-2.0 */
/* Removes containers. */
#include "change.h"

#include <string.h>

#include "container.h"

/* The id as it was asked for, which may be none. */
static const char *asked_id(const struct change *change)
{
    return (const char *)change->asked.bytes;
}

static enum berth_code remove_one(struct berth_store_update *update, struct berth_store_txn *txn,
                                  struct berth_error *err)
{
    struct change *change = (struct change *)update;
    struct berth_store_bytes there;
    enum berth_code code = change_get(change, txn, &there, err);

    if (code == BERTH_NOT_FOUND)
        return berth_error_set(err, code, "container %.1500s: not found", asked_id(change));
    /* A damaged one too. */
    return code == BERTH_OK || code == BERTH_DATA_LOSS
               ? change->service->store->remove(txn, change->bucket, berth_store_text(change->id), err)
               : code;
}

enum berth_code containers_remove(void *instance, const char *namespace_name, const char *id,
                                  berth_containers_done *done, void *context, struct berth_error *err)
{
    const struct change_request request = {instance, namespace_name, done, context};
    struct change *change;
    enum berth_code code = change_create(&request, berth_store_text(id), CONTAINER_DELETED, &change, err);

    if (code != BERTH_OK)
        return code;
    berth_wire_put(&change->asked, id, strlen(id) + 1);
    berth_wire_put_bytes(&change->result, CONTAINER_ID, id, strlen(id));
    if (change->asked.failed || change->result.failed) {
        change_destroy(change);
        return change_no_memory(err);
    }
    change_submit(change, remove_one);
    return BERTH_OK;
}
