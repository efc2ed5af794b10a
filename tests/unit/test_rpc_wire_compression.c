/* SPDX-License-Identifier: Apache-2.0 */
/* What a gRPC server must do with compressed messages, frame by frame. */
#include <string.h>

#include <tests/cmocka.h>
#include <zlib.h>

#include "http2_wire.h"

static const struct http2_field gzip = {"grpc-encoding", "gzip"};
static const struct http2_field deflated = {"grpc-encoding", "deflate"};

struct packed {
    char bytes[8192];
    size_t length;
};

/* A whole message, with its prefix; `wrap` is 16 for gzip and 0 for deflate. */
static struct packed pack(const void *message, size_t length, int wrap)
{
    struct packed packed = {.bytes = {1}};
    z_stream stream = {.next_in = (Bytef *)message,
                       .avail_in = (uInt)length,
                       .next_out = (Bytef *)packed.bytes + 5,
                       .avail_out = sizeof(packed.bytes) - 5};

    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + wrap, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed.bytes[3] = (char)(stream.total_out >> 8);
    packed.bytes[4] = (char)stream.total_out;
    packed.length = 5 + stream.total_out;
    deflateEnd(&stream);
    return packed;
}

/* Of the answer, the message at `*at`: checks that it is the kilobyte. @return its flag. */
static int take_kilobyte(size_t *at, int wrap)
{
    const uint8_t *prefix = answer.data + *at;
    size_t length = (size_t)prefix[3] << 8 | prefix[4];
    unsigned char plain[2048];
    z_stream stream = {.next_in = (Bytef *)prefix + 5,
                       .avail_in = (uInt)length,
                       .next_out = plain,
                       .avail_out = sizeof(plain)};

    assert_true(*at + 5 + length <= answer.length);
    *at += 5 + length;
    if (prefix[0] == 0) {
        assert_int_equal(length, 1024);
        return 0;
    }
    assert_int_equal(inflateInit2(&stream, 15 + wrap), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, 1024);
    inflateEnd(&stream);
    return prefix[0];
}

static void call_with(uint32_t id, const char *path, const struct http2_field *more, size_t count,
                      const struct packed *message)
{
    http2_peer_call(peer, 0, id, path, more, count);
    send_data(PEER_END_STREAM, id, message->bytes, message->length);
    http2_peer_await(peer, id, &answer);
}

static void row_12_gzip_and_deflate_are_taken(void **state)
{
    const struct packed by_gzip = pack("hello", 5, 16);
    const struct packed by_deflate = pack("hello", 5, 0);

    call_with(1, "/t.T/Echo", &gzip, 1, &by_gzip);
    assert_status("0", NULL);
    assert_memory_equal(answer.data, "\0\0\0\0\5hello", 10);
    assert_null(http2_answer_get(&answer, "grpc-encoding"));
    call_with(3, "/t.T/Echo", &deflated, 1, &by_deflate);
    assert_status("0", NULL);
    assert_memory_equal(answer.data, "\0\0\0\0\5hello", 10);
}

static void row_12_compressed_and_plain_messages_follow_one_another(void **state)
{
    const struct packed packed = pack("hello", 5, 16);

    http2_peer_call(peer, 0, 1, "/t.T/Chat", &gzip, 1);
    send_data(0, 1, "\0\0\0\0\2hi", 7);
    for (size_t i = 0; i < packed.length; i++)
        send_data(0, 1, packed.bytes + i, 1);
    send_data(PEER_END_STREAM, 1, "\0\0\0\0\2yo", 7);
    http2_peer_await(peer, 1, &answer);
    assert_status("0", NULL);
    assert_int_equal(answer.length, 24);
    assert_memory_equal(answer.data, "\0\0\0\0\2hi\0\0\0\0\5hello\0\0\0\0\2yo", 24);
}

static void row_12_an_unknown_encoding_is_unimplemented_and_the_known_ones_are_named(void **state)
{
    static const char *const names[] = {"snappy", "zstd", "GZIP", "", "gzip, deflate"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct http2_field field = {"grpc-encoding", names[i]};
        char text[128];

        snprintf(text, sizeof(text), "grpc: Decompressor is not installed for grpc-encoding \"%s\"",
                 names[i]);
        http2_peer_call(peer, 0, (uint32_t)i * 2 + 1, "/t.T/Echo", &field, 1);
        http2_peer_await(peer, (uint32_t)i * 2 + 1, &answer);
        assert_header(":status", "200");
        assert_status("12", text);
        assert_header("grpc-accept-encoding", "identity,deflate,gzip");
    }
}

static void row_12_a_compressed_message_without_an_encoding_is_internal(void **state)
{
    const struct http2_field identity = {"grpc-encoding", "identity"};
    const struct packed packed = pack("hello", 5, 16);

    call_with(1, "/t.T/Echo", NULL, 0, &packed);
    assert_status("13", "grpc: compressed flag set with identity or empty encoding");
    call_with(3, "/t.T/Echo", &identity, 1, &packed);
    assert_status("13", "grpc: compressed flag set with identity or empty encoding");
}

static void row_12_broken_data_is_internal(void **state)
{
    struct packed packed = pack("hello", 5, 16);

    call_with(1, "/t.T/Echo", &deflated, 1, &packed);
    assert_status("13", "grpc: failed to decompress the received message");
    packed.bytes[packed.length++] = 'x';
    packed.bytes[4]++;
    call_with(3, "/t.T/Echo", &gzip, 1, &packed);
    assert_status("13", NULL);
    packed.length -= 2;
    packed.bytes[4] = (char)(packed.bytes[4] - 2);
    call_with(5, "/t.T/Echo", &gzip, 1, &packed);
    assert_status("13", NULL);
    packed.length = 5;
    packed.bytes[4] = 0;
    call_with(7, "/t.T/Echo", &gzip, 1, &packed);
    assert_status("13", NULL);
    assert_echo_still_works(9);
}

static void row_12_a_bomb_is_exhausted_at_the_limit(void **state)
{
    static const char zeros[1 << 20];
    const struct packed bomb = pack(zeros, sizeof(zeros) / 2, 16);
    const struct packed fits = pack(zeros, 1000, 16);
    char text[128];

    assert_true(bomb.length < 1000);
    call_with(1, "/t.T/Echo", &gzip, 1, &bomb);
    snprintf(
        text, sizeof(text),
        "grpc: received message of %zu bytes is larger than max when decompressed (at least 1001 vs. 1000)",
        bomb.length - 5);
    assert_status("8", text);
    call_with(3, "/t.T/Echo", &gzip, 1, &fits);
    assert_status("0", NULL);
    assert_int_equal(answer.length, 1005);
}

static void row_12_an_answer_is_compressed_as_the_peer_takes_it(void **state)
{
    static const struct {
        const char *accepted;
        const char *encoding;
        int wrap;
    } cases[] = {
        {"identity, deflate, gzip", "gzip", 16},
        {"gzip", "gzip", 16},
        {"deflate", "deflate", 0},
        {"identity", NULL, 0},
        {"snappy", NULL, 0},
    };
    const struct packed one = {.length = 5};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct http2_field accepted = {"grpc-accept-encoding", cases[i].accepted};
        size_t at = 0;

        call_with((uint32_t)i * 2 + 1, "/t.T/Small", &accepted, 1, &one);
        assert_status("0", NULL);
        assert_header("grpc-accept-encoding", "identity,deflate,gzip");
        assert_int_equal(take_kilobyte(&at, cases[i].wrap), cases[i].encoding != NULL);
        if (cases[i].encoding != NULL)
            assert_header("grpc-encoding", cases[i].encoding);
        else
            assert_null(http2_answer_get(&answer, "grpc-encoding"));
    }
}

static void row_12_a_peer_that_says_nothing_of_encodings_is_told_nothing(void **state)
{
    const struct packed one = {.length = 5};
    size_t at = 0;

    call_with(1, "/t.T/Small", NULL, 0, &one);
    assert_status("0", NULL);
    assert_int_equal(take_kilobyte(&at, 0), 0);
    assert_null(http2_answer_get(&answer, "grpc-encoding"));
    assert_null(http2_answer_get(&answer, "grpc-accept-encoding"));
}

static void row_12_each_message_can_be_sent_plain(void **state)
{
    const struct http2_field accepted = {"grpc-accept-encoding", "gzip"};
    const struct packed three = {.bytes = "\0\0\0\0\0\0\0\0\0\3off\0\0\0\0\2on", .length = 20};
    size_t at = 0;

    call_with(1, "/t.T/Small", &accepted, 1, &three);
    assert_status("0", NULL);
    assert_header("grpc-encoding", "gzip");
    assert_int_equal(take_kilobyte(&at, 16), 1);
    assert_int_equal(take_kilobyte(&at, 16), 0);
    assert_int_equal(take_kilobyte(&at, 16), 1);
    assert_int_equal(at, answer.length);
    assert_null(http2_answer_get(&answer, "too-late"));
}

static void row_12_it_is_too_late_for_compression_behind_the_headers(void **state)
{
    const struct http2_field accepted = {"grpc-accept-encoding", "gzip"};
    const struct packed two = {.bytes = "\0\0\0\0\0\0\0\0\0\2on", .length = 12};
    size_t at = 0;

    call_with(1, "/t.T/Plain", &accepted, 1, &two);
    assert_header("too-late", "yes");
    assert_int_equal(take_kilobyte(&at, 16), 0);
    assert_int_equal(take_kilobyte(&at, 16), 0);
    call_with(3, "/t.T/Plain", NULL, 0, &two);
    assert_null(http2_answer_get(&answer, "too-late"));
}

static void row_12_a_handler_hears_whether_a_message_came_compressed(void **state)
{
    const struct packed packed = pack("hello", 5, 16);
    const struct packed plain = {.length = 5};

    call_with(1, "/t.T/Plain", &gzip, 1, &packed);
    assert_header("came-compressed", "yes");
    call_with(3, "/t.T/Plain", &gzip, 1, &plain);
    assert_null(http2_answer_get(&answer, "came-compressed"));
}

static int start_always(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.compression = BERTH_RPC_COMPRESS_ALWAYS});
}

static void row_12_a_server_can_compress_always_where_it_gains(void **state)
{
    const struct http2_field accepted = {"grpc-accept-encoding", "gzip"};
    struct packed message = {.bytes = "\0\0\0\4\0", .length = 5 + 1024};
    size_t at = 0;

    call_with(1, "/t.T/Echo", &accepted, 1, &message);
    assert_header("grpc-encoding", "gzip");
    assert_int_equal(take_kilobyte(&at, 16), 1);
    message = (struct packed){.bytes = "\0\0\0\0\5hello", .length = 10};
    call_with(3, "/t.T/Echo", &accepted, 1, &message);
    assert_memory_equal(answer.data, "\0\0\0\0\5hello", 10);
    call_with(5, "/t.T/Echo", NULL, 0, &message);
    assert_null(http2_answer_get(&answer, "grpc-encoding"));
}

static int start_never(void **state)
{
    return wire_start_with(&(struct berth_rpc_server_options){.compression = BERTH_RPC_COMPRESS_NEVER});
}

static void row_12_a_server_can_know_no_compression(void **state)
{
    const struct http2_field accepted = {"grpc-accept-encoding", "gzip"};
    const struct packed packed = pack("hello", 5, 16);
    const struct packed one = {.length = 5};
    size_t at = 0;

    call_with(1, "/t.T/Echo", &gzip, 1, &packed);
    assert_status("12", "grpc: Decompressor is not installed for grpc-encoding \"gzip\"");
    assert_header("grpc-accept-encoding", "identity");
    call_with(3, "/t.T/Small", &accepted, 1, &one);
    assert_status("0", NULL);
    assert_int_equal(take_kilobyte(&at, 16), 0);
    assert_header("grpc-accept-encoding", "identity");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name, options) cmocka_unit_test_setup_teardown(name, options, wire_stop)
        ROW(row_12_gzip_and_deflate_are_taken, wire_start),
        ROW(row_12_compressed_and_plain_messages_follow_one_another, wire_start),
        ROW(row_12_an_unknown_encoding_is_unimplemented_and_the_known_ones_are_named, wire_start),
        ROW(row_12_a_compressed_message_without_an_encoding_is_internal, wire_start),
        ROW(row_12_broken_data_is_internal, wire_start),
        ROW(row_12_a_bomb_is_exhausted_at_the_limit, wire_start_small),
        ROW(row_12_an_answer_is_compressed_as_the_peer_takes_it, wire_start),
        ROW(row_12_a_peer_that_says_nothing_of_encodings_is_told_nothing, wire_start),
        ROW(row_12_each_message_can_be_sent_plain, wire_start),
        ROW(row_12_it_is_too_late_for_compression_behind_the_headers, wire_start),
        ROW(row_12_a_handler_hears_whether_a_message_came_compressed, wire_start),
        ROW(row_12_a_server_can_compress_always_where_it_gains, start_always),
        ROW(row_12_a_server_can_know_no_compression, start_never),
#undef ROW
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
