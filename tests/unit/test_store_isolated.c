/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store as an isolated plugin has it, held to the rules for all stores: the daemon's side runs on a
 * thread with a store in memory, the worker's side here, and between them is a socket. Watches do not cross.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <berth/store_test.h>

#include <core/inside/table.h>

#include "store_daemon.h"

static struct process here_process;
static struct inside here = {.process = &here_process};
static struct used_interface used;
/* Which buckets are its own. */
static const char *prefix = "";
static void (*on_store_closed)(void *closing);
static void *closing_context;

/* The worker */

static void here_packet(struct channel *channel, const struct packet *packet)
{
    struct packet_reader reader;

    packet_reader_init(&reader, packet);
    if (packet->type != PACKET_STORE_COMMITTED)
        abort();
    store_take_committed(&here, packet, &reader);
}

static void here_broken(struct channel *channel, const char *reason)
{
    abort();
}

static void here_log(const struct berth_host *host, enum berth_log_level level, const char *text)
{
}

static void here_misuse(const struct berth_host *host, const char *what, const void *caller)
{
}

static enum berth_code open_store(void *context, uv_loop_t *loop, bool is_fresh, void **ret_instance,
                                  struct berth_error *err)
{
    const struct berth_store_limits *limits;
    struct packet_writer writer = {0};
    struct packet_reader reader;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return BERTH_RESOURCE_EXHAUSTED;
    limits = store_daemon_start(pair[1], prefix);
    here_process.channel = (struct channel){.on_packet = here_packet, .on_broken = here_broken};
    here_process.thread = pthread_self();
    here.table = (struct berth_host){
        .size = sizeof(here.table), .uri = URI, .loop = loop, .log = here_log, .report_misuse = here_misuse};
    if (channel_open(&here_process.channel, loop, pair[0]) != 0)
        return BERTH_RESOURCE_EXHAUSTED;
    packet_put_u64(&writer, limits->max_value);
    packet_put_u64(&writer, limits->max_writes);
    packet_put_u64(&writer, limits->max_change);
    reader = (struct packet_reader){.at = writer.bytes, .left = writer.length};
    used = (struct used_interface){.inside = &here, .kind = ASK_INTERFACE_STORE};
    *ret_instance = store_create(&used, &reader);
    packet_writer_finish(&writer);
    return BERTH_OK;
}

static void here_channel_closed(struct channel *channel)
{
    free(here.answer);
    here.answer = NULL;
    store_daemon_stop();
    on_store_closed(closing_context);
}

static void on_core_closed(void *self)
{
    channel_close(&here_process.channel, here_channel_closed);
}

static void close_store(void *context, void *instance, void (*on_closed)(void *closing), void *closing)
{
    on_store_closed = on_closed;
    closing_context = closing;
    berth_store_core_close(*(struct berth_store_core **)instance, on_core_closed);
}

static const struct berth_store_harness harness = {
    .size = sizeof(harness),
    .name = "isolated",
    .open = open_store,
    .close = close_store,
    .random_changes = 500,
};

/* What others write meanwhile */

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static bool has(struct berth_store_txn *txn, const char *key, const char *value, enum berth_code *ret_code)
{
    struct berth_store_bytes found = {"", 0};
    struct berth_error error;

    *ret_code = used_store.get(txn, "b", berth_store_text(key), &found, &error);
    return *ret_code == BERTH_OK && found.length == strlen(value) &&
           memcmp(found.data, value, found.length) == 0;
}

static void a_snapshot_stays_what_it_was_or_is_aborted(void *store)
{
    struct berth_store_txn *txn;
    struct berth_error error;
    enum berth_code code;

    store_daemon_write("b", "1");
    CHECK(used_store.begin(store, &txn, &error) == BERTH_OK);
    CHECK(has(txn, "n", "1", &code));
    store_daemon_write("b", "2");
    CHECK(has(txn, "n", "1", &code));
    CHECK(!has(txn, "m", "", &code) && code == BERTH_ABORTED);
    used_store.end(txn);
    CHECK(used_store.begin(store, &txn, &error) == BERTH_OK);
    CHECK(has(txn, "n", "2", &code));
    CHECK(!has(txn, "m", "", &code) && code == BERTH_NOT_FOUND);
    used_store.end(txn);
}

static unsigned runs;
static bool is_done, reads_more;

/* Copies n to m, and while it first runs somebody changes n. */
static enum berth_code copy_n(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct berth_store_bytes found;
    enum berth_code code = used_store.get(txn, "b", berth_store_text("n"), &found, err);

    if (code == BERTH_OK && ++runs == 1)
        store_daemon_write("b", reads_more ? "4" : "3");
    if (code == BERTH_OK && reads_more) {
        struct berth_store_bytes other;

        code = used_store.get(txn, "b", berth_store_text("other"), &other, err);
        if (code != BERTH_NOT_FOUND)
            return code;
        code = BERTH_OK;
    }
    return code == BERTH_OK ? used_store.put(txn, "b", berth_store_text("m"), found, err) : code;
}

static void on_copied(struct berth_store_update *update, enum berth_code code, const char *message)
{
    CHECK(code == BERTH_OK);
    is_done = true;
}

/* By the comparison inside the real change, or by that of a further read. */
static void a_change_runs_again_on_what_others_wrote(uv_loop_t *loop, void *store, bool more)
{
    struct berth_store_update update = {.change = copy_n, .done = on_copied};
    struct berth_store_txn *txn;
    struct berth_error error;
    enum berth_code code;

    runs = 0;
    is_done = false;
    reads_more = more;
    used_store.update(store, &update);
    while (!is_done)
        uv_run(loop, UV_RUN_ONCE);
    CHECK(runs == 2);
    CHECK(used_store.begin(store, &txn, &error) == BERTH_OK);
    CHECK(has(txn, "m", more ? "4" : "3", &code));
    used_store.end(txn);
}

static void on_test_closed(void *closing)
{
    *(bool *)closing = true;
}

static void test_others(void)
{
    struct berth_error error;
    bool is_closed = false;
    uv_loop_t loop;
    void *store;

    CHECK(uv_loop_init(&loop) == 0 && open_store(NULL, &loop, true, &store, &error) == BERTH_OK);
    a_snapshot_stays_what_it_was_or_is_aborted(store);
    a_change_runs_again_on_what_others_wrote(&loop, store, false);
    a_change_runs_again_on_what_others_wrote(&loop, store, true);
    close_store(NULL, store, on_test_closed, &is_closed);
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
    CHECK(uv_loop_close(&loop) == 0);
}

/* Names that begin alike are those of others. */
static void each_bucket_of_its_own_comes_in_order_at_the_same_cost(bool has_itself)
{
    static const char *const others[] = {"a",       "a.v1.a/x", "a.v1.b-/x", "a.v1.b.c/x", "a.v1.b.zz",
                                         "a.v1.b0", "a.v1.bc",  "a.v1.bc/x", "c",          "c/x"};
    static const char *const own[] = {"a.v1.b", "a.v1.b/-", "a.v1.b/x", "a.v1.b/x/y"};
    size_t first = has_itself ? 0 : 1, own_count = sizeof(own) / sizeof(own[0]);
    char bucket[BERTH_STORE_BUCKET_MAX + 1] = "";
    struct berth_store_bytes found;
    struct berth_store_txn *txn;
    struct berth_error error;
    bool is_closed = false;
    uv_loop_t loop;
    void *store;

    prefix = "a.v1.b";
    CHECK(uv_loop_init(&loop) == 0 && open_store(NULL, &loop, true, &store, &error) == BERTH_OK);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        store_daemon_write(others[i], "secret");
    for (size_t i = first; i < own_count; i++)
        store_daemon_write(own[i], "1");
    CHECK(used_store.begin(store, &txn, &error) == BERTH_OK);
    for (size_t i = first; i < own_count; i++)
        CHECK(used_store.next_bucket(txn, bucket, bucket, &error) == BERTH_OK && strcmp(bucket, own[i]) == 0);
    CHECK(used_store.next_bucket(txn, bucket, bucket, &error) == BERTH_NOT_FOUND);
    used_store.end(txn);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK(used_store.begin(store, &txn, &error) == BERTH_OK);
        CHECK(used_store.get(txn, others[i], berth_store_text("n"), &found, &error) ==
              BERTH_PERMISSION_DENIED);
        used_store.end(txn);
    }
    /* A bucket takes two questions, each of which is compared with what was read before. */
    CHECK(store_daemon_bucket_reads() <= (own_count + 1) * (own_count + 1));
    close_store(NULL, store, on_test_closed, &is_closed);
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
    CHECK(uv_loop_close(&loop) == 0);
}

int main(int argc, char **argv)
{
    if (berth_store_test(&harness, argc, argv) != 0)
        return 1;
    if (argc == 1) {
        test_others();
        each_bucket_of_its_own_comes_in_order_at_the_same_cost(true);
        each_bucket_of_its_own_comes_in_order_at_the_same_cost(false);
    }
    return 0;
}
