/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection of a gRPC server lives and ends, frame by frame: pings, ages, drain. */
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <tests/cmocka.h>

#include <uv.h>

#include "http2_wire.h"

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

static int start_strict(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.min_ping_interval_ms = 20});
}

static void row_17_how_often_is_the_owners_to_say(void **state)
{
    for (int i = 0; i < 8; i++) {
        http2_peer_send_frame(peer, PEER_PING, 0, 0, "12345678", 8);
        assert_true(http2_peer_await_frame(peer, PEER_PING, 2000));
        nanosleep(&(struct timespec){.tv_nsec = 60 * 1000 * 1000}, NULL);
    }
    for (int i = 0; i < 4; i++)
        http2_peer_send_frame(peer, PEER_PING, 0, 0, "12345678", 8);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_int_equal(peer->payload[7], 11);
}

static int start_anxious(void **state)
{
    return wire_start_with(
        &(struct berth_rpc_server_options){.keepalive_time_ms = 150, .keepalive_timeout_ms = 500});
}

static bool await_ping(int timeout_ms)
{
    while (http2_peer_read(peer, timeout_ms))
        if (peer->type == PEER_PING && (peer->flags & PEER_ACK) == 0)
            return true;
    return false;
}

static void row_18_a_silent_peer_is_pinged_and_lives_as_long_as_it_answers(void **state)
{
    for (int i = 0; i < 4; i++) {
        assert_true(await_ping(2000));
        http2_peer_send_frame(peer, PEER_PING, PEER_ACK, 0, peer->payload, 8);
    }
    assert_echo_still_works(1);
}

static void row_18_a_peer_that_answers_no_ping_is_lost_and_its_calls_are_cancelled(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Never", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    assert_true(await_ping(2000));
    assert_false(http2_peer_read(peer, 2000));
    await(&cancelled, 1);
}

static int start_calm(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.keepalive_time_ms = 500});
}

static void row_18_a_peer_that_speaks_is_not_pinged(void **state)
{
    for (uint32_t id = 1; id < 40; id += 2) {
        nanosleep(&(struct timespec){.tv_nsec = 40 * 1000 * 1000}, NULL);
        http2_peer_call(peer, 0, id, "/t.T/Echo", NULL, 0);
        send_data(PEER_END_STREAM, id, "\0\0\0\0\2ok", 7);
        while (http2_peer_read(peer, 2000) && (peer->id != id || (peer->flags & PEER_END_STREAM) == 0))
            assert_false(peer->type == PEER_PING);
    }
}

static int start_without_keepalive(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.keepalive_time_ms = UINT32_MAX});
}

static void row_18_keepalive_can_be_had_not_at_all(void **state)
{
    assert_false(await_ping(300));
    assert_echo_still_works(1);
}

static int start_busy(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.max_idle_ms = 150});
}

static void answer_the_drain(void)
{
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 3000));
    assert_memory_equal(peer->payload, "\x7f\xff\xff\xff\0\0\0\0", 8);
    assert_true(await_ping(2000));
    http2_peer_send_frame(peer, PEER_PING, PEER_ACK, 0, peer->payload, 8);
}

static void row_18_an_idle_connection_is_drained(void **state)
{
    assert_echo_still_works(1);
    answer_the_drain();
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_memory_equal(peer->payload, "\0\0\0\1\0\0\0\0", 8);
    assert_false(http2_peer_read(peer, 2000));
}

/* It has heard HTTP/2 by then, so that another protocol cannot begin. */
static void row_18_a_client_of_another_protocol_that_is_sent_away_is_closed(void **state)
{
    static const char request[] = "\0\0\0\x0b\0\0\0\1\1\0\x0a\3t.T\x12\4Echo";
    struct http2_peer *mute = http2_peer_open(wire_path(), true);
    struct timeval patience = {.tv_sec = 2};
    char bytes[256];
    ssize_t length;

    assert_int_equal(setsockopt(mute->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    /* Settings are not confirmed, as the peer of these tests would. */
    assert_true(recv(mute->fd, bytes, sizeof(bytes), 0) > 0);
    http2_peer_send(mute, request, sizeof(request) - 1);
    do
        length = recv(mute->fd, bytes, sizeof(bytes), 0);
    while (length > 0);
    assert_int_equal(length, 0);
    http2_peer_close(mute);
}

static void row_18_a_connection_with_a_call_is_not_idle(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Silent", NULL, 0);
    while (http2_peer_read(peer, 400))
        assert_int_not_equal(peer->type, PEER_GOAWAY);
    send_data(PEER_END_STREAM, 1, NULL, 0);
    http2_peer_await(peer, 1, &answer);
    assert_status("0", NULL);
    answer_the_drain();
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_false(http2_peer_read(peer, 2000));
}

static int start_mortal(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.max_age_ms = 150, .max_age_grace_ms = 300});
}

static void row_18_an_old_connection_is_drained_and_its_calls_end_within_the_grace(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Silent", NULL, 0);
    http2_peer_call(peer, 0, 3, "/t.T/Never", NULL, 0);
    answer_the_drain();
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_memory_equal(peer->payload, "\0\0\0\3\0\0\0\0", 8);
    send_data(PEER_END_STREAM, 1, NULL, 0);
    http2_peer_await(peer, 1, &answer);
    assert_status("0", NULL);
    http2_peer_await(peer, 3, &answer);
    assert_status("14", "the connection has reached its maximum age");
    while (http2_peer_read(peer, 2000))
        continue;
    await(&cancelled, 1);
}

static int start_patient(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.max_age_ms = 100});
}

static void row_18_without_a_bound_of_grace_a_call_takes_its_time(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Silent", NULL, 0);
    answer_the_drain();
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_false(http2_peer_read(peer, 400));
    send_data(PEER_END_STREAM, 1, NULL, 0);
    http2_peer_await(peer, 1, &answer);
    assert_status("0", NULL);
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

/* An idle client of gRPC's C core reads nothing until it has a call. One that calls just then may try again.
 */
static void row_19_an_idle_peer_that_reads_nothing_does_not_hold_up_the_end(void **state)
{
    uint64_t start;

    assert_echo_still_works(1);
    wire_end(true);
    start = uv_hrtime();
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_memory_equal(peer->payload, "\x7f\xff\xff\xff\0\0\0\0", 8);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_memory_equal(peer->payload, "\0\0\0\1\0\0\0\0", 8);
    assert_true(uv_hrtime() - start < UINT64_C(1000000000));
    assert_false(http2_peer_read(peer, 2000));
}

static void row_19_a_peer_with_a_call_has_time_to_answer(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Chat", NULL, 0);
    assert_true(http2_peer_await_frame(peer, PEER_HEADERS, 2000));
    wire_end(true);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_false(http2_peer_await_frame(peer, PEER_GOAWAY, 500));
    http2_peer_call(peer, 0, 3, "/t.T/Silent", NULL, 0);
    send_data(PEER_END_STREAM, 3, NULL, 0);
    http2_peer_await(peer, 3, &answer);
    assert_status("0", NULL);
}

/* What grpcio sends for calls that it had queued, and for one that it opened before it read the GOAWAY. */
static void row_19_what_a_client_cancels_during_a_drain_costs_no_other_call(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Chat", NULL, 0);
    assert_true(http2_peer_await_frame(peer, PEER_HEADERS, 2000));
    wire_end(true);
    answer_the_drain();
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    http2_peer_call(peer, 0, 3, "/t.T/Silent", NULL, 0);
    send_data(0, 3, "\0\0\0\0\1x", 6);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 3, "\0\0\1\0", 4);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 3, "\0\0\0\x8", 4);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 5, "\0\0\0\x8", 4);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 7, "\0\0\1\0", 4);
    http2_peer_send_frame(peer, PEER_GOAWAY, 0, 0, "\0\0\0\3\0\0\0\0", 8);
    send_data(PEER_END_STREAM, 1, NULL, 0);
    http2_peer_await(peer, 1, &answer);
    assert_status("0", NULL);
    assert_int_equal(cancelled, 0);
    assert_int_equal(logged, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name, options) cmocka_unit_test_setup_teardown(name, options, wire_stop)
        ROW(row_17_pings_are_answered_and_too_many_end_the_connection, wire_start),
        ROW(row_17_pings_behind_answers_are_forgiven, wire_start),
        ROW(row_17_how_often_is_the_owners_to_say, start_strict),
        ROW(row_18_a_silent_peer_is_pinged_and_lives_as_long_as_it_answers, start_anxious),
        ROW(row_18_a_peer_that_answers_no_ping_is_lost_and_its_calls_are_cancelled, start_anxious),
        ROW(row_18_a_peer_that_speaks_is_not_pinged, start_calm),
        ROW(row_18_keepalive_can_be_had_not_at_all, start_without_keepalive),
        ROW(row_18_an_idle_connection_is_drained, start_busy),
        ROW(row_18_a_client_of_another_protocol_that_is_sent_away_is_closed, start_busy),
        ROW(row_18_a_connection_with_a_call_is_not_idle, start_busy),
        ROW(row_18_an_old_connection_is_drained_and_its_calls_end_within_the_grace, start_mortal),
        ROW(row_18_without_a_bound_of_grace_a_call_takes_its_time, start_patient),
        ROW(row_19_a_drain_says_goaway_twice_and_finishes_what_runs, wire_start),
        ROW(row_19_an_idle_peer_that_reads_nothing_does_not_hold_up_the_end, wire_start),
        ROW(row_19_a_peer_with_a_call_has_time_to_answer, wire_start),
        ROW(row_19_what_a_client_cancels_during_a_drain_costs_no_other_call, wire_start),
#undef ROW
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
