/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client and server in one loop: calls of all kinds, their ends, and both sides waiting for each other. What
 * holds for gRPC and for ttrpc is asserted of both.
 */
#include "rpc_pair.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <berth/trace.h>

#include <sdk/rpc/ttrpc/frame.h>

static bool is_grpc(void)
{
    return pair.protocol == BERTH_RPC_GRPC;
}

static void set_true(void *context)
{
    *(bool *)context = true;
}

static void run_until_set(const bool *flag)
{
    for (int i = 0; i < 2000 && !*flag; i++)
        pair_run_for(5);
    assert_true(*flag);
}

static void close_the_server(void)
{
    bool is_closed = false;

    berth_rpc_server_close(pair.server, set_true, &is_closed);
    pair.server = NULL;
    run_until_set(&is_closed);
}

/* How headers and trailers travel; ttrpc has neither. */
static void a_unary_call_is_answered(void **state)
{
    pair_ask("/t.T/Echo", "hello");
    pair_assert_ended(1, BERTH_OK, "");
    assert_string_equal(pair.text, "hello");
    assert_int_equal(pair.messages, 1);
    assert_int_equal(pair.headers, is_grpc());
    assert_string_equal(pair.trailers, is_grpc() ? "x-raw-bin[2] " : "");
    assert_int_equal(seen.ends, 1);
    assert_int_equal(seen.last_end, BERTH_OK);
}

static void an_empty_message_arrives(void **state)
{
    pair_ask("/t.T/Echo", "");
    pair_assert_ended(1, BERTH_OK, "");
    assert_int_equal(pair.messages, 1);
    assert_int_equal(pair.received, 0);
}

static void a_stream_comes_back_message_by_message(void **state)
{
    struct berth_rpc_call *chat = pair_call("/t.T/Chat");

    pair_send(chat, "one");
    pair_run_until_text("one");
    pair_send(chat, "two");
    pair_send(chat, "three");
    pair_run_until_text("one|two|three");
    berth_rpc_call_half_close(chat);
    pair_assert_ended(1, BERTH_OK, "");
}

static void a_stream_of_empty_messages_comes_back(void **state)
{
    pair_call("/t.T/Chat");
    for (int i = 0; i < 10; i++)
        pair_send(pair.call, "");
    berth_rpc_call_half_close(pair.call);
    pair_assert_ended(1, BERTH_OK, "");
    assert_int_equal(pair.messages, 10);
    assert_int_equal(pair.received, 0);
}

static void a_conversation_goes_both_ways(void **state)
{
    pair_call("/t.T/Chat");
    for (unsigned i = 1; i <= 50; i++) {
        pair_send(pair.call, "ping");
        pair_run_until(&pair.messages, i);
    }
    berth_rpc_call_half_close(pair.call);
    pair_assert_ended(1, BERTH_OK, "");
    assert_int_equal(pair.messages, 50);
}

static void a_stream_without_messages_ends(void **state)
{
    berth_rpc_call_half_close(pair_call("/t.T/Chat"));
    pair_assert_ended(1, BERTH_OK, "");
    berth_rpc_call_half_close(pair_call("/t.T/Count"));
    pair_run_until_over(2);
    assert_string_equal(pair.text, "0");
}

static void a_server_sends_a_stream(void **state)
{
    pair_ask("/t.T/Divide", "abc");
    pair_assert_ended(1, BERTH_OK, "");
    assert_string_equal(pair.text, "a|b|c");
}

static void an_empty_payload_begins_a_stream(void **state)
{
    pair_ask("/t.T/Divide", "");
    pair_assert_ended(1, BERTH_OK, "");
    assert_int_equal(pair.messages, 0);
}

static void a_client_stream_has_one_answer(void **state)
{
    pair_call("/t.T/Count");
    for (int i = 0; i < 100; i++)
        pair_send(pair.call, "abc");
    pair_run_for(10);
    pair_send(pair.call, "de");
    berth_rpc_call_half_close(pair.call);
    pair_assert_ended(1, BERTH_OK, "");
    assert_string_equal(pair.text, "302");
}

static void a_failure_arrives_with_code_sentence_and_details(void **state)
{
    pair_ask("/t.T/Refuse", "x");
    pair_assert_ended(1, BERTH_NOT_FOUND, "no \"\xc3\xa4pfel\" here: 100 %\n");
    assert_int_equal(pair.messages, 0);
    assert_string_equal(pair.trailers, is_grpc() ? "x-seen[6] x-raw-bin[2] grpc-status-details-bin[6] "
                                                 : "grpc-status-details-bin[32] ");
}

static void an_unknown_method_is_unimplemented(void **state)
{
    pair_ask("/t.T/Nope", "x");
    pair_assert_ended(1, BERTH_UNIMPLEMENTED,
                      is_grpc() ? "unknown method Nope for service t.T" : "method Nope");
    pair_ask("/no.Such/Nope", "x");
    pair_assert_ended(2, BERTH_UNIMPLEMENTED, is_grpc() ? "unknown service no.Such" : "service no.Such");
}

static void a_handler_may_end_the_call_in_its_start(void **state)
{
    pair_ask("/t.T/InStart", "x");
    pair_assert_ended(1, BERTH_UNAUTHENTICATED, "who are you?");
}

static void a_unary_handler_answers_exactly_once(void **state)
{
    pair_ask("/t.T/Nothing", "x");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_INTERNAL);
    pair_ask("/t.T/Twice", "x");
    pair_assert_ended(2, BERTH_OK, "");
    assert_string_equal(pair.text, "1");
}

static void assert_refused(const char *key, const char *value)
{
    const struct berth_metadata bad = {key, value, strlen(value)};
    const struct berth_rpc_call_options options = {
        .size = sizeof(options), .path = "/t.T/Echo", .metadata = &bad, .metadata_count = 1};
    struct berth_rpc_call *none = NULL;

    assert_int_equal(berth_rpc_call_start(pair.channel, &options, &pair_handlers, NULL, &none, &pair.err),
                     BERTH_INVALID_ARGUMENT);
    assert_null(none);
    assert_non_null(strstr(pair.err.message, key));
}

static void metadata_is_refused_where_it_cannot_be_sent(void **state)
{
    assert_refused("Bad", "x");
    if (!is_grpc())
        assert_refused("k-bin", "\xff");
}

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* Echo, for a call with these headers: what arrives behind the user agent. */
static const char *sent_along(const struct berth_metadata *metadata, size_t count,
                              const struct berth_trace *trace, struct berth_rpc_call_options options)
{
    const struct berth_call parent = {
        .size = sizeof(parent), .metadata = metadata, .metadata_count = count, .trace = trace};
    unsigned calls = pair.over + 1;

    options.size = sizeof(options);
    options.path = "/t.T/Echo";
    options.parent = &parent;
    pair_send(pair_call_with(options), "x");
    berth_rpc_call_half_close(pair.call);
    pair_run_until_over(calls);
    assert_int_equal(pair.code, BERTH_OK);
    *(strstr(seen.call, " deadline=") - strlen(seen.transport)) = '\0';
    return is_grpc() ? strchr(seen.call, ' ') + 1 : seen.call;
}

static void a_call_goes_on_with_the_trace_of_its_parent(void **state)
{
    static const struct berth_metadata headers[] = {
        {"traceparent", PARENT, 55}, {"tracestate", "a=1", 3}, {"other", "x", 1},
        {"tracestate", "b=2", 3},    {"baggage", "k=v", 3},
    };
    struct berth_trace own, child;

    assert_string_equal(sent_along(headers, 0, NULL, (struct berth_rpc_call_options){0}), "");
    assert_string_equal(sent_along(headers, 5, NULL, (struct berth_rpc_call_options){0}),
                        "traceparent=" PARENT " tracestate=a=1,b=2 baggage=k=v ");
    assert_true(berth_trace_parse(PARENT, 55, &own));
    memset(own.span_id, 0x11, 8);
    own.flags = 0;
    assert_string_equal(
        sent_along(headers, 2, &own, (struct berth_rpc_call_options){0}),
        "traceparent=00-0af7651916cd43dd8448eb211c80319c-1111111111111111-00 tracestate=a=1 ");
    child = own;
    memset(child.span_id, 0x22, 8);
    assert_string_equal(sent_along(headers, 1, &own, (struct berth_rpc_call_options){.trace = &child}),
                        "traceparent=00-0af7651916cd43dd8448eb211c80319c-2222222222222222-00 ");
    assert_string_equal(sent_along(headers, 5, &own,
                                   (struct berth_rpc_call_options){.metadata = headers, .metadata_count = 1}),
                        "traceparent=" PARENT " ");
}

static void what_a_caller_made_up_is_not_carried_on(void **state)
{
    static char large[1 << 20];
    const struct berth_metadata headers[] = {
        {"traceparent", "00-0-0-01", 9},
        {"tracestate", "a=1", 3},
        {"baggage", large, sizeof(large)},
    };
    const struct berth_metadata strange[] = {
        {"traceparent", PARENT, 55}, {"tracestate", "a=\t", 3}, {"baggage", " k=\t ", 5}};

    memset(large, 'x', sizeof(large));
    large[1] = '=';
    assert_string_equal(sent_along(headers, 3, NULL, (struct berth_rpc_call_options){0}), "");
    assert_memory_equal(sent_along(strange, 3, NULL, (struct berth_rpc_call_options){0}),
                        "traceparent=" PARENT " ", strlen("traceparent=" PARENT " "));
}

static void many_calls_share_a_connection(void **state)
{
    for (int i = 0; i < 1000; i++)
        pair_ask("/t.T/Echo", "x");
    pair_assert_ended(1000, BERTH_OK, "");
    assert_int_equal(pair.messages, 1000);
}

static void a_long_stream_waits_for_room(void **state)
{
    seen.to_send = 1000;
    pair_ask("/t.T/Blocks", "x");
    pair_assert_ended(1, BERTH_OK, "");
    assert_int_equal(pair.received, (size_t)1000 * RPC_BLOCK);
}

static void a_paused_caller_gets_what_waits_when_it_resumes(void **state)
{
    pair.pauses = true;
    pair_ask("/t.T/Divide", "abcdef");
    pair_run_until_text("a");
    pair_run_for(50);
    for (unsigned i = 2; i <= 6; i++) {
        assert_int_equal(strlen(pair.text), 2 * (i - 1) - 1);
        assert_int_equal(pair.over, 0);
        berth_rpc_call_resume(pair.call);
        pair_run_until(&pair.messages, i);
    }
    assert_string_equal(pair.text, "a|b|c|d|e|f");
    if (pair.call != NULL)
        berth_rpc_call_resume(pair.call);
    pair_assert_ended(1, BERTH_OK, "");
}

static void a_slow_handler_slows_its_caller(void **state)
{
    char block[1024] = {0};

    pair_call("/t.T/Slow");
    for (int i = 0; i < 200; i++)
        assert_int_equal(berth_rpc_call_send(pair.call, block, sizeof(block)), BERTH_OK);
    berth_rpc_call_half_close(pair.call);
    for (int i = 0; i < 400 && pair.over == 0; i++) {
        pair_run_for(1);
        if (seen.paused != NULL)
            berth_call_resume(seen.paused);
    }
    pair_assert_ended(1, BERTH_OK, "");
    assert_string_equal(pair.text, "204800");
}

static void a_deadline_ends_both_sides(void **state)
{
    pair_call_with((struct berth_rpc_call_options){.path = "/t.T/Never", .timeout_ms = 50});
    pair_send(pair.call, "x");
    berth_rpc_call_half_close(pair.call);
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_DEADLINE_EXCEEDED);
    pair_run_for(100);
    assert_int_equal(seen.ends, 1);
    if (!is_grpc())
        assert_int_equal(seen.last_end, BERTH_DEADLINE_EXCEEDED);
    pair_ask("/t.T/Echo", "late answers are harmless");
    pair_assert_ended(2, BERTH_OK, "");
}

static void a_call_may_be_cancelled_in_its_own_message_and_before_it_left(void **state)
{
    pair.cancels = true;
    seen.to_send = 100;
    pair_ask("/t.T/Blocks", "x");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_CANCELLED);
    assert_int_equal(pair.messages, 1);
    pair.cancels = false;
    berth_rpc_call_cancel(pair_call("/t.T/Echo"));
    pair_run_until_over(2);
    assert_int_equal(pair.code, BERTH_CANCELLED);
    assert_int_equal(pair.messages, 1);
    pair_ask("/t.T/Echo", "x");
    pair_assert_ended(3, BERTH_OK, "");
    assert_int_equal(pair.messages, 2);
}

static void a_drain_waits_for_the_calls_that_run(void **state)
{
    struct berth_rpc_call *chat = pair_call("/t.T/Chat"), *count;
    bool is_drained = false;

    pair_send(chat, "1");
    pair_run_until_text("1");
    count = pair_call("/t.T/Count");
    pair_send(count, "abc");
    pair_run_until(&seen.starts, 2);
    berth_rpc_server_drain(pair.server, set_true, &is_drained);
    pair_run_for(50);
    assert_false(is_drained);
    pair_send(chat, "2");
    pair_run_until_text("2");
    berth_rpc_call_half_close(chat);
    pair_assert_ended(1, BERTH_OK, "");
    berth_rpc_call_half_close(count);
    pair_assert_ended(2, BERTH_OK, "");
    assert_string_equal(pair.text, "2|3");
    run_until_set(&is_drained);
}

static void a_channel_finds_the_server_again_after_it_was_away(void **state)
{
    pair_ask("/t.T/Echo", "x");
    pair_run_until_over(1);
    close_the_server();
    pair_ask("/t.T/Echo", "x");
    pair_run_until_over(2);
    assert_int_equal(pair.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(pair.message, pair.path));
    pair_serve(NULL);
    pair_call_with((struct berth_rpc_call_options){.path = "/t.T/Echo", .wait_for_ready = true});
    pair_send(pair.call, "again");
    berth_rpc_call_half_close(pair.call);
    pair_assert_ended(3, BERTH_OK, "");
    assert_string_equal(pair.text, "again");
}

static void a_server_may_be_closed_by_its_handler(void **state)
{
    pair_ask("/t.T/Close", "x");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_UNAVAILABLE);
    assert_int_equal(seen.last_end, BERTH_CANCELLED);
}

static void the_calls_of_a_server_that_goes_are_unavailable(void **state)
{
    pair_ask("/t.T/Never", "x");
    pair_run_until(&seen.starts, 1);
    pair_close_server();
    pair_assert_ended(1, BERTH_UNAVAILABLE, "the server is shutting down");
}

static void closing_a_channel_ends_its_calls_first(void **state)
{
    bool is_closed = false;

    pair_ask("/t.T/Never", "x");
    pair_run_until(&seen.starts, 1);
    pair_call("/t.T/Echo");
    berth_rpc_channel_close(pair.channel, set_true, &is_closed);
    pair.channel = NULL;
    run_until_set(&is_closed);
    assert_int_equal(pair.over, 2);
}

static void nobody_there_is_unavailable_with_the_address(void **state)
{
    const struct berth_rpc_unary_options options = {
        .size = sizeof(options), .address = "/no/such.sock", .path = "/a/b", .protocol = pair.protocol};
    void *response;
    size_t length;

    assert_int_equal(berth_rpc_unary_blocking(&options, &response, &length, &pair.err), BERTH_UNAVAILABLE);
    assert_string_equal(pair.err.message, "cannot connect to /no/such.sock: no such file or directory");
}

static void a_request_that_is_too_large_to_send_is_refused_for_that(void **state)
{
    const size_t length = 17 << 20;
    const struct berth_rpc_unary_options options = {.size = sizeof(options),
                                                    .address = pair.path,
                                                    .path = "/t.T/Echo",
                                                    .request = calloc(1, length),
                                                    .request_length = length,
                                                    .protocol = pair.protocol};
    size_t response_length;
    void *response;

    assert_int_equal(berth_rpc_unary_blocking(&options, &response, &response_length, &pair.err),
                     BERTH_RESOURCE_EXHAUSTED);
    assert_string_equal(pair.err.message, "the request is too large to send");
    free((void *)options.request);
}

static void attempts_to_connect_are_repeated_as_often_as_told(void **state)
{
    close_the_server();
    pair_connect_with((struct berth_rpc_channel_options){
        .address = pair.path, .connect_attempts = 20, .connect_backoff_ms = 10});
    pair_ask("/t.T/Echo", "late");
    pair_run_for(50);
    assert_int_equal(pair.over, 0);
    pair_serve(NULL);
    pair_assert_ended(1, BERTH_OK, "");
}

static void a_deadline_holds_while_connecting(void **state)
{
    pair_connect_with(
        (struct berth_rpc_channel_options){.address = "/no/such.sock", .connect_attempts = 1000000});
    pair_call_with((struct berth_rpc_call_options){.path = "/t.T/Echo", .timeout_ms = 100});
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_DEADLINE_EXCEEDED);
    assert_non_null(strstr(pair.message, "connecting to /no/such.sock"));
}

static void what_a_server_has_done_is_counted(void **state)
{
    struct berth_rpc_server_stats stats,
        older = {.size = offsetof(struct berth_rpc_server_stats, calls_opened)};

    pair_ask("/t.T/Echo", "hello");
    pair_run_until_over(1);
    stats = pair_stats();
    assert_int_equal(stats.connections, 1);
    assert_int_equal(stats.connections_accepted, 1);
    assert_int_equal(stats.calls, 0);
    assert_int_equal(stats.calls_opened, 1);
    assert_int_equal(stats.calls_ended[BERTH_OK], 1);
    assert_true(stats.bytes_received > strlen("hello") && stats.bytes_sent > strlen("hello"));
    berth_rpc_server_get_stats(pair.server, &older);
    assert_int_equal(older.connections_accepted, 1);
    assert_int_equal(older.calls_opened, 0);
}

static void connections_that_were_refused_are_counted(void **state)
{
    const struct berth_rpc_server_options options = {.size = sizeof(options), .max_connections = 1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    pair_close_server();
    pair_serve(&options);
    pair_ask("/t.T/Echo", "hello");
    pair_run_until_over(1);
    strcpy(address.sun_path, pair.path);
    assert_int_equal(connect(other, (struct sockaddr *)&address, sizeof(address)), 0);
    for (int i = 0; i < 500 && pair_stats().connections_refused == 0; i++)
        pair_run_for(10);
    close(other);
    assert_int_equal(pair_stats().connections_refused, 1);
    assert_int_equal(pair_stats().connections, 1);
    assert_int_equal(pair_stats().calls_ended[BERTH_OK], 1);
}

static void connections_do_not_pile_up(void **state)
{
    for (unsigned i = 0; i < 20; i++) {
        pair_ask("/t.T/Echo", "x");
        pair_run_until_over(i + 1);
        pair_connect(pair.path, NULL);
    }
    for (int i = 0; i < 2000 && pair_stats().connections > 0; i++)
        pair_run_for(5);
    assert_int_equal(pair_stats().connections_accepted, 20);
    assert_int_equal(pair_stats().connections, 0);
    assert_int_equal(pair_stats().calls, 0);
    assert_int_equal(pair_stats().calls_ended[BERTH_OK], 20);
}

/* What only gRPC does. */

static void a_big_message_arrives(void **state)
{
    size_t length = 15 * 1024 * 1024;
    char *big = calloc(1, length);

    assert_int_equal(berth_rpc_call_send(pair_call("/t.T/Echo"), big, length), BERTH_OK);
    berth_rpc_call_half_close(pair.call);
    pair_assert_ended(1, BERTH_OK, "");
    assert_int_equal(pair.received, length);
    free(big);
}

static void a_message_over_the_limit_is_refused_and_the_call_goes_on(void **state)
{
    size_t length = 16 * 1024 * 1024 + 1;
    char *big = calloc(1, length);

    pair_call("/t.T/Echo");
    assert_int_equal(berth_rpc_call_send(pair.call, big, length), BERTH_RESOURCE_EXHAUSTED);
    pair_send(pair.call, "small");
    berth_rpc_call_half_close(pair.call);
    pair_run_until_over(1);
    assert_string_equal(pair.text, "small");
    free(big);
}

static void a_unary_call_without_a_request_is_internal(void **state)
{
    berth_rpc_call_half_close(pair_call("/t.T/Echo"));
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_INTERNAL);
    pair_send(pair_call("/t.T/Echo"), "1");
    pair_send(pair.call, "2");
    berth_rpc_call_half_close(pair.call);
    pair_run_until_over(2);
    assert_int_equal(pair.code, BERTH_INTERNAL);
}

static void a_server_stream_waits_for_its_reader(void **state)
{
    seen.to_send = 1000;
    pair.pauses = true;
    pair_ask("/t.T/Blocks", "");
    for (int i = 0; i < 1000 && seen.to_send > 990; i++)
        pair_run_for(10);
    pair_run_for(200);
    assert_int_equal(pair.messages, 1);
    assert_in_range(seen.to_send, 900, 990);
    while (pair.over == 0) {
        berth_rpc_call_resume(pair.call);
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(pair.messages, 1000);
    assert_int_equal(pair.received, 1000 * RPC_BLOCK);
    assert_int_equal(pair.code, BERTH_OK);
}

static void a_client_stream_waits_for_its_handler(void **state)
{
    static const char block[RPC_BLOCK];
    size_t sent = 0;

    pair_call("/t.T/Slow");
    for (int i = 0; i < 100; i++) {
        while (berth_rpc_call_can_send(pair.call) && sent < 1000) {
            assert_int_equal(berth_rpc_call_send(pair.call, block, sizeof(block)), BERTH_OK);
            sent++;
        }
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    assert_in_range(sent, 1, 100);
    assert_int_equal(seen.taken, RPC_BLOCK);
    while (sent < 1000 || pair.over == 0) {
        if (seen.paused != NULL)
            berth_call_resume(seen.paused);
        while (sent < 1000 && berth_rpc_call_can_send(pair.call))
            if (berth_rpc_call_send(pair.call, block, sizeof(block)) == BERTH_OK && ++sent == 1000)
                berth_rpc_call_half_close(pair.call);
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(pair.code, BERTH_OK);
    assert_int_equal(seen.taken, 1000 * RPC_BLOCK);
    assert_true(pair.writables > 0);
}

static void a_cancelled_call_ends_its_handler(void **state)
{
    pair_ask("/t.T/Never", "x");
    pair_run_until(&seen.starts, 1);
    berth_rpc_call_cancel(pair.call);
    assert_int_equal(pair.over, 0);
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_CANCELLED);
    pair_run_until(&seen.ends, 1);
    assert_int_equal(seen.last_end, BERTH_CANCELLED);
}

static void services_that_are_wrong_are_refused(void **state)
{
    static const struct berth_method mute = {.name = "M", .kind = BERTH_METHOD_UNARY};
    static const struct berth_service no_handler = {.size = sizeof(no_handler),
                                                    .method_size = sizeof(mute),
                                                    .name = "a.B",
                                                    .methods = &mute,
                                                    .method_count = 1};
    const struct berth_rpc_service_entry twice[] = {{.service = &rpc_service}, {.service = &rpc_service}};
    const struct berth_rpc_service_entry wrong = {.service = &no_handler};
    struct berth_rpc_services *none = NULL;

    assert_int_equal(berth_rpc_services_create(twice, 2, &none, &pair.err), BERTH_ALREADY_EXISTS);
    assert_int_equal(berth_rpc_services_create(&wrong, 1, &none, &pair.err), BERTH_INVALID_ARGUMENT);
    assert_null(none);
}

static void a_socket_that_somebody_else_connected_is_served(void **state)
{
    unsigned char header[9] = {0};
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(berth_rpc_server_adopt(pair.server, ends[0], &pair.err), BERTH_OK);
    assert_int_equal(send(ends[1], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, MSG_NOSIGNAL), 24);
    for (int i = 0; i < 500 && recv(ends[1], header, sizeof(header), MSG_PEEK) != sizeof(header); i++)
        pair_run_for(10);
    assert_int_equal(header[3], 4); /* SETTINGS, RFC 9113 6.5 */
    close(ends[1]);
    for (int i = 0; i < 500 && pair_stats().connections > 0; i++)
        pair_run_for(10);
    assert_int_equal(pair_stats().connections, 0);
    assert_int_equal(berth_rpc_server_adopt(pair.server, -1, &pair.err), BERTH_UNAVAILABLE);
}

/* What only ttrpc does. */

static void metadata_and_deadline_reach_the_handler(void **state)
{
    const struct berth_metadata metadata[] = {
        {"containerd-namespace-ttrpc", "ns", 2}, {"k", "1", 1}, {"k", "\xc3\xbc", 2}};

    pair_call_with((struct berth_rpc_call_options){
        .path = "/t.T/Echo", .metadata = metadata, .metadata_count = 3, .timeout_ms = 60000});
    pair_send(pair.call, "x");
    berth_rpc_call_half_close(pair.call);
    pair_assert_ended(1, BERTH_OK, "");
    assert_string_equal(seen.call, "containerd-namespace-ttrpc=ns k=1 k=\xc3\xbc ttrpc deadline=1");
}

static void a_message_fits_a_frame_or_is_refused(void **state)
{
    static char big[TTRPC_DATA_MAX + 1];

    pair_call("/t.T/Echo");
    assert_int_equal(berth_rpc_call_send(pair.call, big, TTRPC_DATA_MAX), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(berth_rpc_call_send(pair.call, big, TTRPC_DATA_MAX - 64), BERTH_OK);
    assert_int_equal(berth_rpc_call_send(pair.call, big, 1), BERTH_FAILED_PRECONDITION);
    berth_rpc_call_half_close(pair.call);
    pair_assert_ended(1, BERTH_OK, "");
    assert_int_equal(pair.received, TTRPC_DATA_MAX - 64);
    pair_call("/t.T/Count");
    assert_int_equal(berth_rpc_call_send(pair.call, big, TTRPC_DATA_MAX + 1), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(berth_rpc_call_send(pair.call, big, TTRPC_DATA_MAX), BERTH_OK);
    berth_rpc_call_half_close(pair.call);
    pair_run_until_over(2);
    assert_string_equal(pair.text, "4194304");
}

static void a_caller_that_takes_nothing_loses_its_call_and_no_other(void **state)
{
    pair.pauses = true;
    seen.to_send = 1000;
    pair_ask("/t.T/Blocks", "x");
    pair_assert_ended(1, BERTH_RESOURCE_EXHAUSTED,
                      "stream buffer full: the caller is not reading its messages");
    pair.pauses = false;
    pair_ask("/t.T/Echo", "x");
    pair_assert_ended(2, BERTH_OK, "");
}

static void one_server_listens_for_both_protocols(void **state)
{
    char path[80];
    const struct berth_rpc_unix_options where = {.size = sizeof(where), .path = path};

    snprintf(path, sizeof(path), "%s.grpc", pair.path);
    assert_int_equal(berth_rpc_server_listen_unix(pair.server, &where, &pair.err), BERTH_OK);
    pair.protocol = BERTH_RPC_GRPC;
    pair_connect(path, NULL);
    pair_ask("/t.T/Echo", "grpc");
    pair_run_until_over(1);
    assert_string_equal(pair.text, "grpc");
    assert_non_null(strstr(seen.call, " grpc deadline=0"));
    pair.protocol = BERTH_RPC_TTRPC;
    pair_connect(pair.path, NULL);
    pair_ask("/t.T/Echo", "ttrpc");
    pair_run_until_over(2);
    assert_string_equal(seen.call, "ttrpc deadline=0");
    assert_string_equal(pair.text, "ttrpc");
    strncat(path, ".lock", sizeof(path) - strlen(path) - 1);
    unlink(path);
}

#define OVER(protocol, name)                                                                                 \
    {                                                                                                        \
#protocol ": " #name, name, pair_start_##protocol, pair_stop, NULL                                   \
    }
#define GRPC(name) OVER(grpc, name)
#define TTRPC(name) OVER(ttrpc, name)
#define BOTH(name) GRPC(name), TTRPC(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_unary_call_is_answered),
        BOTH(an_empty_message_arrives),
        BOTH(a_stream_comes_back_message_by_message),
        BOTH(a_stream_of_empty_messages_comes_back),
        BOTH(a_conversation_goes_both_ways),
        BOTH(a_stream_without_messages_ends),
        BOTH(a_server_sends_a_stream),
        BOTH(an_empty_payload_begins_a_stream),
        BOTH(a_client_stream_has_one_answer),
        BOTH(a_failure_arrives_with_code_sentence_and_details),
        BOTH(an_unknown_method_is_unimplemented),
        BOTH(a_handler_may_end_the_call_in_its_start),
        BOTH(a_unary_handler_answers_exactly_once),
        BOTH(metadata_is_refused_where_it_cannot_be_sent),
        BOTH(a_call_goes_on_with_the_trace_of_its_parent),
        BOTH(what_a_caller_made_up_is_not_carried_on),
        BOTH(many_calls_share_a_connection),
        BOTH(a_long_stream_waits_for_room),
        BOTH(a_paused_caller_gets_what_waits_when_it_resumes),
        BOTH(a_slow_handler_slows_its_caller),
        BOTH(a_deadline_ends_both_sides),
        BOTH(a_call_may_be_cancelled_in_its_own_message_and_before_it_left),
        BOTH(a_drain_waits_for_the_calls_that_run),
        BOTH(a_channel_finds_the_server_again_after_it_was_away),
        BOTH(a_server_may_be_closed_by_its_handler),
        BOTH(the_calls_of_a_server_that_goes_are_unavailable),
        BOTH(closing_a_channel_ends_its_calls_first),
        BOTH(nobody_there_is_unavailable_with_the_address),
        BOTH(a_request_that_is_too_large_to_send_is_refused_for_that),
        BOTH(attempts_to_connect_are_repeated_as_often_as_told),
        BOTH(a_deadline_holds_while_connecting),
        BOTH(what_a_server_has_done_is_counted),
        BOTH(connections_that_were_refused_are_counted),
        BOTH(connections_do_not_pile_up),
        GRPC(a_big_message_arrives),
        GRPC(a_message_over_the_limit_is_refused_and_the_call_goes_on),
        GRPC(a_unary_call_without_a_request_is_internal),
        GRPC(a_server_stream_waits_for_its_reader),
        GRPC(a_client_stream_waits_for_its_handler),
        GRPC(a_cancelled_call_ends_its_handler),
        GRPC(services_that_are_wrong_are_refused),
        GRPC(a_socket_that_somebody_else_connected_is_served),
        TTRPC(metadata_and_deadline_reach_the_handler),
        TTRPC(a_message_fits_a_frame_or_is_refused),
        TTRPC(a_caller_that_takes_nothing_loses_its_call_and_no_other),
        TTRPC(one_server_listens_for_both_protocols),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
