/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the calls that a worker asks for. A call has the number that the worker gave it; what it says about a
 * number that is not in use is late, and ignored.
 */
#include "requests.h"

#include <stdlib.h>
#include <string.h>

#include <berth/outgoing.h>
#include <berth/trace.h>

/* What may wait for a worker that does not read before replies to it are given up. */
#define QUEUED_MAX (32u << 20)
/* A key and a value: two lengths and the NUL behind the key. */
#define LEAST_PAIR 9

struct request {
    /* NULL once its worker is gone. */
    struct requests *requests;
    LIST_ENTRY(request) link;
    uint32_t number;
    struct berth_outgoing *call;
    /* Bytes that the worker may still send, and those that were not taken yet. */
    int64_t window;
    uint64_t owed;
    /* Bytes that the worker welcomes. */
    int64_t welcome;
    bool is_paused;
};

static struct packet_writer *begin(struct request *request, enum packet_type type)
{
    struct packet_writer *writer = channel_write(request->requests->channel, request->requests->number);

    packet_begin(writer, type, PACKET_OUTGOING, request->number);
    return writer;
}

/* Out of its slot: the worker may use the number again. */
static void leave(struct request *request)
{
    struct requests *requests = request->requests;

    numbers_remove(&requests->calls, request->number);
    requests->bytes -= request->owed;
    request->requests = NULL;
}

static void say_end(struct requests *requests, uint32_t number, enum berth_code code, const char *message)
{
    struct packet_writer *writer = channel_write(requests->channel, requests->number);

    packet_begin(writer, PACKET_END, PACKET_OUTGOING, number);
    packet_put_u32(writer, (uint32_t)code);
    packet_put_optional(writer, message);
    packet_end(writer);
}

/* What the call brings */

static void put_pairs(struct request *request, enum packet_type type, const struct berth_metadata *pairs,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct packet_writer *writer = begin(request, type);

        packet_put_text(writer, pairs[i].key);
        packet_put_bytes(writer, pairs[i].value, pairs[i].value_length);
        packet_end(writer);
    }
}

static void on_headers(void *context, struct berth_outgoing *call, const struct berth_metadata *metadata,
                       size_t count)
{
    struct request *request = context;

    if (request->requests == NULL)
        return;
    put_pairs(request, PACKET_HEADER, metadata, count);
    packet_end(begin(request, PACKET_SEND_HEADERS));
}

static void on_message(void *context, struct berth_outgoing *call, const void *message, size_t length)
{
    struct request *request = context;
    struct packet_writer *writer;

    if (request->requests == NULL)
        return;
    if (channel_queued(request->requests->channel) > QUEUED_MAX) {
        berth_outgoing_fail(call, BERTH_RESOURCE_EXHAUSTED,
                            "too many bytes are queued for the process of the calling plugin");
        return;
    }
    writer = begin(request, PACKET_MESSAGE);
    packet_put_raw(writer, message, length);
    packet_end(writer);
    request->welcome -= (int64_t)length;
    if (request->welcome > 0)
        return;
    request->is_paused = true;
    berth_outgoing_pause(call);
}

/* The other plugin has taken what the worker sent, as far as there is room. */
static void pay(struct request *request)
{
    struct packet_writer *writer;

    if (request->owed == 0 || !berth_outgoing_can_send(request->call))
        return;
    writer = begin(request, PACKET_CREDIT);
    packet_put_u32(writer, (uint32_t)request->owed);
    packet_end(writer);
    request->window += (int64_t)request->owed;
    request->requests->bytes -= request->owed;
    request->owed = 0;
}

static void on_writable(void *context, struct berth_outgoing *call)
{
    struct request *request = context;

    if (request->requests != NULL)
        pay(request);
}

static void on_end(void *context, struct berth_outgoing *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct request *request = context;

    if (request->requests != NULL) {
        put_pairs(request, PACKET_TRAILER, trailers, count);
        say_end(request->requests, request->number, code, message);
        leave(request);
    } else {
        LIST_REMOVE(request, link);
    }
    free(request);
}

static const struct berth_outgoing_handlers handlers = {
    .size = sizeof(handlers),
    .on_headers = on_headers,
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

/* What the worker says */

/* The pairs of a new call. @return freed by the caller; NULL if they cannot be read. */
static struct berth_metadata *read_metadata(struct packet_reader *reader, size_t *ret_count)
{
    size_t count = packet_get_count(reader, LEAST_PAIR);
    struct berth_metadata *metadata = calloc(count + 1, sizeof(*metadata));

    for (size_t i = 0; metadata != NULL && i < count; i++) {
        metadata[i].key = packet_get_text(reader);
        metadata[i].value = packet_get_bytes(reader, &metadata[i].value_length);
    }
    *ret_count = count;
    return metadata;
}

static uint64_t remaining_ms(uint64_t deadline_ns)
{
    uint64_t now = uv_hrtime();

    if (deadline_ns == 0)
        return 0;
    return deadline_ns > now ? (deadline_ns - now) / 1000000 + 1 : 1;
}

static struct request *add(struct requests *requests, uint32_t number)
{
    struct request *request = calloc(1, sizeof(*request));

    if (request == NULL || !numbers_put(&requests->calls, number, request)) {
        free(request);
        return NULL;
    }
    *request = (struct request){
        .requests = requests, .number = number, .window = PACKET_WINDOW, .welcome = PACKET_WINDOW};
    return request;
}

static void start(struct requests *requests, uint32_t number, const struct berth_outgoing_options *options)
{
    struct request *request = add(requests, number);
    struct berth_error error;
    enum berth_code code;

    if (request == NULL) {
        say_end(requests, number, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    code = berth_outgoing_start(requests->host, options, &handlers, request, &request->call, &error);
    if (code == BERTH_OK)
        return;
    say_end(requests, number, code, error.message);
    leave(request);
    free(request);
}

static void take_call(struct requests *requests, const struct packet *packet)
{
    struct berth_outgoing_options options = {.size = sizeof(options)};
    struct packet_reader reader;
    struct berth_trace trace;

    if ((packet->call & (NUMBERS_MAX - 1)) >= PACKET_OUTGOING_MAX ||
        !numbers_is_free(&requests->calls, packet->call)) {
        channel_break(requests->channel, "opened a call with an invalid number");
        return;
    }
    packet_reader_init(&reader, packet);
    options.path = packet_get_text(&reader);
    options.timeout_ms = remaining_ms(packet_get_u64(&reader));
    options.metadata = read_metadata(&reader, &options.metadata_count);
    if (options.metadata == NULL || reader.is_bad) {
        channel_break(requests->channel, "opened a call with a malformed packet");
    } else {
        /* The worker has made it from the call on whose behalf this one is. */
        if (berth_trace_received(options.metadata, options.metadata_count, &trace) == BERTH_OK)
            options.trace = &trace;
        start(requests, packet->call, &options);
    }
    free((void *)(uintptr_t)options.metadata);
}

static void take_message(struct request *request, const struct packet *packet)
{
    struct requests *requests = request->requests;
    enum berth_code code;

    if (request->window <= 0) {
        channel_break(requests->channel, "sent more messages on a call than the daemon had room for");
        return;
    }
    if (packet->length > BERTH_OUTGOING_MESSAGE_MAX ||
        requests->bytes + packet->length > REQUESTS_BYTES_MAX) {
        berth_outgoing_fail(request->call, BERTH_RESOURCE_EXHAUSTED,
                            "calls of an isolated plugin exceed 64 MiB in flight, or one of their "
                            "messages 16 MiB");
        return;
    }
    code = berth_outgoing_send(request->call, packet->body, packet->length);
    if (code != BERTH_OK) {
        berth_outgoing_fail(request->call, code, "the message could not be queued");
        return;
    }
    request->window -= (int64_t)packet->length;
    request->owed += packet->length;
    requests->bytes += packet->length;
    if ((packet->flags & PACKET_LAST) != 0)
        berth_outgoing_half_close(request->call);
    else if (request->owed >= PACKET_WINDOW / 2 || request->window <= 0)
        pay(request);
}

static void take_credit(struct request *request, struct packet_reader *reader)
{
    request->welcome += packet_get_u32(reader);
    if (request->welcome > PACKET_WINDOW)
        request->welcome = PACKET_WINDOW;
    if (!request->is_paused || request->welcome <= 0)
        return;
    request->is_paused = false;
    berth_outgoing_resume(request->call);
}

/* Its end follows, and is of no interest. */
static void orphan(struct request *request)
{
    struct requests *requests = request->requests;

    leave(request);
    LIST_INSERT_HEAD(&requests->orphans, request, link);
    berth_outgoing_cancel(request->call);
}

void requests_take(struct requests *requests, const struct packet *packet)
{
    struct packet_reader reader;
    struct request *request;

    if (packet->type == PACKET_CALL) {
        take_call(requests, packet);
        return;
    }
    request = numbers_find(&requests->calls, packet->call);
    if (request == NULL)
        return;
    packet_reader_init(&reader, packet);
    if (packet->type == PACKET_MESSAGE)
        take_message(request, packet);
    else if (packet->type == PACKET_CREDIT)
        take_credit(request, &reader);
    else if (packet->type == PACKET_HALF_CLOSE)
        berth_outgoing_half_close(request->call);
    else if (packet->type == PACKET_CANCEL)
        orphan(request);
    else
        channel_break(requests->channel, "sent a packet that belongs to no call");
}

void requests_end(struct requests *requests)
{
    for (size_t i = 0; i < requests->calls.capacity; i++)
        if (numbers_at(&requests->calls, i) != NULL)
            orphan(numbers_at(&requests->calls, i));
}

void requests_finish(struct requests *requests)
{
    struct request *request;

    while ((request = LIST_FIRST(&requests->orphans)) != NULL) {
        LIST_REMOVE(request, link);
        free(request);
    }
    numbers_finish(&requests->calls);
}
