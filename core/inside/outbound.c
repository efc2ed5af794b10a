/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of an isolated plugin to services of its daemon. The engine is that of the daemon's own plugins; only
 * what it takes for the router is made of packets.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/outgoing.h>

#include "table.h"

#define REST 64

/* One call at the daemon; the engine sees it as a call of a router. */
struct request {
    struct inside *inside;
    uint32_t number;
    struct berth_stream *stream;
    const struct berth_stream_ops *ops;
    /* Bytes that the daemon welcomes, and those of its own that it may send again. */
    int64_t window;
    uint64_t owed;
    bool is_paused;
};

static struct request *of_call(struct berth_call *call)
{
    return (struct request *)call;
}

static struct request *find(const struct inside *inside, uint32_t number)
{
    return numbers_find(&inside->requests.calls, number);
}

static void drop(struct request *request)
{
    numbers_remove(&request->inside->requests.calls, request->number);
    free(request);
}

static struct packet_writer *begin(struct request *request, enum packet_type type, unsigned flags)
{
    struct packet_writer *writer = channel_write(&request->inside->process->channel, request->inside->number);

    packet_begin(writer, type, flags | PACKET_OUTGOING, request->number);
    return writer;
}

static struct request *add(struct inside *inside)
{
    struct request *request;

    if (inside->requests.calls.count == PACKET_OUTGOING_MAX)
        return NULL;
    request = calloc(1, sizeof(*request));
    if (request == NULL)
        return NULL;
    request->number = numbers_add(&inside->requests.calls, request);
    if (request->number == 0) {
        free(request);
        return NULL;
    }
    request->inside = inside;
    request->window = PACKET_WINDOW;
    return request;
}

/* What the engine takes for a router */

static struct berth_call *open_call(const struct berth_router *router, const struct berth_call_request *call)
{
    struct request *request = add(CONTAINER_OF(router, struct inside, requests.daemon));
    struct packet_writer *writer;

    if (request == NULL) {
        call->stream_ops->finish(call->stream, BERTH_RESOURCE_EXHAUSTED,
                                 "an isolated plugin has too many calls in flight", NULL, 0);
        return NULL;
    }
    request->stream = call->stream;
    request->ops = call->stream_ops;
    writer = begin(request, PACKET_CALL, 0);
    packet_put_text(writer, call->path);
    packet_put_u64(writer, call->deadline_ns);
    packet_put_u32(writer, (uint32_t)call->metadata_count);
    for (size_t i = 0; i < call->metadata_count; i++) {
        packet_put_text(writer, call->metadata[i].key);
        packet_put_bytes(writer, call->metadata[i].value, call->metadata[i].value_length);
    }
    packet_end(writer);
    return (struct berth_call *)request;
}

static void send_message(struct request *request, unsigned flags, const void *message, size_t length)
{
    struct packet_writer *writer = begin(request, PACKET_MESSAGE, flags);

    packet_put_raw(writer, message, length);
    packet_end(writer);
    request->window -= (int64_t)length;
    if (request->window > 0 || (flags & PACKET_LAST) != 0)
        return;
    request->is_paused = true;
    request->ops->pause(request->stream);
}

static void deliver(struct berth_call *call, const void *message, size_t length)
{
    send_message(of_call(call), 0, message, length);
}

static void deliver_last(struct berth_call *call, const void *message, size_t length)
{
    send_message(of_call(call), PACKET_LAST, message, length);
}

static void half_close(struct berth_call *call)
{
    packet_end(begin(of_call(call), PACKET_HALF_CLOSE, 0));
}

static void pay(struct request *request)
{
    struct packet_writer *writer;

    if (request->owed == 0 || !request->ops->can_send(request->stream))
        return;
    writer = begin(request, PACKET_CREDIT, 0);
    packet_put_u32(writer, (uint32_t)request->owed);
    packet_end(writer);
    request->owed = 0;
}

static void writable(struct berth_call *call)
{
    pay(of_call(call));
}

static void cancel(struct berth_call *call, enum berth_code code)
{
    struct packet_writer *writer = begin(of_call(call), PACKET_CANCEL, 0);

    packet_put_u32(writer, (uint32_t)code);
    packet_end(writer);
    drop(of_call(call));
}

static const struct berth_router daemon_router = {
    .size = sizeof(daemon_router),
    .open = open_call,
    .deliver = deliver,
    .half_close = half_close,
    .writable = writable,
    .cancel = cancel,
    .deliver_last = deliver_last,
};

/* What the daemon says */

static void take_message(struct request *request, const struct packet *packet)
{
    enum berth_code code = request->ops->send(request->stream, packet->body, packet->length);

    if (code != BERTH_OK) {
        /* The daemon sends no more than was welcome. */
        channel_break(&request->inside->process->channel, "sent more replies than there was room for");
        return;
    }
    request->owed += packet->length;
    if (request->owed >= PACKET_WINDOW / 2)
        pay(request);
}

static void take_pair(struct request *request, const struct packet *packet, struct packet_reader *reader)
{
    const char *key = packet_get_text(reader);
    size_t length;
    const void *value = packet_get_bytes(reader, &length);

    if (reader->is_bad)
        channel_break(&request->inside->process->channel, "sent a header that cannot be read");
    else if (packet->type == PACKET_HEADER)
        request->ops->add_header(request->stream, key, value, length);
    else
        request->ops->add_trailer(request->stream, key, value, length);
}

static void take_end(struct request *request, struct packet_reader *reader)
{
    uint32_t code = packet_get_u32(reader);
    const char *message = packet_get_optional(reader);

    request->ops->finish(request->stream,
                         code <= BERTH_UNAUTHENTICATED ? (enum berth_code)code : BERTH_UNKNOWN, message, NULL,
                         0);
    drop(request);
}

static void take_credit(struct request *request, struct packet_reader *reader)
{
    request->window += packet_get_u32(reader);
    if (!request->is_paused || request->window <= 0)
        return;
    request->is_paused = false;
    request->ops->resume(request->stream);
}

void outbound_take(struct inside *inside, const struct packet *packet)
{
    /* The plugin may have cancelled it while this was on its way. */
    struct request *request = find(inside, packet->call);
    struct packet_reader reader;

    if (request == NULL)
        return;
    packet_reader_init(&reader, packet);
    if (packet->type == PACKET_MESSAGE)
        take_message(request, packet);
    else if (packet->type == PACKET_HEADER || packet->type == PACKET_TRAILER)
        take_pair(request, packet, &reader);
    else if (packet->type == PACKET_SEND_HEADERS)
        request->ops->send_headers(request->stream);
    else if (packet->type == PACKET_CREDIT)
        take_credit(request, &reader);
    else if (packet->type == PACKET_END)
        take_end(request, &reader);
    else
        channel_break(&inside->process->channel, "sent a packet that belongs to no call");
}

/* The host's function */

static enum berth_code host_start_outgoing(const struct berth_host *table,
                                           const struct berth_outgoing_options *options,
                                           const struct berth_outgoing_handlers *handlers, void *context,
                                           struct berth_outgoing **ret_call, struct berth_error *err)
{
    struct inside *inside = table_on_loop(table, "berth_outgoing_start", err);

    return inside != NULL
               ? outgoing_start(&inside->requests.caller, options, handlers, context, ret_call, err)
               : BERTH_FAILED_PRECONDITION;
}

void outbound_close(struct inside *inside, bool tells)
{
    outgoing_caller_close(&inside->requests.caller, tells);
}

void outbound_fill(struct inside *inside)
{
    outgoings_init(&inside->requests.room, inside->router, &inside->process->loop, REST);
    inside->requests.daemon = daemon_router;
    inside->requests.room.calls = &inside->requests.daemon;
    outgoing_caller_init(&inside->requests.caller, &inside->requests.room, inside->start->uri, inside);
    inside->table.start_outgoing = host_start_outgoing;
}
