/* SPDX-License-Identifier: Apache-2.0 */
/* Which frames of a client reach nghttp2, whole and cut at every byte. */
#include <string.h>

#include <tests/cmocka.h>

#include <sdk/rpc/http2/framer.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\4\0\0\0\0\0"
/* A header block of one byte, complete; and one that goes on. */
#define OPEN_3 "\0\0\1\1\4\0\0\0\3h"
#define OPEN_3_AND_MORE "\0\0\1\1\1\0\0\0\3h"
#define CONTINUE_3 "\0\0\1\x9\0\0\0\0\3h"
#define END_3 "\0\0\1\x9\4\0\0\0\3h"
#define DATA_3 "\0\0\2\0\0\0\0\0\3dd"
#define RESET(id) "\0\0\4\3\0\0\0\0" id "\0\0\0\x8"
#define WINDOW(id) "\0\0\4\x8\0\0\0\0" id "\0\0\1\0"
#define PRIORITY(id, parent) "\0\0\5\2\0\0\0\0" id "\0\0\0" parent "\x10"
#define GOAWAY(last) "\0\0\xa\7\0\0\0\0\0\0\0\0" last "\0\0\0\0de"

struct passed {
    uint8_t bytes[512];
    size_t length;
};

static void feed(struct framer *framer, struct passed *passed, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    while (length > 0) {
        const uint8_t *run;
        size_t run_length = framer_next(framer, &at, &length, &run);

        assert_true(passed->length + run_length <= sizeof(passed->bytes));
        if (run_length > 0)
            memcpy(passed->bytes + passed->length, run, run_length);
        passed->length += run_length;
    }
}

/* The same in one piece, byte by byte, and cut in two at every place. */
static void assert_passes(const char *in, size_t in_length, const char *out, size_t out_length,
                          uint64_t dropped)
{
    for (size_t cut = 0; cut <= in_length + 1; cut++) {
        struct passed passed = {.length = 0};
        struct framer framer;

        framer_init(&framer);
        if (cut <= in_length) {
            feed(&framer, &passed, in, cut);
            feed(&framer, &passed, in + cut, in_length - cut);
        } else {
            for (size_t i = 0; i < in_length; i++)
                feed(&framer, &passed, in + i, 1);
        }
        assert_int_equal(passed.length, out_length);
        assert_memory_equal(passed.bytes, out, out_length);
        assert_int_equal(framer.dropped, dropped);
    }
}

#define ASSERT_PASSES(in, out, dropped) assert_passes(in, sizeof(in) - 1, out, sizeof(out) - 1, dropped)
#define ASSERT_UNCHANGED(in) ASSERT_PASSES(in, in, 0)

static void what_is_in_order_passes_unchanged(void **state)
{
    ASSERT_UNCHANGED(PREFACE SETTINGS OPEN_3 DATA_3 RESET("\3") WINDOW("\3") WINDOW("\0"));
    ASSERT_UNCHANGED(PREFACE SETTINGS OPEN_3_AND_MORE CONTINUE_3 END_3 DATA_3);
    ASSERT_UNCHANGED("GET / HTTP/1.1\r\nHost: somebody's web server\r\n\r\n");
}

static void frames_for_streams_that_were_never_opened_are_dropped(void **state)
{
    ASSERT_PASSES(PREFACE SETTINGS OPEN_3 RESET("\5") DATA_3 WINDOW("\7") WINDOW("\x9") DATA_3,
                  PREFACE SETTINGS OPEN_3 DATA_3 DATA_3, 3);
    ASSERT_PASSES(PREFACE SETTINGS OPEN_3 RESET("\5") RESET("\7"), PREFACE SETTINGS OPEN_3, 2);
}

static void before_the_first_stream_they_pass_and_end_the_connection(void **state)
{
    ASSERT_UNCHANGED(PREFACE SETTINGS RESET("\1"));
    ASSERT_UNCHANGED(PREFACE SETTINGS WINDOW("\1"));
}

static void what_breaks_http2_anyhow_passes(void **state)
{
    /* Of another length, of the server's streams, of streams that were skipped, of none. */
    ASSERT_UNCHANGED(PREFACE SETTINGS OPEN_3 "\0\0\3\3\0\0\0\0\5\0\0\0");
    ASSERT_UNCHANGED(PREFACE SETTINGS OPEN_3 "\0\0\5\x8\0\0\0\0\5\0\0\0\1\0");
    ASSERT_UNCHANGED(PREFACE SETTINGS OPEN_3 RESET("\4") WINDOW("\4") RESET("\1") RESET("\0"));
    ASSERT_UNCHANGED(PREFACE SETTINGS OPEN_3 "\0\0\4\2\0\0\0\0\5\0\0\0\0" PRIORITY("\0", "\1"));
    ASSERT_UNCHANGED(PREFACE SETTINGS OPEN_3 "\0\0\3\7\0\0\0\0\0\0\0\0"
                                             "\0\0\x8\7\0\0\0\0\1\0\0\0\5\0\0\0\0");
    ASSERT_UNCHANGED(PREFACE PRIORITY("\1", "\0"));
    ASSERT_UNCHANGED(PREFACE GOAWAY("\5"));
}

static void inside_a_header_block_everything_passes(void **state)
{
    ASSERT_UNCHANGED(PREFACE SETTINGS OPEN_3_AND_MORE RESET("\5") PRIORITY("\1", "\1") GOAWAY("\5"));
    ASSERT_PASSES(PREFACE SETTINGS OPEN_3_AND_MORE CONTINUE_3 END_3 RESET("\5"),
                  PREFACE SETTINGS OPEN_3_AND_MORE CONTINUE_3 END_3, 1);
}

static void a_stream_counts_as_opened_from_its_headers_on(void **state)
{
    ASSERT_PASSES(PREFACE SETTINGS OPEN_3 RESET("\5") "\0\0\1\1\5\0\0\0\5h" RESET("\5") RESET("\7"),
                  PREFACE SETTINGS OPEN_3 "\0\0\1\1\5\0\0\0\5h" RESET("\5"), 2);
    /* The reserved bit says nothing (RFC 9113 4.1). */
    ASSERT_PASSES(PREFACE SETTINGS OPEN_3 "\0\0\4\3\0\x80\0\0\5\0\0\0\x8", PREFACE SETTINGS OPEN_3, 1);
}

static void priorities_are_dropped_and_one_on_itself_ends_the_connection_only_ahead_of_streams(void **state)
{
    ASSERT_PASSES(PREFACE SETTINGS PRIORITY("\3", "\0") PRIORITY("\5", "\3"), PREFACE SETTINGS, 2);
    ASSERT_UNCHANGED(PREFACE SETTINGS PRIORITY("\1", "\1"));
    ASSERT_PASSES(PREFACE SETTINGS OPEN_3 PRIORITY("\3", "\3") DATA_3, PREFACE SETTINGS OPEN_3 DATA_3, 1);
}

static void the_last_stream_of_a_goaway_becomes_0(void **state)
{
    ASSERT_PASSES(PREFACE SETTINGS OPEN_3 GOAWAY("\3") DATA_3, PREFACE SETTINGS OPEN_3 GOAWAY("\0") DATA_3,
                  0);
    ASSERT_PASSES(PREFACE SETTINGS GOAWAY("\1"), PREFACE SETTINGS GOAWAY("\0"), 0);
}

static void payloads_are_not_copied(void **state)
{
    static uint8_t bytes[20000] = PREFACE SETTINGS OPEN_3;
    size_t length = sizeof(PREFACE SETTINGS OPEN_3) - 1;
    const uint8_t *at = bytes;
    const uint8_t *run;
    struct framer framer;
    size_t left;

    memcpy(bytes + length, "\0\x3f\xff\0\0\0\0\0\3", 9);
    left = length + 9 + 0x3fff;
    framer_init(&framer);
    assert_int_equal(framer_next(&framer, &at, &left, &run), length + 9 + 0x3fff);
    assert_ptr_equal(run, bytes);
    assert_int_equal(left, 0);
}

static void a_frame_is_unfinished_until_its_last_byte_and_a_header_block_is_one(void **state)
{
    static const char bytes[] = SETTINGS OPEN_3_AND_MORE CONTINUE_3 END_3 DATA_3 RESET("\5");
    static const size_t ends[] = {9, 39, 50, 63};
    struct passed passed = {.length = 0};
    struct framer framer;
    uint64_t last = 0;
    size_t end = 0;

    framer_init(&framer);
    feed(&framer, &passed, PREFACE, 24);
    assert_int_equal(framer_unfinished(&framer), 0);
    for (size_t i = 0; i + 1 < sizeof(bytes); i++) {
        uint64_t unfinished;

        feed(&framer, &passed, bytes + i, 1);
        unfinished = framer_unfinished(&framer);
        if (i + 1 == ends[end]) {
            assert_int_equal(unfinished, 0);
            end++;
            continue;
        }
        assert_true(unfinished > 0);
        assert_true(unfinished >= last);
        assert_int_equal(unfinished, end + 1);
        last = unfinished;
    }
    assert_int_equal(end, 4);
}

#define END_OF(id) "\0\0\0\0\1\0\0\0" id
#define DATA_OF(id) "\0\0\1\0\0\0\0\0" id "d"
#define HEADERS_OF(id) "\0\0\1\1\4\0\0\0" id "h"

/* @return how often `id` was pointed out as `end`. */
static size_t count_late(const char *bytes, size_t length, size_t step, int32_t id, enum framer_end end)
{
    struct framer framer;
    size_t count = 0;

    framer_init(&framer);
    for (size_t i = 0; i < length; i += step) {
        const uint8_t *at = (const uint8_t *)bytes + i;
        size_t left = length - i < step ? length - i : step;

        while (left > 0) {
            const uint8_t *run;
            size_t run_length = framer_next(&framer, &at, &left, &run);

            if (framer.late_id == 0)
                continue;
            assert_int_equal(framer.late_id, id);
            assert_int_equal(framer.late_end, end);
            assert_true(run_length > 0);
            count++;
        }
    }
    return count;
}

#define ASSERT_LATE(bytes, count, id, end)                                                                   \
    for (size_t step = 1; step <= sizeof(bytes); step++)                                                     \
    assert_int_equal(count_late(bytes, sizeof(bytes) - 1, step, id, end), count)

static void what_follows_a_clients_own_end_is_pointed_out(void **state)
{
    ASSERT_LATE(PREFACE SETTINGS HEADERS_OF("\3") DATA_OF("\3"), 0, 3, FRAMER_END_STREAM);
    ASSERT_LATE(PREFACE SETTINGS HEADERS_OF("\3") END_OF("\3") RESET("\3") WINDOW("\3") DATA_OF("\5"), 0, 3,
                FRAMER_END_STREAM);
    ASSERT_LATE(PREFACE SETTINGS HEADERS_OF("\3") RESET("\1") DATA_OF("\3") RESET("\3"), 0, 3,
                FRAMER_END_RESET);
    ASSERT_LATE(PREFACE SETTINGS "\0\0\1\1\5\0\0\0\3h" DATA_OF("\3") DATA_OF("\3"), 2, 3, FRAMER_END_STREAM);
    ASSERT_LATE(PREFACE SETTINGS HEADERS_OF("\3") END_OF("\3") HEADERS_OF("\3"), 1, 3, FRAMER_END_STREAM);
    ASSERT_LATE(PREFACE SETTINGS HEADERS_OF("\3") END_OF("\3") RESET("\3") DATA_OF("\3"), 1, 3,
                FRAMER_END_STREAM);
    ASSERT_LATE(PREFACE SETTINGS HEADERS_OF("\3") RESET("\3") DATA_OF("\3") HEADERS_OF("\3"), 2, 3,
                FRAMER_END_RESET);
    ASSERT_LATE(PREFACE SETTINGS HEADERS_OF("\3") RESET("\3") HEADERS_OF("\5") DATA_OF("\3"), 1, 3,
                FRAMER_END_RESET);
}

/* Streams 1 to 31 have ended, and stream 1 is forgotten with the end of the seventeenth. */
static void the_last_streams_that_ended_are_remembered(void **state)
{
    static char bytes[1024] = PREFACE SETTINGS;
    size_t length = sizeof(PREFACE SETTINGS) - 1;

    for (unsigned i = 0; i <= FRAMER_ENDED_MAX; i++) {
        memcpy(bytes + length, "\0\0\1\1\5\0\0\0\0h", 10);
        bytes[length + 8] = (char)(2 * i + 1);
        length += 10;
        memcpy(bytes + length, DATA_OF("\1"), 10);
        assert_int_equal(count_late(bytes, length + 10, 7, 1, FRAMER_END_STREAM), i < FRAMER_ENDED_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_order_passes_unchanged),
        cmocka_unit_test(frames_for_streams_that_were_never_opened_are_dropped),
        cmocka_unit_test(before_the_first_stream_they_pass_and_end_the_connection),
        cmocka_unit_test(what_breaks_http2_anyhow_passes),
        cmocka_unit_test(inside_a_header_block_everything_passes),
        cmocka_unit_test(a_stream_counts_as_opened_from_its_headers_on),
        cmocka_unit_test(priorities_are_dropped_and_one_on_itself_ends_the_connection_only_ahead_of_streams),
        cmocka_unit_test(the_last_stream_of_a_goaway_becomes_0),
        cmocka_unit_test(payloads_are_not_copied),
        cmocka_unit_test(a_frame_is_unfinished_until_its_last_byte_and_a_header_block_is_one),
        cmocka_unit_test(what_follows_a_clients_own_end_is_pointed_out),
        cmocka_unit_test(the_last_streams_that_ended_are_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
