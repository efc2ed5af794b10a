/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speaks HTTP/2 on a connection: what a message consists of is told at the top level, never from inside
 * nghttp2.
 */
#include "http2.h"

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user_data)
{
    struct http2 *http2 = user_data;

    if (head->type == NGHTTP2_DATA)
        http2->frame_left = head->length;
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                         size_t length, void *user_data)
{
    struct http2 *http2 = user_data;

    http2->frame_left -= length;
    http2->chunk_is_last = (flags & NGHTTP2_FLAG_END_STREAM) != 0 && http2->frame_left == 0;
    http2->chunk = bytes;
    http2->chunk_length = length;
    http2->chunk_stream_id = stream_id;
    http2->chunk_stream = nghttp2_session_get_stream_user_data(session, stream_id);
    return NGHTTP2_ERR_PAUSE;
}

void http2_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
}

void http2_consume(struct http2 *http2, int32_t stream_id, size_t length)
{
    if (length > 0 && http2->session != NULL)
        nghttp2_session_consume(http2->session, stream_id, length);
}

static bool give_chunk(struct http2 *http2)
{
    const uint8_t *chunk = http2->chunk;

    http2->connection->events->on_ready(http2->connection);
    if (chunk == NULL)
        return false;
    http2->chunk = NULL;
    http2->on_chunk(http2, http2->chunk_stream, http2->chunk_stream_id, chunk, http2->chunk_length,
                    http2->chunk_is_last);
    return true;
}

/* Resets, acknowledgements, answers: a peer that reads none of them must not pile them up here. */
static bool is_flooded(const struct http2 *http2)
{
    return http2->max_queued_frames > 0 &&
           nghttp2_session_get_outbound_queue_size(http2->session) > http2->max_queued_frames;
}

static const char *feed_run(struct http2 *http2, const uint8_t *bytes, size_t length)
{
    bool is_paused = true;

    while (is_paused) {
        ssize_t eaten = nghttp2_session_mem_recv(http2->session, bytes, length);

        if (eaten < 0)
            return nghttp2_strerror((int)eaten);
        bytes += eaten;
        length -= (size_t)eaten;
        is_paused = give_chunk(http2) && !http2->connection->is_lost;
    }
    return NULL;
}

/* What the framer lets through is fed run by run: what it drops counts once all before it was heard. */
static const char *feed_framed(struct http2 *http2, const uint8_t *bytes, size_t length)
{
    struct framer *framer = http2->framer;
    const char *reason = NULL;
    uint64_t unfinished;

    while (length > 0 && reason == NULL && !http2->connection->is_lost) {
        uint64_t dropped = framer->dropped;
        const uint8_t *run;
        size_t run_length = framer_next(framer, &bytes, &length, &run);

        if (framer->dropped > dropped)
            http2->on_dropped(http2, framer->dropped - dropped);
        if (framer->late_id != 0)
            http2->on_late(http2, framer->late_id, framer->late_end);
        if (run_length > 0)
            reason = feed_run(http2, run, run_length);
    }
    unfinished = framer_unfinished(framer);
    if (unfinished != 0 && unfinished != http2->unfinished && reason == NULL && !http2->connection->is_lost)
        http2->on_unfinished(http2);
    http2->unfinished = unfinished;
    return reason;
}

static const char *feed(void *session, const uint8_t *bytes, size_t length)
{
    struct http2 *http2 = session;
    const char *reason =
        http2->framer == NULL ? feed_run(http2, bytes, length) : feed_framed(http2, bytes, length);

    if (reason == NULL && is_flooded(http2))
        reason = "the peer causes more frames than it reads";
    if (reason != NULL && http2->on_broken != NULL)
        http2->on_broken(http2, reason);
    return reason;
}

static const char *fill(void *session, struct batch *batch)
{
    struct http2 *http2 = session;

    http2->filling = batch;
    while (batch_has_room(batch)) {
        const uint8_t *bytes;
        ssize_t length = nghttp2_session_mem_send(http2->session, &bytes);

        if (length < 0)
            return nghttp2_strerror((int)length);
        if (length == 0)
            break;
        if (length > BATCH_FRAME_MAX)
            return "HTTP/2 made a frame that is larger than any";
        batch_add_bytes(batch, bytes, (size_t)length);
    }
    return NULL;
}

static bool is_over(const void *session)
{
    const struct http2 *http2 = session;

    return !nghttp2_session_want_read(http2->session) && !nghttp2_session_want_write(http2->session);
}

static void finish(void *session)
{
    struct http2 *http2 = session;

    nghttp2_session_del(http2->session);
    http2->session = NULL;
}

const struct connection_protocol http2_protocol = {
    .feed = feed,
    .fill = fill,
    .is_over = is_over,
    .finish = finish,
};
