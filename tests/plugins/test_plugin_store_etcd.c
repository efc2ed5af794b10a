/* SPDX-License-Identifier: Apache-2.0 */
/* The store over an etcd that answers exactly what the test wants, when it wants: in every order, and
 * wrongly. */
#include "plugin_stage.h"

#include <etcd/etcdserverpb/rpc.berth.h>

#include <berth/rpc/server.h>
#include <berth/rpc/services.h>
#include <berth/store_engine.h>
#include <tests/unit/scratch.h>

#define MAX_PAIRS 8

/* A member of etcd under the test's control, and what the plugin did there. */
struct stage {
    struct berth_testing *testing;
    const struct berth_store *table;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    bool server_is_closed;
    char folder[64];
    char path[80];

    /* What a Range is answered. */
    enum berth_code range_code;
    int64_t revision;
    uint64_t cluster;
    Mvccpb__KeyValue pairs[MAX_PAIRS];
    size_t pair_count;
    bool has_more;
    size_t ranges;

    struct berth_call *watch;
    int64_t watched_from;
    size_t watches;

    /* The last Txn, not answered yet. */
    struct berth_call *txn;
    size_t txns;
    char id[64];
    char last_id[64];
    int64_t compared;
    size_t ops;

    struct berth_call *renewal;
    bool grants_leases;
    bool keeps_silent;
    size_t beats;

    char told[512];
};

struct change {
    struct berth_store_update update;
    const struct berth_store *table;
    const char *key;
    const char *value;
    size_t runs;
    bool is_done;
    enum berth_code code;
};

static struct stage *stage_of(const struct berth_call *call)
{
    return call->instance;
}

static void on_range(struct berth_call *call, const Etcdserverpb__RangeRequest *request)
{
    struct stage *stage = stage_of(call);
    Etcdserverpb__RangeResponse reply = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Mvccpb__KeyValue *pairs[MAX_PAIRS];

    stage->ranges++;
    if (stage->range_code != BERTH_OK) {
        berth_call_finish(call, stage->range_code, "etcdserver: as told");
        return;
    }
    header.revision = stage->revision;
    header.cluster_id = stage->cluster;
    for (size_t i = 0; i < stage->pair_count; i++)
        pairs[i] = &stage->pairs[i];
    reply.header = stage->revision == 0 ? NULL : &header;
    reply.n_kvs = stage->pair_count;
    reply.kvs = pairs;
    reply.more = stage->has_more;
    etcdserverpb_kv_range_reply(call, &reply);
}

static void on_txn(struct berth_call *call, const Etcdserverpb__TxnRequest *request)
{
    struct stage *stage = stage_of(call);
    const Etcdserverpb__RequestOp *last = request->success[request->n_success - 1];

    stage->txn = call;
    stage->txns++;
    stage->compared = request->compare[0]->mod_revision;
    stage->ops = request->n_success;
    memcpy(stage->last_id, stage->id, sizeof(stage->id));
    memset(stage->id, 0, sizeof(stage->id));
    if (last->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
        memcpy(stage->id, last->request_put->value.data, last->request_put->value.len);
}

static void on_txn_end(struct berth_call *call, enum berth_code code)
{
    struct stage *stage = stage_of(call);

    if (stage->txn == call)
        stage->txn = NULL;
}

static void on_put(struct berth_call *call, const Etcdserverpb__PutRequest *request)
{
    const Etcdserverpb__PutResponse reply = ETCDSERVERPB__PUT_RESPONSE__INIT;

    etcdserverpb_kv_put_reply(call, &reply);
}

static void on_watch(struct berth_call *call, const Etcdserverpb__WatchRequest *request)
{
    struct stage *stage = stage_of(call);
    Etcdserverpb__WatchResponse reply = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    stage->watch = call;
    stage->watches++;
    stage->watched_from = request->create_request->start_revision;
    reply.created = true;
    etcdserverpb_watch_watch_send(call, &reply);
}

static void on_watch_end(struct berth_call *call, enum berth_code code)
{
    struct stage *stage = stage_of(call);

    if (stage->watch == call)
        stage->watch = NULL;
}

static void on_grant(struct berth_call *call, const Etcdserverpb__LeaseGrantRequest *request)
{
    Etcdserverpb__LeaseGrantResponse reply = ETCDSERVERPB__LEASE_GRANT_RESPONSE__INIT;

    stage_of(call)->beats++;
    if (stage_of(call)->keeps_silent)
        return;
    if (!stage_of(call)->grants_leases) {
        berth_call_finish(call, BERTH_PERMISSION_DENIED, "etcdserver: no leases here");
        return;
    }
    reply.id = 7;
    reply.ttl = request->ttl;
    etcdserverpb_lease_lease_grant_reply(call, &reply);
}

static void on_revoke(struct berth_call *call, const Etcdserverpb__LeaseRevokeRequest *request)
{
    const Etcdserverpb__LeaseRevokeResponse reply = ETCDSERVERPB__LEASE_REVOKE_RESPONSE__INIT;

    etcdserverpb_lease_lease_revoke_reply(call, &reply);
}

/* A heartbeat is heard and not answered. */
static void on_renewal(struct berth_call *call, const Etcdserverpb__LeaseKeepAliveRequest *request)
{
    stage_of(call)->beats++;
}

static const struct etcdserverpb_kv_handlers kv_handlers = {
    .range = {.on_message = on_range},
    .put = {.on_message = on_put},
    .txn = {.on_message = on_txn, .on_end = on_txn_end},
};
static const struct etcdserverpb_watch_handlers watch_handlers = {
    .watch = {.on_message = on_watch, .on_end = on_watch_end},
};
static const struct etcdserverpb_lease_handlers lease_handlers = {
    .lease_grant = {.on_message = on_grant},
    .lease_revoke = {.on_message = on_revoke},
    .lease_keep_alive = {.on_message = on_renewal},
};
static const struct berth_service kv = ETCDSERVERPB_KV_SERVICE(&kv_handlers);
static const struct berth_service watch = ETCDSERVERPB_WATCH_SERVICE(&watch_handlers);
static const struct berth_service lease = ETCDSERVERPB_LEASE_SERVICE(&lease_handlers);

static void serve(struct stage *stage)
{
    const struct berth_rpc_service_entry entries[] = {{&kv, stage}, {&watch, stage}, {&lease, stage}};
    const struct berth_rpc_unix_options where = {.size = sizeof(where), .path = stage->path};
    struct berth_error err;

    assert_int_equal(berth_rpc_services_create(entries, 3, &stage->services, &err), BERTH_OK);
    assert_int_equal(berth_rpc_server_create(berth_testing_loop(stage->testing), NULL,
                                             berth_rpc_services_router(stage->services), &stage->server,
                                             &err),
                     BERTH_OK);
    assert_int_equal(berth_rpc_server_listen_unix(stage->server, &where, &err), BERTH_OK);
}

/* Neither started nor loaded. */
static struct stage *stage_create(const char *more)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    char settings[512];

    snprintf(stage->folder, sizeof(stage->folder), "/tmp/berth-etcd-XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
    snprintf(stage->path, sizeof(stage->path), "%s/sock", stage->folder);
    snprintf(settings, sizeof(settings), "endpoints: [\"unix:%s\"]\n%s", stage->path, more);
    stage->revision = 10;
    stage->grants_leases = true;
    stage->testing = plugin_create(NULL, settings);
    serve(stage);
    return stage;
}

static bool init_has_ended(void *context)
{
    const struct stage *stage = context;
    struct berth_error err;

    return berth_testing_step(stage->testing, BERTH_STEP_INIT, &err) != BERTH_PENDING;
}

static enum berth_code start(struct stage *stage, struct berth_error *err)
{
    enum berth_code code = berth_testing_start(stage->testing, err);

    if (code == BERTH_PENDING) {
        berth_testing_run_until(stage->testing, init_has_ended, stage);
        code = berth_testing_step(stage->testing, BERTH_STEP_INIT, err);
    }
    stage->table = berth_testing_interface(stage->testing);
    return code;
}

static void tell(void *context, const struct berth_store_change *change)
{
    static const char *const causes[] = {"other", "caught up", "own"};
    struct stage *stage = context;
    size_t length = strlen(stage->told);

    snprintf(stage->told + length, sizeof(stage->told) - length, "%s %s %.*s %.*s->%.*s; ",
             causes[change->cause], change->bucket, (int)change->key.length, (const char *)change->key.data,
             (int)change->before.length, change->before.data == NULL ? "" : (const char *)change->before.data,
             (int)change->after.length, change->after.data == NULL ? "" : (const char *)change->after.data);
}

static bool is_watched(void *context)
{
    const struct stage *stage = context;

    return stage->watch != NULL && stage->beats > 0;
}

static struct stage *stage_start(const char *more)
{
    struct stage *stage = stage_create(more);
    struct berth_error err;

    if (start(stage, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_true(berth_testing_run_until(stage->testing, is_watched, stage));
    assert_non_null(stage->table->watch(berth_testing_instance(stage->testing), "", tell, stage));
    return stage;
}

static void on_server_closed(void *context)
{
    ((struct stage *)context)->server_is_closed = true;
}

static bool server_is_closed(void *context)
{
    return ((struct stage *)context)->server_is_closed;
}

static bool close_has_ended(void *context)
{
    const struct stage *stage = context;
    struct berth_error err;

    return berth_testing_step(stage->testing, BERTH_STEP_CLOSE, &err) != BERTH_PENDING;
}

static void stage_destroy(struct stage *stage)
{
    struct berth_error err;

    if (berth_testing_instance(stage->testing) != NULL &&
        berth_testing_close(stage->testing, &err) == BERTH_PENDING)
        assert_true(berth_testing_run_until(stage->testing, close_has_ended, stage));
    berth_rpc_server_close(stage->server, on_server_closed, stage);
    assert_true(berth_testing_run_until(stage->testing, server_is_closed, stage));
    berth_rpc_services_destroy(stage->services);
    plugin_destroy(stage->testing);
    scratch_remove(stage->folder);
    free(stage);
}

static enum berth_code change(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct change *change = (struct change *)update;

    change->runs++;
    return change->table->put(txn, "b", berth_store_text(change->key), berth_store_text(change->value), err);
}

static void done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct change *change = (struct change *)update;

    change->is_done = true;
    change->code = code;
}

static bool txn_is_there(void *context)
{
    return ((struct stage *)context)->txn != NULL;
}

static bool is_done(void *context)
{
    return ((struct change *)context)->is_done;
}

/* Asks for a change, up to where etcd has it. */
static void ask(struct stage *stage, struct change *one, const char *key, const char *value)
{
    *one = (struct change){
        .update = {.change = change, .done = done}, .table = stage->table, .key = key, .value = value};
    stage->table->update(berth_testing_instance(stage->testing), &one->update);
    assert_true(berth_testing_run_until(stage->testing, txn_is_there, stage));
}

static ProtobufCBinaryData text(const char *bytes)
{
    return (ProtobufCBinaryData){.len = strlen(bytes), .data = (uint8_t *)bytes};
}

static void init_pair(Mvccpb__KeyValue *pair, int64_t revision, const char *key, const char *value)
{
    mvccpb__key_value__init(pair);
    pair->key = text(key);
    pair->value = text(value);
    pair->mod_revision = revision;
}

/* What is there when it loads. */
static void keep(struct stage *stage, int64_t revision, const char *key, const char *value)
{
    init_pair(&stage->pairs[stage->pair_count++], revision, key, value);
}

/* One event of the watch, the last of its revision or not. */
static void happen(struct stage *stage, int64_t revision, const char *key, const char *value, bool is_last)
{
    Etcdserverpb__WatchResponse reply = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    Mvccpb__Event *events[] = {&event};
    Mvccpb__KeyValue pair;

    init_pair(&pair, revision, key, value == NULL ? "" : value);
    event.type = value == NULL ? MVCCPB__EVENT__EVENT_TYPE__DELETE : MVCCPB__EVENT__EVENT_TYPE__PUT;
    event.kv = &pair;
    reply.n_events = 1;
    reply.events = events;
    reply.fragment = !is_last;
    assert_int_equal(etcdserverpb_watch_watch_send(stage->watch, &reply), BERTH_OK);
}

static void answer(struct stage *stage, bool succeeded)
{
    Etcdserverpb__TxnResponse reply = ETCDSERVERPB__TXN_RESPONSE__INIT;

    reply.succeeded = succeeded;
    etcdserverpb_kv_txn_reply(stage->txn, &reply);
    berth_testing_run(stage->testing);
}

static const char *get(struct stage *stage, const char *key)
{
    static char value[64];
    struct berth_store_txn *txn;
    struct berth_store_bytes bytes;
    struct berth_error err;
    enum berth_code code = stage->table->begin(berth_testing_instance(stage->testing), &txn, &err);

    if (code != BERTH_OK)
        return berth_code_name(code);
    code = stage->table->get(txn, "b", berth_store_text(key), &bytes, &err);
    snprintf(value, sizeof(value), "%.*s", code == BERTH_OK ? (int)bytes.length : 4,
             code == BERTH_OK ? (const char *)bytes.data : "none");
    stage->table->end(txn);
    return value;
}

static void without_endpoints_it_is_skipped(void **state)
{
    struct berth_error err;
    struct berth_testing *testing = plugin_create(NULL, NULL);

    assert_int_equal(berth_testing_start(testing, &err), BERTH_SKIP);
    assert_non_null(strstr(err.message, "endpoints"));
    plugin_destroy(testing);
}

/* Names with the linker's prefix. */
ssize_t __real_getrandom(void *bytes, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);

static bool has_no_random_bytes;

ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
    return has_no_random_bytes ? -1 : __real_getrandom(bytes, size, flags);
}

static void without_random_bytes_it_fails_and_leaves_nothing(void **state)
{
    struct berth_error err;
    struct berth_testing *testing = plugin_create(NULL, "endpoints: [\"tcp:127.0.0.1:1\"]\n");

    has_no_random_bytes = true;
    assert_int_equal(berth_testing_start(testing, &err), BERTH_UNAVAILABLE);
    has_no_random_bytes = false;
    assert_non_null(strstr(err.message, "no random bytes"));
    plugin_destroy(testing);
}

static void limits_that_do_not_fit_into_a_request_are_refused(void **state)
{
    struct berth_error err;
    struct berth_testing *testing =
        plugin_create(NULL, "endpoints: [\"tcp:127.0.0.1:1\"]\nmax_value: 4MiB\n");

    assert_int_equal(berth_testing_start(testing, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "max_request"));
    plugin_destroy(testing);
}

static void what_is_there_is_loaded_and_followed_from_the_next_revision(void **state)
{
    struct stage *stage = stage_create("");
    struct berth_error err;

    keep(stage, 4, "/berth/data/b,k", "v");
    keep(stage, 4, "/berth/head", "somebody-1");
    assert_int_equal(start(stage, &err), BERTH_OK);
    assert_string_equal(get(stage, "k"), "v");
    assert_int_equal(stage->watched_from, 11);
    assert_string_equal(berth_testing_export(stage->testing, "prefix"), "/berth");
    stage_destroy(stage);
}

static void a_change_is_done_when_the_watch_shows_it_and_not_before(void **state)
{
    struct stage *stage = stage_start("");
    struct change one;

    ask(stage, &one, "k", "v");
    assert_int_equal(stage->compared, 0);
    assert_int_equal(stage->ops, 2);
    answer(stage, true);
    assert_false(one.is_done);
    assert_string_equal(get(stage, "k"), "none");
    happen(stage, 11, "/berth/data/b,k", "v", false);
    happen(stage, 11, "/berth/head", stage->id, true);
    assert_true(berth_testing_run_until(stage->testing, is_done, &one));
    assert_int_equal(one.code, BERTH_OK);
    assert_string_equal(get(stage, "k"), "v");
    assert_string_equal(stage->told, "");
    stage_destroy(stage);
}

static void its_own_revision_and_anothers_may_come_before_the_answer(void **state)
{
    struct stage *stage = stage_start("");
    struct change one;

    ask(stage, &one, "k", "mine");
    happen(stage, 11, "/berth/data/b,k", "mine", false);
    happen(stage, 11, "/berth/head", stage->id, true);
    happen(stage, 12, "/berth/data/b,k", "theirs", false);
    happen(stage, 12, "/berth/head", "another-1", true);
    assert_true(berth_testing_run_until(stage->testing, is_done, &one));
    assert_int_equal(one.code, BERTH_OK);
    berth_testing_run(stage->testing);
    assert_string_equal(stage->told, "other b k mine->theirs; ");
    answer(stage, true);
    ask(stage, &one, "k", "again");
    assert_int_equal(stage->compared, 12);
    happen(stage, 13, "/berth/head", stage->id, true);
    assert_true(berth_testing_run_until(stage->testing, is_done, &one));
    stage_destroy(stage);
}

static void who_loses_runs_again_on_what_the_other_left(void **state)
{
    struct stage *stage = stage_start("");
    struct change one;

    ask(stage, &one, "k", "mine");
    answer(stage, false);
    assert_int_equal(one.runs, 1);
    happen(stage, 11, "/berth/data/b,other", "theirs", false);
    happen(stage, 11, "/berth/head", "another-1", true);
    assert_true(berth_testing_run_until(stage->testing, txn_is_there, stage));
    assert_int_equal(one.runs, 2);
    assert_int_equal(stage->compared, 11);
    assert_string_equal(stage->told, "other b other ->theirs; ");
    assert_string_not_equal(stage->id, stage->last_id);
    happen(stage, 12, "/berth/head", stage->id, true);
    assert_true(berth_testing_run_until(stage->testing, is_done, &one));
    assert_int_equal(one.code, BERTH_OK);
    stage_destroy(stage);
}

static void what_is_written_by_hand_meanwhile_waits_for_the_end_of_the_batch(void **state)
{
    struct stage *stage = stage_start("");
    struct change one;

    ask(stage, &one, "k", "mine");
    happen(stage, 11, "/berth/data/b,hand", "made", true);
    berth_testing_run(stage->testing);
    assert_string_equal(get(stage, "hand"), "none");
    assert_string_equal(stage->told, "");
    happen(stage, 12, "/berth/data/b,k", "mine", false);
    happen(stage, 12, "/berth/head", stage->id, true);
    assert_true(berth_testing_run_until(stage->testing, is_done, &one));
    assert_string_equal(get(stage, "hand"), "made");
    assert_string_equal(stage->told, "other b hand ->made; ");
    stage_destroy(stage);
}

static void a_revision_in_parts_is_shown_whole(void **state)
{
    struct stage *stage = stage_start("");

    happen(stage, 11, "/berth/data/b,one", "1", false);
    berth_testing_run(stage->testing);
    assert_string_equal(get(stage, "one"), "none");
    happen(stage, 11, "/berth/data/b,two", "2", false);
    happen(stage, 12, "/berth/data/b,one", NULL, true);
    berth_testing_run(stage->testing);
    assert_string_equal(get(stage, "two"), "2");
    assert_string_equal(stage->told, "other b one ->1; other b two ->2; other b one 1->; ");
    stage_destroy(stage);
}

static void an_unsaid_refusal_is_sent_again_with_the_same_id(void **state)
{
    struct stage *stage = stage_start("");
    struct change one;

    ask(stage, &one, "k", "v");
    berth_call_finish(stage->txn, BERTH_UNAVAILABLE, "etcdserver: request timed out");
    stage->txn = NULL;
    berth_testing_run(stage->testing);
    assert_int_equal(berth_testing_condition(stage->testing, &(struct berth_error){""}), BERTH_UNAVAILABLE);
    berth_testing_advance(stage->testing, 1000);
    assert_true(berth_testing_run_until(stage->testing, txn_is_there, stage));
    assert_int_equal(stage->txns, 2);
    assert_int_equal(one.runs, 1);
    assert_string_equal(stage->id, stage->last_id);
    assert_int_equal(stage->watched_from, 11);
    assert_int_equal(berth_testing_condition(stage->testing, &(struct berth_error){""}), BERTH_OK);
    happen(stage, 11, "/berth/head", stage->id, true);
    assert_true(berth_testing_run_until(stage->testing, is_done, &one));
    stage_destroy(stage);
}

static void what_no_answer_comes_to_ends_unknown_and_the_late_truth_is_told_as_own(void **state)
{
    struct stage *stage = stage_start("commit_timeout: 2s");
    struct change one;
    char id[64];

    ask(stage, &one, "k", "v");
    memcpy(id, stage->id, sizeof(id));
    berth_testing_advance(stage->testing, 2000);
    assert_true(berth_testing_run_until(stage->testing, is_done, &one));
    assert_int_equal(one.code, BERTH_UNKNOWN);
    berth_testing_advance(stage->testing, 1000);
    assert_true(berth_testing_run_until(stage->testing, is_watched, stage));
    happen(stage, 11, "/berth/data/b,k", "v", false);
    happen(stage, 11, "/berth/head", id, true);
    berth_testing_run(stage->testing);
    assert_string_equal(stage->told, "own b k ->v; ");
    stage_destroy(stage);
}

static bool has_ranged_twice(void *context)
{
    return ((struct stage *)context)->ranges >= 2 && is_watched(context);
}

static void a_watch_that_was_compacted_away_is_loaded_anew_and_the_difference_told(void **state)
{
    struct stage *stage = stage_create("");
    Etcdserverpb__WatchResponse reply = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    struct berth_error err;

    keep(stage, 4, "/berth/data/b,gone", "v");
    assert_int_equal(start(stage, &err), BERTH_OK);
    stage->table->watch(berth_testing_instance(stage->testing), "", tell, stage);
    stage->pair_count = 0;
    stage->revision = 20;
    keep(stage, 15, "/berth/data/b,made", "w");
    reply.canceled = true;
    reply.compact_revision = 18;
    etcdserverpb_watch_watch_send(stage->watch, &reply);
    stage->watch = NULL;
    assert_true(berth_testing_run_until(stage->testing, has_ranged_twice, stage));
    assert_string_equal(stage->told, "caught up b gone v->; caught up b made ->w; ");
    assert_int_equal(stage->watched_from, 21);
    stage_destroy(stage);
}

static void a_head_of_the_same_number_in_another_history_is_noticed(void **state)
{
    struct stage *stage = stage_create("");
    struct berth_error err;

    keep(stage, 4, "/berth/head", "old-1");
    keep(stage, 4, "/berth/data/b,k", "old");
    assert_int_equal(start(stage, &err), BERTH_OK);
    stage->table->watch(berth_testing_instance(stage->testing), "", tell, stage);
    stage->pair_count = 0;
    keep(stage, 4, "/berth/head", "new-1");
    keep(stage, 4, "/berth/data/b,k", "new");
    stage->ranges = 0;
    berth_call_finish(stage->watch, BERTH_UNAVAILABLE, "etcdserver: server stopped");
    stage->watch = NULL;
    berth_testing_run(stage->testing);
    berth_testing_advance(stage->testing, 1000);
    assert_true(berth_testing_run_until(stage->testing, has_ranged_twice, stage));
    assert_string_equal(stage->told, "caught up b k old->new; ");
    stage_destroy(stage);
}

static void a_silent_heart_is_a_lost_connection_and_reads_go_on_until_max_stale(void **state)
{
    struct stage *stage = stage_create("max_stale: 1m\nlease_ttl: 9s");
    struct berth_error err;

    keep(stage, 4, "/berth/data/b,k", "v");
    assert_int_equal(start(stage, &err), BERTH_OK);
    assert_true(berth_testing_run_until(stage->testing, is_watched, stage));
    berth_testing_run(stage->testing);
    berth_testing_advance(stage->testing, 3000);
    berth_testing_run(stage->testing);
    stage->range_code = BERTH_UNAVAILABLE;
    berth_testing_advance(stage->testing, 3000);
    assert_int_equal(berth_testing_condition(stage->testing, &err), BERTH_UNAVAILABLE);
    assert_string_equal(get(stage, "k"), "v");
    berth_testing_advance(stage->testing, 61000);
    assert_string_equal(get(stage, "k"), "UNAVAILABLE");
    assert_non_null(strstr(err.message, "heartbeat"));
    stage->range_code = BERTH_OK;
    stage->grants_leases = false;
    stage->watches = 0;
    for (int i = 0; i < 10 && stage->watches == 0; i++)
        berth_testing_advance(stage->testing, 1000);
    assert_string_equal(get(stage, "k"), "v");
    stage_destroy(stage);
}

static void timeouts_and_the_copy_change_in_place_and_the_rest_asks_for_a_restart(void **state)
{
    static const struct {
        const char *more;
        enum berth_code code;
    } cases[] = {
        {"max_stale: 10s", BERTH_OK},
        {"{max_stale: 10s, commit_timeout: 2s, dial_timeout: 1s, max_mirror: 1GiB}", BERTH_OK},
        {"prefix: /other", BERTH_RESTART},
        {"user: ada", BERTH_RESTART},
        {"tls: true", BERTH_RESTART},
        {"max_value: 1025KiB", BERTH_RESTART},
        {"max_stale: soon", BERTH_INVALID_ARGUMENT},
        {"lease_ttl: 9s", BERTH_RESTART},
        {"", BERTH_OK},
        {"max_stale: 10s", BERTH_OK},
    };
    struct stage *stage = stage_create("max_stale: 5m");
    struct berth_error err;
    char settings[512];

    keep(stage, 4, "/berth/data/b,k", "v");
    assert_int_equal(start(stage, &err), BERTH_OK);
    assert_true(berth_testing_run_until(stage->testing, is_watched, stage));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *more = cases[i].more;
        bool is_map = more[0] == '{';

        snprintf(settings, sizeof(settings), "{endpoints: [\"unix:%s\"]%s%.*s}", stage->path,
                 more[0] != '\0' ? ", " : "", (int)(strlen(more) - (is_map ? 2 : 0)), more + is_map);
        assert_int_equal(plugin_reconfigure(stage->testing, settings), cases[i].code);
    }
    /* The last one is in force. */
    stage->range_code = BERTH_UNAVAILABLE;
    stage->keeps_silent = true;
    berth_testing_advance(stage->testing, 12000);
    assert_string_equal(get(stage, "k"), "v");
    berth_testing_advance(stage->testing, 12000);
    assert_string_equal(get(stage, "k"), "UNAVAILABLE");
    stage_destroy(stage);
}

static void an_etcd_without_leases_is_a_good_store_and_said_so_once(void **state)
{
    struct stage *stage = stage_create("lease_ttl: 9s");
    struct berth_error err;
    struct change one;

    stage->grants_leases = false;
    assert_int_equal(start(stage, &err), BERTH_OK);
    stage->table = berth_testing_interface(stage->testing);
    for (int i = 0; i < 4; i++)
        berth_testing_advance(stage->testing, 3000);
    assert_true(stage->beats >= 4);
    assert_true(berth_testing_has_logged(stage->testing, "cannot be seen"));
    assert_int_equal(berth_testing_condition(stage->testing, &err), BERTH_OK);
    ask(stage, &one, "k", "v");
    happen(stage, 11, "/berth/head", stage->id, true);
    assert_true(berth_testing_run_until(stage->testing, is_done, &one));
    stage_destroy(stage);
}

static void old_news_ends_the_connection_and_changes_nothing(void **state)
{
    struct stage *stage = stage_start("");
    struct berth_error err;

    happen(stage, 10, "/berth/data/b,k", "v", true);
    berth_testing_run(stage->testing);
    assert_int_equal(berth_testing_condition(stage->testing, &err), BERTH_UNAVAILABLE);
    assert_non_null(strstr(err.message, "revision 10"));
    assert_string_equal(get(stage, "k"), "none");
    stage_destroy(stage);
}

static bool is_degraded(void *context)
{
    struct berth_error err;

    return berth_testing_condition(((struct stage *)context)->testing, &err) != BERTH_OK;
}

static void revisions_that_go_backwards_while_a_batch_is_on_its_way_are_no_news(void **state)
{
    struct stage *stage = stage_start("");
    struct berth_error err;
    struct change one;

    ask(stage, &one, "mine", "v");
    happen(stage, 12, "/berth/data/b,k", "new", true);
    happen(stage, 11, "/berth/data/b,k", "old", true);
    assert_true(berth_testing_run_until(stage->testing, is_degraded, stage));
    berth_testing_condition(stage->testing, &err);
    assert_non_null(strstr(err.message, "revision 11 is out of order after 12"));
    assert_int_equal(berth_testing_close(stage->testing, &err), BERTH_PENDING);
    berth_testing_advance(stage->testing, 2000);
    assert_true(berth_testing_run_until(stage->testing, close_has_ended, stage));
    stage_destroy(stage);
}

static void a_revision_without_an_end_is_not_kept(void **state)
{
    struct stage *stage = stage_start("max_mirror: 1MiB");
    struct berth_error err;
    char key[64];

    for (int i = 0; i < 100000 && !is_degraded(stage) && stage->watch != NULL; i++) {
        snprintf(key, sizeof(key), "/berth/data/b,%d", i);
        happen(stage, 11, key, NULL, false);
        if (i % 100 == 0)
            berth_testing_run(stage->testing);
    }
    assert_int_equal(berth_testing_condition(stage->testing, &err), BERTH_UNAVAILABLE);
    assert_non_null(strstr(err.message, "revision 11 alone"));
    stage_destroy(stage);
}

static void a_watch_that_begins_again_and_again_brings_no_second_heartbeat(void **state)
{
    struct stage *stage = stage_create("");
    Etcdserverpb__WatchResponse reply = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    struct berth_error err;

    stage->keeps_silent = true;
    assert_int_equal(start(stage, &err), BERTH_OK);
    assert_true(berth_testing_run_until(stage->testing, is_watched, stage));
    reply.created = true;
    for (int i = 0; i < 20; i++)
        assert_int_equal(etcdserverpb_watch_watch_send(stage->watch, &reply), BERTH_OK);
    happen(stage, 11, "/berth/data/b,k", "v", true);
    for (int i = 0; i < 1000 && strcmp(get(stage, "k"), "v") != 0; i++)
        berth_testing_run(stage->testing);
    assert_string_equal(get(stage, "k"), "v");
    berth_testing_run(stage->testing);
    assert_int_equal(stage->beats, 1);
    stage_destroy(stage);
}

static void a_store_that_is_a_little_over_max_mirror_is_loaded_again(void **state)
{
    struct stage *stage = stage_create("max_mirror: 1MiB");
    char *value = malloc(152001), keys[7][32];
    struct berth_error err;

    assert_non_null(value);
    memset(value, 'v', 152000);
    value[152000] = '\0';
    for (int i = 0; i < 7; i++) {
        snprintf(keys[i], sizeof(keys[i]), "/berth/data/b,%d", i);
        keep(stage, 4, keys[i], value);
    }
    if (start(stage, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    stage_destroy(stage);
    free(value);
}

static void the_same_numbers_of_another_cluster_are_noticed(void **state)
{
    struct stage *stage = stage_create("");
    struct berth_error err;

    keep(stage, 4, "/berth/head", "old-1");
    keep(stage, 5, "/berth/data/b,k", "by hand");
    stage->cluster = 1;
    assert_int_equal(start(stage, &err), BERTH_OK);
    stage->table->watch(berth_testing_instance(stage->testing), "", tell, stage);
    stage->pair_count = 0;
    keep(stage, 4, "/berth/head", "old-1");
    keep(stage, 5, "/berth/data/b,k", "from a backup");
    stage->cluster = 2;
    stage->ranges = 0;
    berth_call_finish(stage->watch, BERTH_UNAVAILABLE, "etcdserver: server stopped");
    stage->watch = NULL;
    berth_testing_run(stage->testing);
    berth_testing_advance(stage->testing, 1000);
    assert_true(berth_testing_run_until(stage->testing, has_ranged_twice, stage));
    assert_string_equal(stage->told, "caught up b k by hand->from a backup; ");
    stage_destroy(stage);
}

static void answers_that_are_no_etcds_fail_the_start(void **state)
{
    struct stage *stage;
    struct berth_error err;

    for (int i = 0; i < 4; i++) {
        stage = stage_create("dial_timeout: 1s");
        stage->revision = i == 0 ? 0 : i == 3 ? INT64_MAX : 10;
        stage->has_more = i == 1 || i == 2;
        if (i == 2)
            keep(stage, 4, "/a", "before all that was asked for");
        assert_int_equal(berth_testing_start(stage->testing, &err), BERTH_PENDING);
        for (int k = 0; k < 20 && !init_has_ended(stage); k++)
            berth_testing_advance(stage->testing, 100);
        assert_int_equal(berth_testing_step(stage->testing, BERTH_STEP_INIT, &err), BERTH_UNAVAILABLE);
        assert_non_null(strstr(err.message, "invalid answer"));
        stage_destroy(stage);
    }
}

static void a_close_waits_for_the_batch_on_its_way_but_not_for_ever(void **state)
{
    struct stage *stage = stage_start("");
    struct berth_error err;
    struct change one;

    ask(stage, &one, "k", "v");
    assert_int_equal(berth_testing_close(stage->testing, &err), BERTH_PENDING);
    assert_false(one.is_done);
    berth_testing_advance(stage->testing, 2000);
    assert_true(berth_testing_run_until(stage->testing, close_has_ended, stage));
    assert_true(one.is_done);
    assert_int_equal(one.code, BERTH_UNKNOWN);
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_endpoints_it_is_skipped),
        cmocka_unit_test(without_random_bytes_it_fails_and_leaves_nothing),
        cmocka_unit_test(limits_that_do_not_fit_into_a_request_are_refused),
        cmocka_unit_test(what_is_there_is_loaded_and_followed_from_the_next_revision),
        cmocka_unit_test(a_change_is_done_when_the_watch_shows_it_and_not_before),
        cmocka_unit_test(its_own_revision_and_anothers_may_come_before_the_answer),
        cmocka_unit_test(who_loses_runs_again_on_what_the_other_left),
        cmocka_unit_test(what_is_written_by_hand_meanwhile_waits_for_the_end_of_the_batch),
        cmocka_unit_test(a_revision_in_parts_is_shown_whole),
        cmocka_unit_test(an_unsaid_refusal_is_sent_again_with_the_same_id),
        cmocka_unit_test(what_no_answer_comes_to_ends_unknown_and_the_late_truth_is_told_as_own),
        cmocka_unit_test(a_watch_that_was_compacted_away_is_loaded_anew_and_the_difference_told),
        cmocka_unit_test(a_head_of_the_same_number_in_another_history_is_noticed),
        cmocka_unit_test(a_silent_heart_is_a_lost_connection_and_reads_go_on_until_max_stale),
        cmocka_unit_test(timeouts_and_the_copy_change_in_place_and_the_rest_asks_for_a_restart),
        cmocka_unit_test(an_etcd_without_leases_is_a_good_store_and_said_so_once),
        cmocka_unit_test(old_news_ends_the_connection_and_changes_nothing),
        cmocka_unit_test(revisions_that_go_backwards_while_a_batch_is_on_its_way_are_no_news),
        cmocka_unit_test(a_revision_without_an_end_is_not_kept),
        cmocka_unit_test(a_watch_that_begins_again_and_again_brings_no_second_heartbeat),
        cmocka_unit_test(a_store_that_is_a_little_over_max_mirror_is_loaded_again),
        cmocka_unit_test(the_same_numbers_of_another_cluster_are_noticed),
        cmocka_unit_test(answers_that_are_no_etcds_fail_the_start),
        cmocka_unit_test(a_close_waits_for_the_batch_on_its_way_but_not_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
