/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a whole connection through the framer into nghttp2, as one piece and in pieces: the session must
 * hear the same, and the same as from what the framer passes without it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/rpc/http2/http2.h>

#define GREETING "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define INPUT_MAX 8192

/* How an input is played: its second byte. */
enum {
    FLAG_GREETS = 1,
};

struct heard {
    struct http2 http2;
    struct connection connection;
    struct framer framer;
    uint8_t *log;
    size_t length;
    size_t capacity;
    uint64_t dropped;
    /** The client has said GOAWAY; and has no call left, from when on nghttp2 takes or leaves what comes with
     * it. */
    bool has_left;
    bool is_over;
};

static void note(struct heard *heard, const void *bytes, size_t length)
{
    if (heard->is_over)
        return;
    if (heard->capacity - heard->length < length) {
        heard->capacity = 2 * heard->capacity + length;
        heard->log = realloc(heard->log, heard->capacity);
    }
    if (length > 0)
        memcpy(heard->log + heard->length, bytes, length);
    heard->length += length;
}

static void note_event(struct heard *heard, char what, int32_t id, uint32_t number)
{
    note(heard, &what, sizeof(what));
    note(heard, &id, sizeof(id));
    note(heard, &number, sizeof(number));
}

static struct heard *from_http2(void *http2)
{
    return (struct heard *)http2;
}

/* Byte by byte, so that it does not show how they were cut. */
static void on_chunk(struct http2 *http2, void *stream_data, int32_t stream_id, const uint8_t *bytes,
                     size_t length, bool is_last)
{
    for (size_t i = 0; i < length; i++)
        note_event(from_http2(http2), 'd', stream_id, bytes[i]);
    if (is_last)
        note_event(from_http2(http2), 'l', stream_id, 0);
    http2_consume(http2, stream_id, length);
}

static void on_dropped(struct http2 *http2, uint64_t frames)
{
    from_http2(http2)->dropped += frames;
}

static void on_late(struct http2 *http2, int32_t stream_id, enum framer_end end)
{
    assert(stream_id > 0 && end != FRAMER_END_UNKNOWN);
    (void)http2;
}

static void on_unfinished(struct http2 *http2)
{
    assert(framer_unfinished(http2->framer) != 0);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct heard *heard = user_data;

    note_event(heard, 'f', frame->hd.stream_id, (uint32_t)frame->hd.type << 8 | frame->hd.flags);
    heard->has_left = heard->has_left || frame->hd.type == NGHTTP2_GOAWAY;
    heard->is_over = heard->is_over || !nghttp2_session_want_read(session);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user_data)
{
    note_event(user_data, 'h', frame->hd.stream_id, (uint32_t)name_length);
    note(user_data, name, name_length);
    note(user_data, value, value_length);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user_data)
{
    struct heard *heard = user_data;

    note_event(heard, 'c', stream_id, error);
    heard->is_over = heard->is_over || heard->has_left;
    return 0;
}

static void on_ready(struct connection *connection)
{
}

static const struct connection_events events = {.on_ready = on_ready};
static nghttp2_session_callbacks *callbacks;
static nghttp2_option *option;

static void prepare(void)
{
    if (http2_callbacks_create(&callbacks, &option) != 0)
        abort();
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}

/* Feeds `step` bytes at a time, and takes down what is heard and what is answered. */
static void play(struct heard *heard, const uint8_t *bytes, size_t length, size_t step, bool is_framed)
{
    const char *reason = NULL;
    const uint8_t *answer;
    ssize_t answer_length;

    *heard = (struct heard){0};
    heard->connection.events = &events;
    heard->http2 = (struct http2){.connection = &heard->connection,
                                  .on_chunk = on_chunk,
                                  .on_dropped = on_dropped,
                                  .on_late = on_late,
                                  .on_unfinished = on_unfinished};
    framer_init(&heard->framer);
    if (is_framed)
        heard->http2.framer = &heard->framer;
    if (nghttp2_session_server_new2(&heard->http2.session, callbacks, &heard->http2, option) != 0)
        abort();
    nghttp2_submit_settings(heard->http2.session, NGHTTP2_FLAG_NONE, NULL, 0);
    for (size_t at = 0; at < length && reason == NULL; at += step)
        reason = http2_protocol.feed(&heard->http2, bytes + at, length - at < step ? length - at : step);
    note_event(heard, 'e', 0, reason != NULL);
    while ((answer_length = nghttp2_session_mem_send(heard->http2.session, &answer)) > 0)
        note(heard, answer, (size_t)answer_length);
    http2_protocol.finish(&heard->http2);
}

/* What the framer lets through. */
static size_t filter(const uint8_t *bytes, size_t length, uint8_t *ret_passed)
{
    struct framer framer;
    size_t passed = 0;

    framer_init(&framer);
    while (length > 0) {
        const uint8_t *run;
        size_t run_length = framer_next(&framer, &bytes, &length, &run);

        if (run_length > 0)
            memcpy(ret_passed + passed, run, run_length);
        passed += run_length;
    }
    return passed;
}

static void assert_equal(const struct heard *one, const struct heard *other)
{
    assert(one->length == other->length);
    assert(memcmp(one->log, other->log, one->length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t input[sizeof(GREETING) - 1 + INPUT_MAX];
    static uint8_t passed[sizeof(input)];
    static struct heard whole, cut, bare;
    size_t length = 0;

    if (size < 2 || size - 2 > INPUT_MAX)
        return -1;
    if (callbacks == NULL)
        prepare();
    if ((data[1] & FLAG_GREETS) != 0) {
        memcpy(input, GREETING, sizeof(GREETING) - 1);
        length = sizeof(GREETING) - 1;
    }
    memcpy(input + length, data + 2, size - 2);
    length += size - 2;
    play(&whole, input, length, length + 1, true);
    play(&cut, input, length, 1 + (size_t)data[0], true);
    assert_equal(&whole, &cut);
    assert(whole.is_over || whole.dropped == cut.dropped);
    play(&bare, passed, filter(input, length, passed), sizeof(passed), false);
    assert_equal(&whole, &bare);
    free(whole.log);
    free(cut.log);
    free(bare.log);
    return 0;
}
