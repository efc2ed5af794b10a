/* SPDX-License-Identifier: Apache-2.0 */
/* Brings one batch at a time into etcd, and finds out whether it happened. */
#include "commit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "store.h"
#include "txn.h"

/* A batch that is on its way when the daemon closes may take so long. */
#define HURRY_MS 1500

bool commit_is_open(const struct commit *commit)
{
    return commit->batch != NULL;
}

void commit_end(struct store *store, enum berth_code code, const char *message)
{
    struct commit *commit = &store->commit;

    if (code == BERTH_OK && commit->batch->count > 0)
        room_on_committed(store);
    uv_timer_stop(&commit->deadline);
    txn_destroy(commit->txn);
    commit->txn = NULL;
    commit->batch = NULL;
    /* An answer that still comes is nobody's. */
    commit->call = NULL;
    berth_store_committed(store->core, code, message);
}

/* The state did not move, or what waited for the batch moves it now. */
static void end_unmoved(struct store *store, enum berth_code code, const char *message)
{
    commit_end(store, code, message);
    store_apply_held(store);
}

static void on_verdict(uv_timer_t *timer)
{
    struct store *store = timer->data;

    end_unmoved(store, store->commit.verdict, store->commit.sentence.message);
}

/* From the top level of the loop. */
static void refuse(struct store *store, enum berth_code code)
{
    txn_destroy(store->commit.txn);
    store->commit.txn = NULL;
    store->commit.verdict = code;
    uv_timer_start(&store->commit.deadline, on_verdict, 0, 0);
}

static void on_answer(void *context, struct berth_rpc_call *call, const Etcdserverpb__TxnResponse *reply)
{
    struct session *session = context;
    struct commit *commit;

    if (session->store == NULL || call != session->store->commit.call)
        return;
    commit = &session->store->commit;
    commit->has_succeeded = reply->succeeded;
    commit->was_refused = !reply->succeeded;
}

static void on_failure(struct session *session, enum berth_code code, const char *message)
{
    struct store *store = session->store;
    struct commit *commit = &store->commit;
    const struct room_refusal *refusal = room_find_refusal(message);

    if (refusal != NULL && !commit->may_have_happened) {
        room_on_refused(store, refusal);
        end_unmoved(store, refusal->code, refusal->sentence);
        return;
    }
    commit->may_have_happened = true;
    session_lose(session, "it did not say whether a change happened: %s: %s", berth_code_name(code), message);
}

static void on_answer_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                          const char *message, const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;
    struct commit *commit;

    (void)trailers, (void)count;
    if (session->store == NULL || call != session->store->commit.call)
        return;
    commit = &session->store->commit;
    commit->call = NULL;
    if (code != BERTH_OK || (!commit->has_succeeded && !commit->was_refused))
        on_failure(session, code, message);
    else if (commit->batch->count == 0 && commit->has_succeeded)
        end_unmoved(session->store, BERTH_OK, NULL);
}

static const struct etcdserverpb_kv_txn_events answer_events = {.on_message = on_answer,
                                                                .on_end = on_answer_end};

static void send_txn(struct store *store)
{
    struct commit *commit = &store->commit;
    struct session *session = store->session;
    struct berth_rpc_call_options options = session_call_options(session);
    struct berth_error err;

    commit->has_succeeded = commit->was_refused = false;
    if (etcdserverpb_kv_txn_start(session->channel, &options, &commit->txn->request, &answer_events, session,
                                  &commit->call, &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

void commit_on_live(struct store *store)
{
    const struct commit *commit = &store->commit;

    /* After an answer only the watch is waited for. */
    if (commit->txn != NULL && commit->call == NULL && !commit->has_succeeded && !commit->was_refused)
        send_txn(store);
}

void commit_on_lost(struct commit *commit)
{
    if (commit->call != NULL)
        commit->may_have_happened = true;
    commit->call = NULL;
}

/* Could it have happened without our knowing? Who only asks changes nothing. */
static bool is_uncertain(const struct commit *commit)
{
    return commit->batch->count > 0 &&
           (commit->has_succeeded || commit->may_have_happened || commit->call != NULL);
}

static void on_deadline(uv_timer_t *timer)
{
    struct store *store = timer->data;
    struct commit *commit = &store->commit;
    struct berth_rpc_call *call = commit->call;
    bool is_unknown = is_uncertain(commit);
    struct berth_error err;

    if (store->down_since_ms != 0)
        store_describe_loss(store, &err);
    else
        berth_error_set(&err, BERTH_UNAVAILABLE, "etcd has not answered within commit_timeout (%llu ms)",
                        (unsigned long long)store->options.commit_timeout_ms);
    if (call != NULL)
        berth_rpc_call_cancel(call);
    end_unmoved(store, is_unknown ? BERTH_UNKNOWN : BERTH_UNAVAILABLE, err.message);
    /* Who is there and does not answer is no good: perhaps the next endpoint is. */
    if (store->session != NULL && store->down_since_ms == 0)
        session_lose(store->session, "%s", err.message);
}

/* Of the time that a change has, what a loss before it has taken is gone. */
static uint64_t time_left(const struct store *store)
{
    uint64_t down = store->down_since_ms == 0 ? 0 : uv_now(store->host->loop) - store->down_since_ms;

    return down < store->options.commit_timeout_ms ? store->options.commit_timeout_ms - down : 0;
}

static enum berth_code check_size(const struct store *store, const struct berth_store_batch *batch,
                                  size_t request, struct berth_error *err)
{
    if (request > store->options.max_request)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "the change takes %zu bytes on the wire, max_request is %llu", request,
                               (unsigned long long)store->options.max_request);
    if (batch->bytes + store->mirror.bytes > store->options.max_mirror && batch->bytes > 0)
        for (size_t i = 0; i < batch->count; i++)
            if (batch->writes[i].value.data != NULL)
                return berth_error_set(
                    err, BERTH_RESOURCE_EXHAUSTED,
                    "the store has %llu entries in %llu bytes of memory, and max_mirror allows %llu",
                    (unsigned long long)store->mirror.count, (unsigned long long)store->mirror.bytes,
                    (unsigned long long)store->options.max_mirror);
    return BERTH_OK;
}

void commit_start(struct store *store, const struct berth_store_batch *batch)
{
    struct commit *commit = &store->commit;
    enum berth_code code;

    commit->batch = batch;
    commit->head_revision = store->mirror.head_revision;
    memcpy(commit->head, store->mirror.head, sizeof(commit->head));
    commit->has_succeeded = commit->was_refused = commit->may_have_happened = false;
    snprintf(commit->id, sizeof(commit->id), "%s-%" PRIu64, store->id, ++commit->counter);
    commit->txn = txn_create(&store->layout, batch, commit->head_revision, commit->id);
    if (commit->txn == NULL)
        code = berth_error_set(&commit->sentence, BERTH_RESOURCE_EXHAUSTED, "no memory for a change");
    else
        code = check_size(store, batch, txn_bytes(commit->txn), &commit->sentence);
    if (code != BERTH_OK) {
        refuse(store, code);
        return;
    }
    uv_timer_start(&commit->deadline, on_deadline, time_left(store), 0);
    if (store->session != NULL && store->down_since_ms == 0)
        send_txn(store);
}

void commit_hurry(struct store *store)
{
    uint64_t left = uv_timer_get_due_in(&store->commit.deadline);

    if (commit_is_open(&store->commit) && left > HURRY_MS)
        uv_timer_start(&store->commit.deadline, on_deadline, HURRY_MS, 0);
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

void commit_init(struct commit *commit, struct store *store)
{
    uv_timer_init(store->host->loop, &commit->deadline);
    commit->deadline.data = store;
}
