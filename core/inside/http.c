/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests of the daemon, for the plugin's handler. */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <berth/types/http.h>

#include <core/wire/peer.h>

#include "table.h"

/* What may wait for the daemon to read it, which it does whenever it can. */
#define QUEUED_MAX (32u << 20)
/* A name and a value: two lengths and the NULs behind them. */
#define LEAST_PAIR 10

/* The plugin sees `shown`. */
struct http_request {
    struct berth_http_request shown;
    LIST_ENTRY(http_request) link;
    struct inside *inside;
    uint32_t number;
    struct berth_peer peer;
    const char **names;
    struct berth_http_header *headers;
    /* What the texts above are borrowed from. */
    uint8_t *head;
    uint8_t *body;
    size_t got, owed;
    /* Bytes of the response that the daemon welcomes; what is left of its length, if it has one. */
    int64_t window;
    uint64_t left;
    bool was_handed_out, has_begun, has_ended, has_body, is_awaited;
};

static struct http_request *of_shown(struct berth_http_request *shown)
{
    return CONTAINER_OF(shown, struct http_request, shown);
}

static const struct berth_http *handler_of(const struct inside *inside)
{
    return inside->start->http_prefix != NULL && BERTH_HAS(inside->plugin, interface) ? inside->plugin->interface : NULL;
}

static struct packet_writer *begin_packet(struct http_request *request, enum packet_type type, unsigned flags)
{
    struct inside *inside = request->inside;
    struct packet_writer *writer = channel_write(&inside->process->channel, inside->number);

    packet_begin(writer, type, flags | PACKET_HTTP, request->number);
    return writer;
}

/* What the plugin calls */

static enum berth_code begin(struct berth_http_request *shown, unsigned status,
                             const struct berth_http_header *headers, size_t count, int64_t length)
{
    struct http_request *request = of_shown(shown);
    struct packet_writer *writer;
    enum berth_code code;

    if (request->has_begun || request->has_ended)
        return BERTH_FAILED_PRECONDITION;
    for (size_t i = 0; i < count; i++)
        if (headers[i].name == NULL || headers[i].value == NULL)
            return BERTH_INVALID_ARGUMENT;
    writer = table_begin_question(request->inside, ASK_HTTP_BEGIN);
    packet_put_u32(writer, request->number);
    packet_put_u32(writer, status);
    packet_put_u64(writer, (uint64_t)length);
    packet_put_u32(writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        packet_put_text(writer, headers[i].name);
        packet_put_text(writer, headers[i].value);
    }
    code = table_ask(request->inside, NULL, &(struct berth_error){.message = ""});
    if (code != BERTH_OK)
        return code;
    request->has_begun = true;
    request->has_body = status != 204 && status != 304;
    request->left = length < 0 ? UINT64_MAX : (uint64_t)length;
    return BERTH_OK;
}

static void finish(struct http_request *request, unsigned flags)
{
    if (request->has_ended)
        return;
    request->has_ended = true;
    packet_end(begin_packet(request, PACKET_END, flags));
}

static enum berth_code write_part(struct berth_http_request *shown, const void *bytes, size_t length)
{
    struct http_request *request = of_shown(shown);
    struct packet_writer *writer;

    if (!request->has_begun || request->has_ended || !request->has_body || length > request->left)
        return BERTH_FAILED_PRECONDITION;
    if (length > PACKET_MESSAGE_MAX) {
        log_say(request->inside, BERTH_LOG_WARN,
                "broke off an HTTP response: one write of an isolated plugin has at most 16 MiB");
        finish(request, PACKET_BROKEN_OFF);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (length == 0)
        return BERTH_OK;
    if (request->window <= 0) {
        request->is_awaited = true;
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (channel_queued(&request->inside->process->channel) > QUEUED_MAX)
        channel_send_all(&request->inside->process->channel);
    writer = begin_packet(request, PACKET_MESSAGE, 0);
    packet_put_raw(writer, bytes, length);
    packet_end(writer);
    request->window -= (int64_t)length;
    if (request->left != UINT64_MAX)
        request->left -= length;
    return BERTH_OK;
}

static bool can_write(struct berth_http_request *shown)
{
    struct http_request *request = of_shown(shown);

    if (request->window <= 0)
        request->is_awaited = true;
    return request->window > 0;
}

static void end(struct berth_http_request *shown)
{
    finish(of_shown(shown), 0);
}

static void abort_response(struct berth_http_request *shown)
{
    finish(of_shown(shown), PACKET_BROKEN_OFF);
}

static const struct berth_http_ops operations = {.size = sizeof(operations),
                                                 .begin = begin,
                                                 .write = write_part,
                                                 .can_write = can_write,
                                                 .end = end,
                                                 .abort = abort_response};

/* What the daemon sends */

static struct http_request *find(const struct inside *inside, uint32_t number)
{
    struct http_request *request;

    LIST_FOREACH(request, &inside->http_requests, link)
    if (request->number == number)
        return request;
    return NULL;
}

static void destroy(struct http_request *request)
{
    free(request->names);
    free(request->headers);
    free(request->head);
    free(request->body);
    free(request);
}

static bool read_request(struct http_request *request, struct packet_reader *reader)
{
    struct berth_http_request *shown = &request->shown;

    shown->size = sizeof(*shown);
    shown->ops = &operations;
    shown->method = packet_get_text(reader);
    shown->path = packet_get_text(reader);
    shown->rest = packet_get_text(reader);
    shown->query = packet_get_text(reader);
    shown->body_length = packet_get_u64(reader);
    if (shown->body_length > PACKET_HTTP_BODY_MAX)
        reader->is_bad = true;
    shown->peer = &request->peer;
    if (!peer_get(reader, &request->peer, &request->names))
        return false;
    shown->header_count = packet_get_count(reader, LEAST_PAIR);
    shown->headers = request->headers = calloc(shown->header_count + 1, sizeof(*request->headers));
    for (size_t i = 0; request->headers != NULL && i < shown->header_count; i++) {
        request->headers[i].name = packet_get_text(reader);
        request->headers[i].value = packet_get_text(reader);
    }
    return request->headers != NULL && !reader->is_bad;
}

/* The whole request is there. Without a handler, or without memory for the body, the client gets a 500. */
static void hand_out(struct http_request *request)
{
    const struct berth_http *handler = handler_of(request->inside);

    if (handler == NULL || request->body == NULL) {
        finish(request, 0);
        return;
    }
    request->was_handed_out = true;
    request->shown.body = request->body;
    request->shown.instance = request->inside->instance;
    handler->on_request(&request->shown);
}

static void take_request(struct inside *inside, const struct packet *packet)
{
    struct http_request *request = calloc(1, sizeof(*request));
    struct packet kept = *packet;
    struct packet_reader reader;

    if (request != NULL)
        kept.body = request->head = malloc(packet->length + 1);
    if (request == NULL || request->head == NULL) {
        free(request);
        channel_break(&inside->process->channel, "sent an HTTP request for which there is no memory");
        return;
    }
    memcpy(request->head, packet->body, packet->length);
    packet_reader_init(&reader, &kept);
    if (find(inside, packet->call) != NULL || !read_request(request, &reader)) {
        destroy(request);
        channel_break(&inside->process->channel, "sent an HTTP request that cannot be read");
        return;
    }
    request->inside = inside;
    request->number = packet->call;
    request->window = PACKET_WINDOW;
    LIST_INSERT_HEAD(&inside->http_requests, request, link);
    request->body = malloc(request->shown.body_length + 1);
    if (request->shown.body_length == 0 || request->body == NULL)
        hand_out(request);
}

static void take_body(struct http_request *request, const struct packet *packet)
{
    struct packet_writer *writer;

    if (request->was_handed_out || packet->length > request->shown.body_length - request->got) {
        channel_break(&request->inside->process->channel, "sent more of an HTTP request than it has");
        return;
    }
    if (request->body != NULL)
        memcpy(request->body + request->got, packet->body, packet->length);
    request->got += packet->length;
    request->owed += packet->length;
    if (request->got == request->shown.body_length) {
        if (request->body != NULL)
            hand_out(request);
        return;
    }
    if (request->owed < PACKET_WINDOW / 2)
        return;
    writer = begin_packet(request, PACKET_CREDIT, 0);
    packet_put_u32(writer, (uint32_t)request->owed);
    packet_end(writer);
    request->owed = 0;
}

static void take_credit(struct http_request *request, struct packet_reader *reader)
{
    const struct berth_http *handler = handler_of(request->inside);

    request->window += packet_get_u32(reader);
    if (request->window > PACKET_WINDOW)
        request->window = PACKET_WINDOW;
    if (!request->is_awaited || request->window <= 0 || request->has_ended)
        return;
    request->is_awaited = false;
    if (BERTH_HAS(handler, on_writable))
        handler->on_writable(&request->shown);
}

/* The response was sent, or the client has gone. */
static void take_end(struct http_request *request)
{
    const struct berth_http *handler = handler_of(request->inside);

    LIST_REMOVE(request, link);
    request->has_ended = true;
    if (request->was_handed_out && BERTH_HAS(handler, on_end))
        handler->on_end(&request->shown);
    destroy(request);
}

void http_take(struct inside *inside, const struct packet *packet)
{
    struct http_request *request;
    struct packet_reader reader;

    if (packet->type == PACKET_CALL) {
        take_request(inside, packet);
        return;
    }
    request = find(inside, packet->call);
    if (request == NULL)
        return;
    packet_reader_init(&reader, packet);
    if (packet->type == PACKET_MESSAGE)
        take_body(request, packet);
    else if (packet->type == PACKET_CREDIT)
        take_credit(request, &reader);
    else if (packet->type == PACKET_CANCEL)
        take_end(request);
    else
        channel_break(&inside->process->channel, "sent a packet that belongs to no HTTP request");
}

void http_close(struct inside *inside)
{
    while (!LIST_EMPTY(&inside->http_requests))
        take_end(LIST_FIRST(&inside->http_requests));
}

void http_say_handler(struct inside *inside)
{
    const struct berth_http *handler = handler_of(inside);
    struct packet_writer *writer;

    if (handler == NULL)
        return;
    writer = table_begin(inside, PACKET_HTTP_HANDLER);
    packet_put_text(writer, handler->prefix);
    packet_put_text(writer, handler->methods);
    packet_end(writer);
}
