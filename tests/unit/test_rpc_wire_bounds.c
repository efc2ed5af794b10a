/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer may cost a gRPC server, frame by frame, and what it is told where that is too much. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <sdk/rpc/message/codec.h>

#include "http2_wire.h"

static void row_15_a_handler_that_takes_nothing_stops_its_peer_and_no_other(void **state)
{
    static const char block[16384];
    uint32_t window = 1 << 20;

    http2_peer_call(peer, 0, 1, "/t.T/Hold", NULL, 0);
    await(&started, 1);
    for (uint32_t sent = 0; sent < window; sent += sizeof(block))
        send_data(0, 1, block, sizeof(block));
    http2_peer_call(peer, 0, 3, "/t.T/Echo", NULL, 0);
    send_data(PEER_END_STREAM, 3, "\0\0\0\0\0", 5);
    memset(&answer, 0, sizeof(answer));
    while (peer->id != 3 || peer->type != PEER_DATA) {
        assert_true(http2_peer_read(peer, 2000));
        assert_false(peer->type == PEER_WINDOW_UPDATE && peer->id == 1);
    }
    assert_int_equal(peer->settings[4], window);
}

static void row_15_what_waits_for_a_peer_is_bounded(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Fill", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 0, "\0\x40\0\0", 4);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 1, "\0\x40\0\0", 4);
    http2_peer_await(peer, 1, &answer);
    assert_status("8", "15");
}

/* Until the server has taken all that was sent before. */
static void await_ping(struct http2_peer *of)
{
    http2_peer_send_frame(of, PEER_PING, 0, 0, "are we ?", 8);
    assert_true(http2_peer_await_frame(of, PEER_PING, 2000));
}

static int start_with_a_short_queue(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.max_queued_bytes = 1024 * 1024});
}

/* Eight answers of 600 KiB, for which the peer opens its windows only when all of them are made. */
static void assert_all_are_sent(const char *path)
{
    for (uint32_t id = 1; id < 17; id += 2) {
        http2_peer_call(peer, 0, id, path, NULL, 0);
        send_data(PEER_END_STREAM, id, "\0\0\0\0\0", 5);
    }
    await_ping(peer);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 0, "\0\x80\0\0", 4);
    for (uint32_t id = 1; id < 17; id += 2) {
        http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, id, "\0\x80\0\0", 4);
        http2_peer_await(peer, id, &answer);
        assert_status("0", NULL);
    }
    assert_int_equal(logged, 0);
}

static void row_15_the_one_reply_of_a_unary_call_waits_however_much_others_have_queued(void **state)
{
    assert_all_are_sent("/t.T/Large");
}

static void row_15_so_does_a_message_for_which_there_was_room(void **state)
{
    assert_all_are_sent("/t.T/LargeStream");
}

static int start_with_small_answers(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.max_send_message_bytes = 1000});
}

static void row_15_an_answer_over_the_limit_names_it_and_is_logged(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Large", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status("8", "message of 614400 bytes exceeds max_send_message_bytes (1000)");
    assert_int_equal(logged, 1);
}

static void row_15_a_refusal_is_kept_once_however_often_a_handler_tries(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Insist", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status("10", "message of 614400 bytes exceeds max_send_message_bytes (1000)");
}

static int start_with_little_memory(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.max_recv_message_bytes = 1000,
                                                              .max_buffered_bytes = 1024 * 1024});
}

static void row_15_an_answer_over_the_budget_of_all_names_it(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Large", NULL, 0);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    http2_peer_await(peer, 1, &answer);
    assert_status(
        "8", "message of 614400 bytes exceeds this connection's share of max_buffered_bytes (1048576): 0 "
             "bytes are buffered for 1 connections, 0 of them for this one");
}

static void row_16_settings_name_the_bounds(void **state)
{
    assert_true(http2_peer_read(peer, 2000));
    assert_true(peer->has_settings);
    assert_int_equal(peer->settings[3], 256);
    assert_int_equal(peer->settings[6], 16 * 1024);
}

static void row_16_headers_over_the_bound_are_refused_and_the_connection_lives(void **state)
{
    static char big[12 * 1024];
    const struct http2_field more[] = {{"x-a", big}, {"x-b", big}};

    memset(big, 'x', sizeof(big) - 1);
    http2_peer_call(peer, PEER_END_STREAM, 1, "/t.T/Echo", more, 2);
    http2_peer_await(peer, 1, &answer);
    assert_status("8", NULL);
    assert_echo_still_works(3);
}

/* As long as the peer has not confirmed the bound; behind that it breaks the protocol. */
static void row_16_streams_over_the_bound_are_refused(void **state)
{
    for (uint32_t id = 1; id <= 3; id += 2)
        http2_peer_call(peer, 0, id, "/t.T/Never", NULL, 0);
    http2_peer_call(peer, 0, 5, "/t.T/Echo", NULL, 0);
    http2_peer_await(peer, 5, &answer);
    assert_true(answer.is_reset);
    assert_int_equal(answer.reset_error, 7);
}

static void row_16_what_other_clients_announce_is_taken(void **state)
{
    http2_peer_send_frame(
        peer, PEER_SETTINGS, 0, 0,
        "\0\2\0\0\0\0\0\3\0\0\0\0\0\4\0\x3f\xff\xff\0\5\0\x3f\xff\xff\0\6\0\0\x20\0\xfe\3\0\0\0\1", 36);
    assert_echo_still_works(1);
}

static void row_20_rapid_resets_end_the_connection_and_leave_nothing(void **state)
{
    for (uint32_t id = 1; id < 2 * 1500; id += 2) {
        http2_peer_call(peer, PEER_END_STREAM, id, "/t.T/Silent", NULL, 0);
        http2_peer_send_frame(peer, PEER_RST_STREAM, 0, id, "\0\0\0\x8", 4);
    }
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
    http2_peer_close(peer);
    peer = http2_peer_open(wire_path(), false);
    assert_echo_still_works(1);
}

static void row_20_making_the_server_reset_is_counted_too(void **state)
{
    for (uint32_t id = 1; id < 2 * 1500; id += 2) {
        http2_peer_call(peer, 0, id, "/t.T/Silent", NULL, 0);
        http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, id, "\0\0\0\0", 4);
    }
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
}

/* Nothing is read, so that the end is seen by the socket alone. */
static void row_20_a_peer_that_reads_nothing_piles_up_nothing(void **state)
{
    struct pollfd departure = {.fd = peer->fd, .events = 0};

    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 0, "\0\x40\0\0", 4);
    http2_peer_call(peer, 0, 1, "/t.T/Fill", NULL, 0);
    http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 1, "\0\x40\0\0", 4);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
    for (uint32_t id = 3; id < 2 * 20000 && poll(&departure, 1, 0) == 0; id += 2)
        http2_peer_call(peer, 0, id, "/t.T/Never", NULL, 0);
    assert_int_equal(poll(&departure, 1, 5000), 1);
    assert_int_not_equal(departure.revents & POLLHUP, 0);
}

static void row_21_endless_continuations_end_the_connection(void **state)
{
    http2_peer_send_frame(peer, PEER_HEADERS, PEER_END_STREAM, 1, NULL, 0);
    for (int i = 0; i < 20; i++)
        http2_peer_send_frame(peer, PEER_CONTINUATION, 0, 1, NULL, 0);
    while (http2_peer_read(peer, 2000))
        assert_int_not_equal(peer->type, PEER_HEADERS);
    http2_peer_close(peer);
    peer = http2_peer_open(wire_path(), false);
    assert_echo_still_works(1);
}

static void row_22_a_peer_that_says_nothing_is_closed(void **state)
{
    struct http2_peer *mute = http2_peer_open(wire_path(), true);

    while (http2_peer_read(mute, 2000))
        continue;
    http2_peer_close(mute);
    assert_echo_still_works(1);
}

/* Sends in pieces, and reads until the server closes. @return how many bytes it said. */
static size_t ask_in_pieces(const void *bytes, size_t length, size_t step, char *said, size_t size)
{
    struct http2_peer *other = http2_peer_open(wire_path(), true);
    size_t used = 0;
    ssize_t count;

    for (size_t at = 0; at < length; at += step) {
        http2_peer_send(other, (const char *)bytes + at, length - at < step ? length - at : step);
        if (step < length)
            usleep(1000);
    }
    while ((count = recv(other->fd, said + used, size - used, 0)) > 0)
        used += (size_t)count;
    http2_peer_close(other);
    return used;
}

static void row_22_garbage_is_closed(void **state)
{
    static char garbage[300000];
    char said[1024];

    memset(garbage, 0xff, sizeof(garbage));
    ask_in_pieces(garbage, 1000, 1000, said, sizeof(said));
    ask_in_pieces("PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", 24, 24, said, sizeof(said));
    ask_in_pieces("PRI * HTTP/1.1\r\n\r\n", 18, 1, said, sizeof(said));
    assert_echo_still_works(1);
}

static void row_22_other_protocols_are_told_what_is_spoken(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *answer;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, "HTTP/1.1 505 "},
        {"POST /helloworld.Greeter/SayHello HTTP/1.1\r\nHost: x\r\n\r\n", 55, "HTTP/1.1 505 "},
        {"\x16\3\1\0\x05\1\0\0\1\0", 10, "HTTP/1.1 505 "},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t step = 1; step <= cases[i].length; step += cases[i].length - 1) {
            char said[1024] = "";
            size_t length = ask_in_pieces(cases[i].bytes, cases[i].length, step, said, sizeof(said) - 1);

            assert_in_range(length, 50, sizeof(said) - 1);
            assert_memory_equal(said, cases[i].answer, strlen(cases[i].answer));
            assert_non_null(strstr(said, "\r\n\r\nThis address speaks gRPC over HTTP/2, without TLS.\n"));
        }
    assert_int_equal(logged, 1);
    assert_echo_still_works(1);
}

/* A Request of stream 1 is answered with a Response for it, whose Status has the code and the sentence. */
static void row_22_ttrpc_is_refused_in_ttrpc(void **state)
{
    static const char request[] = "\0\0\0\x0b\0\0\0\1\1\0\x0a\3t.T\x12\4Echo";
    static const char sentence[] = "this address speaks gRPC, not ttrpc";
    struct http2_peer *other = http2_peer_open(wire_path(), true);
    char said[256];
    ssize_t length;

    http2_peer_send(other, request, sizeof(request) - 1);
    length = recv(other->fd, said, sizeof(said), 0);
    assert_in_range(length, 10 + sizeof(sentence), sizeof(said));
    assert_memory_equal(said + 4, "\0\0\0\1\2", 5);
    assert_memory_equal(said + 10 + 2, "\x08\x0c", 2);
    assert_non_null(memmem(said, (size_t)length, sentence, sizeof(sentence) - 1));
    http2_peer_close(other);
    assert_int_equal(logged, 1);
    assert_echo_still_works(1);
}

static int start_hurried(void **state)
{
    return wire_start_with(
        &(struct berth_rpc_server_options){.handshake_timeout_ms = 300, .max_idle_ms = 100});
}

/* Half a request of ttrpc keeps no connection open that its drain would not end. */
static void row_22_ttrpc_is_heard_no_longer_than_a_handshake_takes(void **state)
{
    static const char request[] = "\0\0\0\x0b\0\0\0\1\1\0\x0a\3t";
    struct http2_peer *other = http2_peer_open(wire_path(), true);
    struct timeval patience = {.tv_sec = 5};
    char byte;

    assert_int_equal(setsockopt(other->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    http2_peer_send(other, request, sizeof(request) - 1);
    assert_int_equal(recv(other->fd, &byte, 1, 0), 0);
    http2_peer_close(other);
}

static void row_22_frames_without_data_are_counted(void **state)
{
    http2_peer_call(peer, 0, 1, "/t.T/Silent", NULL, 0);
    for (int i = 0; i < 1500; i++)
        send_data(0, 1, NULL, 0);
    assert_true(http2_peer_await_frame(peer, PEER_GOAWAY, 2000));
}

static void row_22_connections_over_the_bound_are_closed_and_there_is_room_again(void **state)
{
    struct http2_peer *second = http2_peer_open(wire_path(), false);
    struct http2_peer *third;

    assert_true(http2_peer_read(second, 2000));
    third = http2_peer_open(wire_path(), false);
    assert_false(http2_peer_read(third, 2000));
    http2_peer_close(third);
    http2_peer_close(second);
    http2_peer_close(peer);
    peer = http2_peer_open(wire_path(), false);
    for (int i = 0; i < 100 && !http2_peer_read(peer, 2000); i++) {
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
        http2_peer_close(peer);
        peer = http2_peer_open(wire_path(), false);
    }
    assert_echo_still_works(1);
}

static void row_22_some_descriptors_are_left_to_others(void **state)
{
    struct http2_peer *peers[48] = {NULL};
    struct rlimit before, limit;
    bool is_refused = false;
    size_t count = 0;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = (struct rlimit){.rlim_cur = 80, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (!is_refused && count < 48) {
        struct pollfd departure = {.fd = -1};

        peers[count] = http2_peer_open(wire_path(), true);
        departure.fd = peers[count++]->fd;
        is_refused = poll(&departure, 1, 50) == 1 && (departure.revents & POLLHUP) != 0;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(is_refused);
    assert_true(peers[count - 1]->fd < 75);
    while (count > 0)
        http2_peer_close(peers[--count]);
    assert_echo_still_works(1);
}

static int start_tight(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.max_recv_message_bytes = 200 * 1024,
                                                              .max_buffered_bytes = 1024 * 1024});
}

/* The beginning of a message of 200 KiB, and all but its last byte; once the window is as large as that. */
static void send_most(struct http2_peer *to, uint32_t id)
{
    static const char block[16 * 1024];
    size_t left = 200 * 1024 - 1;

    await_ping(to);
    http2_peer_call(to, 0, id, "/t.T/Silent", NULL, 0);
    http2_peer_send_frame(to, PEER_DATA, 0, id, "\0\0\3\x20\0", 5);
    for (; left > sizeof(block); left -= sizeof(block))
        http2_peer_send_frame(to, PEER_DATA, 0, id, block, sizeof(block));
    http2_peer_send_frame(to, PEER_DATA, 0, id, block, left);
}

static void row_22_what_all_connections_hold_is_bounded_and_each_has_its_share(void **state)
{
    struct http2_peer *greedy[4];

    for (size_t i = 0; i < 4; i++) {
        greedy[i] = http2_peer_open(wire_path(), false);
        send_most(greedy[i], 1);
        await_ping(greedy[i]);
    }
    assert_int_equal(logged, 0);
    send_most(peer, 1);
    http2_peer_await(peer, 1, &answer);
    assert_status("8", NULL);
    assert_non_null(
        strstr(http2_answer_get(&answer, "grpc-message"), "max_buffered_bytes (1048576) is used up"));
    assert_echo_still_works(3);
    assert_int_equal(logged, 1);
    http2_peer_send_frame(greedy[0], PEER_DATA, PEER_END_STREAM, 1, "x", 1);
    http2_peer_await(greedy[0], 1, &answer);
    assert_status("0", NULL);
    send_most(peer, 5);
    send_data(PEER_END_STREAM, 5, "x", 1);
    http2_peer_await(peer, 5, &answer);
    assert_status("0", NULL);
    for (size_t i = 0; i < 4; i++)
        http2_peer_close(greedy[i]);
}

static int start_with_room_for_one(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.max_recv_message_bytes = 200 * 1024,
                                                              .max_unfinished_bytes = 300 * 1024});
}

static void row_15_what_one_connection_leaves_unfinished_is_bounded(void **state)
{
    struct http2_peer *other;

    send_most(peer, 1);
    send_most(peer, 3);
    http2_peer_await(peer, 3, &answer);
    assert_status("8", NULL);
    assert_non_null(
        strstr(http2_answer_get(&answer, "grpc-message"), "max_unfinished_bytes (307200) exceeded"));
    other = http2_peer_open(wire_path(), false);
    send_most(other, 1);
    http2_peer_send_frame(other, PEER_DATA, PEER_END_STREAM, 1, "x", 1);
    http2_peer_await(other, 1, &answer);
    assert_status("0", NULL);
    http2_peer_close(other);
    send_data(PEER_END_STREAM, 1, "x", 1);
    http2_peer_await(peer, 1, &answer);
    assert_status("0", NULL);
}

/* Bombs that could expand to the limit, and wait: what is kept of each is what came. */
static void row_12_a_compressed_request_waits_for_its_end_compressed(void **state)
{
    static const unsigned char zeros[16 * 1024];
    struct codec codec = {0};
    const struct http2_field gzip = {"grpc-encoding", "gzip"};
    char message[256] = {1};
    size_t length =
        codec_compress(&codec, CODING_GZIP, zeros, sizeof(zeros), message + 5, sizeof(message) - 5);

    codec_finish(&codec);
    assert_in_range(length, 1, 200);
    message[4] = (char)length;
    for (uint32_t id = 1; id < 2 * 200; id += 2) {
        http2_peer_call(peer, 0, id, "/t.T/Echo", &gzip, 1);
        send_data(0, id, message, 5 + length);
    }
    await_ping(peer);
    for (uint32_t id = 1; id < 2 * 200; id += 2) {
        send_data(PEER_END_STREAM, id, NULL, 0);
        http2_peer_await(peer, id, &answer);
        assert_status("0", NULL);
        assert_int_equal(answer.length, 5 + sizeof(zeros));
        http2_peer_send_frame(peer, PEER_WINDOW_UPDATE, 0, 0, "\0\1\0\0", 4);
    }
}

/* Peers that open their windows and read nothing: Fill tells how many blocks of 64 KiB it got rid of. */
static void row_22_what_waits_for_all_connections_is_bounded(void **state)
{
    struct http2_peer *others[3];
    int least = 16;

    for (size_t i = 0; i < 3; i++) {
        others[i] = http2_peer_open(wire_path(), false);
        http2_peer_call(others[i], 0, 1, "/t.T/Fill", NULL, 0);
        http2_peer_send_frame(others[i], PEER_DATA, PEER_END_STREAM, 1, "\0\0\0\0\0", 5);
        await_ping(others[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        int sent;

        http2_peer_send_frame(others[i], PEER_WINDOW_UPDATE, 0, 0, "\0\x40\0\0", 4);
        http2_peer_send_frame(others[i], PEER_WINDOW_UPDATE, 0, 1, "\0\x40\0\0", 4);
        http2_peer_await(others[i], 1, &answer);
        assert_status("8", NULL);
        sent = atoi(http2_answer_get(&answer, "grpc-message"));
        assert_in_range(sent, 1, least);
        least = sent;
        http2_peer_close(others[i]);
    }
    assert_int_equal(logged, 1);
    assert_echo_still_works(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name, options) cmocka_unit_test_setup_teardown(name, options, wire_stop)
        ROW(row_15_a_handler_that_takes_nothing_stops_its_peer_and_no_other, wire_start),
        ROW(row_15_what_waits_for_a_peer_is_bounded, wire_start_small),
        ROW(row_15_the_one_reply_of_a_unary_call_waits_however_much_others_have_queued,
            start_with_a_short_queue),
        ROW(row_15_so_does_a_message_for_which_there_was_room, start_with_a_short_queue),
        ROW(row_15_an_answer_over_the_limit_names_it_and_is_logged, start_with_small_answers),
        ROW(row_15_a_refusal_is_kept_once_however_often_a_handler_tries, start_with_small_answers),
        ROW(row_15_an_answer_over_the_budget_of_all_names_it, start_with_little_memory),
        ROW(row_15_what_one_connection_leaves_unfinished_is_bounded, start_with_room_for_one),
        ROW(row_16_settings_name_the_bounds, wire_start),
        ROW(row_16_headers_over_the_bound_are_refused_and_the_connection_lives, wire_start),
        ROW(row_16_streams_over_the_bound_are_refused, wire_start_small),
        ROW(row_16_what_other_clients_announce_is_taken, wire_start),
        ROW(row_20_rapid_resets_end_the_connection_and_leave_nothing, wire_start),
        ROW(row_20_making_the_server_reset_is_counted_too, wire_start),
        ROW(row_20_a_peer_that_reads_nothing_piles_up_nothing, wire_start),
        ROW(row_21_endless_continuations_end_the_connection, wire_start),
        ROW(row_22_a_peer_that_says_nothing_is_closed, wire_start_small),
        ROW(row_22_garbage_is_closed, wire_start),
        ROW(row_22_other_protocols_are_told_what_is_spoken, wire_start),
        ROW(row_22_ttrpc_is_refused_in_ttrpc, wire_start),
        ROW(row_22_ttrpc_is_heard_no_longer_than_a_handshake_takes, start_hurried),
        ROW(row_22_frames_without_data_are_counted, wire_start),
        ROW(row_22_connections_over_the_bound_are_closed_and_there_is_room_again, wire_start_small),
        ROW(row_22_some_descriptors_are_left_to_others, wire_start),
        ROW(row_12_a_compressed_request_waits_for_its_end_compressed, start_tight),
        ROW(row_22_what_all_connections_hold_is_bounded_and_each_has_its_share, start_tight),
        ROW(row_22_what_waits_for_all_connections_is_bounded, start_tight),
#undef ROW
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
