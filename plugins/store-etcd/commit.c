/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits one batch at a time to etcd, as one transaction that does nothing unless the head is as the batch
 * saw it, and finds out whether it happened.
 */
#include "commit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <etcd/etcdserverpb/rpc.client.h>

/* Time that a batch in flight may take once the daemon is closing. */
#define HURRY_MS 1500

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

/* A member answers a transaction locally, perhaps from stale data, unless it contains a linearizable read. */
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

/* NULL without memory. */
static struct txn *create_txn(const struct layout *layout, const struct berth_store_batch *batch,
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

static const struct commit_refusal refusals[] = {
    {"etcdserver: mvcc: database space exceeded", BERTH_RESOURCE_EXHAUSTED,
     "etcd is full (alarm NOSPACE): compact and defragment it or raise --quota-backend-bytes, then run "
     "etcdctl alarm disarm",
     STORE_SPACE},
    {"etcdserver: permission denied", BERTH_UNAVAILABLE,
     "the etcd user may not write below the prefix (see etcdctl role grant-permission)", STORE_PERMISSION},
    {"etcdserver: request is too large", BERTH_RESOURCE_EXHAUSTED,
     "the change is larger than etcd accepts (see max_request, and --max-request-bytes of etcd)", STORE_WELL},
    {"received message larger than max", BERTH_RESOURCE_EXHAUSTED,
     "the change is larger than etcd accepts (see max_request, and --max-request-bytes of etcd)", STORE_WELL},
    {"etcdserver: too many operations", BERTH_RESOURCE_EXHAUSTED,
     "the change has more writes than etcd accepts (see max_writes, and --max-txn-ops of etcd)", STORE_WELL},
};

const struct commit_refusal *commit_find_refusal(const char *message)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (strstr(message, refusals[i].text) != NULL)
            return &refusals[i];
    return NULL;
}

void commit_finish(struct commit *commit)
{
    uv_timer_stop(&commit->deadline);
    free(commit->txn);
    commit->txn = NULL;
    commit->batch = NULL;
    commit->call = NULL;
}

static void on_verdict(uv_timer_t *timer)
{
    struct commit *commit = timer->data;

    commit->events->on_unmoved(commit->self, commit->verdict, commit->sentence.message);
}

/* From the top level of the loop. */
static void refuse(struct commit *commit, enum berth_code code)
{
    free(commit->txn);
    commit->txn = NULL;
    commit->verdict = code;
    uv_timer_start(&commit->deadline, on_verdict, 0, 0);
}

static void on_answer(void *context, struct berth_rpc_call *call, const Etcdserverpb__TxnResponse *reply)
{
    struct commit *commit = context;

    if (call != commit->call)
        return;
    commit->has_succeeded = reply->succeeded;
    commit->was_refused = !reply->succeeded;
}

static void on_failure(struct commit *commit, enum berth_code code, const char *message)
{
    const struct commit_refusal *refusal = commit_find_refusal(message);

    if (refusal != NULL && !commit->may_have_happened) {
        commit->events->on_refused(commit->self, refusal);
        return;
    }
    commit->may_have_happened = true;
    session_lose(commit->session, "no answer on whether a change was committed: %s: %s",
                 berth_code_name(code), message);
}

static void on_answer_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                          const char *message, const struct berth_metadata *trailers, size_t count)
{
    struct commit *commit = context;

    (void)trailers, (void)count;
    if (call != commit->call)
        return;
    commit->call = NULL;
    if (code != BERTH_OK || (!commit->has_succeeded && !commit->was_refused))
        on_failure(commit, code, message);
    else if (commit->batch->count == 0 && commit->has_succeeded)
        commit->events->on_unmoved(commit->self, BERTH_OK, NULL);
}

static const struct etcdserverpb_kv_txn_events answer_events = {.on_message = on_answer,
                                                                .on_end = on_answer_end};

static void send_txn(struct commit *commit, struct session *session)
{
    struct berth_rpc_call_options options = session_call_options(session);
    struct berth_error err;

    commit->has_succeeded = commit->was_refused = false;
    commit->session = session;
    if (etcdserverpb_kv_txn_start(session_channel(session), &options, &commit->txn->request, &answer_events,
                                  commit, &commit->call, &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

void commit_resume(struct commit *commit, struct session *session)
{
    if (commit->txn != NULL && commit->call == NULL && !commit->has_succeeded && !commit->was_refused)
        send_txn(commit, session);
}

void commit_on_lost(struct commit *commit)
{
    if (commit->call != NULL)
        commit->may_have_happened = true;
    commit->call = NULL;
}

/* Could it have been committed without our knowing? A batch without writes changes nothing. */
static bool is_uncertain(const struct commit *commit)
{
    return commit->batch->count > 0 &&
           (commit->has_succeeded || commit->may_have_happened || commit->call != NULL);
}

static void on_deadline(uv_timer_t *timer)
{
    struct commit *commit = timer->data;
    enum berth_code code = is_uncertain(commit) ? BERTH_UNKNOWN : BERTH_UNAVAILABLE;
    struct berth_rpc_call *call = commit->call;

    commit->call = NULL;
    if (call != NULL)
        berth_rpc_call_cancel(call);
    commit->events->on_late(commit->self, code);
}

static enum berth_code check_size(const struct commit *commit, struct berth_error *err)
{
    const struct store_options *options = &commit->state->options;
    const struct mirror *mirror = &commit->state->mirror;
    const struct berth_store_batch *batch = commit->batch;
    size_t request = etcdserverpb__txn_request__get_packed_size(&commit->txn->request);

    if (request > options->max_request)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "the change takes %zu bytes on the wire, more than max_request (%llu bytes)",
                               request, (unsigned long long)options->max_request);
    if (batch->bytes + mirror->bytes > options->max_mirror && batch->bytes > 0)
        for (size_t i = 0; i < batch->count; i++)
            if (batch->writes[i].value.data != NULL)
                return berth_error_set(
                    err, BERTH_RESOURCE_EXHAUSTED,
                    "the store has %llu entries in %llu bytes of memory, and max_mirror is %llu bytes",
                    (unsigned long long)mirror->count, (unsigned long long)mirror->bytes,
                    (unsigned long long)options->max_mirror);
    return BERTH_OK;
}

void commit_start(struct commit *commit, const struct berth_store_batch *batch, struct session *session,
                  uint64_t time_ms)
{
    const struct store_state *state = commit->state;
    enum berth_code code;

    commit->batch = batch;
    commit->head_revision = state->mirror.head_revision;
    memcpy(commit->head, state->mirror.head, sizeof(commit->head));
    commit->has_succeeded = commit->was_refused = commit->may_have_happened = false;
    snprintf(commit->id, sizeof(commit->id), "%s-%" PRIu64, state->id, ++commit->counter);
    commit->txn = create_txn(&state->layout, batch, commit->head_revision, commit->id);
    if (commit->txn == NULL)
        code = berth_error_set(&commit->sentence, BERTH_RESOURCE_EXHAUSTED, "no memory for a change");
    else
        code = check_size(commit, &commit->sentence);
    if (code != BERTH_OK) {
        refuse(commit, code);
        return;
    }
    uv_timer_start(&commit->deadline, on_deadline, time_ms, 0);
    if (session != NULL)
        send_txn(commit, session);
}

void commit_hurry(struct commit *commit)
{
    if (commit->batch != NULL && uv_timer_get_due_in(&commit->deadline) > HURRY_MS)
        uv_timer_start(&commit->deadline, on_deadline, HURRY_MS, 0);
}

bool commit_is_own(const struct commit *commit, const struct revision *revision)
{
    return !revision->removes_head && strcmp(revision->head, commit->id) == 0;
}

enum berth_code commit_judge(const struct commit *commit, const struct mirror *loaded)
{
    if (commit->has_succeeded || strcmp(loaded->head, commit->id) == 0)
        return BERTH_OK;
    if (loaded->head_revision == commit->head_revision && strcmp(loaded->head, commit->head) == 0)
        return BERTH_PENDING;
    if (commit->batch->count > 0 && commit->may_have_happened)
        return BERTH_UNKNOWN;
    return BERTH_ABORTED;
}

void commit_write(const struct commit *commit, struct mirror *mirror)
{
    for (size_t i = 0; i < commit->batch->count; i++) {
        const struct berth_store_write *write = &commit->batch->writes[i];
        struct layout_name name;
        struct mirror_entry *entry;

        layout_name(&name, write->bucket, write->key);
        entry = mirror_entry_create(&name, write->value.data, write->value.length);
        if (entry == NULL)
            return;
        if (write->value.data != NULL) {
            free(mirror_put(mirror, entry));
            continue;
        }
        free(mirror_remove(mirror, entry));
        free(entry);
    }
}

void commit_init(struct commit *commit, const struct store_state *state, const struct commit_events *events,
                 void *self)
{
    commit->state = state;
    commit->events = events;
    commit->self = self;
    uv_timer_init(state->host->loop, &commit->deadline);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_timer_start(&commit->deadline, on_deadline, 0, 0);
    uv_timer_stop(&commit->deadline);
    commit->deadline.data = commit;
}
