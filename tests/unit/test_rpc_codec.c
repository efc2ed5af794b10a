/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing messages and expanding what a peer says is compressed. */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>
#include <zlib.h>

#include <sdk/rpc/message/inbox.h>
#include <sdk/rpc/message/outflow.h>

#define MIB (1024 * 1024)

static const enum coding both[] = {CODING_GZIP, CODING_DEFLATE};

static void names_are_read_as_they_are_written(void **state)
{
    assert_int_equal(coding_parse("identity", 8), CODING_IDENTITY);
    assert_int_equal(coding_parse("gzip", 4), CODING_GZIP);
    assert_int_equal(coding_parse("deflate", 7), CODING_DEFLATE);
    assert_int_equal(coding_parse("", 0), CODING_UNKNOWN);
    assert_int_equal(coding_parse("GZIP", 4), CODING_UNKNOWN);
    assert_int_equal(coding_parse("gzip2", 5), CODING_UNKNOWN);
    assert_string_equal(coding_name(CODING_DEFLATE), "deflate");
}

static void gzip_is_chosen_then_deflate_then_nothing(void **state)
{
    static const struct {
        const char *accepted;
        enum coding expected;
    } cases[] = {
        {"", CODING_IDENTITY},
        {"identity", CODING_IDENTITY},
        {"identity, deflate, gzip", CODING_GZIP},
        {"gzip,deflate", CODING_GZIP},
        {"identity,deflate", CODING_DEFLATE},
        {" deflate ", CODING_DEFLATE},
        {"snappy,zstd", CODING_IDENTITY},
        {",,", CODING_IDENTITY},
        {"gzi p", CODING_IDENTITY},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(coding_choose(CODING_IDENTITY, cases[i].accepted, strlen(cases[i].accepted)),
                         cases[i].expected);
    assert_int_equal(coding_choose(CODING_DEFLATE, "identity", 8), CODING_DEFLATE);
    assert_int_equal(coding_choose(CODING_DEFLATE, "gzip", 4), CODING_GZIP);
}

/* Text that compresses, but not to nothing. */
static unsigned char *make_message(size_t length)
{
    unsigned char *bytes = malloc(length + 1);

    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)("the quick brown fox"[i % 19] + (i / 1000) % 7);
    return bytes;
}

static void messages_of_every_size_come_back(void **state)
{
    static const size_t sizes[] = {64, 100, 1000, 64 * 1024, MIB, 3 * MIB + 1};
    struct codec codec = {0};

    for (size_t c = 0; c < 2; c++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            unsigned char *message = make_message(sizes[i]);
            unsigned char *packed = malloc(sizes[i]);
            size_t length = codec_compress(&codec, both[c], message, sizes[i], packed, sizes[i] - 1);
            const void *plain;
            size_t plain_length;

            assert_in_range(length, 1, sizes[i] - 1);
            assert_int_equal(codec_expand(&codec, both[c], packed, length, sizes[i], &plain, &plain_length),
                             CODEC_DONE);
            assert_int_equal(plain_length, sizes[i]);
            assert_memory_equal(plain, message, sizes[i]);
            codec_release_plain(&codec);
            assert_in_range(codec.plain.capacity, 0, CODEC_PLAIN_KEPT);
            free(message);
            free(packed);
        }
    codec_finish(&codec);
}

static void what_zlib_writes_is_read(void **state)
{
    struct codec codec = {0};
    unsigned char packed[256];
    uLongf length = sizeof(packed);
    const void *plain;
    size_t plain_length;

    assert_int_equal(compress2(packed, &length, (const Bytef *)"hello hello hello", 17, 9), Z_OK);
    assert_int_equal(codec_expand(&codec, CODING_DEFLATE, packed, length, 17, &plain, &plain_length),
                     CODEC_DONE);
    assert_int_equal(plain_length, 17);
    assert_memory_equal(plain, "hello hello hello", 17);
    codec_finish(&codec);
}

static void what_does_not_become_smaller_is_not_compressed(void **state)
{
    struct codec codec = {0};
    struct pool pool = {0};
    unsigned char noise[4096];
    uint32_t seed = 1;

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (unsigned char)((seed = seed * 1664525 + 1013904223) >> 24);
    for (size_t c = 0; c < 2; c++) {
        assert_null(message_block_create_compressed(&pool, &codec, both[c], noise, sizeof(noise)));
        assert_null(message_block_create_compressed(&pool, &codec, both[c], "abc", 3));
        assert_null(message_block_create_compressed(&pool, &codec, both[c], "", 0));
        assert_null(message_block_create_compressed(&pool, &codec, both[c], "0123456789abcdef", 16));
    }
    codec_finish(&codec);
    pool_finish(&pool);
}

static void a_block_says_that_it_is_compressed_and_is_cut_to_size(void **state)
{
    static const unsigned char zeros[10000];
    struct codec codec = {0};
    struct pool pool = {0};
    struct message_block *block =
        message_block_create_compressed(&pool, &codec, CODING_GZIP, zeros, sizeof(zeros));

    assert_non_null(block);
    assert_in_range(block->length, FRAMING_PREFIX + 18, 200);
    assert_int_equal(block->bytes[0], 1);
    assert_int_equal(block->bytes[4], block->length - FRAMING_PREFIX);
    message_block_unref(block);
    codec_finish(&codec);
    pool_finish(&pool);
}

static void data_that_is_cut_or_goes_on_is_broken(void **state)
{
    struct codec codec = {0};

    for (size_t c = 0; c < 2; c++) {
        unsigned char *message = make_message(1000);
        unsigned char packed[1000];
        size_t length = codec_compress(&codec, both[c], message, 1000, packed, 900);
        const void *plain;
        size_t plain_length;

        for (size_t cut = 0; cut < length; cut++)
            assert_int_equal(codec_expand(&codec, both[c], packed, cut, 1000, &plain, &plain_length),
                             CODEC_BROKEN);
        packed[length] = 0;
        assert_int_equal(codec_expand(&codec, both[c], packed, length + 1, 1000, &plain, &plain_length),
                         CODEC_BROKEN);
        packed[length - 1] ^= 1;
        assert_int_equal(codec_expand(&codec, both[c], packed, length, 1000, &plain, &plain_length),
                         CODEC_BROKEN);
        packed[length - 1] ^= 1;
        assert_int_equal(codec_expand(&codec, both[1 - c], packed, length, 1000, &plain, &plain_length),
                         CODEC_BROKEN);
        assert_int_equal(codec_expand(&codec, both[c], packed, length, 1000, &plain, &plain_length),
                         CODEC_DONE);
        free(message);
    }
    codec_finish(&codec);
}

/* 64 MiB of zeros in 64 KiB: a thousandfold. */
/* @return the length of `count` members in a row, each of `length` bytes. */
static size_t pack_members(struct codec *codec, enum coding coding, size_t count, size_t length,
                           unsigned char **ret_packed)
{
    unsigned char *message = make_message(length);
    unsigned char *packed = malloc(count * (length + 64));
    size_t used = 0;

    for (size_t i = 0; i < count; i++)
        used += codec_compress(codec, coding, message, length, packed + used, length + 64);
    free(message);
    *ret_packed = packed;
    return used;
}

static void the_members_of_a_gzip_file_follow_each_other(void **state)
{
    static const struct {
        enum coding coding;
        size_t members;
        size_t length;
        enum codec_result expected;
    } cases[] = {
        {CODING_GZIP, 2, 1000, CODEC_DONE},      {CODING_GZIP, 3, 0, CODEC_DONE},
        {CODING_GZIP, 3, 100000, CODEC_DONE},    {CODING_GZIP, 4, 100000, CODEC_TOO_LARGE},
        {CODING_GZIP, 1024, 0, CODEC_DONE},      {CODING_GZIP, 1025, 0, CODEC_BROKEN},
        {CODING_DEFLATE, 2, 1000, CODEC_BROKEN},
    };
    struct codec codec = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char *packed;
        size_t length = pack_members(&codec, cases[i].coding, cases[i].members, cases[i].length, &packed);
        const void *plain;
        size_t plain_length;

        assert_int_equal(codec_expand(&codec, cases[i].coding, packed, length, 300000, &plain, &plain_length),
                         cases[i].expected);
        if (cases[i].expected == CODEC_DONE) {
            unsigned char *message = make_message(cases[i].length);

            assert_int_equal(plain_length, cases[i].members * cases[i].length);
            for (size_t at = 0; at < plain_length; at += cases[i].length)
                assert_memory_equal((const char *)plain + at, message, cases[i].length);
            free(message);
            codec_release_plain(&codec);
        }
        free(packed);
    }
    codec_finish(&codec);
}

static void a_bomb_takes_no_more_memory_than_the_limit(void **state)
{
    const size_t bomb_length = 64 * MIB;
    struct codec codec = {0};
    unsigned char *zeros = calloc(1, bomb_length);
    unsigned char *packed = malloc(MIB);
    size_t length = codec_compress(&codec, CODING_GZIP, zeros, bomb_length, packed, MIB);
    const void *plain;
    size_t plain_length;

    free(zeros);
    assert_in_range(length, 1, MIB);
    assert_int_equal(codec_expand(&codec, CODING_GZIP, packed, length, 100000, &plain, &plain_length),
                     CODEC_TOO_LARGE);
    assert_in_range(codec.plain.capacity, 0, CODEC_PLAIN_KEPT);
    assert_int_equal(
        codec_expand(&codec, CODING_GZIP, packed, length, bomb_length - 1, &plain, &plain_length),
        CODEC_TOO_LARGE);
    assert_int_equal(codec_expand(&codec, CODING_GZIP, packed, length, bomb_length, &plain, &plain_length),
                     CODEC_DONE);
    assert_in_range(codec.plain.capacity, bomb_length, bomb_length + 1);
    codec_release_plain(&codec);
    assert_int_equal(codec.plain.capacity, 0);
    free(packed);
    codec_finish(&codec);
}

static void nothing_is_made_for_a_second_message(void **state)
{
    static const unsigned char zeros[1000];
    struct codec codec = {0};
    unsigned char packed[1000];
    const struct codec_stream *compressing;
    const struct codec_stream *expanding;
    const unsigned char *kept;
    const void *plain;
    size_t length, plain_length;

    length = codec_compress(&codec, CODING_GZIP, zeros, sizeof(zeros), packed, sizeof(packed));
    codec_expand(&codec, CODING_GZIP, packed, length, MIB, &plain, &plain_length);
    codec_release_plain(&codec);
    compressing = codec.compressing[CODING_GZIP];
    expanding = codec.expanding;
    kept = codec.plain.bytes;
    for (int i = 0; i < 100; i++) {
        length = codec_compress(&codec, CODING_GZIP, zeros, sizeof(zeros), packed, sizeof(packed));
        assert_int_equal(codec_expand(&codec, CODING_GZIP, packed, length, MIB, &plain, &plain_length),
                         CODEC_DONE);
        codec_release_plain(&codec);
    }
    assert_ptr_equal(codec.compressing[CODING_GZIP], compressing);
    assert_ptr_equal(codec.expanding, expanding);
    assert_ptr_equal(codec.plain.bytes, kept);
    codec_finish(&codec);
}

static void what_nobody_uses_is_given_back(void **state)
{
    static const unsigned char zeros[1000];
    struct deadlines deadlines;
    struct codec codec = {.deadlines = &deadlines};
    unsigned char packed[1000];
    uv_loop_t loop;

    uv_loop_init(&loop);
    deadlines_init(&deadlines, &loop);
    codec_compress(&codec, CODING_GZIP, zeros, sizeof(zeros), packed, sizeof(packed));
    assert_int_not_equal(codec.idle.place, 0);
    codec_compress(&codec, CODING_GZIP, zeros, sizeof(zeros), packed, sizeof(packed));
    deadlines_stop(&deadlines, &codec.idle);
    codec.idle.on_due(&codec.idle);
    assert_non_null(codec.compressing[CODING_GZIP]);
    assert_int_not_equal(codec.idle.place, 0);
    deadlines_stop(&deadlines, &codec.idle);
    codec.idle.on_due(&codec.idle);
    assert_null(codec.compressing[CODING_GZIP]);
    assert_int_equal(codec.idle.place, 0);
    codec_finish(&codec);
    deadlines_finish(&deadlines);
    uv_close((uv_handle_t *)&deadlines.timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static bool keep(void *context, const void *message, size_t length)
{
    char *text = context;

    strncat(text, message, length);
    strcat(text, "|");
    return true;
}

static void an_inbox_gives_plain_and_compressed_messages_however_they_are_split(void **state)
{
    struct codec codec = {0};
    unsigned char bytes[256] = {0, 0, 0, 0, 2, 'h', 'i', 1};
    size_t packed =
        codec_compress(&codec, CODING_DEFLATE, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 31, bytes + 12, 100);
    size_t length = 12 + packed;

    bytes[11] = (unsigned char)packed;
    memcpy(bytes + length, "\0\0\0\0\2yo", 7);
    length += 7;
    for (size_t size = 1; size <= length; size++) {
        struct budget budget = {.limit = 1 << 20};
        struct inbox inbox = {
            .framing = {.budget = &budget, .max_message_bytes = 31, .takes_compressed = true},
            .codec = &codec,
            .coding = CODING_DEFLATE};
        char text[256] = "";
        struct span bad;
        size_t eaten;

        for (size_t at = 0; at < length; at += size)
            assert_int_equal(inbox_take(&inbox, bytes + at, length - at < size ? length - at : size, keep,
                                        text, &eaten, &bad),
                             FRAMING_MORE);
        assert_string_equal(text, "hi|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|yo|");
        inbox_finish(&inbox);
        assert_int_equal(budget.used, 0);
    }
    codec_finish(&codec);
}

static enum framing_state take_bad(struct codec *codec, uint64_t limit, const void *bytes, size_t length,
                                   struct span *ret_bad)
{
    struct budget budget = {.limit = 1 << 20};
    struct inbox inbox = {
        .framing = {.budget = &budget, .max_message_bytes = limit, .takes_compressed = true},
        .codec = codec,
        .coding = CODING_GZIP};
    char text[256] = "";
    size_t eaten;
    enum framing_state state = inbox_take(&inbox, bytes, length, keep, text, &eaten, ret_bad);

    assert_string_equal(text, "");
    inbox_finish(&inbox);
    return state;
}

static void an_inbox_says_what_is_wrong_with_a_compressed_message(void **state)
{
    struct codec codec = {0};
    unsigned char bytes[256] = {1, 0, 0, 0, 0};
    struct span bad;
    size_t packed =
        codec_compress(&codec, CODING_GZIP, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 31, bytes + 5, 100);

    assert_int_equal(take_bad(&codec, 30, bytes, 5, &bad), FRAMING_BROKEN);
    bytes[4] = (unsigned char)packed;
    assert_int_equal(take_bad(&codec, 30, bytes, 5 + packed, &bad), FRAMING_TOO_LARGE_EXPANDED);
    assert_int_equal(bad.length, packed);
    assert_int_equal(take_bad(&codec, packed - 1, bytes, 5 + packed, &bad), FRAMING_TOO_LARGE);
    bytes[10] ^= 0xff;
    bytes[5] = 0;
    assert_int_equal(take_bad(&codec, 31, bytes, 5 + packed, &bad), FRAMING_BROKEN);
    codec_finish(&codec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_as_they_are_written),
        cmocka_unit_test(gzip_is_chosen_then_deflate_then_nothing),
        cmocka_unit_test(messages_of_every_size_come_back),
        cmocka_unit_test(what_zlib_writes_is_read),
        cmocka_unit_test(what_does_not_become_smaller_is_not_compressed),
        cmocka_unit_test(a_block_says_that_it_is_compressed_and_is_cut_to_size),
        cmocka_unit_test(data_that_is_cut_or_goes_on_is_broken),
        cmocka_unit_test(the_members_of_a_gzip_file_follow_each_other),
        cmocka_unit_test(a_bomb_takes_no_more_memory_than_the_limit),
        cmocka_unit_test(nothing_is_made_for_a_second_message),
        cmocka_unit_test(what_nobody_uses_is_given_back),
        cmocka_unit_test(an_inbox_gives_plain_and_compressed_messages_however_they_are_split),
        cmocka_unit_test(an_inbox_says_what_is_wrong_with_a_compressed_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
