/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on the client: its caller's operations, the delivery of responses to its handlers, and transparent
 * retries if the server has not begun to work on it (gRPC A6, Transparent Retries).
 *
 * A call is freed once its handlers have been told of the end and its protocol no longer knows it, in
 * client_call_process, from the top level: HTTP/2 refers to its outflow until it has closed the stream.
 * Whatever happens before that, also inside a callback of nghttp2 or of the caller, is only recorded, and the
 * call is queued.
 */
#include "client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <berth/trace.h>

#include <sdk/base/container_of.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/* Is there room in the budget for one more message? The first of all has room whatever its length. */
static bool replay_has_room(const struct replay *replay, size_t length)
{
    return replay->budget->used == 0 || replay->budget->used + length <= replay->budget->limit;
}

void replay_finish(struct replay *replay)
{
    while (replay->first != NULL) {
        struct message_block *block = replay->first;

        replay->first = block->next_kept;
        message_block_unref(block);
    }
    replay->budget->used -= replay->length;
    replay->last = NULL;
    replay->length = 0;
    replay->is_over = true;
}

/* Keeps the message that was last put into an outbox; forgets all messages if there is no room. */
static void replay_keep(struct replay *replay, struct message_block *block)
{
    if (replay->is_over)
        return;
    if (!replay_has_room(replay, block->length)) {
        replay_finish(replay);
        return;
    }
    message_block_ref(block);
    if (replay->last == NULL)
        replay->first = block;
    else
        replay->last->next_kept = block;
    replay->last = block;
    replay->length += block->length;
    replay->budget->used += block->length;
}

/* Puts everything into an empty outbox again. */
static void replay_restore(const struct replay *replay, struct outbox *outbox)
{
    for (struct message_block *block = replay->first; block != NULL; block = block->next_kept) {
        block->next = NULL;
        outbox_add(outbox, message_block_ref(block));
    }
}

void client_describe_failure(const struct berth_rpc_channel *channel, char *text, size_t size)
{
    if (channel->failed_attempts > 1)
        snprintf(text, size, "%s: %s, tried %" PRIu32 " times", channel->path, channel->failure,
                 channel->failed_attempts);
    else
        snprintf(text, size, "%s: %s", channel->path, channel->failure);
}

/* Before anything is sent. */
static void init_coding(struct berth_rpc_call *call)
{
    struct codec *codec = &call->channel->engine.codec;

    call->inbox.codec = codec;
    call->outflow.codec = codec;
    if (call->channel->limits.compress && call->channel->limits.protocol == BERTH_RPC_GRPC)
        berth_rpc_call_compress(call, true);
}

/* An unknown coding is harmless as long as no message uses it. */
static void take_coding(struct berth_rpc_call *call)
{
    enum coding coding = call->response.coding;

    call->inbox.coding = coding;
    call->inbox.framing.takes_compressed = coding != CODING_IDENTITY && coding != CODING_UNKNOWN;
}

static void leave_list(struct berth_rpc_call *call)
{
    if (call->list != NULL)
        TAILQ_REMOVE(call->list, call, link);
    call->list = NULL;
}

/* Moves it to the end of one of the lists of calls. */
static void join_list(struct berth_rpc_call *call, struct call_list *list)
{
    leave_list(call);
    call->list = list;
    TAILQ_INSERT_TAIL(list, call, link);
}

void client_call_enter(struct berth_rpc_call *call, struct client_connection *connection, int32_t id,
                       uint64_t batch_number)
{
    join_list(call, &connection->calls);
    call->id = id;
    call->is_unknown = false;
    call->connection = connection;
    call->batch_number = batch_number;
    connection->is_used = true;
    connection->open_streams++;
    call->outflow.queued = &connection->base.queued;
    budget_take(&connection->base.queued, call->outflow.outbox.length);
}

void client_call_ready(struct berth_rpc_call *call)
{
    struct berth_rpc_channel *channel = call->channel;

    if (call->is_ready)
        return;
    call->is_ready = true;
    TAILQ_INSERT_TAIL(&channel->ready, call, ready);
    turn_add(&channel->engine.turn, &channel->task);
}

static void touch(struct berth_rpc_call *call)
{
    if (call->connection != NULL)
        connection_touch(&call->connection->base);
}

void client_call_end(struct berth_rpc_call *call, enum berth_code code, const char *message)
{
    if (call->is_over)
        return;
    call->is_over = true;
    call->code = code;
    call->message = berth_arena_copy(&call->arena, message, strlen(message));
    if (call->message == NULL)
        call->message = "";
    deadlines_stop(&call->channel->engine.deadlines, &call->deadline);
    if (!call->is_unknown) {
        outflow_clear(&call->outflow);
        call->channel->protocol->reset(call);
    }
    client_call_ready(call);
}

/* There may be room for a call that waits. */
void client_call_forget(struct berth_rpc_call *call)
{
    if (call->is_unknown)
        return;
    call->is_unknown = true;
    call->connection->open_streams--;
    client_call_ready(call);
}

/* The protocol does not know the call; nobody is told. */
static void destroy(struct berth_rpc_call *call)
{
    struct berth_rpc_channel *channel = call->channel;
    size_t held;

    if (call->is_ready)
        TAILQ_REMOVE(&channel->ready, call, ready);
    leave_list(call);
    deadlines_stop(&channel->engine.deadlines, &call->deadline);
    outflow_clear(&call->outflow);
    replay_finish(&call->replay);
    held = inbox_finish(&call->inbox);
    if (call->connection != NULL)
        http2_consume(&call->connection->http2, call->id, held);
    berth_arena_finish(&call->arena);
    free(call);
    channel->events->settle(channel);
}

bool client_call_deliver(void *context, const void *message, size_t length)
{
    struct berth_rpc_call *call = context;

    if (call->handlers->on_message != NULL)
        call->handlers->on_message(call->context, call, message, length);
    return !call->is_over;
}

static void complain(struct berth_rpc_call *call, enum framing_state state, const struct span *message)
{
    uint64_t limit = call->channel->limits.max_recv_message_bytes;
    char text[160];

    switch (state) {
    case FRAMING_MORE:
    case FRAMING_MESSAGE:
        break;
    case FRAMING_COMPRESSED:
        client_call_end(
            call, BERTH_INTERNAL,
            call->response.coding == CODING_UNKNOWN
                ? "the server sent a message with an unsupported compression (supported: " CODING_ACCEPTED ")"
                : "the server sent a compressed message without grpc-encoding");
        break;
    case FRAMING_BAD_FLAG:
        client_call_end(call, BERTH_INTERNAL, "the server sent a message with an unknown flag");
        break;
    case FRAMING_TOO_LARGE:
        snprintf(text, sizeof(text),
                 "the server sent a message of %zu bytes, but this client accepts %" PRIu64, message->length,
                 limit);
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, text);
        break;
    case FRAMING_BROKEN:
        client_call_end(call, BERTH_INTERNAL, "the server sent a message that cannot be decompressed");
        break;
    case FRAMING_TOO_LARGE_EXPANDED:
        snprintf(text, sizeof(text),
                 "the server sent a message of %zu bytes that decompresses to at least %" PRIu64
                 " bytes, but this client accepts %" PRIu64,
                 message->length, limit + 1, limit);
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, text);
        break;
    case FRAMING_NO_ROOM:
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        break;
    }
}

void client_call_take(struct berth_rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct span bad = {0};
    size_t eaten = length;

    if (!call->is_over) {
        enum framing_state state =
            inbox_take(&call->inbox, bytes, length, client_call_deliver, call, &eaten, &bad);

        complain(call, state, &bad);
    }
    if (call->connection != NULL)
        http2_consume(&call->connection->http2, call->id, eaten);
    touch(call);
}

static void tell_headers(struct berth_rpc_call *call)
{
    call->is_headers_told = true;
    take_coding(call);
    if (call->handlers->on_headers != NULL)
        call->handlers->on_headers(call->context, call, call->response.headers.items,
                                   call->response.headers.count);
}

static void conclude(struct berth_rpc_call *call)
{
    const char *message;
    enum berth_code code;

    if (call->inbox.is_paused && inbox_is_holding(&call->inbox))
        return;
    code = response_result(&call->response, call->stream_error, &message);
    if (code == BERTH_OK && framing_is_inside(&call->inbox.framing)) {
        code = BERTH_INTERNAL;
        message = "the server's response ends inside a message";
    }
    client_call_end(call, code, message);
}

static void tell_end(struct berth_rpc_call *call)
{
    call->is_end_told = true;
    if (call->handlers->on_end != NULL)
        call->handlers->on_end(call->context, call, call->code, call->message, call->response.trailers.items,
                               call->response.trailers.count);
}

/* Did the connection end before a byte of the request was on its way? */
static bool never_left(const struct berth_rpc_call *call)
{
    return call->batch_number > call->connection->base.written_number;
}

static bool is_untouched(const struct berth_rpc_call *call)
{
    return call->stream_error == NGHTTP2_REFUSED_STREAM ||
           (call->connection->base.is_lost && never_left(call));
}

static bool may_retry(const struct berth_rpc_call *call)
{
    const struct berth_rpc_channel *channel = call->channel;

    return call->is_unknown && call->connection != NULL && !call->is_over && !call->replay.is_over &&
           call->response.header_bytes == 0 && call->retries < channel->limits.max_transparent_retries &&
           !channel->is_closing && is_untouched(call);
}

void client_call_detach(struct berth_rpc_call *call)
{
    outflow_clear(&call->outflow);
    call->outflow.queued = NULL;
    call->outflow.is_deferred = false;
    call->connection = NULL;
    join_list(call, &call->channel->waiting);
}

bool client_call_retry(struct berth_rpc_call *call)
{
    if (!may_retry(call))
        return false;
    client_call_detach(call);
    call->retries++;
    call->id = 0;
    call->is_request_sent = false;
    call->batch_number = 0;
    call->stream_error = 0;
    call->is_remote_ended = false;
    call->response = (struct response){0};
    replay_restore(&call->replay, &call->outflow.outbox);
    turn_add(&call->channel->engine.turn, &call->channel->task);
    return true;
}

void client_call_process(struct berth_rpc_call *call)
{
    call->is_ready = false;
    if (response_is_foreign(&call->response))
        conclude(call);
    if (!call->is_over && call->response.has_headers && !call->is_headers_told)
        tell_headers(call);
    if (!call->is_over && !call->inbox.is_paused && inbox_is_holding(&call->inbox))
        call->channel->protocol->give_held(call);
    if (!call->is_over && call->is_writable_due) {
        call->is_writable_due = false;
        if (call->handlers->on_writable != NULL)
            call->handlers->on_writable(call->context, call);
    }
    if (client_call_retry(call))
        return;
    if (!call->is_over && (call->is_remote_ended || (call->is_unknown && call->id != 0)))
        conclude(call);
    if (call->is_over && !call->is_end_told)
        tell_end(call);
    /* HTTP/2 refers to the call's outflow until it has closed the stream. */
    if (call->is_end_told && call->is_unknown)
        destroy(call);
}

/* Longer than anybody waits; keeps sums of times within their type. */
#define TIMEOUT_MS_MAX (UINT64_C(100) * 365 * 24 * 3600 * 1000)

static void on_overdue(struct deadline *deadline)
{
    struct berth_rpc_call *call = CONTAINER_OF(deadline, struct berth_rpc_call, deadline);
    char message[512];
    char place[384];

    if (call->id == 0 && call->channel->failed_attempts > 0) {
        client_describe_failure(call->channel, place, sizeof(place));
        snprintf(message, sizeof(message), "deadline exceeded while connecting to %s", place);
    } else if (call->id == 0)
        snprintf(message, sizeof(message), "deadline exceeded while connecting to %s", call->channel->path);
    else
        snprintf(message, sizeof(message), "deadline exceeded while waiting for %s", call->channel->path);
    client_call_end(call, BERTH_DEADLINE_EXCEEDED, message);
}

static void on_room(struct outflow *outflow)
{
    struct berth_rpc_call *call = CONTAINER_OF(outflow, struct berth_rpc_call, outflow);

    call->is_writable_due = true;
    client_call_ready(call);
}

static struct berth_rpc_call *create(struct berth_rpc_channel *channel,
                                     const struct berth_rpc_call_handlers *handlers, void *context)
{
    struct berth_rpc_call *call = malloc(sizeof(*call));

    if (call == NULL)
        return NULL;
    memset(call, 0, offsetof(struct berth_rpc_call, first));
    call->channel = channel;
    call->handlers = handlers;
    call->context = context;
    call->is_unknown = true;
    call->outflow.on_room = on_room;
    call->outflow.pool = &channel->engine.pool;
    call->replay.budget = &channel->kept;
    call->inbox.framing.budget = &channel->unfinished;
    call->inbox.framing.max_message_bytes = channel->limits.max_recv_message_bytes;
    berth_arena_init(&call->arena, call->first, sizeof(call->first));
    init_coding(call);
    join_list(call, &channel->waiting);
    return call;
}

static enum berth_code add_text(struct berth_rpc_call *call, const char *key, const char *text)
{
    return call->channel->protocol->add_metadata(call, &(struct berth_metadata){key, text, strlen(text)});
}

static bool has_key(const struct berth_rpc_call_options *options, const char *key)
{
    for (size_t i = 0; i < options->metadata_count; i++)
        if (strcmp(options->metadata[i].key, key) == 0)
            return true;
    return false;
}

/*
 * The trace state and baggage of the parent call, as far as this protocol can carry them: the parent's
 * mistakes must not fail this call. A tracestate belongs to a traceparent (W3C Trace Context 3.3).
 */
static enum berth_code add_lists(struct berth_rpc_call *call, const struct berth_rpc_call_options *options,
                                 bool is_traced)
{
    const struct berth_call *parent = options->parent;
    char text[BERTH_TRACE_BAGGAGE_MAX + 1];
    struct berth_trace received;
    enum berth_code code = BERTH_OK;

    if (is_traced && !has_key(options, BERTH_TRACE_STATE) &&
        berth_trace_received(parent->metadata, parent->metadata_count, &received) == BERTH_OK &&
        berth_trace_state(parent->metadata, parent->metadata_count, text) == BERTH_OK)
        code = add_text(call, BERTH_TRACE_STATE, text);
    if (code != BERTH_RESOURCE_EXHAUSTED && !has_key(options, BERTH_TRACE_BAGGAGE) &&
        berth_trace_baggage(parent->metadata, parent->metadata_count, text) == BERTH_OK)
        code = add_text(call, BERTH_TRACE_BAGGAGE, text);
    return code == BERTH_INVALID_ARGUMENT ? BERTH_OK : code;
}

static enum berth_code add_trace(struct berth_rpc_call *call, const struct berth_rpc_call_options *options)
{
    char text[BERTH_TRACE_PARENT_LENGTH + 1];
    struct berth_trace trace;
    bool is_traced = options->trace != NULL;
    enum berth_code code = BERTH_OK;

    if (has_key(options, BERTH_TRACE_PARENT) || (options->parent == NULL && options->trace == NULL))
        return BERTH_OK;
    if (is_traced)
        trace = *options->trace;
    else
        is_traced = berth_trace_of(options->parent, &trace) == BERTH_OK;
    if (is_traced) {
        berth_trace_format(&trace, text);
        code = add_text(call, BERTH_TRACE_PARENT, text);
    }
    return code == BERTH_OK && options->parent != NULL ? add_lists(call, options, is_traced) : code;
}

static enum berth_code take_options(struct berth_rpc_call *call, const struct berth_rpc_call_options *options,
                                    struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    if (options->path == NULL || options->path[0] != '/' || strrchr(options->path, '/') == options->path)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%s\" is not a method path (try /package.Service/Method)",
                               options->path == NULL ? "" : options->path);
    call->path = berth_arena_copy(&call->arena, options->path, strlen(options->path));
    if (call->path == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: out of memory", options->path);
    for (size_t i = 0; i < options->metadata_count && code == BERTH_OK; i++) {
        const struct berth_metadata *item = &options->metadata[i];

        code = call->channel->protocol->add_metadata(call, item);
        if (code != BERTH_OK)
            berth_error_set(err, code, "%s: metadata \"%s\" cannot be sent", options->path, item->key);
    }
    if (code == BERTH_OK && (code = add_trace(call, options)) != BERTH_OK)
        berth_error_set(err, code, "%s: the trace of its parent cannot be sent", options->path);
    return code;
}

static enum berth_code start_deadline(struct berth_rpc_call *call, uint64_t timeout_ms,
                                      struct berth_error *err)
{
    if (timeout_ms == 0)
        return BERTH_OK;
    if (timeout_ms > TIMEOUT_MS_MAX)
        timeout_ms = TIMEOUT_MS_MAX;
    call->deadline_ns = uv_hrtime() + timeout_ms * NANOSECONDS_PER_MILLISECOND;
    if (deadlines_start(&call->channel->engine.deadlines, &call->deadline, call->deadline_ns, on_overdue))
        return BERTH_OK;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: out of memory", call->path);
}

enum berth_code berth_rpc_call_start(struct berth_rpc_channel *channel,
                                     const struct berth_rpc_call_options *given,
                                     const struct berth_rpc_call_handlers *handlers, void *context,
                                     struct berth_rpc_call **ret_call, struct berth_error *err)
{
    struct berth_rpc_call_options options = {0};
    struct berth_rpc_call *call = create(channel, handlers, context);
    enum berth_code code;

    if (call == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot start a call: out of memory");
    memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    call->tag = options.tag;
    call->waits_for_ready = options.wait_for_ready;
    call->kind = options.kind;
    code = take_options(call, &options, err);
    if (code == BERTH_OK)
        code = start_deadline(call, options.timeout_ms, err);
    if (code != BERTH_OK) {
        destroy(call);
        return code;
    }
    turn_add(&channel->engine.turn, &channel->task);
    *ret_call = call;
    return BERTH_OK;
}

enum berth_code berth_rpc_call_send(struct berth_rpc_call *call, const void *message, size_t length)
{
    uint64_t most = call->channel->limits.max_send_message_bytes;
    enum berth_code code;

    if (call->is_over || call->outflow.is_ended)
        return BERTH_FAILED_PRECONDITION;
    code = call->channel->protocol->may_send(call, length);
    if (code != BERTH_OK)
        return code;
    if (call->connection == NULL && !replay_has_room(&call->replay, length))
        return BERTH_RESOURCE_EXHAUSTED;
    if (outflow_send(&call->outflow, message, length, most, call->channel->limits.max_queued_bytes) !=
        OUTFLOW_SENT)
        return BERTH_RESOURCE_EXHAUSTED;
    call->is_message_sent = true;
    replay_keep(&call->replay, call->outflow.outbox.last);
    if (call->connection != NULL)
        call->channel->protocol->wake(call);
    return BERTH_OK;
}

bool berth_rpc_call_can_send(struct berth_rpc_call *call)
{
    return !call->is_over && !call->outflow.is_ended &&
           outflow_can_send(&call->outflow, call->channel->limits.max_queued_bytes);
}

void berth_rpc_call_half_close(struct berth_rpc_call *call)
{
    if (call->is_over)
        return;
    call->outflow.is_ended = true;
    if (call->connection != NULL)
        call->channel->protocol->wake(call);
}

void berth_rpc_call_cancel(struct berth_rpc_call *call)
{
    client_call_end(call, BERTH_CANCELLED, "the caller cancelled the call");
}

void berth_rpc_call_fail(struct berth_rpc_call *call, enum berth_code code, const char *message)
{
    client_call_end(call, code, message == NULL ? "" : message);
}

const void *berth_rpc_call_tag(const struct berth_rpc_call *call)
{
    return call->tag;
}

void berth_rpc_call_pause(struct berth_rpc_call *call)
{
    call->inbox.is_paused = true;
}

void berth_rpc_call_resume(struct berth_rpc_call *call)
{
    call->inbox.is_paused = false;
    client_call_ready(call);
}

/* The server learns the coding before the first message. */
enum berth_code berth_rpc_call_compress(struct berth_rpc_call *call, bool wanted)
{
    if (call->channel->limits.protocol != BERTH_RPC_GRPC)
        return BERTH_UNIMPLEMENTED;
    if (call->is_over || (wanted && call->id != 0 && call->outflow.coding == CODING_IDENTITY))
        return BERTH_FAILED_PRECONDITION;
    if (wanted)
        call->outflow.coding = CODING_GZIP;
    call->outflow.compresses = wanted;
    return BERTH_OK;
}

bool berth_rpc_call_came_compressed(const struct berth_rpc_call *call)
{
    return call->inbox.framing.was_compressed;
}
