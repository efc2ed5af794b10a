/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of one request and one reply. */
#include "cases.h"

/* With the generated client and without a loop, as a small program would. */
static bool empty_unary(struct peer *peer)
{
    const struct berth_rpc_unary_options options = {
        .size = sizeof(options),
        .address = peer->options.address,
        .timeout_ms = PATIENCE_MS,
        .protocol = peer->options.protocol,
        .tls = peer->options.tls,
    };
    const Grpc__Testing__Empty request = GRPC__TESTING__EMPTY__INIT;
    Grpc__Testing__Empty *reply = NULL;
    struct berth_error err;
    enum berth_code code = grpc_testing_test_service_empty_call_blocking(&options, &request, &reply, &err);

    if (code == BERTH_OK)
        grpc__testing__empty__free_unpacked(reply, NULL);
    return check(peer, code == BERTH_OK, "%s: %s", berth_code_name(code), err.message);
}

static bool cacheable_unary(struct peer *peer)
{
    const Grpc__Testing__SimpleRequest request = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    struct exchange *exchange =
        exchange_start(peer, &(struct exchange_options){
                                 .path = TEST_SERVICE "CacheableUnaryCall",
                                 .reply_type = &grpc__testing__simple_response__descriptor,
                             });

    return exchange_send(exchange, &request.base) && exchange_half_close(exchange) &&
           exchange_await_end(exchange, BERTH_OK, 1) &&
           check(peer, exchange->cache_control[0] != '\0', "no cache-control came");
}

static bool large_unary(struct peer *peer)
{
    return large_await(large_start(peer, &(struct large_call){0}));
}

static bool probe_compressed_unary(struct peer *peer)
{
    return exchange_await_end(large_start(peer, &(struct large_call){.expect_compressed = &be_true}),
                              BERTH_INVALID_ARGUMENT, 0);
}

static bool client_compressed_unary(struct peer *peer)
{
    return large_await(large_start(
               peer, &(struct large_call){.expect_compressed = &be_true, .is_compressed = true})) &&
           large_await(large_start(peer, &(struct large_call){.expect_compressed = &be_false}));
}

static bool server_compressed_unary(struct peer *peer)
{
    struct exchange *compressed = large_start(peer, &(struct large_call){.response_compressed = &be_true});
    struct exchange *plain = large_start(peer, &(struct large_call){.response_compressed = &be_false});

    return large_await(compressed) && large_await(plain) &&
           check(peer, compressed->replies[0].came_compressed, "the first answer came as it is") &&
           check(peer, !plain->replies[0].came_compressed, "the second answer came compressed");
}

static bool concurrent_large_unary(struct peer *peer)
{
    struct exchange *exchanges[100];
    bool ok = true;

    for (size_t i = 0; i < 100; i++)
        exchanges[i] = large_start(peer, &(struct large_call){0});
    for (size_t i = 0; i < 100; i++)
        ok = large_await(exchanges[i]) && ok;
    return ok;
}

static bool rpc_soak(struct peer *peer)
{
    for (int i = 0; i < 50; i++) {
        if (!large_unary(peer))
            return false;
    }
    return true;
}

static bool channel_soak(struct peer *peer)
{
    bool ok = true;

    for (int i = 0; i < 10 && ok; i++) {
        struct berth_rpc_channel *channel;

        if (!peer_open_channel(peer, &channel))
            return false;
        ok = large_await(large_start(peer, &(struct large_call){.channel = channel}));
        peer_forget_exchanges(peer);
        peer_close_channel(peer, channel);
    }
    return ok;
}

const struct interop_case cases_unary[] = {
    {"empty_unary", empty_unary},
    {"cacheable_unary", cacheable_unary},
    {"large_unary", large_unary},
    {"probe_compressed_unary", probe_compressed_unary},
    {"client_compressed_unary", client_compressed_unary},
    {"server_compressed_unary", server_compressed_unary},
    {"concurrent_large_unary", concurrent_large_unary},
    {"rpc_soak", rpc_soak},
    {"channel_soak", channel_soak},
    {NULL, NULL},
};
