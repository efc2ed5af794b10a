/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc on a connection (containerd/ttrpc, PROTOCOL.md). The protocol has no flow control: input for a paused
 * call is buffered within limits, and output takes one message of each call in turn.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>
#include "message.h"

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/* Answers that a peer may leave unread; more of them it can only cause on purpose. */
#define ANSWERS_MAX (256 * 1024)

void ttrpc_session_init(struct ttrpc_session *session, struct connection *connection,
                        const struct ttrpc_side *side, struct budget *budget, uint32_t frame_timeout_ms)
{
    session->connection = connection;
    session->side = side;
    session->reader.budget = budget;
    session->frame_timeout_ms = frame_timeout_ms;
    TAILQ_INIT(&session->due);
    session->bucket_count = TTRPC_FIRST_BUCKETS;
    session->buckets = session->first_buckets;
}

void ttrpc_session_lose(struct ttrpc_session *session)
{
    struct deadlines *deadlines = &session->connection->engine->deadlines;

    deadlines_stop(deadlines, &session->frame_deadline);
    deadlines_stop(deadlines, &session->stall_deadline);
}

static void finish(void *context)
{
    struct ttrpc_session *session = context;

    ttrpc_reader_finish(&session->reader);
    buffer_finish(&session->answers, NULL);
    if (session->buckets != session->first_buckets)
        free(session->buckets);
    session->side->destroy(session);
}

/* All ids of one side are odd. */
static struct ttrpc_bucket *bucket_of(struct ttrpc_bucket *buckets, size_t bucket_count, uint32_t id)
{
    return &buckets[(id >> 1) & (bucket_count - 1)];
}

/* Without memory the buckets become longer. */
static void add_buckets(struct ttrpc_session *session)
{
    size_t bucket_count = session->bucket_count * 4;
    struct ttrpc_bucket *buckets = calloc(bucket_count, sizeof(*buckets));
    struct ttrpc_stream *stream;

    if (buckets == NULL)
        return;
    for (size_t i = 0; i < session->bucket_count; i++)
        while ((stream = LIST_FIRST(&session->buckets[i])) != NULL) {
            LIST_REMOVE(stream, link);
            LIST_INSERT_HEAD(bucket_of(buckets, bucket_count, stream->id), stream, link);
        }
    if (session->buckets != session->first_buckets)
        free(session->buckets);
    session->buckets = buckets;
    session->bucket_count = bucket_count;
}

struct ttrpc_stream *ttrpc_session_find(const struct ttrpc_session *session, uint32_t id)
{
    struct ttrpc_stream *stream;

    LIST_FOREACH(stream, bucket_of(session->buckets, session->bucket_count, id), link)
    if (stream->id == id)
        return stream;
    return NULL;
}

void ttrpc_session_each(struct ttrpc_session *session, void (*visit)(struct ttrpc_stream *stream))
{
    struct ttrpc_stream *next;

    for (size_t i = 0; i < session->bucket_count; i++)
        for (struct ttrpc_stream *stream = LIST_FIRST(&session->buckets[i]); stream != NULL; stream = next) {
            next = LIST_NEXT(stream, link);
            visit(stream);
        }
}

void ttrpc_session_refuse(struct ttrpc_session *session, uint32_t id, enum berth_code code,
                          const char *message)
{
    const struct span text = {(const unsigned char *)message, strlen(message)};
    const struct span none = {NULL, 0};
    struct buffer *answers = &session->answers;
    size_t size = ttrpc_status_size(code, text, none);

    if (!buffer_reserve(answers, TTRPC_HEADER + size, SIZE_MAX, NULL))
        return;
    ttrpc_header_write(answers->bytes + answers->length, (uint32_t)size, id, TTRPC_RESPONSE, 0);
    ttrpc_status_write(answers->bytes + answers->length + TTRPC_HEADER, code, text, none);
    answers->length += TTRPC_HEADER + size;
    connection_touch(session->connection);
}

static void on_stall_overdue(struct deadline *deadline);

/*
 * Pauses reading while a call is full, unless there is no memory for the timer that bounds this; resumes
 * otherwise.
 */
static void settle_reading(struct ttrpc_session *session)
{
    struct deadlines *deadlines = &session->connection->engine->deadlines;
    bool is_stalled = session->stall_deadline.place != 0;

    if (session->full_count > 0 && !is_stalled) {
        if (deadlines_start(deadlines, &session->stall_deadline,
                            uv_hrtime() + TTRPC_STALL_MS * NANOSECONDS_PER_MILLISECOND, on_stall_overdue))
            connection_pause_reading(session->connection);
    } else if (session->full_count == 0 && is_stalled) {
        deadlines_stop(deadlines, &session->stall_deadline);
        connection_resume_reading(session->connection);
    }
}

static void end_full(struct ttrpc_stream *stream)
{
    bool has_progressed = stream->has_progressed;

    stream->has_progressed = false;
    if (!stream->is_full || has_progressed)
        return;
    stream->is_full = false;
    stream->session->full_count--;
    stream->session->side->on_stalled(stream);
}

static void on_stall_overdue(struct deadline *deadline)
{
    struct ttrpc_session *session = CONTAINER_OF(deadline, struct ttrpc_session, stall_deadline);

    ttrpc_session_each(session, end_full);
    if (session->full_count == 0)
        connection_resume_reading(session->connection);
    else
        settle_reading(session);
}

static void settle_full(struct ttrpc_stream *stream)
{
    bool is_full =
        stream->held >= TTRPC_HELD_MESSAGES_MAX || inbox_held_bytes(stream->inbox) >= TTRPC_HELD_BYTES_MAX;

    if (is_full && !stream->is_full)
        stream->session->full_count++;
    if (!is_full && stream->is_full)
        stream->session->full_count--;
    stream->is_full = is_full;
}

void ttrpc_stream_join(struct ttrpc_stream *stream, struct ttrpc_session *session, uint32_t id)
{
    stream->session = session;
    stream->id = id;
    if (session->stream_count >= 2 * session->bucket_count)
        add_buckets(session);
    LIST_INSERT_HEAD(bucket_of(session->buckets, session->bucket_count, id), stream, link);
    session->stream_count++;
}

static void leave_line(struct ttrpc_stream *stream)
{
    if (stream->is_due)
        TAILQ_REMOVE(&stream->session->due, stream, due);
    stream->is_due = false;
}

void ttrpc_stream_leave(struct ttrpc_stream *stream)
{
    struct ttrpc_session *session = stream->session;

    if (session == NULL)
        return;
    leave_line(stream);
    if (stream->is_full)
        session->full_count--;
    stream->is_full = false;
    LIST_REMOVE(stream, link);
    session->stream_count--;
    stream->session = NULL;
    if (!session->connection->is_lost)
        settle_reading(session);
}

void ttrpc_stream_due(struct ttrpc_stream *stream)
{
    struct ttrpc_session *session = stream->session;

    if (stream->is_due)
        return;
    stream->is_due = true;
    TAILQ_INSERT_TAIL(&session->due, stream, due);
    connection_touch(session->connection);
}

enum framing_state ttrpc_stream_give(struct ttrpc_stream *stream, struct span message, inbox_deliver deliver,
                                     void *context)
{
    struct inbox *inbox = stream->inbox;

    if (!inbox->is_paused && !inbox_is_holding(inbox)) {
        deliver(context, message.bytes, message.length);
        return FRAMING_MORE;
    }
    if (!inbox_hold(inbox, message.bytes, message.length))
        return FRAMING_NO_ROOM;
    stream->held++;
    settle_full(stream);
    return FRAMING_MORE;
}

struct giving {
    struct ttrpc_stream *stream;
    inbox_deliver deliver;
    void *context;
};

static bool give_one(void *context, const void *message, size_t length)
{
    const struct giving *giving = context;

    giving->stream->held--;
    giving->stream->has_progressed = true;
    return giving->deliver(giving->context, message, length);
}

void ttrpc_stream_give_held(struct ttrpc_stream *stream, inbox_deliver deliver, void *context)
{
    struct giving giving = {stream, deliver, context};
    struct span bad;
    size_t eaten;

    inbox_take(stream->inbox, NULL, 0, give_one, &giving, &eaten, &bad);
    if (stream->session == NULL)
        return;
    settle_full(stream);
    settle_reading(stream->session);
}

static void on_frame_overdue(struct deadline *deadline)
{
    struct ttrpc_session *session = CONTAINER_OF(deadline, struct ttrpc_session, frame_deadline);

    connection_lose(session->connection, "frame timed out");
}

static void settle_frame_deadline(struct ttrpc_session *session, bool has_progressed)
{
    struct deadlines *deadlines = &session->connection->engine->deadlines;
    bool is_inside = ttrpc_reader_is_inside(&session->reader);

    if (has_progressed || !is_inside)
        deadlines_stop(deadlines, &session->frame_deadline);
    if (is_inside && session->frame_timeout_ms > 0 && session->frame_deadline.place == 0)
        deadlines_start(deadlines, &session->frame_deadline,
                        uv_hrtime() + session->frame_timeout_ms * NANOSECONDS_PER_MILLISECOND,
                        on_frame_overdue);
}

static const char *feed(void *context, const uint8_t *bytes, size_t length)
{
    struct ttrpc_session *session = context;
    struct span input = {bytes, length};
    struct ttrpc_frame frame;
    bool has_progressed = false;
    enum ttrpc_read read;

    while ((read = ttrpc_reader_next(&session->reader, &input, &frame)) != TTRPC_READ_MORE) {
        if (read == TTRPC_READ_FRAME)
            session->side->on_frame(session, &frame);
        else
            session->side->on_skipped(session, &frame, read);
        has_progressed = true;
    }
    settle_frame_deadline(session, has_progressed);
    settle_reading(session);
    session->connection->events->on_ready(session->connection);
    return session->answers.length - session->answers_offset > ANSWERS_MAX
               ? "the peer causes responses faster than it reads them"
               : NULL;
}

/*
 * Written data is dropped once it outnumbers the rest; otherwise a peer that is always behind would keep all
 * of it.
 */
static void drop_written(struct ttrpc_session *session)
{
    struct buffer *answers = &session->answers;
    size_t left = answers->length - session->answers_offset;

    if (session->answers_offset <= left)
        return;
    memmove(answers->bytes, answers->bytes + session->answers_offset, left);
    answers->length = left;
    session->answers_offset = 0;
}

static void put_answers(struct ttrpc_session *session, struct batch *batch)
{
    struct buffer *answers = &session->answers;

    while (answers->length > session->answers_offset && batch_has_room(batch)) {
        size_t left = answers->length - session->answers_offset;
        size_t step = left < BATCH_COPY_MAX ? left : BATCH_COPY_MAX;

        batch_add_bytes(batch, answers->bytes + session->answers_offset, step);
        session->answers_offset += step;
    }
    if (answers->length > session->answers_offset) {
        drop_written(session);
        return;
    }
    buffer_finish(answers, NULL);
    session->answers_offset = 0;
}

static const char *fill(void *context, struct batch *batch)
{
    struct ttrpc_session *session = context;

    put_answers(session, batch);
    while (!TAILQ_EMPTY(&session->due) && batch_has_room(batch)) {
        struct ttrpc_stream *stream = TAILQ_FIRST(&session->due);

        leave_line(stream);
        if (session->side->put(stream, batch))
            ttrpc_stream_due(stream);
    }
    return NULL;
}

/* Unread input is a call that would never learn the reason. */
static bool is_over(const void *context)
{
    const struct ttrpc_session *session = context;

    return session->is_leaving && session->stream_count == 0 && session->answers.length == 0 &&
           (session->drops_partial || !ttrpc_reader_is_inside(&session->reader)) &&
           !connection_has_unread(session->connection);
}

const struct connection_protocol ttrpc_protocol = {
    .feed = feed,
    .fill = fill,
    .is_over = is_over,
    .finish = finish,
};

void ttrpc_put_header(struct batch *batch, uint32_t length, const struct ttrpc_stream *stream,
                      enum ttrpc_type type, unsigned flags)
{
    unsigned char header[TTRPC_HEADER];

    ttrpc_header_write(header, length, stream->id, (uint8_t)type, (uint8_t)flags);
    batch_add_bytes(batch, header, sizeof(header));
}

/* An outflow's messages have gRPC's prefix, which stays behind. */
uint32_t ttrpc_message_length(const struct outflow *outflow)
{
    return (uint32_t)(outflow->outbox.first->length - FRAMING_PREFIX);
}

static void add_nothing(void *context, struct message_block *block, const unsigned char *bytes, size_t length)
{
}

static void add_run(void *context, struct message_block *block, const unsigned char *bytes, size_t length)
{
    batch_add_run(context, block, bytes, length);
}

void ttrpc_put_message(struct batch *batch, struct outflow *outflow)
{
    uint32_t length = ttrpc_message_length(outflow);

    outflow_take(outflow, FRAMING_PREFIX, add_nothing, NULL);
    outflow_take(outflow, length, add_run, batch);
}

void ttrpc_put_data(struct batch *batch, const struct ttrpc_stream *stream, struct outflow *outflow)
{
    ttrpc_put_header(batch, ttrpc_message_length(outflow), stream, TTRPC_DATA, 0);
    ttrpc_put_message(batch, outflow);
}
