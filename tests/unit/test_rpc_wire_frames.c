/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that gRPC's own clients send and HTTP/2 has no place for, and frames that break it: who pays. */
#include <poll.h>
#include <string.h>
#include <time.h>

#include <tests/cmocka.h>

#include "http2_wire.h"

#define PEER_PRIORITY 2

static void start_a_call_that_lasts(uint32_t id)
{
    http2_peer_call(peer, 0, id, "/t.T/Silent", NULL, 0);
}

static void assert_it_has_lasted(uint32_t id)
{
    send_data(PEER_END_STREAM, id, NULL, 0);
    http2_peer_await(peer, id, &answer);
    assert_status("0", NULL);
    assert_int_equal(cancelled, 0);
    assert_int_equal(logged, 0);
}

/* What grpcio sends for calls whose deadline passes, or that are cancelled, before their headers leave. */
static void frames_for_a_call_that_never_began_cost_no_other_call(void **state)
{
    start_a_call_that_lasts(1);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 3, "\0\0\0\x8", 4);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 5, "\0\0\1\0", 4);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 5, "\0\0\0\x8", 4);
    assert_echo_still_works(7);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100 * 1000 * 1000}, NULL);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 9, "\0\0\0\x8", 4);
    assert_it_has_lasted(1);
    assert_int_equal(told_ignored, 1);
}

static void a_clients_goaway_that_names_a_stream_of_its_own_lets_calls_finish(void **state)
{
    start_a_call_that_lasts(1);
    http2_peer_send_frame(peer, PEER_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0bye", 11);
    http2_peer_send_frame(peer, PEER_GOAWAY, 0, 0, "\0\0\0\3\0\0\0\0bye", 11);
    assert_it_has_lasted(1);
}

static void a_priority_on_itself_costs_no_call(void **state)
{
    start_a_call_that_lasts(1);
    http2_peer_send_frame(peer, PEER_PRIORITY, 0, 1, "\0\0\0\1\x10", 5);
    http2_peer_send_frame(peer, PEER_PRIORITY, 0, 3, "\0\0\0\1\x10", 5);
    assert_it_has_lasted(1);
}

static void ahead_of_all_streams_they_end_the_connection_and_the_log_says_why(void **state)
{
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 1, "\0\0\0\x8", 4);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_int_equal(peer->payload[7], 1);
    await(&logged, 1);
    assert_non_null(strstr(last_line, "RST_STREAM: stream in idle"));
    assert_non_null(strstr(last_line, "peer="));
    assert_non_null(strstr(last_line, "goaway=PROTOCOL_ERROR"));
}

/* What nghttp2 answers with no GOAWAY at all. */
static void what_is_no_http2_is_logged_too(void **state)
{
    struct http2_peer *other = http2_peer_open(wire_path(), true);

    http2_peer_send(other, "\x16\4\1\2\0\1\0\1\xfc\3\3 not HTTP/2 at all", 30);
    while (http2_peer_read(other, 2000))
        continue;
    http2_peer_close(other);
    await(&logged, 1);
    assert_non_null(strstr(last_line, "peer="));
}

static void assert_ends_as_abuse(void)
{
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_int_equal(peer->payload[7], 11);
    assert_memory_equal(peer->payload + 8, "too_many_frames", 15);
    await(&logged, 1);
}

static void too_many_dropped_frames_end_the_connection(void **state)
{
    assert_echo_still_works(1);
    for (int i = 0; i < 1500; i++)
        http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 101, "\0\0\0\x8", 4);
    assert_ends_as_abuse();
}

static void priorities_are_counted(void **state)
{
    for (int i = 0; i < 1500; i++)
        http2_peer_send_frame(peer, PEER_PRIORITY, 0, 3, "\0\0\0\1\x10", 5);
    assert_ends_as_abuse();
}

/* RFC 9113 5.1, closed. */
static void after_its_own_end_a_client_that_sends_more_loses_its_connection(void **state)
{
    for (uint32_t id = 1; id < 2 * 16; id += 2)
        assert_echo_still_works(id);
    send_data(0, 1 + 2 * 4, "\0\0\0\0\0", 5);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    assert_int_equal(peer->payload[7], 5);
    await(&logged, 1);
    assert_false(http2_peer_read(peer, 2000));
}

static void after_its_own_reset_it_is_told_so_and_no_other_call_is_hurt(void **state)
{
    start_a_call_that_lasts(1);
    http2_peer_call(peer, 0, 3, "/t.T/Silent", NULL, 0);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 3, "\0\0\0\x8", 4);
    send_data(0, 3, "\0\0\0\0\0", 5);
    assert_true(http2_peer_await_frame(peer, PEER_RST_STREAM, 2000));
    assert_int_equal(peer->id, 3);
    assert_int_equal(peer->payload[3], 5);
    await(&cancelled, 1);
    cancelled = 0;
    assert_it_has_lasted(1);
}

static void what_was_sent_before_our_reset_was_read_is_ignored(void **state)
{
    start_a_call_that_lasts(1);
    http2_peer_call(peer, 0, 3, "/t.T/Stop", NULL, 0);
    send_data(0, 3, "\0\0\0\0\0", 5);
    assert_true(http2_peer_await_frame(peer, PEER_RST_STREAM, 2000));
    assert_int_equal(peer->id, 3);
    for (int i = 0; i < 20; i++)
        send_data(i == 19 ? PEER_END_STREAM : 0, 3, "\0\0\0\0\0", 5);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 3, "\0\0\1\0", 4);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 3, "\0\0\0\x8", 4);
    assert_it_has_lasted(1);
}

/* Also once the client has confirmed the bound. */
static void streams_over_the_bound_are_refused_and_cost_no_other_call(void **state)
{
    while (!peer->has_settings)
        assert_true(http2_peer_read(peer, 2000));
    http2_peer_send_frame(peer, PEER_PING, 0, 0, "acked it", 8);
    assert_true(http2_peer_await_frame(peer, PEER_PING, 2000));
    assert_int_equal(peer->settings[3], 2);
    start_a_call_that_lasts(1);
    start_a_call_that_lasts(3);
    for (uint32_t id = 5; id < 15; id += 2) {
        http2_peer_call(peer, PEER_END_STREAM, id, "/t.T/Silent", NULL, 0);
        http2_peer_await(peer, id, &answer);
        assert_true(answer.is_reset);
        assert_int_equal(answer.reset_error, 7);
    }
    /* One that was reset makes room at once. */
    http2_peer_cork(peer);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, 3, "\0\0\0\x8", 4);
    http2_peer_call(peer, PEER_END_STREAM, 15, "/t.T/Silent", NULL, 0);
    http2_peer_uncork(peer);
    http2_peer_await(peer, 15, &answer);
    assert_status("0", NULL);
    await(&cancelled, 1);
    cancelled = 0;
    assert_it_has_lasted(1);
}

static int start_impatient(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.frame_timeout_ms = 200});
}

static void assert_is_cut(const void *bytes, size_t length)
{
    struct http2_peer *other = http2_peer_open(wire_path(), false);
    struct pollfd departure = {.fd = other->fd, .events = 0};

    http2_peer_call(other, 0, 1, "/t.T/Silent", NULL, 0);
    http2_peer_send(other, bytes, length);
    assert_int_equal(poll(&departure, 1, 3000), 1);
    assert_int_not_equal(departure.revents & POLLHUP, 0);
    http2_peer_close(other);
}

static void a_frame_that_is_not_completed_in_time_ends_the_connection(void **state)
{
    assert_is_cut("\0", 1);
    await(&logged, 1);
    assert_non_null(strstr(last_line, "frame_timeout"));
    assert_is_cut("\0\0\5\0\0\0\0\0\1\0\0", 11);
    assert_is_cut("\0\0\0\1\0\0\0\0\3", 9);
    assert_is_cut("\0\0\4\3\0\0\0\0\x9\0", 10);
    assert_echo_still_works(1);
}

/* Each frame within its time, and one of them always unfinished; then silence between frames. */
static void a_slow_upload_is_not_cut(void **state)
{
    static const char frame[] = "\0\0\5\0\0\0\0\0\1\0\0\0\0\0";

    start_a_call_that_lasts(1);
    http2_peer_send(peer, frame, 7);
    for (int i = 0; i < 10; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 60 * 1000 * 1000}, NULL);
        http2_peer_send(peer, frame + 7, 7);
        http2_peer_send(peer, frame, 7);
    }
    http2_peer_send(peer, frame + 7, 7);
    nanosleep(&(struct timespec){.tv_nsec = 500 * 1000 * 1000}, NULL);
    assert_it_has_lasted(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name, options) cmocka_unit_test_setup_teardown(name, options, wire_stop)
        ROW(frames_for_a_call_that_never_began_cost_no_other_call, wire_start),
        ROW(a_clients_goaway_that_names_a_stream_of_its_own_lets_calls_finish, wire_start),
        ROW(a_priority_on_itself_costs_no_call, wire_start),
        ROW(ahead_of_all_streams_they_end_the_connection_and_the_log_says_why, wire_start),
        ROW(what_is_no_http2_is_logged_too, wire_start),
        ROW(too_many_dropped_frames_end_the_connection, wire_start),
        ROW(priorities_are_counted, wire_start),
        ROW(after_its_own_end_a_client_that_sends_more_loses_its_connection, wire_start),
        ROW(after_its_own_reset_it_is_told_so_and_no_other_call_is_hurt, wire_start),
        ROW(what_was_sent_before_our_reset_was_read_is_ignored, wire_start),
        ROW(streams_over_the_bound_are_refused_and_cost_no_other_call, wire_start_small),
        ROW(a_frame_that_is_not_completed_in_time_ends_the_connection, start_impatient),
        ROW(a_slow_upload_is_not_cut, start_impatient),
#undef ROW
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
