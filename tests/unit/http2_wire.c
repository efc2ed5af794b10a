/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server, and a peer made of bare frames that is connected to it. */
#include "http2_wire.h"

#include <tests/cmocka.h>

struct http2_peer *peer;
struct http2_answer answer;

int wire_start_with(const struct berth_rpc_server_options *options)
{
    int result = wire_serve(BERTH_RPC_GRPC, options);

    if (result == 0)
        peer = http2_peer_open(wire_path(), false);
    return result;
}

int wire_start(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){0});
}

int wire_start_small(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){
        .max_connections = 2,
        .max_concurrent_streams = 2,
        .max_header_list_bytes = 2000,
        .max_recv_message_bytes = 1000,
        .max_queued_bytes = 1024 * 1024,
        .handshake_timeout_ms = 200,
        .write_timeout_ms = 300,
    });
}

int wire_stop(void **state)
{
    if (peer != NULL)
        http2_peer_close(peer);
    wire_end(false);
    return wire_join();
}

void assert_header(const char *name, const char *value)
{
    const char *found = http2_answer_get(&answer, name);

    if (found == NULL)
        fail_msg("no %s", name);
    assert_string_equal(found, value);
}

void assert_status(const char *code, const char *message)
{
    assert_header("grpc-status", code);
    if (message != NULL)
        assert_header("grpc-message", message);
}

void send_data(uint8_t flags, uint32_t id, const char *bytes, size_t length)
{
    http2_peer_send_frame(peer, PEER_DATA, flags, id, bytes, length);
}

void assert_echo_still_works(uint32_t id)
{
    http2_peer_call(peer, 0, id, "/t.T/Echo", NULL, 0);
    send_data(PEER_END_STREAM, id, "\0\0\0\0\2ok", 7);
    http2_peer_await(peer, id, &answer);
    assert_status("0", NULL);
    assert_int_equal(answer.length, 7);
    assert_memory_equal(answer.data, "\0\0\0\0\2ok", 7);
}
