/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc_pair.h"

#include <stdio.h>

#define PATIENCE_MS 20000

struct pair pair;

static void keep(char *place, size_t size, const char *text)
{
    snprintf(place, size, "%s", text == NULL ? "" : text);
}

static void on_start(struct berth_call *call)
{
    const struct berth_peer *peer = call->peer;

    keep(pair.peer, sizeof(pair.peer), peer->address);
    keep(pair.subject, sizeof(pair.subject), peer->tls_subject);
    keep(pair.transport, sizeof(pair.transport), call->transport);
    pair.names[0] = '\0';
    for (size_t i = 0; i < peer->tls_name_count; i++) {
        strcat(pair.names, peer->tls_names[i]);
        strcat(pair.names, " ");
    }
}

static void echo(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static void send_blocks(struct berth_call *call)
{
    static const char block[PAIR_BLOCK];

    while (pair.to_send > 0 && berth_call_can_send(call)) {
        assert_int_equal(berth_call_send(call, block, sizeof(block)), BERTH_OK);
        pair.to_send--;
    }
    if (pair.to_send == 0)
        berth_call_finish(call, BERTH_OK, NULL);
}

static void start_blocks(struct berth_call *call, const void *message, size_t length)
{
    send_blocks(call);
}

static void count(struct berth_call *call, const void *message, size_t length)
{
    pair.taken += length;
}

static void answer_count(struct berth_call *call)
{
    char text[32];

    snprintf(text, sizeof(text), "%zu", pair.taken);
    berth_call_reply(call, text, strlen(text));
}

static const struct berth_method methods[] = {
    {.name = "Echo", .kind = BERTH_METHOD_UNARY, .on_start = on_start, .on_message = echo},
    {.name = "Blocks",
     .kind = BERTH_METHOD_SERVER_STREAM,
     .on_message = start_blocks,
     .on_writable = send_blocks},
    {.name = "Count", .kind = BERTH_METHOD_CLIENT_STREAM, .on_message = count, .on_half_close = answer_count},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "t.T",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};

static void on_log(void *context, enum berth_rpc_log_level level, const char *message)
{
    size_t length = strlen(pair.log);

    snprintf(pair.log + length, sizeof(pair.log) - length, "%d %s\n", (int)level, message);
}

static void start(uint32_t handshake_timeout_ms, uint32_t frame_timeout_ms)
{
    const struct berth_rpc_service_entry entry = {.service = &service};
    const struct berth_rpc_server_options options = {.size = sizeof(options),
                                                     .transport = "tcp",
                                                     .on_log = on_log,
                                                     .handshake_timeout_ms = handshake_timeout_ms,
                                                     .frame_timeout_ms = frame_timeout_ms};

    pair = (struct pair){0};
    uv_loop_init(&pair.loop);
    uv_timer_init(&pair.loop, &pair.timer);
    assert_int_equal(berth_rpc_services_create(&entry, 1, &pair.services, &pair.err), BERTH_OK);
    assert_int_equal(berth_rpc_server_create(&pair.loop, &options, berth_rpc_services_router(pair.services),
                                             &pair.server, &pair.err),
                     BERTH_OK);
}

int pair_start(void **state)
{
    start(PATIENCE_MS, 0);
    return 0;
}

int pair_start_hasty(void **state)
{
    start(2000, 300);
    return 0;
}

int pair_stop(void **state)
{
    if (pair.channel != NULL)
        berth_rpc_channel_close(pair.channel, NULL, NULL);
    if (pair.server != NULL)
        berth_rpc_server_close(pair.server, NULL, NULL);
    uv_close((uv_handle_t *)&pair.timer, NULL);
    uv_run(&pair.loop, UV_RUN_DEFAULT);
    berth_rpc_services_destroy(pair.services);
    return uv_loop_close(&pair.loop);
}

void pair_connect(const char *address, const struct berth_rpc_tls_options *tls)
{
    const struct berth_rpc_channel_options options = {
        .size = sizeof(options), .address = address, .tls = tls};

    if (berth_rpc_channel_create(&pair.loop, &options, &pair.channel, &pair.err) != BERTH_OK)
        fail_msg("%s", pair.err.message);
}

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    pair.received += length;
    snprintf(pair.text, sizeof(pair.text), "%.*s", (int)(length < 255 ? length : 255), (const char *)message);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t trailer_count)
{
    pair.over++;
    pair.code = code;
    pair.call = NULL;
    keep(pair.message, sizeof(pair.message), message);
}

void pair_ask(const char *path, const char *request)
{
    static const struct berth_rpc_call_handlers handlers = {
        .size = sizeof(handlers), .on_message = on_message, .on_end = on_end};
    const struct berth_rpc_call_options options = {.size = sizeof(options), .path = path};

    assert_int_equal(berth_rpc_call_start(pair.channel, &options, &handlers, NULL, &pair.call, &pair.err),
                     BERTH_OK);
    if (request == NULL)
        return;
    assert_int_equal(berth_rpc_call_send(pair.call, request, strlen(request)), BERTH_OK);
    berth_rpc_call_half_close(pair.call);
}

static void on_timer(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

void pair_run_for(uint64_t timeout_ms)
{
    bool is_late = false;

    pair.timer.data = &is_late;
    /* Again and again: UV_RUN_ONCE still sleeps where the timer was due as it began. */
    uv_timer_start(&pair.timer, on_timer, timeout_ms, 10);
    while (!is_late)
        uv_run(&pair.loop, UV_RUN_ONCE);
    uv_timer_stop(&pair.timer);
}

void pair_run_until_over(unsigned calls)
{
    bool is_late = false;

    pair.timer.data = &is_late;
    uv_timer_start(&pair.timer, on_timer, PATIENCE_MS, 0);
    while (pair.over < calls && !is_late)
        uv_run(&pair.loop, UV_RUN_ONCE);
    uv_timer_stop(&pair.timer);
    assert_int_equal(pair.over, calls);
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
