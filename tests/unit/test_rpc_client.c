/* SPDX-License-Identifier: Apache-2.0 */
/* A channel on its way to a server: tries, pauses, calls that wait and calls that do not, deadlines and
 * cancels; and what it says of itself. */
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include "rpc_caller.h"

static struct caller c;
static atomic_int accepted;

static int start(void **state)
{
    accepted = 0;
    caller_start(&c, "client");
    return 0;
}

static int stop(void **state)
{
    caller_stop(&c);
    return 0;
}

static void serve_one(int listener)
{
    struct http2_peer *peer = http2_peer_accept(listener, false, 1000);

    if (peer == NULL)
        return;
    for (uint32_t id = script_await_call(peer); id != 0; id = script_await_call(peer))
        script_answer(peer, id, "here");
    http2_peer_close(peer);
}

static struct http2_answer request;

static void keep_the_request(int listener)
{
    struct http2_peer *peer = http2_peer_accept(listener, false, 1000);

    if (peer == NULL)
        return;
    http2_peer_await(peer, 1, &request);
    script_answer(peer, 1, "here");
    while (http2_peer_read(peer, 1000))
        continue;
    http2_peer_close(peer);
}

static const char *user_agent_of(const struct berth_rpc_channel_options *options)
{
    struct outcome outcome = {0};

    caller_play(&c, keep_the_request);
    caller_open(&c, options);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_OK);
    return http2_answer_get(&request, "user-agent");
}

static void a_channel_says_which_library_asks(void **state)
{
    assert_memory_equal(user_agent_of(NULL), "berth-rpc/", strlen("berth-rpc/"));
}

static void a_channel_says_who_asks_in_its_owners_words(void **state)
{
    assert_string_equal(
        user_agent_of(&(struct berth_rpc_channel_options){.user_agent = "harbour-master/7 (tests)"}),
        "harbour-master/7 (tests)");
}

static void count_one(int listener)
{
    struct http2_peer *peer = http2_peer_accept(listener, false, 200);

    if (peer == NULL)
        return;
    accepted++;
    http2_peer_close(peer);
}

static void a_channel_without_calls_connects_to_nobody(void **state)
{
    caller_play(&c, count_one);
    caller_open(&c, NULL);
    caller_run_for(&c, 100);
    caller_end_play(&c);
    assert_int_equal(accepted, 0);
}

static void when_the_tries_are_used_up_a_call_is_unavailable_and_says_how_many_there_were(void **state)
{
    const struct berth_rpc_channel_options options = {.connect_attempts = 3, .connect_backoff_ms = 5};
    struct outcome outcome = {0};
    char expected[256];

    caller_open(&c, &options);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    snprintf(expected, sizeof(expected), "cannot connect to %s: no such file or directory, tried 3 times",
             c.path);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_string_equal(outcome.message, expected);
}

static void during_the_pause_after_that_calls_fail_at_once(void **state)
{
    const struct berth_rpc_channel_options options = {.connect_backoff_ms = 5000};
    struct outcome first = {0}, second = {0};

    caller_open(&c, &options);
    caller_ask(&c, &first, NULL, "x");
    caller_await(&c, &first, 1);
    caller_play(&c, serve_one);
    caller_ask(&c, &second, NULL, "x");
    caller_await(&c, &second, 1);
    assert_int_equal(second.code, BERTH_UNAVAILABLE);
    assert_string_equal(second.message, first.message);
}

static void when_the_pause_is_over_the_next_call_tries_again(void **state)
{
    const struct berth_rpc_channel_options options = {.connect_backoff_ms = 20};
    struct outcome first = {0}, second = {0};

    caller_open(&c, &options);
    caller_ask(&c, &first, NULL, "x");
    caller_await(&c, &first, 1);
    caller_play(&c, serve_one);
    caller_run_for(&c, 100);
    caller_ask(&c, &second, NULL, "x");
    caller_await(&c, &second, 1);
    assert_int_equal(second.code, BERTH_OK);
}

static void a_call_that_waits_for_ready_is_served_when_the_server_comes(void **state)
{
    const struct berth_rpc_channel_options options = {.connect_backoff_ms = 5};
    const struct berth_rpc_call_options patient = {.wait_for_ready = true};
    struct outcome waiting = {0}, hasty = {0};

    caller_open(&c, &options);
    caller_ask(&c, &waiting, &patient, "x");
    caller_ask(&c, &hasty, NULL, "x");
    caller_await(&c, &hasty, 1);
    assert_int_equal(hasty.code, BERTH_UNAVAILABLE);
    caller_run_for(&c, 100);
    assert_false(waiting.is_over);
    caller_play(&c, serve_one);
    caller_await(&c, &waiting, 1);
    assert_int_equal(waiting.code, BERTH_OK);
    assert_string_equal(waiting.text, "here");
}

static void a_call_that_waits_for_ready_ends_at_its_deadline_with_the_reason(void **state)
{
    const struct berth_rpc_channel_options options = {.connect_backoff_ms = 5};
    const struct berth_rpc_call_options patient = {.wait_for_ready = true, .timeout_ms = 100};
    struct outcome outcome = {0};

    caller_open(&c, &options);
    caller_ask(&c, &outcome, &patient, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_DEADLINE_EXCEEDED);
    assert_non_null(strstr(outcome.message, c.path));
    assert_non_null(strstr(outcome.message, "no such file or directory"));
}

static void a_call_that_waits_for_ready_can_be_cancelled(void **state)
{
    const struct berth_rpc_call_options patient = {.wait_for_ready = true};
    struct outcome outcome = {0};

    caller_open(&c, NULL);
    caller_ask(&c, &outcome, &patient, "x");
    caller_run_for(&c, 100);
    assert_false(outcome.is_over);
    berth_rpc_call_cancel(outcome.call);
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_CANCELLED);
}

static void say_nothing(int listener)
{
    struct http2_peer *peer = http2_peer_accept(listener, true, 1000);
    char bytes[256];

    if (peer == NULL)
        return;
    while (recv(peer->fd, bytes, sizeof(bytes), 0) > 0)
        continue;
    http2_peer_close(peer);
}

static void a_server_that_never_sends_settings_is_given_up(void **state)
{
    const struct berth_rpc_channel_options options = {.connect_timeout_ms = 100};
    struct outcome outcome = {0};

    caller_open(&c, &options);
    caller_play(&c, say_nothing);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(outcome.message, "did not respond in time"));
}

static void a_deadline_holds_while_a_server_says_nothing(void **state)
{
    const struct berth_rpc_call_options options = {.timeout_ms = 100};
    struct outcome outcome = {0};

    caller_open(&c, NULL);
    caller_play(&c, say_nothing);
    caller_ask(&c, &outcome, &options, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_DEADLINE_EXCEEDED);
    assert_non_null(strstr(outcome.message, "while connecting to"));
}

static void say_goodbye(int listener)
{
    struct http2_peer *peer;

    while ((peer = http2_peer_accept(listener, false, 300)) != NULL) {
        accepted++;
        http2_peer_send_frame(peer, PEER_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
        http2_peer_close(peer);
    }
}

static void a_server_that_says_goodbye_first_is_not_asked_without_end(void **state)
{
    const struct berth_rpc_channel_options options = {.connect_attempts = 4, .connect_backoff_ms = 10};
    struct outcome outcome = {0};

    caller_open(&c, &options);
    caller_play(&c, say_goodbye);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    caller_end_play(&c);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    /* A try that got as far as the settings counts as one of three repetitions, and the tries begin anew. */
    assert_in_range(accepted, 4, 4 * (3 + 1));
}

static void hang_up(int listener)
{
    struct http2_peer *peer;

    while ((peer = http2_peer_accept(listener, true, 300)) != NULL) {
        accepted++;
        http2_peer_close(peer);
    }
}

static void tries_come_at_growing_intervals(void **state)
{
    const struct berth_rpc_channel_options options = {.connect_backoff_ms = 20};
    const struct berth_rpc_call_options patient = {.wait_for_ready = true, .timeout_ms = 300};
    struct outcome outcome = {0};

    caller_open(&c, &options);
    caller_play(&c, hang_up);
    caller_ask(&c, &outcome, &patient, "x");
    caller_await(&c, &outcome, 1);
    caller_end_play(&c);
    assert_int_equal(outcome.code, BERTH_DEADLINE_EXCEEDED);
    /* 20, 32, 51, 82, 131 ms: a constant pause would allow 16 tries. */
    assert_in_range(accepted, 3, 7);
}

static atomic_int pings;
static atomic_int is_deaf;
static atomic_int is_annoyed;

/* Never answers a call; pings it answers unless it is deaf. */
static void count_pings(int listener)
{
    struct http2_peer *peer;

    while ((peer = http2_peer_accept(listener, false, 1000)) != NULL) {
        accepted++;
        while (http2_peer_read(peer, 5000)) {
            if (peer->type != PEER_PING || (peer->flags & PEER_ACK) != 0)
                continue;
            pings++;
            if (is_annoyed) {
                http2_peer_send_frame(peer, PEER_GOAWAY, 0, 0, "\x7f\xff\xff\xff\0\0\0\x0btoo_many_pings",
                                      22);
                break;
            }
            if (!is_deaf)
                http2_peer_send_frame(peer, PEER_PING, PEER_ACK, 0, peer->payload, 8);
        }
        http2_peer_close(peer);
    }
}

static int start_pinging(void **state)
{
    const struct berth_rpc_channel_options options = {.keepalive_time_ms = 50, .keepalive_timeout_ms = 500};

    start(state);
    pings = is_deaf = is_annoyed = 0;
    caller_open(&c, &options);
    caller_play(&c, count_pings);
    return 0;
}

static void a_silent_connection_with_a_call_is_pinged_and_lives(void **state)
{
    static struct outcome outcome;
    uint64_t start_ns = uv_hrtime();

    caller_ask(&c, &outcome, NULL, "x");
    for (int i = 0; i < 500 && pings < 4; i++)
        caller_run_for(&c, 20);
    assert_in_range(pings, 4, (uv_hrtime() - start_ns) / (50 * 1000000));
    assert_false(outcome.is_over);
}

static void a_connection_without_calls_is_not_pinged(void **state)
{
    struct outcome outcome = {0};
    int before;

    caller_ask(&c, &outcome, NULL, "x");
    caller_run_for(&c, 30);
    berth_rpc_call_cancel(outcome.call);
    caller_await(&c, &outcome, 1);
    caller_run_for(&c, 100);
    before = pings;
    caller_run_for(&c, 300);
    assert_int_equal(pings, before);
}

static void a_server_that_answers_no_ping_is_lost(void **state)
{
    struct outcome outcome = {0};

    is_deaf = 1;
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(outcome.message, "does not respond to pings"));
}

static uint64_t silence_until_pinged(void)
{
    struct outcome outcome = {0};
    uint64_t start_ns = uv_hrtime();

    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    return (uv_hrtime() - start_ns) / 1000000;
}

static void a_server_that_is_pinged_too_often_is_pinged_half_as_often_from_then_on(void **state)
{
    is_annoyed = 1;
    silence_until_pinged();
    silence_until_pinged();
    silence_until_pinged();
    /* 50, 100, 200 and now 400 ms. */
    assert_in_range(silence_until_pinged(), 390, 5000);
    assert_int_equal(pings, 4);
    assert_int_equal(accepted, 4);
}

static void a_call_is_failed_with_the_callers_own_words(void **state)
{
    struct outcome outcome = {0};

    caller_open(&c, NULL);
    caller_play(&c, say_nothing);
    caller_ask(&c, &outcome, NULL, "x");
    berth_rpc_call_fail(outcome.call, BERTH_DATA_LOSS, "half of it is missing");
    berth_rpc_call_cancel(outcome.call);
    caller_await(&c, &outcome, 1);
    assert_int_equal(outcome.code, BERTH_DATA_LOSS);
    assert_string_equal(outcome.message, "half of it is missing");
}

static void a_tag_comes_back(void **state)
{
    const struct berth_rpc_call_options options = {.tag = &accepted};
    static struct outcome outcome, untagged;

    caller_open(&c, NULL);
    caller_ask(&c, &outcome, &options, "x");
    caller_ask(&c, &untagged, NULL, "x");
    assert_ptr_equal(berth_rpc_call_tag(outcome.call), &accepted);
    assert_null(berth_rpc_call_tag(untagged.call));
}

static void options_of_an_older_header_are_taken(void **state)
{
    struct berth_rpc_call_options options = {.path = "/t.T/Echo", .wait_for_ready = true, .tag = &accepted};
    static const struct berth_rpc_call_handlers deaf = {.size = sizeof(deaf)};
    struct berth_rpc_call *call;

    caller_open(&c, NULL);
    options.size = offsetof(struct berth_rpc_call_options, wait_for_ready);
    assert_int_equal(berth_rpc_call_start(c.channel, &options, &deaf, NULL, &call, NULL), BERTH_OK);
    assert_null(berth_rpc_call_tag(call));
}

static void what_waits_for_a_connection_is_bounded(void **state)
{
    const struct berth_rpc_channel_options options = {.max_queued_bytes = 1000};
    const struct berth_rpc_call_options patient = {.wait_for_ready = true};
    static struct outcome outcome, other;
    char message[900] = {0};

    caller_open(&c, &options);
    caller_ask(&c, &outcome, &patient, NULL);
    caller_ask(&c, &other, &patient, NULL);
    assert_int_equal(berth_rpc_call_send(outcome.call, message, sizeof(message)), BERTH_OK);
    assert_int_equal(berth_rpc_call_send(outcome.call, message, sizeof(message)), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(berth_rpc_call_send(other.call, message, sizeof(message)), BERTH_RESOURCE_EXHAUSTED);
    berth_rpc_call_cancel(outcome.call);
    caller_await(&c, &outcome, 1);
    assert_int_equal(berth_rpc_call_send(other.call, message, sizeof(message)), BERTH_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_channel_without_calls_connects_to_nobody),
        TEST(when_the_tries_are_used_up_a_call_is_unavailable_and_says_how_many_there_were),
        TEST(during_the_pause_after_that_calls_fail_at_once),
        TEST(when_the_pause_is_over_the_next_call_tries_again),
        TEST(a_call_that_waits_for_ready_is_served_when_the_server_comes),
        TEST(a_call_that_waits_for_ready_ends_at_its_deadline_with_the_reason),
        TEST(a_call_that_waits_for_ready_can_be_cancelled),
        TEST(a_server_that_never_sends_settings_is_given_up),
        TEST(a_deadline_holds_while_a_server_says_nothing),
        TEST(a_server_that_says_goodbye_first_is_not_asked_without_end),
        TEST(tries_come_at_growing_intervals),
        cmocka_unit_test_setup_teardown(a_silent_connection_with_a_call_is_pinged_and_lives, start_pinging,
                                        stop),
        cmocka_unit_test_setup_teardown(a_connection_without_calls_is_not_pinged, start_pinging, stop),
        cmocka_unit_test_setup_teardown(a_server_that_answers_no_ping_is_lost, start_pinging, stop),
        cmocka_unit_test_setup_teardown(
            a_server_that_is_pinged_too_often_is_pinged_half_as_often_from_then_on, start_pinging, stop),
        TEST(a_call_is_failed_with_the_callers_own_words),
        TEST(a_tag_comes_back),
        TEST(a_channel_says_which_library_asks),
        TEST(a_channel_says_who_asks_in_its_owners_words),
        TEST(options_of_an_older_header_are_taken),
        TEST(what_waits_for_a_connection_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
