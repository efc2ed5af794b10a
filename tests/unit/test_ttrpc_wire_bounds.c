/* SPDX-License-Identifier: Apache-2.0 */
/* What one ttrpc peer may cost the server: frames, calls, metadata, and what waits to be read. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <sdk/rpc/ttrpc/message.h>

#include "ttrpc_wire.h"

static void an_oversize_frame_is_discarded_and_answered(void **state)
{
    static char block[TTRPC_DATA_MAX + 121];

    ttrpc_peer_frame(peer, 1, TTRPC_REQUEST, 0, block, sizeof(block));
    await_failure(1, BERTH_RESOURCE_EXHAUSTED,
                  "message length 4194425 exceed maximum message size of 4194304");
    assert_alive(3);
}

static void an_oversize_frame_ends_its_call(void **state)
{
    static char block[TTRPC_DATA_MAX + 1];

    call(1, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    ttrpc_peer_frame(peer, 1, TTRPC_DATA, 0, block, sizeof(block));
    await_failure(1, BERTH_RESOURCE_EXHAUSTED,
                  "message length 4194305 exceed maximum message size of 4194304");
    await(&ended, 1);
    assert_alive(3);
}

static void the_largest_frame_is_served(void **state)
{
    static char block[TTRPC_DATA_MAX];

    call(1, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    ttrpc_peer_frame(peer, 1, TTRPC_DATA, 0, block, sizeof(block));
    data(1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
    await_answer(1, TTRPC_RESPONSE);
    assert_memory_equal(answer.payload, "4194304", 7);
}

static void metadata_is_bounded(void **state)
{
    static char long_value[20000];
    const char *const pairs[] = {"k", long_value, NULL};
    const char *const odd[] = {"a key", "v", NULL};

    memset(long_value, 'x', sizeof(long_value) - 1);
    ttrpc_peer_request(peer, 1, 0, "/t.T/Note", NULL, 0, 0, pairs);
    await_failure(1, BERTH_RESOURCE_EXHAUSTED, "request metadata exceeds the limit of 16384 bytes");
    ttrpc_peer_request(peer, 3, 0, "/t.T/Note", NULL, 0, 0, odd);
    await_failure(3, BERTH_INVALID_ARGUMENT, "invalid metadata key");
    assert_alive(5);
}

/* In one piece, so that they are answered in one turn: two long failures, echoes, and a third one. */
static void ask_for_failures(uint32_t first, int echoes)
{
    static char requests[64 * 1024];
    char text[500];
    int ends[2];
    ssize_t length;

    memset(text, 'x', sizeof(text));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ttrpc_peer_request(ends[0], first, 0, "/t.T/FailLong", NULL, 0, 0, NULL);
    ttrpc_peer_request(ends[0], first + 2, 0, "/t.T/FailLong", NULL, 0, 0, NULL);
    for (int i = 0; i < echoes; i++)
        ttrpc_peer_request(ends[0], first + 4 + 2 * (uint32_t)i, 0, "/t.T/Echo", text, sizeof(text), 0, NULL);
    ttrpc_peer_request(ends[0], first + 4 + 2 * (uint32_t)echoes, 0, "/t.T/FailLong", NULL, 0, 0, NULL);
    length = recv(ends[1], requests, sizeof(requests), 0);
    ttrpc_peer_send(peer, requests, (size_t)length);
    close(ends[0]);
    close(ends[1]);
}

/* The last begins wherever an answer may begin in what is written at once. */
static void long_failures_have_room_among_other_answers(void **state)
{
    for (int echoes = 0; echoes < 40; echoes++) {
        ask_for_failures(1 + (uint32_t)echoes * 100, echoes);
        for (int i = 0; i < echoes + 3; i++)
            assert_true(ttrpc_peer_read(peer, &answer, 5000));
        assert_int_equal(answer.code, BERTH_NOT_FOUND);
        assert_in_range(answer.length, 8190 + 4000, 8190 + 4096 + 32);
    }
}

static void a_reply_over_the_frames_size_is_refused(void **state)
{
    call(1, 0, "/t.T/TooMuch");
    await_failure(1, BERTH_RESOURCE_EXHAUSTED,
                  "message of 4194304 bytes exceeds what ttrpc carries (4194298)");
    assert_int_equal(logged + debugged, 1);
    call(3, 0, "/t.T/Much");
    await_answer(3, TTRPC_RESPONSE);
    assert_int_equal(answer.payload_length, TTRPC_DATA_MAX - 8);
}

static void a_stream_that_takes_nothing_is_ended_and_the_others_go_on(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Hold");
    for (int i = 0; i < 70; i++)
        data(1, 0, "x");
    await_failure(1, BERTH_RESOURCE_EXHAUSTED,
                  "ttrpc: stream buffer full: the method is not reading its messages");
    await(&ended, 1);
    while (ttrpc_peer_read(peer, &answer, 100))
        assert_string_equal(answer.message, "StreamID is no longer active");
    assert_alive(3);
}

static void what_is_within_the_buffer_waits(void **state)
{
    call(1, TTRPC_REMOTE_OPEN, "/t.T/Hold");
    for (int i = 0; i < 60; i++)
        data(1, 0, "x");
    assert_alive(3);
    assert_false(ttrpc_peer_read(peer, &answer, 1300));
    assert_int_equal(ended, 0);
}

static void too_many_calls_are_refused(void **state)
{
    for (uint32_t id = 1; id < 9; id += 2)
        call(id, 0, "/t.T/Never");
    call(9, 0, "/t.T/Echo");
    await_failure(9, BERTH_RESOURCE_EXHAUSTED,
                  "max_concurrent_streams (4) reached: this connection has as many calls in flight");
}

static void a_message_over_the_limit_is_refused(void **state)
{
    static char block[2000];

    ttrpc_peer_request(peer, 1, 0, "/t.T/Echo", block, sizeof(block), 0, NULL);
    await_failure(1, BERTH_RESOURCE_EXHAUSTED, "ttrpc: received message larger than max (2000 vs. 1024)");
    call(3, TTRPC_REMOTE_OPEN, "/t.T/Sum");
    ttrpc_peer_frame(peer, 3, TTRPC_DATA, 0, block, sizeof(block));
    await_failure(3, BERTH_RESOURCE_EXHAUSTED, "ttrpc: received message larger than max (2000 vs. 1024)");
}

static void what_a_slow_peer_has_waiting_is_bounded(void **state)
{
    call(1, TTRPC_REMOTE_CLOSED, "/t.T/Fill");
    while (ttrpc_peer_read(peer, &answer, 5000) && answer.type == TTRPC_DATA)
        assert_int_equal(answer.length, 64 * 1024);
    assert_int_equal(answer.code, BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(atoi(answer.message), 15);
}

/* Four replies of 4 MiB, and max_queued_bytes is one. */
static void the_one_reply_of_a_unary_call_waits_however_much_others_have_queued(void **state)
{
    for (uint32_t id = 1; id < 9; id += 2)
        call(id, 0, "/t.T/Much");
    for (uint32_t id = 1; id < 9; id += 2) {
        await_answer(id, TTRPC_RESPONSE);
        assert_int_equal(answer.code, BERTH_OK);
        assert_int_equal(answer.payload_length, TTRPC_DATA_MAX - 8);
    }
}

static void a_handler_is_told_when_it_may_send_again(void **state)
{
    int messages = 0;

    call(1, TTRPC_REMOTE_CLOSED, "/t.T/Many");
    while (ttrpc_peer_read(peer, &answer, 5000) && answer.length == 16 * 1024)
        messages++;
    assert_int_equal(messages, 1000);
    assert_int_equal(answer.flags, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
}

static void a_peer_that_reads_no_answers_is_left(void **state)
{
    char frames[TTRPC_HEADER * 100] = {0};
    bool is_lost = false;

    for (int i = 0; i < 100; i++)
        ttrpc_header_write((unsigned char *)frames + (size_t)i * TTRPC_HEADER, 0, 2, TTRPC_REQUEST, 0);
    for (int i = 0; i < 400 && !is_lost; i++)
        is_lost = send(peer, frames, sizeof(frames), MSG_NOSIGNAL) < 0;
    assert_true(is_lost);
    close(peer);
    peer = ttrpc_peer_open(wire_path());
    assert_alive(1);
    assert_in_range(logged + debugged, 1, 8);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, ttrpc_wire_start, ttrpc_wire_stop)
#define SMALL(name) cmocka_unit_test_setup_teardown(name, ttrpc_wire_start_small, ttrpc_wire_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_oversize_frame_is_discarded_and_answered),
        CASE(an_oversize_frame_ends_its_call),
        CASE(the_largest_frame_is_served),
        CASE(metadata_is_bounded),
        CASE(long_failures_have_room_among_other_answers),
        CASE(a_reply_over_the_frames_size_is_refused),
        CASE(a_stream_that_takes_nothing_is_ended_and_the_others_go_on),
        CASE(what_is_within_the_buffer_waits),
        SMALL(too_many_calls_are_refused),
        SMALL(a_message_over_the_limit_is_refused),
        SMALL(what_a_slow_peer_has_waiting_is_bounded),
        SMALL(the_one_reply_of_a_unary_call_waits_however_much_others_have_queued),
        CASE(a_handler_is_told_when_it_may_send_again),
        CASE(a_peer_that_reads_no_answers_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
