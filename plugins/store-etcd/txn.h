/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ETCD_TXN_H
#define STORE_ETCD_TXN_H

#include <etcd/etcdserverpb/rpc.pb-c.h>

#include <berth/store_engine.h>

#include "layout.h"

/* A batch as etcd takes it. Borrows the batch's values, the layout and the id. */
struct txn {
    Etcdserverpb__TxnRequest request;
    Etcdserverpb__Compare compare;
    Etcdserverpb__Compare *compares[1];
    Etcdserverpb__RangeRequest look;
    Etcdserverpb__RequestOp look_op;
    Etcdserverpb__RequestOp *looks[1];
    Etcdserverpb__RequestOp **ops;
};

/* NULL without memory. */
struct txn *txn_create(const struct layout *layout, const struct berth_store_batch *batch,
                       int64_t head_revision, const char *id);
/* What the request takes on the wire. */
size_t txn_bytes(const struct txn *txn);
void txn_destroy(struct txn *txn);

#endif
