/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server with calls of all four kinds, without a berth host: echo_server PATH
 *
 * Its messages are bytes and need no .proto. Metadata that begins with "x-" is returned as headers, and as
 * trailers under the same key with the suffix "-trailer". "x-fail: CODE" makes a call end with that code.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

struct program {
    uv_loop_t loop;
    struct berth_rpc_server *server;
    uv_signal_t terminate;
    uv_signal_t interrupt;
};

struct sum {
    uint64_t bytes;
    uint64_t messages;
    uint64_t left;
};

static void return_metadata(struct berth_call *call)
{
    for (size_t i = 0; i < call->metadata_count; i++) {
        const struct berth_metadata *item = &call->metadata[i];
        char key[128];

        if (strncmp(item->key, "x-", 2) != 0 || snprintf(key, sizeof(key), "trailer-%s", item->key) >= 128)
            continue;
        berth_call_add_header(call, item->key, item->value, item->value_length);
        berth_call_add_trailer(call, key, item->value, item->value_length);
    }
}

/* @return true if the caller asked for a failure, which has been sent. */
static bool fail_where_asked(struct berth_call *call)
{
    const struct berth_metadata *wanted = berth_call_metadata(call, "x-fail");

    if (wanted == NULL)
        return false;
    berth_call_finish_with_details(call, (enum berth_code)atoi(wanted->value),
                                   "as you wished: 100 % \xc3\xbc\n", "\x08\x05", 2);
    return true;
}

/* Compressed if the request was and the caller accepts it. */
static void echo(struct berth_call *call, const void *message, size_t length)
{
    return_metadata(call);
    berth_call_compress(call, berth_call_came_compressed(call));
    if (!fail_where_asked(call))
        berth_call_reply(call, message, length);
}

/* Never replies: for testing deadlines and cancellation. */
static void ignore(struct berth_call *call, const void *message, size_t length)
{
    (void)call, (void)message, (void)length;
}

static void send_more(struct berth_call *call)
{
    struct sum *sum = call->state;
    static const char block[1024];

    while (sum->left > 0 && berth_call_can_send(call)) {
        if (berth_call_send(call, block, sizeof(block)) != BERTH_OK)
            return;
        sum->left--;
    }
    if (sum->left == 0)
        berth_call_finish(call, BERTH_OK, NULL);
}

static void start_sum(struct berth_call *call)
{
    call->state = calloc(1, sizeof(struct sum));
    if (call->state == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "out of memory");
}

static void end_sum(struct berth_call *call, enum berth_code code)
{
    (void)code;
    free(call->state);
}

/* The request is a decimal number of 1 KiB messages. */
static void stream_blocks(struct berth_call *call, const void *message, size_t length)
{
    struct sum *sum = call->state;
    char text[32];

    snprintf(text, sizeof(text), "%.*s", (int)(length < 31 ? length : 31), (const char *)message);
    sum->left = strtoull(text, NULL, 10);
    return_metadata(call);
    send_more(call);
}

static void count_message(struct berth_call *call, const void *message, size_t length)
{
    struct sum *sum = call->state;

    (void)message;
    sum->bytes += length;
    sum->messages++;
}

static void answer_sum(struct berth_call *call)
{
    struct sum *sum = call->state;
    char text[64];
    int length = snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)sum->messages,
                          (unsigned long long)sum->bytes);

    return_metadata(call);
    berth_call_reply(call, text, (size_t)length);
}

/* A caller that does not read is not read either. */
static void echo_each(struct berth_call *call, const void *message, size_t length)
{
    berth_call_compress(call, berth_call_came_compressed(call));
    if (berth_call_send(call, message, length) != BERTH_OK)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "too much is waiting for you to read");
    else if (!berth_call_can_send(call))
        berth_call_pause(call);
}

static void end_echo(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

static const struct berth_method methods[] = {
    {.name = "Echo", .kind = BERTH_METHOD_UNARY, .on_message = echo},
    {.name = "Never", .kind = BERTH_METHOD_UNARY, .on_message = ignore},
    {.name = "Blocks",
     .kind = BERTH_METHOD_SERVER_STREAM,
     .on_start = start_sum,
     .on_message = stream_blocks,
     .on_writable = send_more,
     .on_end = end_sum},
    {.name = "Sum",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     .on_start = start_sum,
     .on_message = count_message,
     .on_half_close = answer_sum,
     .on_end = end_sum},
    {.name = "Chat",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_start = return_metadata,
     .on_message = echo_each,
     .on_half_close = end_echo,
     .on_writable = berth_call_resume},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "example.Echo",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};

static void on_log(void *context, enum berth_rpc_log_level level, const char *message)
{
    (void)context;
    if (level <= BERTH_RPC_LOG_WARN)
        fprintf(stderr, "echo_server: %s\n", message);
}

static void on_drained(void *context)
{
    struct program *program = context;

    berth_rpc_server_close(program->server, NULL, NULL);
    uv_close((uv_handle_t *)&program->terminate, NULL);
    uv_close((uv_handle_t *)&program->interrupt, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct program *program = handle->data;

    (void)number;
    uv_signal_stop(&program->terminate);
    uv_signal_stop(&program->interrupt);
    berth_rpc_server_drain(program->server, on_drained, program);
}

static void watch_signal(struct program *program, uv_signal_t *handle, int number)
{
    uv_signal_init(&program->loop, handle);
    handle->data = program;
    uv_signal_start(handle, on_signal, number);
}

int main(int argc, char **argv)
{
    const struct berth_rpc_server_options options = {.size = sizeof(options), .on_log = on_log};
    const struct berth_rpc_service_entry entry = {.service = &service};
    struct berth_rpc_services *services;
    struct program program;
    struct berth_error err;

    if (argc != 2) {
        fprintf(stderr, "usage: echo_server PATH\n");
        return 2;
    }
    uv_loop_init(&program.loop);
    if (berth_rpc_services_create(&entry, 1, &services, &err) != BERTH_OK ||
        berth_rpc_server_create(&program.loop, &options, berth_rpc_services_router(services), &program.server,
                                &err) != BERTH_OK ||
        berth_rpc_server_listen_unix(
            program.server,
            &(struct berth_rpc_unix_options){.size = sizeof(struct berth_rpc_unix_options), .path = argv[1]},
            &err) != BERTH_OK) {
        fprintf(stderr, "echo_server: %s\n", err.message);
        return 1;
    }
    watch_signal(&program, &program.terminate, SIGTERM);
    watch_signal(&program, &program.interrupt, SIGINT);
    printf("listening on %s\n", argv[1]);
    fflush(stdout);
    uv_run(&program.loop, UV_RUN_DEFAULT);
    berth_rpc_services_destroy(services);
    return uv_loop_close(&program.loop) == 0 ? 0 : 1;
}
