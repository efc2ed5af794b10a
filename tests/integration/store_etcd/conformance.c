/* SPDX-License-Identifier: Apache-2.0 */
/* The store over etcd held to every rule of a store: store_etcd_conformance, with the endpoint in
 * STORE_ETCD_ENDPOINT. */
#include <stdlib.h>
#include <string.h>

#include <etcd/etcdserverpb/rpc.client.h>

#include <berth/plugin.h>
#include <berth/store_test.h>
#include <plugins/store-etcd/store.h>

#define PREFIX "/conformance"

struct scene {
    const char *endpoint;
    struct berth_host host;
    struct berth_daemon_info daemon;
    struct berth_inspect inspect;
    enum berth_code started;
    struct berth_error failure;
    void (*on_closed)(void *closing);
    void *closing;
    unsigned others;
};

static bool logs(const struct berth_host *host, enum berth_log_level level)
{
    return level <= BERTH_LOG_WARN;
}

static void write_log(const struct berth_host *host, enum berth_log_level level, const char *text)
{
    if (level <= BERTH_LOG_WARN)
        fprintf(stderr, "%s\n", text);
}

static enum berth_code add_export(const struct berth_host *host, const char *key, const char *value)
{
    return BERTH_OK;
}

/* There is no other plugin. */
static enum berth_code get_single(const struct berth_host *host, const char *type, struct berth_ref *ret_ref,
                                  struct berth_error *err)
{
    return berth_error_set(err, BERTH_NOT_FOUND, "no plugin of type %s", type);
}

static void report(const struct berth_host *host, enum berth_code code, const char *message)
{
    fprintf(stderr, "condition: %s\n", message == NULL ? "well" : message);
}

static struct berth_rpc_unary_options call_options(const struct scene *scene)
{
    return (struct berth_rpc_unary_options){
        .size = sizeof(struct berth_rpc_unary_options), .address = scene->endpoint, .timeout_ms = 30000};
}

static enum berth_code remove_all(const struct scene *scene, struct berth_error *err)
{
    struct berth_rpc_unary_options options = call_options(scene);
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__DeleteRangeResponse *reply;
    struct layout layout;
    enum berth_code code;

    layout_init(&layout, PREFIX);
    request.key = layout_bytes(&layout.begin);
    request.range_end = layout_bytes(&layout.end);
    code = etcdserverpb_kv_delete_range_blocking(&options, &request, &reply, err);
    if (code == BERTH_OK)
        protobuf_c_message_free_unpacked(&reply->base, NULL);
    return code;
}

static void on_started(struct store *store, enum berth_code code, const char *message)
{
    struct scene *scene = store->owner;

    scene->started = code;
    if (code != BERTH_OK)
        berth_error_set(&scene->failure, code, "%s", message);
    uv_stop(scene->host.loop);
}

static const struct store_options store_options = {
    .endpoint_count = 1,
    .prefix = PREFIX,
    .dial_timeout_ms = 30000,
    .commit_timeout_ms = 30000,
    .lease_ttl_ms = 15000,
    .max_mirror = 256 << 20,
    .max_request = 1536 << 10,
    .limits = {sizeof(struct berth_store_limits), 1 << 20, 100, 1400 << 10},
};

static enum berth_code open_store(void *context, uv_loop_t *loop, bool is_fresh, void **ret_instance,
                                  struct berth_error *err)
{
    struct scene *scene = context;
    struct store_options options = store_options;
    struct store *store;
    enum berth_code code = is_fresh ? remove_all(scene, err) : BERTH_OK;

    scene->daemon = (struct berth_daemon_info){.size = sizeof(scene->daemon), .version = "0"};
    scene->inspect = (struct berth_inspect){.size = sizeof(scene->inspect), .daemon = &scene->daemon};
    scene->host = (struct berth_host){.size = sizeof(scene->host),
                                      .loop = loop,
                                      .inspect = &scene->inspect,
                                      .logs = logs,
                                      .log = write_log,
                                      .get_single = get_single,
                                      .add_export = add_export,
                                      .report = report};
    scene->started = BERTH_PENDING;
    options.endpoints = &scene->endpoint;
    if (code == BERTH_OK)
        code = store_start(&scene->host, &options, scene, on_started, &store, err);
    if (code != BERTH_OK)
        return code;
    while (scene->started == BERTH_PENDING)
        uv_run(loop, UV_RUN_ONCE);
    if (scene->started != BERTH_OK)
        return berth_error_set(err, scene->started, "%s", scene->failure.message);
    *ret_instance = store;
    return BERTH_OK;
}

static void on_ended(struct store *store)
{
    struct scene *scene = store->owner;

    free(store);
    scene->on_closed(scene->closing);
}

static void close_store(void *context, void *instance, void (*on_closed)(void *closing), void *closing)
{
    struct scene *scene = context;

    scene->on_closed = on_closed;
    scene->closing = closing;
    store_end(instance, on_ended);
}

/* As another daemon's batch: the entry and the head together. */
static enum berth_code send_batch(struct scene *scene, Etcdserverpb__RequestOp *write,
                                  struct berth_error *err)
{
    struct berth_rpc_unary_options options = call_options(scene);
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp move = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__PutRequest head = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp *ops[] = {write, &move};
    Etcdserverpb__TxnResponse *reply;
    struct layout layout;
    char id[32];
    enum berth_code code;

    layout_init(&layout, PREFIX);
    snprintf(id, sizeof(id), "another-%u", ++scene->others);
    head.key = layout_bytes(&layout.head);
    head.value = (ProtobufCBinaryData){.len = strlen(id), .data = (uint8_t *)id};
    move.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    move.request_put = &head;
    request.n_success = 2;
    request.success = ops;
    code = etcdserverpb_kv_txn_blocking(&options, &request, &reply, err);
    if (code == BERTH_OK)
        protobuf_c_message_free_unpacked(&reply->base, NULL);
    return code;
}

static enum berth_code write_as_other(void *context, void *instance, const char *bucket,
                                      struct berth_store_bytes key, struct berth_store_bytes value,
                                      struct berth_error *err)
{
    const struct store *store = instance;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest removal = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct layout_name name;
    struct layout_key where;

    layout_name(&name, bucket, key);
    layout_entry_key(&store->state.layout, &name, &where);
    if (value.data == NULL) {
        removal.key = layout_bytes(&where);
        op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        op.request_delete_range = &removal;
        return send_batch(context, &op, err);
    }
    put.key = layout_bytes(&where);
    put.value = (ProtobufCBinaryData){.len = value.length, .data = (uint8_t *)value.data};
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    return send_batch(context, &op, err);
}

int main(int argc, char **argv)
{
    static struct scene scene;
    static const struct berth_store_harness harness = {
        .size = sizeof(harness),
        .name = "etcd",
        .context = &scene,
        .open = open_store,
        .close = close_store,
        .write_as_other = write_as_other,
        .survives = true,
        .random_changes = 300,
    };

    scene.endpoint = getenv("STORE_ETCD_ENDPOINT");
    if (scene.endpoint == NULL)
        return fprintf(stderr, "STORE_ETCD_ENDPOINT is not set\n"), 2;
    return berth_store_test(&harness, argc, argv);
}
