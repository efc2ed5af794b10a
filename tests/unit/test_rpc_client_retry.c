/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that no server has begun to work on are tried again, and only those. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include "rpc_caller.h"

#define REFUSED_STREAM "\0\0\0\x07"
#define CANCEL "\0\0\0\x08"

static struct caller c;
static atomic_int seen;
static atomic_int connections;
static char request[64];

static int start(void **state)
{
    seen = connections = 0;
    request[0] = '\0';
    caller_start(&c, "retry");
    return 0;
}

static int stop(void **state)
{
    caller_stop(&c);
    return 0;
}

static uint32_t await_counted(struct http2_peer *peer)
{
    uint32_t id = script_await_call(peer);

    if (id != 0)
        seen++;
    return id;
}

static struct http2_peer *accept_counted(int listener)
{
    struct http2_peer *peer = http2_peer_accept(listener, false, 1000);

    if (peer != NULL)
        connections++;
    return peer;
}

static void serve_rest(struct http2_peer *peer)
{
    for (uint32_t id = await_counted(peer); id != 0; id = await_counted(peer))
        script_answer(peer, id, "done");
}

/* Refuses two calls, then serves. */
static void refuse_twice(int listener)
{
    struct http2_peer *peer = accept_counted(listener);

    for (int i = 0; i < 2; i++)
        http2_peer_send_frame(peer, PEER_RST_STREAM, 0, await_counted(peer), REFUSED_STREAM, 4);
    serve_rest(peer);
    http2_peer_close(peer);
}

static void a_call_that_was_refused_is_tried_again(void **state)
{
    struct outcome outcome = {0};

    caller_open(&c, NULL);
    caller_play(&c, refuse_twice);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_OK);
    assert_string_equal(outcome.text, "done");
    assert_int_equal(outcome.messages, 1);
    assert_int_equal(outcome.headers, 1);
    assert_int_equal(seen, 3);
}

static void refuse_always(int listener)
{
    struct http2_peer *peer = accept_counted(listener);

    for (uint32_t id = await_counted(peer); id != 0; id = await_counted(peer))
        http2_peer_send_frame(peer, PEER_RST_STREAM, 0, id, REFUSED_STREAM, 4);
    http2_peer_close(peer);
}

static void it_is_tried_only_as_often_as_told(void **state)
{
    const struct berth_rpc_channel_options options = {.max_transparent_retries = 5};
    struct outcome outcome = {0};

    caller_open(&c, &options);
    caller_play(&c, refuse_always);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_string_equal(outcome.message, "the server refused the call before processing it");
    assert_int_equal(seen, 6);
}

static void never_means_never(void **state)
{
    const struct berth_rpc_channel_options options = {.max_transparent_retries = UINT32_MAX};
    struct outcome outcome = {0};

    caller_open(&c, &options);
    caller_play(&c, refuse_always);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_int_equal(seen, 1);
}

static void give_up_after_headers(int listener)
{
    const struct http2_field head[] = {{":status", "200"}, {"content-type", "application/grpc"}};
    struct http2_peer *peer = accept_counted(listener);
    uint32_t id = await_counted(peer);

    http2_peer_send_headers(peer, 0, id, head, 2);
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, id, REFUSED_STREAM, 4);
    serve_rest(peer);
    http2_peer_close(peer);
}

static void a_call_whose_headers_came_is_never_tried_again(void **state)
{
    struct outcome outcome = {0};

    caller_open(&c, NULL);
    caller_play(&c, give_up_after_headers);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_int_equal(seen, 1);
}

static void reset_with_cancel(int listener)
{
    struct http2_peer *peer = accept_counted(listener);

    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, await_counted(peer), CANCEL, 4);
    serve_rest(peer);
    http2_peer_close(peer);
}

static void a_call_that_was_reset_for_another_reason_is_not(void **state)
{
    struct outcome outcome = {0};

    caller_open(&c, NULL);
    caller_play(&c, reset_with_cancel);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_CANCELLED);
    assert_int_equal(seen, 1);
}

/* Takes two calls, goes away with the first as the last, answers that one; the second comes to the next
 * connection. */
static void go_away_in_between(int listener)
{
    struct http2_peer *peer = accept_counted(listener);
    uint32_t first = await_counted(peer);
    struct http2_peer *next;

    await_counted(peer);
    http2_peer_send_frame(peer, PEER_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
    next = accept_counted(listener);
    script_answer(next, await_counted(next), "second");
    script_answer(peer, first, "first");
    http2_peer_read(peer, 5000);
    http2_peer_close(peer);
    serve_rest(next);
    http2_peer_close(next);
}

static void a_call_beyond_the_last_one_of_a_goaway_goes_to_the_next_connection(void **state)
{
    struct outcome outcomes[2] = {{0}};

    caller_open(&c, NULL);
    caller_play(&c, go_away_in_between);
    caller_ask(&c, &outcomes[0], NULL, "x");
    caller_ask(&c, &outcomes[1], NULL, "x");
    caller_await(&c, outcomes, 2);
    assert_int_equal(outcomes[0].code, BERTH_OK);
    assert_int_equal(outcomes[1].code, BERTH_OK);
    assert_string_equal(outcomes[0].text, "first");
    assert_string_equal(outcomes[1].text, "second");
    assert_int_equal(connections, 2);
}

/* Hangs up without having read, and serves whoever comes then. */
static void hang_up_then_serve(int listener)
{
    struct http2_peer *peer = accept_counted(listener);

    script_answer(peer, await_counted(peer), "one");
    http2_peer_read(peer, 200);
    http2_peer_close(peer);
    peer = accept_counted(listener);
    if (peer == NULL)
        return;
    serve_rest(peer);
    http2_peer_close(peer);
}

static void a_call_that_meets_a_connection_that_is_gone_takes_another(void **state)
{
    struct outcome first = {0}, second = {0};

    caller_open(&c, NULL);
    caller_play(&c, hang_up_then_serve);
    caller_ask(&c, &first, NULL, "x");
    caller_await(&c, &first, 1);
    /* The loop does not hear of the end before the call is on its way. */
    usleep(600 * 1000);
    caller_ask(&c, &second, NULL, "x");
    caller_await(&c, &second, 1);
    assert_int_equal(second.code, BERTH_OK);
    assert_string_equal(second.text, "done");
    assert_int_equal(connections, 2);
}

static void hang_up_after_the_request(int listener)
{
    struct http2_peer *peer = accept_counted(listener);

    await_counted(peer);
    http2_peer_close(peer);
    peer = accept_counted(listener);
    if (peer == NULL)
        return;
    serve_rest(peer);
    http2_peer_close(peer);
}

static void a_call_that_the_server_may_have_seen_is_not_tried_again(void **state)
{
    struct outcome outcome = {0};

    caller_open(&c, NULL);
    caller_play(&c, hang_up_after_the_request);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(outcome.message, c.path));
    assert_int_equal(seen, 1);
}

/* Refuses when two messages are there, and takes note of what comes then. */
static void refuse_after_two_messages(int listener)
{
    static struct http2_answer answer;
    struct http2_peer *peer = accept_counted(listener);
    uint32_t id = await_counted(peer);
    size_t length = 0;

    while (length < 12 && http2_peer_read(peer, 5000))
        length += peer->type == PEER_DATA ? peer->length : 0;
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, id, REFUSED_STREAM, 4);
    id = await_counted(peer);
    http2_peer_await(peer, id, &answer);
    memcpy(request, answer.data, answer.length < sizeof(request) ? answer.length : sizeof(request));
    script_answer(peer, id, "done");
    serve_rest(peer);
    http2_peer_close(peer);
}

static void the_messages_sent_so_far_are_sent_again_and_later_ones_behind_them(void **state)
{
    struct outcome outcome = {0};

    caller_open(&c, NULL);
    caller_play(&c, refuse_after_two_messages);
    caller_ask(&c, &outcome, NULL, NULL);
    berth_rpc_call_send(outcome.call, "a", 1);
    berth_rpc_call_send(outcome.call, "b", 1);
    while (seen < 2)
        uv_run(&c.loop, UV_RUN_NOWAIT);
    berth_rpc_call_send(outcome.call, "c", 1);
    berth_rpc_call_half_close(outcome.call);
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_OK);
    assert_memory_equal(request, "\0\0\0\0\1a\0\0\0\0\1b\0\0\0\0\1c", 18);
}

static void take_much_and_refuse(int listener)
{
    struct http2_peer *peer = accept_counted(listener);
    uint32_t id = await_counted(peer);
    size_t length = 0;

    while (length < 3000 && http2_peer_read(peer, 5000))
        length += peer->type == PEER_DATA ? peer->length : 0;
    http2_peer_send_frame(peer, PEER_RST_STREAM, 0, id, REFUSED_STREAM, 4);
    serve_rest(peer);
    http2_peer_close(peer);
}

static void a_call_that_sent_more_than_may_be_kept_is_not_tried_again(void **state)
{
    const struct berth_rpc_channel_options options = {.max_queued_bytes = 2000};
    const struct berth_rpc_call_options plain = {.timeout_ms = 0};
    char message[1000] = {0};
    struct outcome outcome = {0};
    size_t sent = 0;

    caller_open(&c, &options);
    caller_play(&c, take_much_and_refuse);
    caller_ask(&c, &outcome, &plain, NULL);
    while (!outcome.is_over && sent < 4) {
        if (berth_rpc_call_send(outcome.call, message, sizeof(message)) == BERTH_OK)
            sent++;
        uv_run(&c.loop, UV_RUN_NOWAIT);
    }
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_int_equal(seen, 1);
}

/* One at a time, of three. */
static void serve_one_at_a_time(int listener)
{
    struct http2_peer *peer = http2_peer_accept(listener, true, 1000);

    http2_peer_send_frame(peer, PEER_SETTINGS, 0, 0, "\0\3\0\0\0\1", 6);
    for (int i = 0; i < 3; i++) {
        uint32_t id = await_counted(peer);

        while (http2_peer_read(peer, 100))
            if (peer->type == PEER_HEADERS)
                connections++;
        script_answer(peer, id, "done");
    }
    http2_peer_close(peer);
}

static void calls_beyond_what_the_server_takes_wait_for_their_turn(void **state)
{
    struct outcome outcomes[3] = {{0}};

    caller_open(&c, NULL);
    caller_play(&c, serve_one_at_a_time);
    for (int i = 0; i < 3; i++)
        caller_ask(&c, &outcomes[i], NULL, "x");
    caller_await(&c, outcomes, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(outcomes[i].code, BERTH_OK);
    assert_int_equal(seen, 3);
    assert_int_equal(connections, 0);
}

/* Takes one call at a time and goes away while it runs; the one that waits goes elsewhere at once. */
static void go_away_while_one_waits(int listener)
{
    struct http2_peer *peer = http2_peer_accept(listener, true, 1000);
    struct http2_peer *next;
    uint32_t id;

    http2_peer_send_frame(peer, PEER_SETTINGS, 0, 0, "\0\3\0\0\0\1", 6);
    id = await_counted(peer);
    http2_peer_send_frame(peer, PEER_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
    next = accept_counted(listener);
    script_answer(next, await_counted(next), "second");
    script_answer(peer, id, "first");
    http2_peer_read(peer, 1000);
    http2_peer_close(peer);
    serve_rest(next);
    http2_peer_close(next);
}

static void a_call_that_waits_for_its_turn_does_not_wait_for_a_server_that_goes(void **state)
{
    struct outcome outcomes[2] = {{0}};

    caller_open(&c, NULL);
    caller_play(&c, go_away_while_one_waits);
    caller_ask(&c, &outcomes[0], NULL, "x");
    caller_ask(&c, &outcomes[1], NULL, "x");
    caller_await(&c, outcomes, 2);
    assert_string_equal(outcomes[0].text, "first");
    assert_string_equal(outcomes[1].text, "second");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_that_was_refused_is_tried_again),
        TEST(it_is_tried_only_as_often_as_told),
        TEST(never_means_never),
        TEST(a_call_whose_headers_came_is_never_tried_again),
        TEST(a_call_that_was_reset_for_another_reason_is_not),
        TEST(a_call_beyond_the_last_one_of_a_goaway_goes_to_the_next_connection),
        TEST(a_call_that_meets_a_connection_that_is_gone_takes_another),
        TEST(a_call_that_the_server_may_have_seen_is_not_tried_again),
        TEST(the_messages_sent_so_far_are_sent_again_and_later_ones_behind_them),
        TEST(a_call_that_sent_more_than_may_be_kept_is_not_tried_again),
        TEST(calls_beyond_what_the_server_takes_wait_for_their_turn),
        TEST(a_call_that_waits_for_its_turn_does_not_wait_for_a_server_that_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
