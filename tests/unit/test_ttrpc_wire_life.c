/* SPDX-License-Identifier: Apache-2.0 */
/* How calls and connections of a ttrpc server end: deadlines, lost peers, garbage, drain and close. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <sdk/rpc/ttrpc/message.h>

#include "ttrpc_wire.h"

#define SECOND INT64_C(1000000000)

static void a_deadline_ends_the_call_on_both_sides(void **state)
{
    ttrpc_peer_request(peer, 1, 0, "/t.T/Never", NULL, 0, SECOND / 20, NULL);
    await_failure(1, BERTH_DEADLINE_EXCEEDED, "deadline exceeded");
    await(&ended, 1);
    assert_int_equal(last_code, BERTH_DEADLINE_EXCEEDED);
    ttrpc_peer_request(peer, 3, 0, "/t.T/Never", NULL, 0, -1, NULL);
    await_failure(3, BERTH_DEADLINE_EXCEEDED, "deadline exceeded before the call arrived");
    ttrpc_peer_request(peer, 5, 0, "/t.T/Echo", NULL, 0, INT64_MAX, NULL);
    await_answer(5, TTRPC_RESPONSE);
    assert_int_equal(answer.code, BERTH_OK);
}

static void a_lost_connection_cancels_its_calls(void **state)
{
    call(1, 0, "/t.T/Never");
    call(3, TTRPC_REMOTE_OPEN, "/t.T/Hold");
    await(&started, 2);
    close(peer);
    peer = -1;
    await(&ended, 2);
    assert_int_equal(last_code, BERTH_CANCELLED);
}

static void a_connection_may_be_silent(void **state)
{
    usleep(500 * 1000);
    assert_alive(1);
}

static void half_a_frame_holds_no_idle_connection_open(void **state)
{
    assert_alive(1);
    ttrpc_peer_send(peer, "\0\0\1\0\0\0", 6);
    assert_false(ttrpc_peer_read(peer, &answer, 5000));
}

static void a_frame_that_never_ends_costs_the_connection(void **state)
{
    ttrpc_peer_send(peer, "\0\0\1\0\0\0", 6);
    assert_false(ttrpc_peer_read(peer, &answer, 5000));
    close(peer);
    peer = ttrpc_peer_open(wire_path());
    ttrpc_peer_send(peer, "\x7f\xff\xff\xff\0\0\0\1\1\0", 10);
    assert_true(ttrpc_peer_read(peer, &answer, 5000));
    assert_int_equal(answer.code, BERTH_RESOURCE_EXHAUSTED);
    assert_false(ttrpc_peer_read(peer, &answer, 5000));
}

static void a_server_that_drains_closes_idle_connections_and_waits_for_calls(void **state)
{
    int idle = ttrpc_peer_open(wire_path());

    call(1, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    ttrpc_peer_request(idle, 1, 0, "/t.T/Echo", NULL, 0, 0, NULL);
    assert_true(ttrpc_peer_read(idle, &answer, 5000));
    wire_end(true);
    assert_false(ttrpc_peer_read(idle, &answer, 5000));
    close(idle);
    call(3, 0, "/t.T/Echo");
    await_failure(3, BERTH_UNAVAILABLE, "the server is shutting down");
    data(1, 0, "abc");
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    await_answer(1, TTRPC_RESPONSE);
    assert_memory_equal(answer.payload, "3", 1);
    assert_false(ttrpc_peer_read(peer, &answer, 5000));
    assert_int_equal(ttrpc_peer_open(wire_path()), -1);
    assert_int_equal(ttrpc_wire_end(NULL), 0);
}

static void a_drain_answers_what_lies_unread(void **state)
{
    int other = ttrpc_peer_open(wire_path());

    ttrpc_peer_request(other, 1, 0, "/t.T/Echo", NULL, 0, 0, NULL);
    assert_true(ttrpc_peer_read(other, &answer, 5000));
    call(1, 0, "/t.T/Drain");
    await(&started, 1);
    ttrpc_peer_request(other, 3, 0, "/t.T/Echo", NULL, 0, 0, NULL);
    may_drain = 1;
    assert_true(ttrpc_peer_read(other, &answer, 5000));
    assert_int_equal(answer.id, 3);
    assert_int_equal(answer.code, BERTH_UNAVAILABLE);
    assert_false(ttrpc_peer_read(other, &answer, 5000));
    close(other);
    await_answer(1, TTRPC_RESPONSE);
    assert_int_equal(ttrpc_wire_end(NULL), 0);
}

static void a_server_that_closes_tells_the_callers(void **state)
{
    call(1, 0, "/t.T/Never");
    await(&started, 1);
    wire_end(false);
    await_failure(1, BERTH_UNAVAILABLE, "the server is shutting down");
    assert_false(ttrpc_peer_read(peer, &answer, 5000));
    assert_int_equal(ttrpc_wire_end(NULL), 0);
    assert_int_equal(last_code, BERTH_CANCELLED);
}

static void garbage_costs_only_its_connection(void **state)
{
    unsigned seed = 1;

    for (int round = 0; round < 50; round++) {
        char junk[4096];
        int other = ttrpc_peer_open(wire_path());

        for (size_t i = 0; i < sizeof(junk); i++)
            junk[i] = (char)(round % 2 == 0 ? rand_r(&seed) : rand_r(&seed) % 4);
        ttrpc_peer_send(other, junk, sizeof(junk));
        close(other);
    }
    assert_alive(1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, ttrpc_wire_start, ttrpc_wire_stop)
#define SMALL(name) cmocka_unit_test_setup_teardown(name, ttrpc_wire_start_small, ttrpc_wire_stop)
#define IDLE(name) cmocka_unit_test_setup_teardown(name, ttrpc_wire_start_idle, ttrpc_wire_stop)
#define ENDS(name) cmocka_unit_test_setup_teardown(name, ttrpc_wire_start, NULL)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_deadline_ends_the_call_on_both_sides),
        CASE(a_lost_connection_cancels_its_calls),
        SMALL(a_connection_may_be_silent),
        IDLE(half_a_frame_holds_no_idle_connection_open),
        SMALL(a_frame_that_never_ends_costs_the_connection),
        ENDS(a_drain_answers_what_lies_unread),
        ENDS(a_server_that_drains_closes_idle_connections_and_waits_for_calls),
        ENDS(a_server_that_closes_tells_the_callers),
        CASE(garbage_costs_only_its_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
