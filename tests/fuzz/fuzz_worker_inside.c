/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker whose daemon answers anything, and sends any events and ends of changes meanwhile. The input is
 * what comes over the connection; the first byte says what the plugin does with the interfaces that it gets.
 * From 128 on it is handed settings or a state instead, which begin in the next bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <core/inside/handover.h>
#include <core/inside/table.h>

static struct process process;
static struct inside inside = {.process = &process, .number = 1};
static bool is_closed;
/* Of the input, what is of the step. */
#define STEP_BYTES 128
static struct {
    void *instance;
    struct berth_subscription *subscription;
} subscribed[ASK_REFS_MAX];
static size_t subscribed_count;

static void take(struct channel *channel, const struct packet *packet)
{
    struct packet_reader reader;

    packet_reader_init(&reader, packet);
    if (packet->type == PACKET_EVENT)
        events_take(&inside, packet, &reader);
    else if (packet->type == PACKET_EVENTS_ENDED)
        events_take_end(&inside, packet, &reader);
}

static void on_broken(struct channel *channel, const char *reason)
{
    assert(reason[0] != '\0');
}

static void on_closed(struct channel *channel)
{
    is_closed = true;
}

static void on_event(void *context, const struct berth_event *event)
{
    const struct berth_event *kept = used_exchange.keep(context, event);

    assert(strlen(event->namespace_name) + strlen(event->topic) + strlen(event->type_url) +
               event->value_length + event->envelope_length <
           PACKET_BODY_MAX);
    if (kept != NULL)
        used_exchange.release(context, kept);
}

static void on_failed(void *context, enum berth_code code, const char *message)
{
    assert(code <= BERTH_UNAUTHENTICATED && strlen(message) < PACKET_BODY_MAX);
}

static void use_exchange(void *instance)
{
    static const struct berth_event event = {.size = sizeof(event),
                                             .namespace_name = "n",
                                             .topic = "/t",
                                             .type_url = "u",
                                             .value = "v",
                                             .value_length = 1};
    const char *const filters[] = {"topic==/t"};
    struct berth_subscription *subscription;
    struct berth_error error;

    if (used_exchange.subscribe(instance, filters, 1, on_event, instance, &subscription, &error) ==
        BERTH_OK) {
        used_exchange.watch_failure(instance, subscription, on_failed);
        subscribed[subscribed_count].instance = instance;
        subscribed[subscribed_count++].subscription = subscription;
    }
    used_exchange.publish(instance, &event, &error);
    used_exchange.forward(instance, &event, &error);
}

static void use_store(void *instance)
{
    struct berth_store_entry entry = {.key = {"", 0}};
    char bucket[BERTH_STORE_BUCKET_MAX + 1] = "";
    struct berth_store_txn *txn;
    struct berth_error error;

    if (used_store.begin(instance, &txn, &error) != BERTH_OK)
        return;
    used_store.get(txn, "b", berth_store_text("k"), &entry.value, &error);
    entry = (struct berth_store_entry){.key = {"", 0}};
    for (int i = 0; i < 100 && used_store.next(txn, "b", entry.key, &entry, &error) == BERTH_OK; i++)
        assert(entry.key.length < PACKET_BODY_MAX && entry.value.length < PACKET_BODY_MAX);
    for (int i = 0; i < 10 && used_store.next_bucket(txn, bucket, bucket, &error) == BERTH_OK; i++)
        assert(strlen(bucket) <= BERTH_STORE_BUCKET_MAX);
    used_store.end(txn);
}

static bool use(void *context, const struct berth_ref *ref)
{
    struct berth_error error;

    assert(ref->uri != NULL);
    if (ref->interface == &used_opt)
        assert(used_opt.bin(ref->instance) != NULL && used_opt.lib(ref->instance) != NULL &&
               used_opt.environment(ref->instance)[0] != NULL);
    else if (ref->interface == &used_deprecations)
        used_deprecations.emit(ref->instance, "id", "message", &error);
    else if (ref->interface == &used_exchange)
        use_exchange(ref->instance);
    else if (ref->interface == &used_store)
        use_store(ref->instance);
    return !process.channel.is_broken;
}

static enum berth_code on_reconfigure(const struct berth_host *host, void *instance,
                                      const struct berth_settings *before, struct berth_error *err)
{
    assert(host->settings->root != NULL);
    return host->settings->count(host->settings->root) > 1 ? BERTH_RESTART : BERTH_OK;
}

static enum berth_code on_save(const struct berth_host *host, void *instance,
                               const struct berth_state_writer *writer, struct berth_error *err)
{
    static const char bytes[300000];

    return writer->write(writer, bytes, sizeof(bytes), err);
}

static enum berth_code on_load(const struct berth_host *host, void *instance, uint32_t version,
                               const void *bytes, size_t length, struct berth_error *err)
{
    assert(length <= BERTH_STATE_MAX);
    return BERTH_PENDING;
}

static const struct berth_plugin stateful = {
    .size = sizeof(stateful), .reconfigure = on_reconfigure, .save_state = on_save, .load_state = on_load};

static void hand_over(const uint8_t *data, size_t size)
{
    const struct packet packet = {.type = PACKET_STEP, .body = data, .length = size};
    enum handover_step step = HANDOVER_RECONFIGURE + data[0] % 3;
    struct packet_reader reader;
    struct berth_error error;

    packet_reader_init(&reader, &packet);
    packet_get_u8(&reader);
    assert((int)handover_take(&inside, step, &reader, &error) != BERTH_PENDING);
}

/* One process for all inputs: what it has of an interface it has for good. */
static void begin(void)
{
    static bool has_begun;

    if (has_begun)
        return;
    has_begun = true;
    assert(uv_loop_init(&process.loop) == 0);
    process.thread = pthread_self();
    inside.table = (struct berth_host){.size = sizeof(inside.table), .uri = "a.v1.b", .loop = &process.loop};
    inside.plugin = &stateful;
    used_fill(&inside.table);
    log_fill(&inside.table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct berth_error error;
    struct berth_ref ref;
    int pair[2], room = 1 << 20;
    size_t answers = size > STEP_BYTES && data[0] >= 128 ? STEP_BYTES : 1;

    if (size == 0 || size > 1u << 16)
        return 0;
    begin();
    /* Answers are taken in the order of the questions, of which the first is number 1. */
    inside.questions = 0;
    process.channel = (struct channel){.on_packet = take, .on_broken = on_broken};
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    assert(channel_open(&process.channel, &process.loop, pair[0]) == 0);
    assert(send(pair[1], data + answers, size - answers, MSG_NOSIGNAL) == (ssize_t)(size - answers));
    /* Whoever waits for more learns that there is none. */
    shutdown(pair[1], SHUT_WR);
    if (answers > 1)
        hand_over(data + 1, answers - 1);
    else if (data[0] % 2 == 0 && berth_get(&inside.table, "x", &ref, &error) == BERTH_OK)
        use(NULL, &ref);
    else if (data[0] % 2 == 1)
        berth_each(&inside.table, "x", use, NULL, &error);
    for (int i = 0; i < 10 && !process.channel.is_broken; i++)
        uv_run(&process.loop, UV_RUN_NOWAIT);
    while (subscribed_count > 0) {
        subscribed_count--;
        used_exchange.unsubscribe(subscribed[subscribed_count].instance,
                                  subscribed[subscribed_count].subscription);
    }
    is_closed = false;
    channel_close(&process.channel, on_closed);
    while (!is_closed)
        uv_run(&process.loop, UV_RUN_ONCE);
    close(pair[1]);
    return 0;
}
