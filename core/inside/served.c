/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the daemon's calls at the worker's router, and sends back what their handlers do. */
#include "served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <berth/trace.h>

#include <core/wire/peer.h>

/* What may be queued for the daemon before the process waits for it, which reads whenever it can; and how
 * much more than it has welcomed one call may send before it is refused. */
#define QUEUED_MAX (32u << 20)
/* A key and a value: two lengths and the NULs behind them. */
#define LEAST_PAIR 10

struct waiting {
    STAILQ_ENTRY(waiting) link;
    size_t length;
    uint8_t flags;
    uint8_t bytes[];
};

/* One call as the router's server sees it. */
struct berth_stream {
    struct served *served;
    uint32_t number;
    /* NULL while it is being opened, and for good once it has ended there. */
    struct berth_call *call;
    /* Bytes that the daemon welcomes, and those that it may be told of as taken. */
    int64_t window;
    uint64_t taken;
    bool is_paused, is_delivering;
    bool half_close_waits, came_compressed;
    STAILQ_HEAD(, waiting) inbox;
    char refusal[160];
};

/* A number in use breaks the protocol. */
static struct berth_stream *add(struct served *served, uint32_t number)
{
    struct berth_stream *stream =
        numbers_is_free(&served->streams, number) ? calloc(1, sizeof(*stream)) : NULL;

    if (stream == NULL || !numbers_put(&served->streams, number, stream)) {
        free(stream);
        return NULL;
    }
    stream->served = served;
    stream->number = number;
    stream->window = PACKET_WINDOW;
    STAILQ_INIT(&stream->inbox);
    return stream;
}

static void drop(struct berth_stream *stream)
{
    struct waiting *waiting;

    while ((waiting = STAILQ_FIRST(&stream->inbox)) != NULL) {
        STAILQ_REMOVE_HEAD(&stream->inbox, link);
        free(waiting);
    }
    numbers_remove(&stream->served->streams, stream->number);
    free(stream);
}

static struct packet_writer *begin(struct berth_stream *stream, enum packet_type type, unsigned flags)
{
    struct packet_writer *writer = channel_write(stream->served->channel, stream->served->number);

    packet_begin(writer, type, flags, stream->number);
    return writer;
}

/* What the router calls */

static enum berth_code on_send(struct berth_stream *stream, const void *message, size_t length)
{
    struct packet_writer *writer;

    if (length > PACKET_MESSAGE_MAX) {
        snprintf(stream->refusal, sizeof(stream->refusal),
                 "a message of %zu bytes exceeds the limit of %u bytes for isolated plugins", length,
                 PACKET_MESSAGE_MAX);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (stream->window < -(int64_t)QUEUED_MAX) {
        snprintf(stream->refusal, sizeof(stream->refusal),
                 "more than %u MiB are queued for the caller: wait for on_writable", QUEUED_MAX >> 20);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (channel_queued(stream->served->channel) > QUEUED_MAX)
        channel_send_all(stream->served->channel);
    writer = begin(stream, PACKET_MESSAGE, 0);
    packet_put_raw(writer, message, length);
    packet_end(writer);
    stream->window -= (int64_t)length;
    return BERTH_OK;
}

static bool can_send(struct berth_stream *stream)
{
    return stream->window > 0;
}

static enum berth_code send_pair(struct berth_stream *stream, enum packet_type type, const char *key,
                                 const void *value, size_t length)
{
    struct packet_writer *writer;

    if (length > PACKET_WINDOW)
        return BERTH_INVALID_ARGUMENT;
    writer = begin(stream, type, 0);
    packet_put_text(writer, key);
    packet_put_bytes(writer, value, length);
    packet_end(writer);
    return BERTH_OK;
}

static enum berth_code on_add_header(struct berth_stream *stream, const char *key, const void *value,
                                     size_t length)
{
    return send_pair(stream, PACKET_HEADER, key, value, length);
}

static enum berth_code on_add_trailer(struct berth_stream *stream, const char *key, const void *value,
                                      size_t length)
{
    return send_pair(stream, PACKET_TRAILER, key, value, length);
}

static enum berth_code on_send_headers(struct berth_stream *stream)
{
    packet_end(begin(stream, PACKET_SEND_HEADERS, 0));
    return BERTH_OK;
}

static void on_finish(struct berth_stream *stream, enum berth_code code, const char *message,
                      const void *details, size_t details_length)
{
    struct packet_writer *writer = begin(stream, PACKET_END, 0);

    packet_put_u32(writer, (uint32_t)code);
    packet_put_optional(writer, message);
    packet_put_bytes(writer, details_length <= PACKET_WINDOW ? details : NULL,
                     details_length <= PACKET_WINDOW ? details_length : 0);
    packet_end(writer);
    drop(stream);
}

static void on_pause(struct berth_stream *stream)
{
    stream->is_paused = true;
}

static void deliver_waiting(struct served *served, uint32_t number);

static void on_resume(struct berth_stream *stream)
{
    stream->is_paused = false;
    deliver_waiting(stream->served, stream->number);
}

static enum berth_code on_compress(struct berth_stream *stream, bool wanted)
{
    struct packet_writer *writer = begin(stream, PACKET_COMPRESS, 0);

    packet_put_u8(writer, wanted);
    packet_end(writer);
    return BERTH_OK;
}

static bool on_came_compressed(struct berth_stream *stream)
{
    return stream->came_compressed;
}

static const char *on_refusal(struct berth_stream *stream)
{
    return stream->refusal;
}

static const struct berth_stream_ops operations = {
    .size = sizeof(operations),
    .send = on_send,
    .can_send = can_send,
    .add_header = on_add_header,
    .add_trailer = on_add_trailer,
    .send_headers = on_send_headers,
    .finish = on_finish,
    .pause = on_pause,
    .resume = on_resume,
    .compress = on_compress,
    .came_compressed = on_came_compressed,
    .refusal = on_refusal,
};

/* What the daemon sends */

/* Tells the daemon of room, in large steps. */
static void note_taken(struct served *served, uint32_t number, size_t length)
{
    struct berth_stream *stream = numbers_find(&served->streams, number);
    struct packet_writer *writer;

    if (stream == NULL)
        return;
    stream->taken += length;
    if (stream->taken < PACKET_WINDOW / 2)
        return;
    writer = begin(stream, PACKET_CREDIT, 0);
    packet_put_u32(writer, (uint32_t)stream->taken);
    packet_end(writer);
    stream->taken = 0;
}

/* The stream may be gone afterwards. */
static void deliver(struct berth_stream *stream, uint8_t flags, const void *bytes, size_t length)
{
    struct served *served = stream->served;
    uint32_t number = stream->number;

    stream->came_compressed = (flags & PACKET_COMPRESSED) != 0;
    if (flags & PACKET_LAST) {
        served->calls->deliver_last(stream->call, bytes, length);
        return;
    }
    stream->is_delivering = true;
    served->calls->deliver(stream->call, bytes, length);
    stream = numbers_find(&served->streams, number);
    if (stream != NULL)
        stream->is_delivering = false;
    note_taken(served, number, length);
}

static void deliver_waiting(struct served *served, uint32_t number)
{
    struct berth_stream *stream;

    while ((stream = numbers_find(&served->streams, number)) != NULL && stream->call != NULL &&
           !stream->is_paused && !stream->is_delivering) {
        struct waiting *waiting = STAILQ_FIRST(&stream->inbox);

        if (waiting == NULL) {
            if (stream->half_close_waits) {
                stream->half_close_waits = false;
                served->calls->half_close(stream->call);
            }
            return;
        }
        STAILQ_REMOVE_HEAD(&stream->inbox, link);
        deliver(stream, waiting->flags, waiting->bytes, waiting->length);
        free(waiting);
    }
}

static void take_message(struct served *served, struct berth_stream *stream, const struct packet *packet)
{
    struct waiting *waiting;

    if (!stream->is_paused && !stream->is_delivering && STAILQ_EMPTY(&stream->inbox)) {
        deliver(stream, packet->flags, packet->body, packet->length);
        deliver_waiting(served, packet->call);
        return;
    }
    waiting = malloc(sizeof(*waiting) + packet->length);
    if (waiting == NULL) {
        channel_break(served->channel, "out of memory");
        return;
    }
    waiting->length = packet->length;
    waiting->flags = packet->flags;
    memcpy(waiting->bytes, packet->body, packet->length);
    STAILQ_INSERT_TAIL(&stream->inbox, waiting, link);
}

static void take_credit(struct served *served, struct berth_stream *stream, const struct packet *packet)
{
    struct packet_reader reader;
    bool could_send = stream->window > 0;

    packet_reader_init(&reader, packet);
    stream->window += packet_get_u32(&reader);
    if (stream->call != NULL && !could_send && stream->window > 0)
        served->calls->writable(stream->call);
}

static void take_cancel(struct served *served, struct berth_stream *stream, const struct packet *packet)
{
    struct packet_reader reader;
    struct berth_call *call = stream->call;

    packet_reader_init(&reader, packet);
    drop(stream);
    if (call != NULL)
        served->calls->cancel(call, (enum berth_code)packet_get_u32(&reader));
}

/* The names of the caller's certificate, and its metadata: lists of the request, for as long as it is opened.
 */
struct lists {
    const char **names;
    struct berth_metadata *metadata;
};

/* A value has a NUL behind it that does not count. */
static bool read_metadata(struct packet_reader *reader, struct berth_call_request *request,
                          struct lists *lists)
{
    request->metadata_count = packet_get_count(reader, LEAST_PAIR);
    lists->metadata = calloc(request->metadata_count + 1, sizeof(*lists->metadata));
    if (lists->metadata == NULL)
        return false;
    for (size_t i = 0; i < request->metadata_count; i++) {
        size_t length;

        lists->metadata[i].key = packet_get_text(reader);
        lists->metadata[i].value = packet_get_bytes(reader, &length);
        if (reader->is_bad || length == 0 || lists->metadata[i].value[length - 1] != '\0')
            return false;
        lists->metadata[i].value_length = length - 1;
    }
    request->metadata = lists->metadata;
    return true;
}

static const struct berth_trace *read_trace(struct packet_reader *reader, struct berth_trace *trace)
{
    size_t length;
    const void *bytes = packet_get_bytes(reader, &length);

    if (length != sizeof(*trace))
        return NULL;
    memcpy(trace, bytes, length);
    return trace;
}

static bool open_call(struct served *served, const struct packet *packet, struct lists *lists)
{
    struct berth_peer peer = {0};
    struct berth_call_request request = {.size = sizeof(request), .peer = &peer, .stream_ops = &operations};
    struct packet_reader reader;
    struct berth_trace trace;
    struct berth_call *call;

    packet_reader_init(&reader, packet);
    request.path = packet_get_text(&reader);
    request.transport = packet_get_text(&reader);
    request.deadline_ns = packet_get_u64(&reader);
    if (!peer_get(&reader, &peer, &lists->names) || !read_metadata(&reader, &request, lists))
        return false;
    served->trace = read_trace(&reader, &trace);
    request.stream = reader.is_bad ? NULL : add(served, packet->call);
    if (request.stream == NULL)
        return false;
    served->annotations = &reader;
    call = served->calls->open(served->calls, &request);
    served->annotations = NULL;
    served->trace = NULL;
    if (call != NULL)
        request.stream->call = call;
    return true;
}

static void take_call(struct served *served, const struct packet *packet)
{
    struct lists lists = {0};

    if (!open_call(served, packet, &lists))
        channel_break(served->channel, "sent a call that cannot be read");
    free(lists.names);
    free(lists.metadata);
}

void served_take(struct served *served, const struct packet *packet)
{
    struct berth_stream *stream;

    if (packet->type == PACKET_CALL) {
        take_call(served, packet);
        return;
    }
    /* The handler may have finished the call while this was on its way. */
    stream = numbers_find(&served->streams, packet->call);
    if (stream == NULL)
        return;
    if (packet->type == PACKET_CANCEL)
        take_cancel(served, stream, packet);
    else if (packet->type == PACKET_CREDIT)
        take_credit(served, stream, packet);
    else if (packet->type == PACKET_MESSAGE && stream->call != NULL)
        take_message(served, stream, packet);
    else if (packet->type == PACKET_HALF_CLOSE) {
        stream->half_close_waits = true;
        deliver_waiting(served, packet->call);
    }
}

/* Puts on each call what the daemon's interceptors have put on theirs. */
static enum berth_code on_start(void *self, struct berth_call *call, void **ret_state,
                                struct berth_error *err)
{
    struct served *served = self;
    struct packet_reader *reader = served->annotations;
    uint32_t count = reader != NULL ? packet_get_count(reader, LEAST_PAIR) : 0;

    for (uint32_t i = 0; i < count; i++) {
        const char *key = packet_get_text(reader);
        const char *value = packet_get_text(reader);

        if (!reader->is_bad)
            berth_call_annotate(call, key, value);
    }
    if (served->trace != NULL)
        berth_call_set_trace(call, served->trace);
    return BERTH_OK;
}

bool served_init(struct served *served, struct channel *channel, uint16_t number, struct router *router)
{
    static const struct berth_interceptor interceptor = {
        .size = sizeof(interceptor), .name = "daemon", .on_start = on_start};

    *served = (struct served){
        .channel = channel, .number = number, .router = router, .calls = router_interface(router)};
    return router_add_interceptor(router, &interceptor, served, 0, served, NULL) == BERTH_OK;
}

void served_finish(struct served *served)
{
    for (size_t i = 0; i < served->streams.capacity; i++) {
        struct berth_stream *stream = numbers_at(&served->streams, i);
        struct berth_call *call = stream != NULL ? stream->call : NULL;

        if (stream != NULL)
            drop(stream);
        if (call != NULL)
            served->calls->cancel(call, BERTH_CANCELLED);
    }
    router_remove_interceptors(served->router, served);
    numbers_finish(&served->streams);
}
