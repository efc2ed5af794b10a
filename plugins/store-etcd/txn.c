/* SPDX-License-Identifier: Apache-2.0 */
/* A batch as one transaction of etcd: nothing unless the head is as the batch saw it. */
#include "txn.h"

#include <stdlib.h>
#include <string.h>

struct txn_op {
    Etcdserverpb__RequestOp op;
    Etcdserverpb__PutRequest put;
    Etcdserverpb__DeleteRangeRequest removal;
    struct layout_key key;
};

/* `op->key` is set. */
static void init_put(struct txn_op *op, const void *value, size_t length)
{
    etcdserverpb__request_op__init(&op->op);
    etcdserverpb__put_request__init(&op->put);
    op->put.key = layout_bytes(&op->key);
    op->put.value = (ProtobufCBinaryData){.len = length, .data = (uint8_t *)value};
    op->op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->op.request_put = &op->put;
}

static void init_removal(struct txn_op *op)
{
    etcdserverpb__request_op__init(&op->op);
    etcdserverpb__delete_range_request__init(&op->removal);
    op->removal.key = layout_bytes(&op->key);
    op->op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->op.request_delete_range = &op->removal;
}

static void init_write(struct txn_op *op, const struct layout *layout, const struct berth_store_write *write)
{
    struct layout_name name;

    layout_name(&name, write->bucket, write->key);
    layout_entry_key(layout, &name, &op->key);
    if (write->value.data != NULL)
        init_put(op, write->value.data, write->value.length);
    else
        init_removal(op);
}

static void init_compare(struct txn *txn, const struct layout *layout, int64_t head_revision)
{
    etcdserverpb__txn_request__init(&txn->request);
    etcdserverpb__compare__init(&txn->compare);
    txn->compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    txn->compare.key = layout_bytes(&layout->head);
    txn->compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    txn->compare.mod_revision = head_revision;
    txn->compares[0] = &txn->compare;
    txn->request.n_compare = 1;
    txn->request.compare = txn->compares;
}

/* A member answers a transaction by itself, from what may be old, unless something in it is read that must
 * not be. */
static void init_look(struct txn *txn, const struct layout *layout)
{
    etcdserverpb__range_request__init(&txn->look);
    txn->look.key = layout_bytes(&layout->head);
    txn->look.count_only = true;
    etcdserverpb__request_op__init(&txn->look_op);
    txn->look_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    txn->look_op.request_range = &txn->look;
    txn->looks[0] = &txn->look_op;
    txn->request.n_success = txn->request.n_failure = 1;
    txn->request.success = txn->request.failure = txn->looks;
}

struct txn *txn_create(const struct layout *layout, const struct berth_store_batch *batch,
                       int64_t head_revision, const char *id)
{
    size_t count = batch->count + 1;
    size_t header = sizeof(struct txn) + count * sizeof(struct txn_op);
    struct txn *txn = calloc(1, header + count * sizeof(txn->ops[0]));
    struct txn_op *ops = (struct txn_op *)(txn + 1);

    if (txn == NULL)
        return NULL;
    init_compare(txn, layout, head_revision);
    if (batch->count == 0) {
        init_look(txn, layout);
        return txn;
    }
    txn->ops = (Etcdserverpb__RequestOp **)(ops + count);
    for (size_t i = 0; i < batch->count; i++)
        init_write(&ops[i], layout, &batch->writes[i]);
    ops[batch->count].key = layout->head;
    init_put(&ops[batch->count], id, strlen(id));
    for (size_t i = 0; i < count; i++)
        txn->ops[i] = &ops[i].op;
    txn->request.n_success = count;
    txn->request.success = txn->ops;
    return txn;
}

size_t txn_bytes(const struct txn *txn)
{
    return etcdserverpb__txn_request__get_packed_size(&txn->request);
}

void txn_destroy(struct txn *txn)
{
    free(txn);
}
