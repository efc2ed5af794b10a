/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed messages of a client, and what it makes of those of a server; which bytes travel is looked at.
 */
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/message/codec.h>

#include "rpc_caller.h"

#define LONG_TEXT                                                                                            \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct caller c;
static struct outcome outcome;
static struct codec codec;

/* What the server got: its headers, and all of its messages as they travelled. */
static struct http2_answer request;
/* What it answers: its encoding and one message with its prefix. */
static const char *encoding;
static unsigned char message[512];
static size_t message_length;
static bool came_compressed;

static int start(void **state)
{
    outcome = (struct outcome){0};
    encoding = NULL;
    message_length = 0;
    came_compressed = false;
    caller_start(&c, "compression");
    return 0;
}

static int stop(void **state)
{
    codec_finish(&codec);
    caller_stop(&c);
    return 0;
}

static void serve(int listener)
{
    struct http2_peer *peer = http2_peer_accept(listener, false, 1000);
    const struct http2_field head[] = {
        {":status", "200"}, {"content-type", "application/grpc"}, {"grpc-encoding", encoding}};
    const struct http2_field tail[] = {{"grpc-status", "0"}};

    http2_peer_await(peer, 1, &request);
    http2_peer_send_headers(peer, 0, 1, head, encoding == NULL ? 2 : 3);
    http2_peer_send_frame(peer, PEER_DATA, 0, 1, message, message_length);
    http2_peer_send_headers(peer, PEER_END_STREAM, 1, tail, 1);
    while (http2_peer_read(peer, 5000))
        continue;
    http2_peer_close(peer);
}

static void note_compression(struct outcome *of)
{
    came_compressed = berth_rpc_call_came_compressed(of->call);
}

static void set_answer(enum coding coding, const char *name, const char *text)
{
    encoding = name;
    message_length = codec_compress(&codec, coding, text, strlen(text), message + 5, sizeof(message) - 5);
    message[0] = 1;
    message[4] = (unsigned char)message_length;
    message_length += 5;
}

static void ask(const struct berth_rpc_channel_options *options, const char *text)
{
    outcome.on_message = note_compression;
    caller_open(&c, options);
    caller_play(&c, serve);
    caller_ask(&c, &outcome, NULL, text);
    caller_await(&c, &outcome, 1);
}

static void a_channel_compresses_what_becomes_smaller(void **state)
{
    const struct berth_rpc_channel_options options = {.compress = true};
    const void *plain;
    size_t length;

    ask(&options, LONG_TEXT);
    assert_string_equal(http2_answer_get(&request, "grpc-encoding"), "gzip");
    assert_string_equal(http2_answer_get(&request, "grpc-accept-encoding"), "identity,deflate,gzip");
    assert_int_equal(request.data[0], 1);
    assert_true(request.length < strlen(LONG_TEXT));
    assert_int_equal(
        codec_expand(&codec, CODING_GZIP, request.data + 5, request.length - 5, 1000, &plain, &length),
        CODEC_DONE);
    assert_int_equal(length, strlen(LONG_TEXT));
    assert_memory_equal(plain, LONG_TEXT, length);
}

static void a_short_message_is_sent_as_it_is(void **state)
{
    const struct berth_rpc_channel_options options = {.compress = true};

    ask(&options, "short");
    assert_string_equal(http2_answer_get(&request, "grpc-encoding"), "gzip");
    assert_int_equal(request.length, 10);
    assert_memory_equal(request.data, "\0\0\0\0\5short", 10);
}

static void a_channel_that_was_not_asked_compresses_nothing(void **state)
{
    ask(NULL, LONG_TEXT);
    assert_null(http2_answer_get(&request, "grpc-encoding"));
    assert_int_equal(request.data[0], 0);
}

static void each_message_of_a_call_is_compressed_as_the_caller_wishes(void **state)
{
    size_t first;

    caller_open(&c, NULL);
    caller_play(&c, serve);
    caller_ask(&c, &outcome, NULL, NULL);
    assert_int_equal(berth_rpc_call_compress(outcome.call, true), BERTH_OK);
    assert_int_equal(berth_rpc_call_send(outcome.call, LONG_TEXT, strlen(LONG_TEXT)), BERTH_OK);
    assert_int_equal(berth_rpc_call_compress(outcome.call, false), BERTH_OK);
    assert_int_equal(berth_rpc_call_send(outcome.call, LONG_TEXT, strlen(LONG_TEXT)), BERTH_OK);
    berth_rpc_call_half_close(outcome.call);
    caller_await(&c, &outcome, 1);
    assert_string_equal(http2_answer_get(&request, "grpc-encoding"), "gzip");
    first = 5 + (size_t)request.data[4];
    assert_int_equal(request.data[0], 1);
    assert_int_equal(request.data[first], 0);
    assert_int_equal(request.length, first + 5 + strlen(LONG_TEXT));
}

static void compress_late(struct outcome *of)
{
    of->code = berth_rpc_call_compress(of->call, true);
    came_compressed = of->code == BERTH_FAILED_PRECONDITION;
}

static void a_request_that_left_without_its_encoding_stays_without(void **state)
{
    message_length = 5;
    memset(message, 0, 5);
    outcome.on_message = compress_late;
    caller_open(&c, NULL);
    caller_play(&c, serve);
    caller_ask(&c, &outcome, NULL, "x");
    caller_await(&c, &outcome, 1);
    assert_true(came_compressed);
}

static void what_a_server_compresses_is_read(void **state)
{
    set_answer(CODING_GZIP, "gzip", LONG_TEXT);
    ask(NULL, "x");
    assert_int_equal(outcome.code, BERTH_OK);
    assert_string_equal(outcome.text, LONG_TEXT);
    assert_true(came_compressed);
}

static void deflate_is_read_too(void **state)
{
    set_answer(CODING_DEFLATE, "deflate", LONG_TEXT);
    ask(NULL, "x");
    assert_int_equal(outcome.code, BERTH_OK);
    assert_string_equal(outcome.text, LONG_TEXT);
}

static void an_encoding_that_no_message_has_is_no_harm(void **state)
{
    encoding = "snappy";
    message_length = 6;
    memcpy(message, "\0\0\0\0\1x", 6);
    ask(NULL, "x");
    assert_int_equal(outcome.code, BERTH_OK);
    assert_string_equal(outcome.text, "x");
    assert_false(came_compressed);
}

static void a_message_in_an_unknown_encoding_is_internal_and_the_known_ones_are_named(void **state)
{
    set_answer(CODING_GZIP, "snappy", LONG_TEXT);
    ask(NULL, "x");
    assert_int_equal(outcome.code, BERTH_INTERNAL);
    assert_non_null(strstr(outcome.message, "identity,deflate,gzip"));
}

static void a_compressed_message_without_an_encoding_is_internal(void **state)
{
    set_answer(CODING_GZIP, NULL, LONG_TEXT);
    ask(NULL, "x");
    assert_int_equal(outcome.code, BERTH_INTERNAL);
}

static void a_broken_message_is_internal(void **state)
{
    set_answer(CODING_GZIP, "gzip", LONG_TEXT);
    message[message_length - 1] ^= 1;
    ask(NULL, "x");
    assert_int_equal(outcome.code, BERTH_INTERNAL);
    assert_int_equal(outcome.messages, 0);
}

static void a_bomb_is_exhausted_at_the_limit(void **state)
{
    const struct berth_rpc_channel_options options = {.max_recv_message_bytes = 50};

    set_answer(CODING_GZIP, "gzip", LONG_TEXT);
    ask(&options, "x");
    assert_int_equal(outcome.code, BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(outcome.message, "at least 51 bytes, but this client accepts 50"));
    assert_int_equal(outcome.messages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
        TEST(a_channel_compresses_what_becomes_smaller),
        TEST(a_short_message_is_sent_as_it_is),
        TEST(a_channel_that_was_not_asked_compresses_nothing),
        TEST(each_message_of_a_call_is_compressed_as_the_caller_wishes),
        TEST(a_request_that_left_without_its_encoding_stays_without),
        TEST(what_a_server_compresses_is_read),
        TEST(deflate_is_read_too),
        TEST(an_encoding_that_no_message_has_is_no_harm),
        TEST(a_message_in_an_unknown_encoding_is_internal_and_the_known_ones_are_named),
        TEST(a_compressed_message_without_an_encoding_is_internal),
        TEST(a_broken_message_is_internal),
        TEST(a_bomb_is_exhausted_at_the_limit),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
