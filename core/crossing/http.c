/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests to an isolated plugin. A request has a number of its own as long as it is in flight; what a
 * worker says about a number that is not in use is late, and ignored.
 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <core/wire/peer.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "asked.h"
#include "kinds.h"

/* As for calls; see forward.c. */
#define QUEUED_MAX (32u << 20)
/* Of a request's body, what one packet has. */
#define PIECE (256u << 10)
/* A name and a value. */
#define LEAST_PAIR 10

/* Least room of a piece: many small packets share one, so that what is kept takes little more than its bytes.
 */
#define PIECE_ROOM ((size_t)1024)

/* Of a response, for which the server has no room. */
struct piece {
    STAILQ_ENTRY(piece) link;
    size_t length, room;
    uint8_t bytes[];
};

struct http_remote {
    struct crossing *crossing;
    struct berth_http_request *request;
    uint32_t number;
    /* It waits for the worker, which knows nothing of it. */
    bool is_held;
    /* The worker has nothing more to say about it. */
    bool is_over;
    bool has_begun, has_ended, is_broken_off;
    /* Of the request's body: bytes that were sent, and that the worker welcomes. */
    size_t sent;
    int64_t welcome;
    /* Of the response: bytes that the worker has sent, of those the server took, and what it did not. */
    uint64_t outstanding, owed;
    STAILQ_HEAD(, piece) pieces;
    /* Of those, if there are any. */
    struct piece *last;
};

static struct http_remote *find(const struct http_forward *http, uint32_t number)
{
    struct http_remote *remote = numbers_find(&http->remotes, number);

    return remote != NULL && !remote->is_over ? remote : NULL;
}

static struct http_remote *add(struct crossing *crossing, struct berth_http_request *request)
{
    struct http_remote *remote = calloc(1, sizeof(*remote));

    if (remote == NULL)
        return NULL;
    remote->number = numbers_add(&crossing->http.remotes, remote);
    if (remote->number == 0) {
        free(remote);
        return NULL;
    }
    remote->crossing = crossing;
    remote->request = request;
    remote->welcome = PACKET_WINDOW;
    STAILQ_INIT(&remote->pieces);
    return remote;
}

static void drop_pieces(struct http_remote *remote)
{
    struct piece *piece;

    while ((piece = STAILQ_FIRST(&remote->pieces)) != NULL) {
        STAILQ_REMOVE_HEAD(&remote->pieces, link);
        free(piece);
    }
    remote->crossing->http.bytes -= remote->outstanding;
    remote->outstanding = 0;
}

static void stop_holding(struct http_remote *remote)
{
    if (remote->is_held)
        remote->crossing->http.held--;
    remote->is_held = false;
}

/* Packets to the worker */

static struct packet_writer *begin(struct http_remote *remote, enum packet_type type, unsigned flags)
{
    struct packet_writer *writer = channel_write(remote->crossing->channel, remote->crossing->number);

    packet_begin(writer, type, flags | PACKET_HTTP, remote->number);
    return writer;
}

static void send_body(struct http_remote *remote)
{
    const struct berth_http_request *request = remote->request;

    while (remote->sent < request->body_length && remote->welcome > 0) {
        size_t left = request->body_length - remote->sent, length = left < PIECE ? left : PIECE;
        struct packet_writer *writer = begin(remote, PACKET_MESSAGE, length == left ? PACKET_LAST : 0);

        packet_put_raw(writer, (const uint8_t *)request->body + remote->sent, length);
        packet_end(writer);
        remote->sent += length;
        remote->welcome -= (int64_t)length;
    }
}

static void send_request(struct http_remote *remote)
{
    const struct berth_http_request *request = remote->request;
    struct packet_writer *writer = begin(remote, PACKET_CALL, 0);

    packet_put_text(writer, request->method);
    packet_put_text(writer, request->path);
    packet_put_text(writer, request->rest);
    packet_put_text(writer, request->query);
    packet_put_u64(writer, request->body_length);
    peer_put(writer, request->peer);
    packet_put_u32(writer, (uint32_t)request->header_count);
    for (size_t i = 0; i < request->header_count; i++) {
        packet_put_text(writer, request->headers[i].name);
        packet_put_text(writer, request->headers[i].value);
    }
    packet_end(writer);
    send_body(remote);
}

/* What servers call */

static void answer(struct berth_http_request *request, unsigned status, const char *reason)
{
    char text[BERTH_ERROR_MAX + 2];
    int length = snprintf(text, sizeof(text), "%.*s\n", BERTH_ERROR_MAX, reason);

    berth_http_respond(request, status, "text/plain; charset=utf-8", text, (size_t)length);
}

static void on_request(struct berth_http_request *request)
{
    struct forward *forward = request->instance;
    struct crossing *crossing = CONTAINER_OF(forward, struct crossing, forward);
    struct http_remote *remote;
    char reason[BERTH_ERROR_MAX];

    request->state = NULL;
    if (forward->state == FORWARD_CLOSED) {
        answer(request, 503, forward->reason);
        return;
    }
    if (forward->state == FORWARD_HELD ? crossing->http.held >= FORWARD_HELD_CALLS
                                       : channel_queued(crossing->channel) > QUEUED_MAX) {
        snprintf(reason, sizeof(reason), "too many requests wait for %s: %.800s", forward->uri,
                 forward->state == FORWARD_HELD ? forward->reason : "its process does not keep up");
        answer(request, 503, reason);
        return;
    }
    if (request->body_length > PACKET_HTTP_BODY_MAX) {
        answer(request, 413, "the body exceeds 256 MiB, the limit of isolated plugins");
        return;
    }
    remote = add(crossing, request);
    if (remote == NULL) {
        answer(request, 503, "too many requests to an isolated plugin");
        return;
    }
    request->state = remote;
    if (forward->state == FORWARD_OPEN) {
        send_request(remote);
    } else {
        remote->is_held = true;
        crossing->http.held++;
    }
    if (crossing->http.remotes.count == 1 && forward->on_busy != NULL)
        forward->on_busy(forward);
}

static void finish_response(struct http_remote *remote)
{
    if (!remote->has_ended || !STAILQ_EMPTY(&remote->pieces))
        return;
    if (remote->is_broken_off)
        berth_http_abort(remote->request);
    else
        berth_http_end(remote->request);
}

/* What the server has taken the worker may send again. */
static void pay(struct http_remote *remote)
{
    struct packet_writer *writer;

    if (remote->owed == 0 || remote->is_over || !berth_http_can_write(remote->request))
        return;
    writer = begin(remote, PACKET_CREDIT, 0);
    packet_put_u32(writer, (uint32_t)remote->owed);
    packet_end(writer);
    remote->outstanding -= remote->owed;
    remote->crossing->http.bytes -= remote->owed;
    remote->owed = 0;
}

static void on_writable(struct berth_http_request *request)
{
    struct http_remote *remote = request->state;
    struct piece *piece;

    if (remote == NULL || remote->is_over)
        return;
    while ((piece = STAILQ_FIRST(&remote->pieces)) != NULL) {
        if (berth_http_write(request, piece->bytes, piece->length) == BERTH_RESOURCE_EXHAUSTED)
            return;
        remote->owed += piece->length;
        STAILQ_REMOVE_HEAD(&remote->pieces, link);
        free(piece);
    }
    pay(remote);
    finish_response(remote);
}

static void on_end(struct berth_http_request *request)
{
    struct http_remote *remote = request->state;

    if (remote == NULL)
        return;
    if (!remote->is_over && !remote->is_held)
        packet_end(begin(remote, PACKET_CANCEL, 0));
    stop_holding(remote);
    drop_pieces(remote);
    numbers_remove(&remote->crossing->http.remotes, remote->number);
    free(remote);
}

/* Changes of the worker */

/* The client learns why, where it has seen nothing of a response, or at least that this is not all of it. */
static void give_up(struct http_remote *remote, unsigned status, const char *reason)
{
    remote->is_over = true;
    stop_holding(remote);
    drop_pieces(remote);
    if (!remote->has_begun)
        answer(remote->request, status, reason);
    else
        berth_http_abort(remote->request);
}

void http_follow(struct crossing *crossing)
{
    const struct forward *forward = &crossing->forward;
    char reason[BERTH_ERROR_MAX];

    memcpy(reason, forward->reason, sizeof(reason));
    for (size_t i = 0; i < crossing->http.remotes.capacity; i++) {
        struct http_remote *remote = numbers_at(&crossing->http.remotes, i);

        if (remote == NULL || remote->is_over)
            continue;
        if (forward->state == FORWARD_OPEN && remote->is_held) {
            stop_holding(remote);
            send_request(remote);
        } else if (forward->state == FORWARD_CLOSED || (forward->state == FORWARD_HELD && !remote->is_held)) {
            give_up(remote, remote->is_held ? 503 : 502, reason);
        }
    }
}

/* What the worker says */

static bool are_methods(const char *methods)
{
    size_t length = strlen(methods);

    return length > 0 && length <= HTTP_METHODS_MAX &&
           strspn(methods, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_ ") == length &&
           strspn(methods, " ") < length;
}

void http_take_handler(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    struct http_forward *http = &crossing->http;
    const char *prefix = packet_get_text(reader), *methods = packet_get_text(reader);
    char *copy;

    if (reader->is_bad || !are_methods(methods)) {
        channel_break(crossing->channel, "has an HTTP handler whose methods are not a list of names");
        return;
    }
    if (http->prefix == NULL || strcmp(prefix, http->prefix) != 0) {
        channel_break(crossing->channel,
                      "has an HTTP handler with another prefix than its manifest names (http_prefix)");
        return;
    }
    if (strcmp(methods, http->methods) == 0)
        return;
    copy = memory_copy(methods);
    free(http->methods);
    http->handler.methods = http->methods = copy;
}

static struct piece *add_piece(struct http_remote *remote, size_t length)
{
    size_t room = length > PIECE_ROOM ? length : PIECE_ROOM;
    struct piece *piece = malloc(sizeof(*piece) + room);

    if (piece == NULL)
        return NULL;
    piece->length = 0;
    piece->room = room;
    STAILQ_INSERT_TAIL(&remote->pieces, piece, link);
    remote->last = piece;
    return piece;
}

static void keep(struct http_remote *remote, const struct packet *packet)
{
    struct piece *piece = STAILQ_EMPTY(&remote->pieces) ? NULL : remote->last;

    if (piece == NULL || packet->length > piece->room - piece->length)
        piece = add_piece(remote, packet->length);
    if (piece == NULL) {
        give_up(remote, 503, "out of memory");
        return;
    }
    memcpy(piece->bytes + piece->length, packet->body, packet->length);
    piece->length += packet->length;
}

static void take_body(struct http_remote *remote, const struct packet *packet)
{
    struct crossing *crossing = remote->crossing;

    if (remote->outstanding >= PACKET_WINDOW || packet->length > PACKET_MESSAGE_MAX || remote->has_ended) {
        channel_break(crossing->channel, "sent more of an HTTP response than the daemon had room for");
        return;
    }
    /* It counts nothing, so any number of them would be kept. */
    if (packet->length == 0)
        return;
    if (crossing->http.bytes + packet->length > HTTP_BYTES_MAX) {
        packet_end(begin(remote, PACKET_CANCEL, 0));
        give_up(remote, 503, "responses of an isolated plugin exceed 64 MiB in flight");
        return;
    }
    remote->outstanding += packet->length;
    crossing->http.bytes += packet->length;
    if (!STAILQ_EMPTY(&remote->pieces) ||
        berth_http_write(remote->request, packet->body, packet->length) == BERTH_RESOURCE_EXHAUSTED) {
        keep(remote, packet);
        return;
    }
    remote->owed += packet->length;
    if (remote->owed >= PACKET_WINDOW / 2 || remote->outstanding >= PACKET_WINDOW)
        pay(remote);
}

void http_take(struct crossing *crossing, const struct packet *packet)
{
    struct http_remote *remote = find(&crossing->http, packet->call);
    struct packet_reader reader;

    if (remote == NULL || remote->is_held)
        return;
    packet_reader_init(&reader, packet);
    if (packet->type == PACKET_MESSAGE) {
        take_body(remote, packet);
    } else if (packet->type == PACKET_CREDIT) {
        remote->welcome += packet_get_u32(&reader);
        if (remote->welcome > PACKET_WINDOW)
            remote->welcome = PACKET_WINDOW;
        send_body(remote);
    } else if (packet->type == PACKET_END) {
        remote->has_ended = true;
        remote->is_broken_off = (packet->flags & PACKET_BROKEN_OFF) != 0;
        finish_response(remote);
    } else {
        channel_break(crossing->channel, "sent a packet that belongs to no HTTP request");
    }
}

enum berth_code asked_http_begin(struct crossing *crossing, struct packet_reader *reader,
                                 struct packet_writer *unused, struct berth_error *err)
{
    struct http_remote *remote = find(&crossing->http, packet_get_u32(reader));
    unsigned status = packet_get_u32(reader);
    int64_t length = (int64_t)packet_get_u64(reader);
    size_t count = packet_get_count(reader, LEAST_PAIR);
    struct berth_http_header *headers = calloc(count + 1, sizeof(*headers));
    enum berth_code code = BERTH_CANCELLED;

    for (size_t i = 0; headers != NULL && i < count; i++) {
        headers[i].name = packet_get_text(reader);
        headers[i].value = packet_get_text(reader);
    }
    if (headers == NULL)
        code = BERTH_RESOURCE_EXHAUSTED;
    else if (!reader->is_bad && remote != NULL && !remote->is_held && !remote->has_ended)
        code = berth_http_begin(remote->request, status, headers, count, length < 0 ? -1 : length);
    if (code == BERTH_OK)
        remote->has_begun = true;
    free(headers);
    return code == BERTH_OK ? BERTH_OK : berth_error_set(err, code, "the response could not begin");
}

/* Its beginning and its end */

void http_init(struct crossing *crossing)
{
    struct http_forward *http = &crossing->http;

    if (!manifest_serves_http(crossing->plugin) || crossing->plugin->http_prefix == NULL)
        return;
    http->prefix = memory_copy(crossing->plugin->http_prefix);
    /* Until the worker says which. */
    http->methods = memory_copy("GET");
    http->handler = (struct berth_http){
        .size = sizeof(http->handler),
        .prefix = http->prefix,
        .methods = http->methods,
        .on_request = on_request,
        .on_writable = on_writable,
        .on_end = on_end,
    };
}

void http_finish(struct crossing *crossing)
{
    free(crossing->http.prefix);
    free(crossing->http.methods);
    numbers_finish(&crossing->http.remotes);
}
