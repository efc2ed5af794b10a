/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection of a gRPC server lives and ends, frame by frame: pings, ages, drain. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "wire_server.h"

static void row_17_pings_are_answered_and_too_many_end_the_connection(void **state)
{
    http2_peer_send_frame(peer, PEER_PING, 0, 0, "12345678", 8);
    assert_true(http2_peer_await_frame(peer, PEER_PING, 2000));
    assert_memory_equal(peer->payload, "12345678", 8);
    for (int i = 0; i < 3; i++)
        http2_peer_send_frame(peer, PEER_PING, 0, 0, "12345678", 8);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_int_equal(peer->payload[7], 11);
    assert_memory_equal(peer->payload + 8, "too_many_pings", 14);
    assert_false(http2_peer_read(peer, 2000));
}

static void row_17_pings_behind_answers_are_forgiven(void **state)
{
    for (uint32_t id = 1; id < 40; id += 2) {
        http2_peer_send_frame(peer, PEER_PING, 0, 0, "bdpprobe", 8);
        assert_echo_still_works(id);
    }
}

static void row_19_a_drain_says_goaway_twice_and_finishes_what_runs(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Chat", NULL, 0);
    assert_true(http2_peer_await_frame(peer, PEER_HEADERS, 2000));
    wire_end(true);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_memory_equal(peer->payload, "\x7f\xff\xff\xff\0\0\0\0", 8);
    assert_true(http2_peer_read(peer, 2000));
    assert_int_equal(peer->type, PEER_PING);
    http2_peer_call(peer, 0, 3, "/t.T/Silent", NULL, 0);
    http2_peer_send_frame(peer, PEER_PING, PEER_ACK, 0, peer->payload, 8);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_memory_equal(peer->payload, "\0\0\0\3\0\0\0\0", 8);
    send_data(PEER_END_STREAM, 3, NULL, 0);
    http2_peer_await(peer, 3, &answer);
    assert_status("0", NULL);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\1x", 6);
    http2_peer_await(peer, 1, &answer);
    assert_int_equal(answer.length, 6);
    assert_status("0", NULL);
    assert_false(http2_peer_read(peer, 2000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name, options) cmocka_unit_test_setup_teardown(name, options, wire_stop)
        ROW(row_17_pings_are_answered_and_too_many_end_the_connection, wire_start),
        ROW(row_17_pings_behind_answers_are_forgiven, wire_start),
        ROW(row_19_a_drain_says_goaway_twice_and_finishes_what_runs, wire_start),
#undef ROW
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
