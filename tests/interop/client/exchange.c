/* SPDX-License-Identifier: Apache-2.0 */
/* One call as a case has it, step by step: the loop runs while a step waits, and is stopped by what happens.
 */
#include "exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool check(struct peer *peer, bool condition, const char *format, ...)
{
    va_list arguments;

    if (condition || peer->reason[0] != '\0')
        return condition;
    va_start(arguments, format);
    vsnprintf(peer->reason, sizeof(peer->reason), format, arguments);
    va_end(arguments);
    return false;
}

static void keep(char *kept, size_t size, const struct berth_metadata *metadata, size_t count,
                 const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(metadata[i].key, key) == 0)
            snprintf(kept, size, "%s", metadata[i].value);
    }
}

static void keep_details(struct exchange *exchange, const struct berth_metadata *metadata, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(metadata[i].key, "grpc-status-details-bin") != 0 ||
            metadata[i].value_length > sizeof(exchange->details))
            continue;
        memcpy(exchange->details, metadata[i].value, metadata[i].value_length);
        exchange->details_length = metadata[i].value_length;
    }
}

/* What is waited for may come just before the loop sleeps. */
static void wake(struct exchange *exchange)
{
    uv_stop(&exchange->peer->loop);
}

static void on_headers(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count)
{
    struct exchange *exchange = context;

    exchange->headers_came = true;
    keep(exchange->initial, sizeof(exchange->initial), metadata, count, "x-grpc-test-echo-initial");
    keep(exchange->cache_control, sizeof(exchange->cache_control), metadata, count, "cache-control");
}

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    struct exchange *exchange = context;
    struct berth_error err;
    ProtobufCMessage *reply = berth_unpack(exchange->reply_type, message, length, &err);
    struct reply *larger = realloc(exchange->replies, (exchange->count + 1) * sizeof(*larger));

    if (larger == NULL)
        abort();
    wake(exchange);
    exchange->replies = larger;
    if (!check(exchange->peer, reply != NULL, "a reply that is none: %s", err.message))
        return;
    exchange->replies[exchange->count++] =
        (struct reply){.message = reply, .came_compressed = berth_rpc_call_came_compressed(call)};
}

static void on_writable(void *context, struct berth_rpc_call *call)
{
    wake(context);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct exchange *exchange = context;

    wake(exchange);
    exchange->call = NULL;
    exchange->code = code;
    snprintf(exchange->message, sizeof(exchange->message), "%s", message);
    keep(exchange->trailing, sizeof(exchange->trailing), trailers, count, "x-grpc-test-echo-trailing-bin");
    keep_details(exchange, trailers, count);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_headers = on_headers,
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

static const struct berth_metadata wants_echo[] = {
    {"x-grpc-test-echo-initial", ECHO_INITIAL, sizeof(ECHO_INITIAL) - 1},
    {"x-grpc-test-echo-trailing-bin", ECHO_TRAILING, sizeof(ECHO_TRAILING) - 1},
};

struct exchange *exchange_start(struct peer *peer, const struct exchange_options *options)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    const struct berth_rpc_call_options call = {
        .size = sizeof(call),
        .path = options->path,
        .kind = options->kind,
        .timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : PATIENCE_MS,
        .metadata = options->wants_echo ? wants_echo : options->metadata,
        .metadata_count =
            options->wants_echo ? sizeof(wants_echo) / sizeof(wants_echo[0]) : options->metadata_count,
    };
    struct berth_error err;

    if (exchange == NULL)
        abort();
    exchange->peer = peer;
    exchange->reply_type = options->reply_type;
    if (!check(peer,
               berth_rpc_call_start(options->channel != NULL ? options->channel : peer->channel, &call,
                                    &handlers, exchange, &exchange->call, &err) == BERTH_OK,
               "%s cannot be called: %s", options->path, err.message)) {
        free(exchange);
        return NULL;
    }
    exchange->next = peer->exchanges;
    peer->exchanges = exchange;
    return exchange;
}

bool exchange_send(struct exchange *exchange, const ProtobufCMessage *message)
{
    enum berth_code code = BERTH_RESOURCE_EXHAUSTED;
    uint8_t *bytes;

    if (exchange == NULL)
        return false;
    while (exchange->call != NULL && !berth_rpc_call_can_send(exchange->call))
        uv_run(&exchange->peer->loop, UV_RUN_DEFAULT);
    if (!check(exchange->peer, exchange->call != NULL, "the call ended early: %s", exchange->message))
        return false;
    bytes = malloc(protobuf_c_message_get_packed_size(message) + 1);
    if (bytes == NULL)
        abort();
    code = berth_rpc_call_send(exchange->call, bytes, protobuf_c_message_pack(message, bytes));
    free(bytes);
    return check(exchange->peer, code == BERTH_OK, "a message cannot be sent: %s", berth_code_name(code));
}

bool exchange_compress(struct exchange *exchange, bool wanted)
{
    return exchange != NULL &&
           check(exchange->peer,
                 exchange->call != NULL && berth_rpc_call_compress(exchange->call, wanted) == BERTH_OK,
                 "compression cannot be turned %s", wanted ? "on" : "off");
}

bool exchange_half_close(struct exchange *exchange)
{
    if (exchange != NULL && exchange->call != NULL)
        berth_rpc_call_half_close(exchange->call);
    return exchange != NULL;
}

bool exchange_cancel(struct exchange *exchange)
{
    if (exchange != NULL && exchange->call != NULL)
        berth_rpc_call_cancel(exchange->call);
    return exchange != NULL;
}

bool exchange_await_replies(struct exchange *exchange, size_t count)
{
    if (exchange == NULL)
        return false;
    while (exchange->call != NULL && exchange->count < count)
        uv_run(&exchange->peer->loop, UV_RUN_DEFAULT);
    return check(exchange->peer, exchange->count >= count, "%zu replies instead of %zu, then %s: %s",
                 exchange->count, count, berth_code_name(exchange->code), exchange->message);
}

bool exchange_await_end(struct exchange *exchange, enum berth_code code, size_t count)
{
    if (exchange == NULL)
        return false;
    while (exchange->call != NULL)
        uv_run(&exchange->peer->loop, UV_RUN_DEFAULT);
    return check(exchange->peer, exchange->code == code, "%s instead of %s: %s",
                 berth_code_name(exchange->code), berth_code_name(code), exchange->message) &&
           check(exchange->peer, exchange->count == count, "%zu replies instead of %zu", exchange->count,
                 count);
}

static void exchange_destroy(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++)
        protobuf_c_message_free_unpacked(exchange->replies[i].message, NULL);
    free(exchange->replies);
    free(exchange);
}

void peer_forget_exchanges(struct peer *peer)
{
    for (struct exchange *exchange = peer->exchanges; exchange != NULL; exchange = exchange->next)
        exchange_cancel(exchange);
    while (peer->exchanges != NULL) {
        struct exchange *exchange = peer->exchanges;

        while (exchange->call != NULL)
            uv_run(&peer->loop, UV_RUN_DEFAULT);
        peer->exchanges = exchange->next;
        exchange_destroy(exchange);
    }
}

bool peer_open_channel(struct peer *peer, struct berth_rpc_channel **ret_channel)
{
    struct berth_error err;

    return check(peer, berth_rpc_channel_create(&peer->loop, &peer->options, ret_channel, &err) == BERTH_OK,
                 "no channel to %s: %s", peer->options.address, err.message);
}

static void on_closed(void *context)
{
    struct peer *peer = context;

    peer->channel_is_closed = true;
    uv_stop(&peer->loop);
}

void peer_close_channel(struct peer *peer, struct berth_rpc_channel *channel)
{
    peer->channel_is_closed = false;
    berth_rpc_channel_close(channel, on_closed, peer);
    while (!peer->channel_is_closed)
        uv_run(&peer->loop, UV_RUN_DEFAULT);
}

bool peer_open(struct peer *peer)
{
    uv_loop_init(&peer->loop);
    if (peer_open_channel(peer, &peer->channel))
        return true;
    fprintf(stderr, "interop_client: %s\n", peer->reason);
    uv_loop_close(&peer->loop);
    return false;
}

void peer_close(struct peer *peer)
{
    peer_close_channel(peer, peer->channel);
    if (uv_loop_close(&peer->loop) != 0)
        fprintf(stderr, "interop_client: a handle of the loop was left open\n");
}
