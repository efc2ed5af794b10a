/* SPDX-License-Identifier: Apache-2.0 */
/* A server and a client in one loop, and what the client saw. */
#include "rpc_pair.h"

#include <stdio.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define MILLISECOND UINT64_C(1000000)

struct pair pair;

static void on_log(void *context, enum berth_rpc_log_level level, const char *message)
{
    size_t length = strlen(pair.log);

    snprintf(pair.log + length, sizeof(pair.log) - length, "%d %s\n", (int)level, message);
}

static void start(enum berth_rpc_protocol protocol)
{
    const struct berth_rpc_service_entry entry = {.service = &rpc_service};

    pair = (struct pair){.protocol = protocol};
    seen = (struct rpc_seen){.on_close = pair_close_server};
    snprintf(pair.path, sizeof(pair.path), "/tmp/rpc-pair-%ld", (long)getpid());
    uv_loop_init(&pair.loop);
    uv_timer_init(&pair.loop, &pair.timer);
    assert_int_equal(berth_rpc_services_create(&entry, 1, &pair.services, &pair.err), BERTH_OK);
}

static void create_server(const struct berth_rpc_server_options *options)
{
    assert_int_equal(berth_rpc_server_create(&pair.loop, options, berth_rpc_services_router(pair.services),
                                             &pair.server, &pair.err),
                     BERTH_OK);
}

static int start_tcp(uint32_t handshake_timeout_ms, uint32_t frame_timeout_ms)
{
    const struct berth_rpc_server_options options = {.size = sizeof(options),
                                                     .transport = "tcp",
                                                     .on_log = on_log,
                                                     .handshake_timeout_ms = handshake_timeout_ms,
                                                     .frame_timeout_ms = frame_timeout_ms};

    start(BERTH_RPC_GRPC);
    create_server(&options);
    return 0;
}

int pair_start(void **state)
{
    return start_tcp(PATIENCE_MS, 0);
}

int pair_start_hasty(void **state)
{
    return start_tcp(2000, 300);
}

void pair_serve(const struct berth_rpc_server_options *options)
{
    const struct berth_rpc_unix_options where = {
        .size = sizeof(where), .path = pair.path, .protocol = pair.protocol};

    create_server(options);
    assert_int_equal(berth_rpc_server_listen_unix(pair.server, &where, &pair.err), BERTH_OK);
}

int pair_start_grpc(void **state)
{
    start(BERTH_RPC_GRPC);
    pair_serve(NULL);
    pair_connect(pair.path, NULL);
    return 0;
}

int pair_start_ttrpc_client(void **state)
{
    start(BERTH_RPC_TTRPC);
    pair_connect_with((struct berth_rpc_channel_options){.address = pair.path, .compress = true});
    return 0;
}

int pair_start_ttrpc(void **state)
{
    const struct berth_rpc_server_options options = {.size = sizeof(options), .max_concurrent_streams = 2000};

    pair_start_ttrpc_client(state);
    pair_serve(&options);
    return 0;
}

void pair_close_server(void)
{
    berth_rpc_server_close(pair.server, NULL, NULL);
    pair.server = NULL;
}

int pair_stop(void **state)
{
    char lock[80];

    if (pair.channel != NULL)
        berth_rpc_channel_close(pair.channel, NULL, NULL);
    if (pair.server != NULL)
        pair_close_server();
    uv_close((uv_handle_t *)&pair.timer, NULL);
    uv_run(&pair.loop, UV_RUN_DEFAULT);
    berth_rpc_services_destroy(pair.services);
    snprintf(lock, sizeof(lock), "%s.lock", pair.path);
    unlink(lock);
    unlink(pair.path);
    assert_int_equal(seen.starts, seen.ends);
    return uv_loop_close(&pair.loop);
}

void pair_connect_with(struct berth_rpc_channel_options options)
{
    options.size = sizeof(options);
    options.protocol = pair.protocol;
    if (pair.channel != NULL)
        berth_rpc_channel_close(pair.channel, NULL, NULL);
    if (berth_rpc_channel_create(&pair.loop, &options, &pair.channel, &pair.err) != BERTH_OK)
        fail_msg("%s", pair.err.message);
}

void pair_connect(const char *address, const struct berth_rpc_tls_options *tls)
{
    pair_connect_with((struct berth_rpc_channel_options){.address = address, .tls = tls});
}

static void on_headers(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count)
{
    pair.headers++;
}

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    size_t used = strlen(pair.text);

    pair.messages++;
    pair.received += length;
    snprintf(pair.text + used, sizeof(pair.text) - used, "%s%.*s", used > 0 ? "|" : "",
             (int)(length < 255 ? length : 255), (const char *)message);
    if (pair.pauses)
        berth_rpc_call_pause(call);
    if (pair.cancels)
        berth_rpc_call_cancel(call);
}

static void on_writable(void *context, struct berth_rpc_call *call)
{
    pair.writables++;
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    pair.over++;
    pair.code = code;
    pair.call = NULL;
    pair.trailers[0] = '\0';
    for (size_t i = 0; i < count; i++)
        snprintf(pair.trailers + strlen(pair.trailers), sizeof(pair.trailers) - strlen(pair.trailers),
                 "%s[%zu] ", trailers[i].key, trailers[i].value_length);
    snprintf(pair.message, sizeof(pair.message), "%s", message);
}

const struct berth_rpc_call_handlers pair_handlers = {
    .size = sizeof(pair_handlers),
    .on_headers = on_headers,
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

struct berth_rpc_call *pair_call_with(struct berth_rpc_call_options options)
{
    options.size = sizeof(options);
    options.kind = rpc_service_kind(options.path);
    pair.text[0] = '\0';
    if (berth_rpc_call_start(pair.channel, &options, &pair_handlers, NULL, &pair.call, &pair.err) != BERTH_OK)
        fail_msg("%s", pair.err.message);
    return pair.call;
}

struct berth_rpc_call *pair_call(const char *path)
{
    return pair_call_with((struct berth_rpc_call_options){.path = path});
}

void pair_send(struct berth_rpc_call *call, const char *message)
{
    assert_int_equal(berth_rpc_call_send(call, message, strlen(message)), BERTH_OK);
}

void pair_ask(const char *path, const char *request)
{
    pair_call(path);
    if (request == NULL)
        return;
    pair_send(pair.call, request);
    berth_rpc_call_half_close(pair.call);
}

/* Wakes the loop, which sleeps also where the last thing was done right before it sleeps. */
static void on_tick(uv_timer_t *timer)
{
}

void pair_run_for(uint64_t timeout_ms)
{
    uint64_t end = uv_hrtime() + timeout_ms * MILLISECOND;

    uv_timer_start(&pair.timer, on_tick, timeout_ms, 5);
    while (uv_hrtime() < end)
        uv_run(&pair.loop, UV_RUN_ONCE);
    uv_timer_stop(&pair.timer);
}

void pair_run_until(const unsigned *value, unsigned wanted)
{
    uint64_t end = uv_hrtime() + PATIENCE_MS * MILLISECOND;

    uv_timer_start(&pair.timer, on_tick, 5, 5);
    while (*value < wanted && uv_hrtime() < end)
        uv_run(&pair.loop, UV_RUN_ONCE);
    uv_timer_stop(&pair.timer);
    assert_int_equal(*value, wanted);
}

void pair_run_until_over(unsigned calls)
{
    pair_run_until(&pair.over, calls);
}

void pair_assert_ended(unsigned calls, enum berth_code code, const char *message)
{
    pair_run_until_over(calls);
    assert_string_equal(pair.message, message);
    assert_int_equal(pair.code, code);
}

void pair_run_until_text(const char *text)
{
    for (int i = 0; i < PATIENCE_MS / 10 && strcmp(pair.text, text) != 0; i++)
        pair_run_for(5);
    assert_string_equal(pair.text, text);
}

void pair_run_until_logged(const char *text)
{
    for (int i = 0; i < PATIENCE_MS / 10 && strstr(pair.log, text) == NULL; i++)
        pair_run_for(10);
    if (strstr(pair.log, text) == NULL)
        fail_msg("\"%s\" is not in the log: %s", text, pair.log);
}

struct berth_rpc_server_stats pair_stats(void)
{
    struct berth_rpc_server_stats stats = {.size = sizeof(stats)};

    berth_rpc_server_get_stats(pair.server, &stats);
    return stats;
}
