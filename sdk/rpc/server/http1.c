/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of HTTP/1.1: one request at a time of each connection, from its head to the last byte of
 * its response. What comes behind a request waits until that is answered, so that responses keep the order of
 * the requests and a client that only sends is stopped by its own socket.
 *
 * Operations of handlers only record what happened; on_writable and on_end come from the top level, from
 * `process` or when the connection is lost.
 */
#include "connect.h"
#include "connect_call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <sdk/base/container_of.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/* Input that waits behind a request; with more the socket is not read. */
#define HELD_MAX (16 * 1024)

/* Header fields of one response, with names and values. */
#define RESPONSE_FIELDS_MAX 100
#define RESPONSE_HEAD_MAX (64 * 1024)

/* Time for a client to read the last response and close, before input that was not read resets it. */
#define LINGER_MS 1000

/* How long a connection that is to end waits for a request on its way; for the first one of a connection
 * whose server has a successor. */
#define GRACE_MS 20
#define FIRST_GRACE_MS 1000

/* Of a response that waits: its memory is given back block by block while a slow client reads. */
#define BLOCK_MAX ((size_t)64 * 1024)

/* Of what a batch takes at a time. */
#define RUN_MAX 16384

static_assert(RUN_MAX <= BATCH_FRAME_MAX, "a batch that has room has room for a run");

static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
static const char last_chunk[] = "0\r\n\r\n";

/* How the body of a response is framed. */
enum http1_framing {
    HTTP1_FRAMING_NONE,
    HTTP1_FRAMING_LENGTH,
    HTTP1_FRAMING_CHUNKS,
    /* By the end of the connection, for HTTP/1.0. */
    HTTP1_FRAMING_END,
};

struct server_http1 {
    struct server_connection *connection;
    struct http1_reader reader;
    /** Input behind the request. */
    struct buffer held;
    /** What of it has been taken. */
    size_t held_used;
    /** Of the head, the body, or the lingering. */
    struct deadline deadline;

    /** The request being answered; `handler` is NULL if the server itself answers. */
    struct berth_http_request request;
    const struct berth_http *handler;
    struct outflow outflow;
    /** The request is a call by the Connect protocol, which is counted as one. */
    bool is_call;
    /** A request has come and its response has not left. */
    bool is_busy;
    /** on_request was called, and on_end was not. */
    bool is_handled;
    bool has_begun;
    bool has_ended;
    enum http1_framing framing;
    /** Of HTTP1_FRAMING_LENGTH: what the handler has not given yet. */
    uint64_t left;
    bool is_writable_due;
    bool owes_continue;
    bool owes_last_chunk;

    /** The connection ends with this response. */
    bool closes;
    /** Input follows that is not read. */
    bool has_unread;
    bool is_lingering;
    bool is_finished;
    bool is_leaving;
    /** A request that is on its way when the connection is to end is still answered. */
    bool has_grace;
    bool has_asked;
    bool is_paused;
};

static struct server_http1 *from_request(struct berth_http_request *request)
{
    return CONTAINER_OF(request, struct server_http1, request);
}

static struct berth_rpc_server *server_of(const struct server_http1 *peer)
{
    return peer->connection->server;
}

static void on_overdue(struct deadline *deadline);

/* Without memory for a deadline the client has unlimited time. */
static void await(struct server_http1 *peer, uint32_t timeout_ms)
{
    deadlines_start(&server_of(peer)->engine.deadlines, &peer->deadline,
                    uv_hrtime() + timeout_ms * NANOSECONDS_PER_MILLISECOND, on_overdue);
}

static void stop_awaiting(struct server_http1 *peer)
{
    deadlines_stop(&server_of(peer)->engine.deadlines, &peer->deadline);
}

/* RFC 9110 5.6.7, made once a second. */
static const char *date_of(struct berth_rpc_server *server)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm at;

    if (now == server->dated)
        return server->date;
    gmtime_r(&now, &at);
    snprintf(server->date, sizeof(server->date), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[at.tm_wday % 7],
             at.tm_mday % 100, months[at.tm_mon % 12], (at.tm_year + 1900) % 10000, at.tm_hour % 100,
             at.tm_min % 100, at.tm_sec % 100);
    server->dated = now;
    return server->date;
}

/* Responses. */

/* Copies the next bytes of the parts, which must have enough, and removes them from the parts. */
static void copy_parts(unsigned char *to, size_t length, struct span *parts)
{
    for (; length > 0; parts++) {
        size_t run = parts->length < length ? parts->length : length;

        if (run == 0)
            continue;
        memcpy(to, parts->bytes, run);
        parts->bytes += run;
        parts->length -= run;
        to += run;
        length -= run;
    }
}

static bool add_blocks(struct pool *pool, struct outbox *outbox, struct span *parts, size_t total)
{
    while (total > 0) {
        size_t length = total < BLOCK_MAX ? total : BLOCK_MAX;
        struct message_block *block = pool_take(pool, sizeof(*block) + length);

        if (block == NULL)
            return false;
        *block = (struct message_block){.references = 1, .length = length};
        copy_parts(block->bytes, length, parts);
        outbox_add(outbox, block);
        total -= length;
    }
    return true;
}

/* @return false without memory, or if the connection's share is used up; nothing was queued. */
static bool queue(struct server_http1 *peer, struct span before, struct span middle, struct span behind)
{
    struct span parts[] = {before, middle, behind};
    size_t total = before.length + middle.length + behind.length;
    struct outflow made = {.queued = peer->outflow.queued};

    if (!budget_take(made.queued, total))
        return false;
    if (!add_blocks(peer->outflow.pool, &made.outbox, parts, total)) {
        budget_give(made.queued, total - made.outbox.length);
        outflow_clear(&made);
        return false;
    }
    while (made.outbox.first != NULL) {
        struct message_block *block = made.outbox.first;

        made.outbox.first = block->next;
        block->next = NULL;
        outbox_add(&peer->outflow.outbox, block);
    }
    return true;
}

static struct span span_of(const void *bytes, size_t length)
{
    return (struct span){bytes, length};
}

static bool is_reserved(const char *name)
{
    static const char *const reserved[] = {"connection", "content-length", "date",   "transfer-encoding",
                                           "keep-alive", "upgrade",        "trailer"};

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcasecmp(name, reserved[i]) == 0)
            return true;
    return false;
}

static bool are_fields_valid(const struct berth_http_header *fields, size_t count)
{
    size_t total = 0;

    if (count > RESPONSE_FIELDS_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t name = fields[i].name == NULL ? 0 : strlen(fields[i].name);
        size_t value = fields[i].value == NULL ? 0 : strlen(fields[i].value);

        total += name + value;
        if (!http1_is_token(fields[i].name, name) || fields[i].value == NULL ||
            !http1_is_value(fields[i].value, value) || is_reserved(fields[i].name) ||
            total > RESPONSE_HEAD_MAX)
            return false;
    }
    return true;
}

static bool is_head(const struct server_http1 *peer)
{
    return peer->request.method != NULL && strcmp(peer->request.method, "HEAD") == 0;
}

/* Decides how the body ends, and how that is announced. */
static void choose_framing(struct server_http1 *peer, unsigned status, int64_t length, char *text,
                           size_t size)
{
    text[0] = '\0';
    if (status == 204 || status == 304) {
        peer->framing = HTTP1_FRAMING_NONE;
    } else if (length >= 0) {
        peer->framing = HTTP1_FRAMING_LENGTH;
        peer->left = (uint64_t)length;
        snprintf(text, size, "Content-Length: %lld\r\n", (long long)length);
    } else if (peer->reader.is_old) {
        peer->framing = HTTP1_FRAMING_END;
        peer->closes = true;
    } else {
        peer->framing = HTTP1_FRAMING_CHUNKS;
        snprintf(text, size, "Transfer-Encoding: chunked\r\n");
    }
}

static bool queue_head(struct server_http1 *peer, unsigned status, const struct berth_http_header *fields,
                       size_t count, const char *framing)
{
    struct buffer head = {0};
    char line[256];
    int length =
        snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\nDate: %s\r\n%s%s", status, http1_phrase(status),
                 date_of(server_of(peer)), framing, peer->closes ? "Connection: close\r\n" : "");
    bool is_well = buffer_append(&head, line, (size_t)length, NULL);

    for (size_t i = 0; i < count && is_well; i++)
        is_well = buffer_append(&head, fields[i].name, strlen(fields[i].name), NULL) &&
                  buffer_append(&head, ": ", 2, NULL) &&
                  buffer_append(&head, fields[i].value, strlen(fields[i].value), NULL) &&
                  buffer_append(&head, "\r\n", 2, NULL);
    is_well = is_well && queue(peer, (struct span){0}, span_of(head.bytes, head.length), span_of("\r\n", 2));
    buffer_finish(&head, NULL);
    return is_well;
}

static enum berth_code begin(struct berth_http_request *request, unsigned status,
                             const struct berth_http_header *headers, size_t count, int64_t length)
{
    struct server_http1 *peer = from_request(request);
    char framing[64];

    if (peer->connection->base.is_lost)
        return BERTH_CANCELLED;
    if (!peer->is_busy || peer->has_begun)
        return BERTH_FAILED_PRECONDITION;
    if (status < 200 || status > 599 || !are_fields_valid(headers, count))
        return BERTH_INVALID_ARGUMENT;
    peer->closes = peer->closes || peer->is_leaving;
    choose_framing(peer, status, length, framing, sizeof(framing));
    peer->has_begun = true;
    if (!queue_head(peer, status, headers, count, framing))
        peer->connection->base.doom = "out of memory for a response";
    connection_touch(&peer->connection->base);
    return BERTH_OK;
}

static bool is_full(struct server_http1 *peer, size_t more)
{
    uint64_t most = server_of(peer)->limits.max_queued_bytes;

    return peer->connection->base.queued.used + more > most && !outflow_can_send(&peer->outflow, most);
}

static bool queue_body(struct server_http1 *peer, const void *bytes, size_t length)
{
    char size[24];
    int digits;

    if (is_head(peer))
        return true;
    if (peer->framing != HTTP1_FRAMING_CHUNKS)
        return queue(peer, (struct span){0}, span_of(bytes, length), (struct span){0});
    digits = snprintf(size, sizeof(size), "%zx\r\n", length);
    return queue(peer, span_of(size, (size_t)digits), span_of(bytes, length), span_of("\r\n", 2));
}

static enum berth_code write_body(struct berth_http_request *request, const void *bytes, size_t length)
{
    struct server_http1 *peer = from_request(request);

    if (peer->connection->base.is_lost)
        return BERTH_CANCELLED;
    if (!peer->has_begun || peer->has_ended || peer->framing == HTTP1_FRAMING_NONE ||
        (peer->framing == HTTP1_FRAMING_LENGTH && length > peer->left))
        return BERTH_FAILED_PRECONDITION;
    if (length == 0)
        return BERTH_OK;
    if (is_full(peer, length) || !queue_body(peer, bytes, length)) {
        peer->outflow.is_awaited = true;
        /* Nothing is left that could leave and bring on_writable. */
        if (peer->outflow.outbox.length == 0) {
            peer->connection->base.doom = "out of memory for a response";
            connection_touch(&peer->connection->base);
        }
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (peer->framing == HTTP1_FRAMING_LENGTH)
        peer->left -= length;
    connection_touch(&peer->connection->base);
    return BERTH_OK;
}

static bool can_write(struct berth_http_request *request)
{
    struct server_http1 *peer = from_request(request);

    return !peer->connection->base.is_lost &&
           outflow_can_send(&peer->outflow, server_of(peer)->limits.max_queued_bytes);
}

static void respond(struct server_http1 *peer, unsigned status, const char *reason);

static void end(struct berth_http_request *request)
{
    struct server_http1 *peer = from_request(request);

    if (!peer->is_busy || peer->has_ended || peer->connection->base.is_lost)
        return;
    if (!peer->has_begun) {
        respond(peer, 500, "the handler sent no response");
        return;
    }
    peer->has_ended = true;
    peer->owes_last_chunk = peer->framing == HTTP1_FRAMING_CHUNKS && !is_head(peer);
    /* The client must not take the next response for the rest of this one. */
    if (peer->framing == HTTP1_FRAMING_LENGTH && peer->left > 0 && !is_head(peer))
        peer->closes = true;
    connection_touch(&peer->connection->base);
}

static void abort_response(struct berth_http_request *request)
{
    struct server_http1 *peer = from_request(request);

    if (!peer->has_begun || peer->has_ended || peer->connection->base.is_lost) {
        end(request);
        return;
    }
    peer->has_ended = true;
    peer->closes = true;
    connection_touch(&peer->connection->base);
}

static const struct berth_http_ops ops = {
    .size = sizeof(ops),
    .begin = begin,
    .write = write_body,
    .can_write = can_write,
    .end = end,
    .abort = abort_response,
};

/*
 * Answers with a sentence; also what could not be read as a request.
 *
 * @param field  to go with it; NULL: none.
 */
static void respond_with(struct server_http1 *peer, unsigned status, const char *reason,
                         const struct berth_http_header *field)
{
    struct berth_http_header fields[3] = {{"Content-Type", "text/plain; charset=utf-8"}};
    char allowed[128];
    char text[512];
    int length = snprintf(text, sizeof(text), "%s\n", reason);
    size_t count = 1;

    if (length >= (int)sizeof(text))
        length = (int)sizeof(text) - 1;
    if (status == 405 && peer->handler != NULL) {
        size_t used = 0;

        for (const char *at = peer->handler->methods; *at != '\0' && used + 3 < sizeof(allowed); at++) {
            if (*at == ' ' && used > 0)
                allowed[used++] = ',';
            allowed[used++] = *at;
        }
        allowed[used] = '\0';
        fields[count++] = (struct berth_http_header){"Allow", allowed};
    }
    if (field != NULL && field->name != NULL)
        fields[count++] = *field;
    peer->request.ops = &ops;
    peer->is_busy = true;
    if (begin(&peer->request, status, fields, count, length) == BERTH_OK)
        write_body(&peer->request, text, (size_t)length);
    end(&peer->request);
}

static void respond(struct server_http1 *peer, unsigned status, const char *reason)
{
    respond_with(peer, status, reason, NULL);
}

/* Rejects a request that may not be complete; the rest of it is not read. */
static void refuse_with(struct server_http1 *peer, unsigned status, const char *reason,
                        const struct berth_http_header *field, bool has_unread)
{
    struct server_connection *connection = peer->connection;

    stop_awaiting(peer);
    peer->closes = peer->reader.closes || has_unread;
    peer->has_unread = has_unread;
    server_log(connection->server, SERVER_CAUSE_MALFORMED, BERTH_RPC_LOG_DEBUG,
               "request refused: %s status=%u peer=%s", reason, status, connection->peer.address);
    peer->request.method = peer->reader.method;
    respond_with(peer, status, reason, field);
}

static void refuse(struct server_http1 *peer, unsigned status, const char *reason, bool has_unread)
{
    refuse_with(peer, status, reason, NULL, has_unread);
}

/* Requests. */

static bool is_host_checked(const struct server_http1 *peer)
{
    return peer->connection->base.socket.handle.type == UV_TCP && peer->connection->tls == NULL;
}

/* The head is complete: is there a handler for it? @return false: it is refused. */
static bool admit(struct server_http1 *peer)
{
    const struct http1_reader *reader = &peer->reader;
    const struct http1_mounts *mounts = &server_of(peer)->http;
    bool has_body = reader->is_chunked || reader->left > 0;
    struct berth_rpc_http_mount mount = {0};
    struct connect_refusal refusal;

    peer->handler = NULL;
    peer->is_call = false;
    if (is_host_checked(peer) && !http1_host_is_served(mounts, reader->host)) {
        server_log(server_of(peer), SERVER_CAUSE_ABUSE, BERTH_RPC_LOG_WARN,
                   "request refused: Host \"%.100s\" is not among hosts peer=%s", reader->host,
                   peer->connection->peer.address);
        refuse(peer, 403, "this server is not known by that Host name; add it to the setting hosts",
               has_body);
        return false;
    }
    mount.handler = connect_find(server_of(peer), reader->path, reader->method);
    peer->is_call = mount.handler != NULL;
    if (!peer->is_call && !http1_mounts_find(mounts, reader->path, &mount)) {
        refuse(peer, 404, "nothing answers at this path", has_body);
        return false;
    }
    peer->handler = mount.handler;
    peer->request.instance = peer->is_call ? peer->connection : mount.instance;
    if (!http1_method_is_taken(mount.handler, reader->method)) {
        refuse(peer, 405, "this method is not allowed here", has_body);
        return false;
    }
    if (peer->is_call && connect_refuses(server_of(peer), reader, &refusal)) {
        refuse_with(peer, refusal.status, refusal.reason, &refusal.field, has_body);
        return false;
    }
    return true;
}

static void dispatch(struct server_http1 *peer)
{
    struct http1_reader *reader = &peer->reader;
    struct server_connection *connection = peer->connection;
    struct berth_http_request *request = &peer->request;

    stop_awaiting(peer);
    request->size = sizeof(*request);
    request->ops = &ops;
    request->method = reader->method;
    request->path = reader->path;
    request->rest = http1_rest_of(peer->handler, reader->path);
    request->query = reader->query;
    request->headers = reader->fields;
    request->header_count = reader->field_count;
    request->body = reader->body.length > 0 ? (const void *)reader->body.bytes : "";
    request->body_length = reader->body.length;
    request->peer = &connection->peer.who;
    request->state = NULL;
    peer->closes = reader->closes;
    peer->has_asked = true;
    peer->is_busy = true;
    peer->is_handled = true;
    if (!peer->is_call) {
        connection->calls++;
        connection->server->stats.calls++;
        connection->server->stats.calls_opened++;
    }
    peer->handler->on_request(request);
}

static void stop_counting(struct server_connection *connection)
{
    connection->server->stats.calls--;
    if (--connection->calls == 0)
        connection->idle_since_ns = uv_hrtime();
}

static void end_handling(struct server_http1 *peer)
{
    struct server_connection *connection = peer->connection;
    const struct berth_http *handler = peer->handler;

    if (!peer->is_handled)
        return;
    peer->is_handled = false;
    if (!peer->is_call)
        stop_counting(connection);
    if (handler->size > offsetof(struct berth_http, on_end) && handler->on_end != NULL)
        handler->on_end(&peer->request);
}

static size_t count_held(const struct server_http1 *peer)
{
    return peer->held.length - peer->held_used;
}

/* What has been taken goes once it is the larger part, so that a byte moves a few times at most. */
static bool append_held(struct server_http1 *peer, const uint8_t *bytes, size_t length)
{
    if (peer->held_used > count_held(peer)) {
        memmove(peer->held.bytes, peer->held.bytes + peer->held_used, count_held(peer));
        peer->held.length = count_held(peer);
        peer->held_used = 0;
    }
    return buffer_append(&peer->held, bytes, length, &peer->connection->unfinished);
}

/* Input behind the request waits, where it is if it has waited before. @return NULL, or why the connection
 * ends. */
static const char *hold(struct server_http1 *peer, const uint8_t *bytes, size_t length)
{
    bool has_waited = peer->held.length > 0 && bytes + length == peer->held.bytes + peer->held.length;

    if (length == 0)
        return NULL;
    if (has_waited)
        peer->held_used = peer->held.length - length;
    else if (!append_held(peer, bytes, length))
        return "no memory left for pipelined requests";
    if (count_held(peer) >= HELD_MAX && !peer->is_paused) {
        peer->is_paused = true;
        connection_pause_reading(&peer->connection->base);
    }
    return NULL;
}

/* A client that has begun to send its body does not wait for leave. */
static void await_body(struct server_http1 *peer, bool has_begun)
{
    if (!peer->reader.is_chunked && peer->reader.left == 0)
        return;
    await(peer, server_of(peer)->http.body_timeout_ms);
    peer->owes_continue = peer->reader.expects_continue && !has_begun;
    connection_touch(&peer->connection->base);
}

static const char *take(struct server_http1 *peer, const uint8_t *bytes, size_t length)
{
    bool was_inside = http1_reader_is_inside(&peer->reader);
    size_t used;

    while (length > 0 || peer->reader.phase != HTTP1_HEAD) {
        switch (http1_read(&peer->reader, bytes, length, &used)) {
        case HTTP1_READ_MORE:
            if (!was_inside && peer->reader.phase == HTTP1_HEAD && http1_reader_is_inside(&peer->reader))
                await(peer, server_of(peer)->http.head_timeout_ms);
            return NULL;
        case HTTP1_READ_HEAD:
            if (!admit(peer))
                return hold(peer, bytes + used, peer->has_unread ? 0 : length - used);
            await_body(peer, length > used);
            break;
        case HTTP1_READ_WHOLE:
            dispatch(peer);
            return hold(peer, bytes + used, length - used);
        case HTTP1_READ_FAILED:
            refuse(peer, peer->reader.status, peer->reader.reason, true);
            return NULL;
        }
        bytes += used;
        length -= used;
    }
    return NULL;
}

static const char *feed(void *session, const uint8_t *bytes, size_t length)
{
    struct server_http1 *peer = session;

    if (peer->is_lingering || peer->has_unread)
        return NULL;
    return peer->is_busy ? hold(peer, bytes, length) : take(peer, bytes, length);
}

/* The response has left. */
static void finish_request(struct server_http1 *peer)
{
    bool is_unread = peer->has_unread || count_held(peer) > 0;

    end_handling(peer);
    peer->is_busy = false;
    peer->has_begun = false;
    peer->has_ended = false;
    peer->is_writable_due = false;
    peer->outflow.is_awaited = false;
    if (!peer->closes && !peer->is_leaving) {
        http1_reader_next(&peer->reader);
        return;
    }
    if (!is_unread) {
        peer->is_finished = true;
        return;
    }
    peer->is_lingering = true;
    if (peer->connection->tls == NULL)
        shutdown(peer->connection->base.fd, SHUT_WR);
    await(peer, LINGER_MS);
    if (peer->is_paused)
        connection_resume_reading(&peer->connection->base);
    peer->is_paused = false;
}

/* Data being written is not dropped: it would be lost when lingering shuts the socket down. */
static bool has_left(const struct server_http1 *peer)
{
    return peer->has_ended && peer->outflow.outbox.length == 0 && !peer->owes_last_chunk &&
           peer->connection->base.writing == NULL;
}

/* @return false if the connection ends. */
static bool take_held(struct server_http1 *peer)
{
    size_t used = peer->held_used;
    const char *reason;

    /* Until something of it is held again. */
    peer->held_used = peer->held.length;
    reason = take(peer, peer->held.bytes + used, peer->held.length - used);
    if (count_held(peer) == 0) {
        buffer_finish(&peer->held, &peer->connection->unfinished);
        peer->held_used = 0;
    }
    if (reason != NULL)
        peer->connection->base.doom = reason;
    if (count_held(peer) < HELD_MAX && peer->is_paused && reason == NULL) {
        peer->is_paused = false;
        connection_resume_reading(&peer->connection->base);
    }
    return reason == NULL;
}

static void process(struct server_connection *connection)
{
    struct server_http1 *peer = connection->http1;
    struct berth_stream *stream;

    if (peer == NULL)
        return;
    while ((stream = server_stream_next(connection)) != NULL)
        server_stream_process(stream);
    if (peer->is_handled && peer->is_writable_due) {
        const struct berth_http *handler = peer->handler;

        peer->is_writable_due = false;
        if (!peer->has_ended && handler->size > offsetof(struct berth_http, on_writable) &&
            handler->on_writable != NULL)
            handler->on_writable(&peer->request);
    }
    if (peer->is_busy && has_left(peer))
        finish_request(peer);
    if (!peer->is_busy && !peer->is_lingering && !peer->is_finished && count_held(peer) > 0)
        take_held(peer);
    if (!peer->is_busy && peer->is_leaving && !peer->has_grace && !peer->is_lingering &&
        !http1_reader_is_inside(&peer->reader))
        peer->is_finished = true;
}

static void add_run(void *context, struct message_block *block, const unsigned char *bytes, size_t length)
{
    batch_add_run(context, block, bytes, length);
}

static const char *fill(void *session, struct batch *batch)
{
    struct server_http1 *peer = session;

    if (peer->owes_continue && !peer->is_busy)
        batch_add_bytes(batch, go_on, sizeof(go_on) - 1);
    peer->owes_continue = false;
    while (peer->outflow.outbox.length > 0 && batch_has_room(batch)) {
        size_t length = peer->outflow.outbox.length;

        outflow_take(&peer->outflow, length < RUN_MAX ? length : RUN_MAX, add_run, batch);
    }
    if (peer->owes_last_chunk && peer->outflow.outbox.length == 0 && batch_has_room(batch)) {
        batch_add_bytes(batch, last_chunk, sizeof(last_chunk) - 1);
        peer->owes_last_chunk = false;
    }
    return NULL;
}

/* A client that has closed its side may read the response anyway. */
static void leave(void *session, struct batch *batch)
{
    struct server_http1 *peer = session;

    if (peer->is_busy && peer->has_ended)
        fill(peer, batch);
}

static bool is_over(const void *session)
{
    const struct server_http1 *peer = session;

    return peer->is_finished && peer->outflow.outbox.length == 0;
}

static void finish(void *session)
{
    free(session);
}

static const struct connection_protocol http1_protocol = {
    .feed = feed,
    .fill = fill,
    .leave = leave,
    .is_over = is_over,
    .finish = finish,
};

/* Nothing came. */
static void end_grace(struct server_http1 *peer)
{
    peer->has_grace = false;
    connection_touch(&peer->connection->base);
}

static void on_overdue(struct deadline *deadline)
{
    struct server_http1 *peer = CONTAINER_OF(deadline, struct server_http1, deadline);

    if (!peer->is_lingering && http1_reader_is_inside(&peer->reader))
        refuse(peer, 408, "the request took too long", true);
    else if (peer->is_lingering && peer->connection->base.writing != NULL)
        await(peer, LINGER_MS);
    else if (peer->has_grace && !peer->is_lingering)
        end_grace(peer);
    else
        connection_lose(&peer->connection->base,
                        peer->is_lingering ? "connection ended" : "timed out waiting for a request");
}

static void on_room(struct outflow *outflow)
{
    struct server_http1 *peer = CONTAINER_OF(outflow, struct server_http1, outflow);

    peer->is_writable_due = true;
    connection_touch(&peer->connection->base);
}

static int start(struct server_connection *connection)
{
    const struct berth_rpc_server *server = connection->server;
    struct server_http1 *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return UV_ENOMEM;
    peer->connection = connection;
    peer->reader.max_head_bytes = server->limits.max_header_list_bytes;
    peer->reader.max_body_bytes = (size_t)server->limits.max_recv_message_bytes;
    peer->reader.budget = &connection->unfinished;
    peer->outflow.queued = &connection->base.queued;
    peer->outflow.pool = &connection->server->engine.pool;
    peer->outflow.on_room = on_room;
    connection->http1 = peer;
    await(peer, server->http.head_timeout_ms);
    return connection_start(&connection->base, &http1_protocol, peer);
}

static bool is_receiving(const struct server_connection *connection)
{
    return connection->http1 != NULL && http1_reader_is_inside(&connection->http1->reader);
}

/*
 * A response that has not begun announces the end of the connection; otherwise it just ends, once a request
 * that crosses the end has had time to arrive. Whoever has just connected is about to ask.
 */
static void drain(struct server_connection *connection)
{
    struct server_http1 *peer = connection->http1;

    connection->drain_step = SERVER_DRAIN_FINAL;
    if (peer != NULL) {
        peer->is_leaving = true;
        if (!peer->is_busy && !peer->is_lingering && !http1_reader_is_inside(&peer->reader)) {
            peer->has_grace = true;
            await(peer, !peer->has_asked && connection->server->is_retired ? FIRST_GRACE_MS : GRACE_MS);
        }
    }
    connection_touch(&connection->base);
}

static void end_all(struct server_connection *connection, const char *reason)
{
    struct server_http1 *peer = connection->http1;

    if (peer == NULL || !peer->is_busy)
        return;
    peer->closes = true;
    if (peer->is_handled && peer->is_call)
        connect_call_end(&peer->request, BERTH_UNAVAILABLE, reason);
    else if (!peer->has_begun)
        respond(peer, 503, reason);
}

static void lose(struct server_connection *connection)
{
    struct server_http1 *peer = connection->http1;

    if (peer == NULL)
        return;
    stop_awaiting(peer);
    end_handling(peer);
    outflow_clear(&peer->outflow);
    http1_reader_finish(&peer->reader);
    buffer_finish(&peer->held, &connection->unfinished);
    connection->http1 = NULL;
}

const struct server_protocol server_http1 = {
    .kind = GREETING_HTTP1,
    .call_size = sizeof(struct server_connect_call),
    .stream_ops = &connect_call_ops,
    .start = start,
    .process = process,
    .give_held = connect_call_give_held,
    .drop_output = connect_call_drop_output,
    .is_receiving = is_receiving,
    .drain = drain,
    .end = end_all,
    .lose = lose,
};
