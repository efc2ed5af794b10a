/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 on a connection. Message contents are delivered at the top level, never from inside nghttp2. */
#include "http2.h"

#include <string.h>

#include <sdk/base/container_of.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/* PING and SETTINGS acknowledgements that a peer leaves unread. */
#define OUTBOUND_ACKS_MAX 1000

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

static ssize_t on_read(nghttp2_session *session, int32_t stream_id, uint8_t *buffer, size_t length,
                       uint32_t *ret_flags, nghttp2_data_source *source, void *user_data)
{
    struct outflow *outflow = source->ptr;

    *ret_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (length >= outflow->outbox.length && outflow->is_ended) {
        *ret_flags |= NGHTTP2_DATA_FLAG_EOF;
        if (outflow->on_last != NULL) {
            *ret_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            outflow->on_last(outflow);
        }
        return (ssize_t)outflow->outbox.length;
    }
    if (outflow->outbox.length == 0) {
        outflow->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)(length < outflow->outbox.length ? length : outflow->outbox.length);
}

static void on_run(void *context, struct message_block *block, const unsigned char *bytes, size_t length)
{
    batch_add_run(context, block, bytes, length);
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t length,
                        nghttp2_data_source *source, void *user_data)
{
    struct http2 *http2 = user_data;
    struct outflow *outflow = source->ptr;

    if (!batch_has_room(http2->filling))
        return NGHTTP2_ERR_WOULDBLOCK;
    if (length > outflow->outbox.length)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    batch_add_bytes(http2->filling, header, 9);
    outflow_take(outflow, length, on_run, http2->filling);
    return 0;
}

nghttp2_data_provider http2_provider(struct outflow *outflow)
{
    return (nghttp2_data_provider){.source = {.ptr = outflow}, .read_callback = on_read};
}

void http2_wake(struct http2 *http2, struct outflow *outflow, int32_t stream_id)
{
    if (outflow->is_deferred) {
        outflow->is_deferred = false;
        nghttp2_session_resume_data(http2->session, stream_id);
    }
    connection_touch(http2->connection);
}

static void *allocate(size_t size, void *pool)
{
    return pool_take(pool, size);
}

static void release(void *memory, void *pool)
{
    (void)pool;
    pool_give(memory);
}

static void *allocate_zeroed(size_t count, size_t size, void *pool)
{
    void *memory = size > 0 && count > SIZE_MAX / size ? NULL : pool_take(pool, count * size);

    return memory == NULL ? NULL : memset(memory, 0, count * size);
}

static void *resize(void *memory, size_t size, void *pool)
{
    return pool_resize(pool, memory, size);
}

int http2_begin(struct http2 *http2, http2_session_new *create, const nghttp2_session_callbacks *callbacks,
                const nghttp2_option *option, const nghttp2_settings_entry *settings, size_t count)
{
    nghttp2_mem memory = {&http2->connection->engine->pool, allocate, release, allocate_zeroed, resize};
    nghttp2_session *session;
    int result = create(&session, callbacks, http2, option, &memory);

    if (result != 0)
        return result;
    result = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, count);
    if (result == 0)
        result =
            nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, HTTP2_CONNECTION_WINDOW);
    if (result == 0)
        http2->session = session;
    else
        nghttp2_session_del(session);
    return result;
}

void http2_go_away(struct http2 *http2, uint32_t code, const char *debug)
{
    nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(http2->session), code,
                          (const uint8_t *)debug, strlen(debug));
    connection_touch(http2->connection);
}

static void put(struct http2_fields *fields, const char *name, const char *value, size_t length)
{
    fields->items[fields->count++] = (nghttp2_nv){
        .name = (uint8_t *)name,
        .value = (uint8_t *)value,
        .namelen = strlen(name),
        .valuelen = length,
        .flags = fields->flags,
    };
}

void http2_put(struct http2_fields *fields, const char *name, const char *value)
{
    put(fields, name, value, strlen(value));
}

void http2_put_list(struct http2_fields *fields, const struct metadata_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        put(fields, list->items[i].key, list->items[i].value, list->items[i].value_length);
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

/*
 * The framer's output is fed run by run: a frame that it drops counts after everything before it was handled.
 */
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
        reason = "the peer causes frames faster than it reads them";
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
            return "internal error: HTTP/2 frame too large";
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

int http2_option_create(nghttp2_option **ret_option)
{
    int result = nghttp2_option_new(ret_option);

    if (result != 0)
        return result;
    nghttp2_option_set_no_auto_window_update(*ret_option, 1);
    nghttp2_option_set_no_closed_streams(*ret_option, 1);
    nghttp2_option_set_max_outbound_ack(*ret_option, OUTBOUND_ACKS_MAX);
    /* Blanks around values are stripped by the receivers. */
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(*ret_option, 1);
    return 0;
}

int http2_callbacks_create(nghttp2_session_callbacks **ret_callbacks, nghttp2_option **ret_option)
{
    nghttp2_session_callbacks *callbacks;
    int result = nghttp2_session_callbacks_new(&callbacks);

    if (result != 0)
        return result;
    result = http2_option_create(ret_option);
    if (result != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return result;
    }
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    *ret_callbacks = callbacks;
    return 0;
}

void http2_callbacks_destroy(nghttp2_session_callbacks *callbacks, nghttp2_option *option)
{
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
}

/* Keepalive: finds out that a peer is gone where no packet says so (gRPC's proposals A8 and A9). */

static void on_due(struct deadline *deadline);

static struct engine *engine_of(const struct keepalive *keepalive)
{
    return keepalive->http2->connection->engine;
}

static uint64_t now_ms(const struct keepalive *keepalive)
{
    return uv_now(engine_of(keepalive)->loop);
}

/* Without memory no ping is sent, and the connection stays open. */
static void wait_for_silence(struct keepalive *keepalive, uint64_t pause_ms)
{
    deadlines_start(&engine_of(keepalive)->deadlines, &keepalive->deadline,
                    uv_hrtime() + pause_ms * NANOSECONDS_PER_MILLISECOND, on_due);
}

static void ask(struct keepalive *keepalive)
{
    keepalive->is_asking = true;
    keepalive->pinged_ms = now_ms(keepalive);
    wait_for_silence(keepalive, keepalive->timeout_ms);
    /* Not the ping of a drain, which has zeros. */
    nghttp2_submit_ping(keepalive->http2->session, NGHTTP2_FLAG_NONE, (const uint8_t *)"liveness");
    connection_touch(keepalive->http2->connection);
}

static void on_due(struct deadline *deadline)
{
    struct keepalive *keepalive = CONTAINER_OF(deadline, struct keepalive, deadline);
    uint64_t heard_ms = keepalive->http2->connection->heard_ms;
    uint64_t due_ms;

    if (keepalive->is_asking && heard_ms < keepalive->pinged_ms) {
        connection_lose(keepalive->http2->connection, "the peer does not respond to pings");
        return;
    }
    keepalive->is_asking = false;
    if (heard_ms < keepalive->started_ms)
        heard_ms = keepalive->started_ms;
    due_ms = heard_ms + keepalive->time_ms;
    if (due_ms > now_ms(keepalive))
        wait_for_silence(keepalive, due_ms - now_ms(keepalive));
    else if (keepalive->is_wanted == NULL || keepalive->is_wanted(keepalive))
        ask(keepalive);
}

void keepalive_start(struct keepalive *keepalive)
{
    if (keepalive->time_ms == 0 || keepalive->deadline.place != 0)
        return;
    keepalive->is_asking = false;
    keepalive->started_ms = now_ms(keepalive);
    wait_for_silence(keepalive, keepalive->time_ms);
}

void keepalive_wake(struct keepalive *keepalive)
{
    uint64_t due_ms = keepalive->http2->connection->heard_ms + keepalive->time_ms;
    uint64_t now = now_ms(keepalive);

    if (keepalive->time_ms == 0 || keepalive->deadline.place != 0)
        return;
    keepalive->is_asking = false;
    wait_for_silence(keepalive, due_ms > now ? due_ms - now : 0);
}

void keepalive_stop(struct keepalive *keepalive)
{
    if (keepalive->http2 != NULL)
        deadlines_stop(&engine_of(keepalive)->deadlines, &keepalive->deadline);
}
