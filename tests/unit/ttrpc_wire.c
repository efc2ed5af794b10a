/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc server, and a connection to it that speaks bare frames. */
#include "ttrpc_wire.h"

#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <sdk/rpc/ttrpc/frame.h>

int peer;
struct ttrpc_answer answer;

static int start_with(struct berth_rpc_server_options options)
{
    if (wire_serve(BERTH_RPC_TTRPC, &options) != 0)
        return -1;
    peer = ttrpc_peer_open(wire_path());
    return peer < 0;
}

int ttrpc_wire_start(void **state)
{
    return start_with((struct berth_rpc_server_options){0});
}

int ttrpc_wire_start_small(void **state)
{
    return start_with((struct berth_rpc_server_options){.max_concurrent_streams = 4,
                                                        .max_recv_message_bytes = 1024,
                                                        .max_queued_bytes = 1 << 20,
                                                        .write_timeout_ms = 400,
                                                        .handshake_timeout_ms = 100});
}

int ttrpc_wire_start_idle(void **state)
{
    return start_with((struct berth_rpc_server_options){.max_idle_ms = 150});
}

int ttrpc_wire_end(void **state)
{
    int result = wire_join();

    if (peer >= 0)
        close(peer);
    return result;
}

int ttrpc_wire_stop(void **state)
{
    wire_end(false);
    return ttrpc_wire_end(state);
}

void await_answer(uint32_t id, uint8_t type)
{
    assert_true(ttrpc_peer_read(peer, &answer, 5000));
    assert_int_equal(answer.id, id);
    assert_int_equal(answer.type, type);
}

void await_failure(uint32_t id, enum berth_code code, const char *message)
{
    await_answer(id, TTRPC_RESPONSE);
    assert_int_equal(answer.code, code);
    assert_string_equal(answer.message, message);
}

void await_data(uint32_t id, const char *text)
{
    await_answer(id, TTRPC_DATA);
    assert_int_equal(answer.flags, 0);
    assert_int_equal(answer.length, strlen(text));
    assert_memory_equal(answer.data, text, strlen(text));
}

void await_end(uint32_t id)
{
    await_answer(id, TTRPC_DATA);
    assert_int_equal(answer.flags, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    assert_int_equal(answer.length, 0);
}

void call(uint32_t id, uint8_t flags, const char *path)
{
    ttrpc_peer_request(peer, id, flags, path, NULL, 0, 0, NULL);
}

void data(uint32_t id, uint8_t flags, const char *text)
{
    ttrpc_peer_frame(peer, id, TTRPC_DATA, flags, text, strlen(text));
}

void assert_alive(uint32_t id)
{
    ttrpc_peer_request(peer, id, 0, "/t.T/Echo", "ping", 4, 0, NULL);
    await_answer(id, TTRPC_RESPONSE);
    assert_int_equal(answer.code, BERTH_OK);
    assert_int_equal(answer.payload_length, 4);
    assert_memory_equal(answer.payload, "ping", 4);
}
