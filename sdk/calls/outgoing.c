/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call from one plugin to a service of the same router.
 *
 *     caller ─send, half_close, fail─▶ requests ─pump─▶ router (open, deliver, half_close, cancel) ─▶ handler
 *     caller ◀─on_message, on_end─pump─ replies ◀─ stream operations (send, finish)                ◀─ handler
 *
 * Both sides only fill queues; the pump, an idle handle of the loop, is the one that calls the router and the
 * caller. So a handler is never entered from inside another plugin's callback, and a plugin that calls itself
 * needs no more care than one that is called from outside.
 *
 * A call ends once: end() tells the caller and gives up the stream. Its memory then rests, because its caller
 * may still hold it: `caller` is NULL then, and whoever comes late is refused and reported.
 */
#include "outgoing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/namespace.h>
#include <berth/trace.h>

#include <sdk/base/arena.h>
#include <sdk/base/container_of.h>

/* The code that called the function this is used in. */
#define CALLER __builtin_return_address(0)

/* Bytes that may wait in one direction before its sender is asked to stop. */
#define HIGH_WATER (256u * 1024)

/* Calls worked on in one turn of the loop, and messages of one call in a row, so that others have their turn.
 */
#define TURN 256
#define BURST 32

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)
#define TIMEOUT_MS_MAX (UINT64_C(100) * 365 * 24 * 3600 * 1000)
#define METADATA_COST 32

/* containerd's key; each transport but ttrpc uses it. */
#define NAMESPACE_KEY "containerd-namespace"

static const char details_key[] = "grpc-status-details-bin";

struct message {
    STAILQ_ENTRY(message) link;
    size_t length;
    unsigned char bytes[];
};

struct queue {
    STAILQ_HEAD(, message) messages;
    size_t bytes;
    /** Its sender was told to wait. */
    bool is_awaited;
};

struct metadata_list {
    struct berth_metadata *items;
    size_t count, capacity;
    size_t bytes;
};

struct outgoing {
    struct berth_outgoing public;
    /** NULL once on_end has been called. */
    struct outgoing_caller *caller;
    struct outgoings *room;
    LIST_ENTRY(outgoing) link;
    TAILQ_ENTRY(outgoing) waiting_link;
    STAILQ_ENTRY(outgoing) resting_link;
    bool is_waiting;
    const struct berth_outgoing_handlers *handlers;
    void *context;
    struct berth_arena arena;
    struct deadline deadline;
    uint64_t deadline_ns;
    /** What the observer sees while a callback of the caller runs. It may keep the path, hence a constant. */
    struct berth_call seen;
    struct berth_trace trace;

    /** From the caller to the handler. */
    struct metadata_list metadata;
    struct queue requests;
    bool half_closed, half_close_passed;
    bool opened;
    /** NULL before it is opened and once it has ended. */
    struct berth_call *target;
    bool target_paused;

    /** And back. */
    struct metadata_list headers, trailers;
    struct queue replies;
    bool headers_ready, headers_told;
    bool caller_paused;
    /** The handler's end has come, to be told after the replies. */
    bool finished;
    /** The caller's end: nothing more is delivered. */
    bool failed;
    enum berth_code code;
    char *message;
    const char *refusal;
};

static struct outgoing *of_public(struct berth_outgoing *public)
{
    return CONTAINER_OF(public, struct outgoing, public);
}

/* The router never looks into a stream: the pointer is the call itself. */
static struct outgoing *of_stream(struct berth_stream *stream)
{
    return (struct outgoing *)stream;
}

static void on_pump(uv_idle_t *pump);

static void wait_for_pump(struct outgoing *call)
{
    if (call->is_waiting || call->caller == NULL)
        return;
    call->is_waiting = true;
    TAILQ_INSERT_TAIL(&call->room->waiting, call, waiting_link);
    if (!uv_is_closing((uv_handle_t *)&call->room->pump))
        uv_idle_start(&call->room->pump, on_pump);
}

static void leave_pump(struct outgoing *call)
{
    if (call->is_waiting)
        TAILQ_REMOVE(&call->room->waiting, call, waiting_link);
    call->is_waiting = false;
}

/* Queues */

static enum berth_code queue_put(struct queue *queue, const void *bytes, size_t length)
{
    struct message *message;

    if (length > BERTH_OUTGOING_MESSAGE_MAX)
        return BERTH_RESOURCE_EXHAUSTED;
    if (queue->bytes + length > BERTH_OUTGOING_QUEUE_MAX)
        return BERTH_RESOURCE_EXHAUSTED;
    message = malloc(sizeof(*message) + length);
    if (message == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    message->length = length;
    if (length > 0)
        memcpy(message->bytes, bytes, length);
    STAILQ_INSERT_TAIL(&queue->messages, message, link);
    queue->bytes += length + sizeof(*message);
    return BERTH_OK;
}

static struct message *queue_take(struct queue *queue)
{
    struct message *message = STAILQ_FIRST(&queue->messages);

    if (message == NULL)
        return NULL;
    STAILQ_REMOVE_HEAD(&queue->messages, link);
    queue->bytes -= message->length + sizeof(*message);
    return message;
}

static void queue_clear(struct queue *queue)
{
    struct message *message;

    while ((message = queue_take(queue)) != NULL)
        free(message);
}

static bool queue_has_room(struct queue *queue)
{
    queue->is_awaited = queue->is_awaited || queue->bytes >= HIGH_WATER;
    return queue->bytes < HIGH_WATER;
}

/* @return is the sender to be told that there is room again? Once for each time that it was refused. */
static bool queue_has_emptied(struct queue *queue)
{
    bool tells = queue->is_awaited && queue->bytes <= HIGH_WATER / 2;

    if (tells)
        queue->is_awaited = false;
    return tells;
}

/* Metadata */

static enum berth_code add_metadata(struct outgoing *call, struct metadata_list *list, const char *key,
                                    const void *value, size_t length)
{
    size_t cost = strlen(key) + length + METADATA_COST;
    size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
    struct berth_metadata *items = list->items;
    char *own_key, *own_value;

    if (length > BERTH_OUTGOING_METADATA_MAX || list->bytes + cost > BERTH_OUTGOING_METADATA_MAX)
        return BERTH_RESOURCE_EXHAUSTED;
    if (list->count == list->capacity) {
        items = berth_arena_take(&call->arena, capacity * sizeof(*items));
        if (items == NULL)
            return BERTH_RESOURCE_EXHAUSTED;
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
        list->capacity = capacity;
    }
    own_key = berth_arena_copy(&call->arena, key, strlen(key));
    own_value = berth_arena_copy(&call->arena, value, length);
    if (own_key == NULL || own_value == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    items[list->count++] =
        (struct berth_metadata){.key = own_key, .value = own_value, .value_length = length};
    list->bytes += cost;
    return BERTH_OK;
}

static bool key_is_valid(const char *key)
{
    size_t length = key == NULL ? 0 : strspn(key, "0123456789abcdefghijklmnopqrstuvwxyz_.-");

    return length > 0 && key[length] == '\0' && strncmp(key, "grpc-", 5) != 0;
}

/* What every transport can carry (gRPC over HTTP/2, Custom-Metadata). */
static bool value_is_valid(const struct berth_metadata *item)
{
    size_t length = strlen(item->key);

    if (length >= 4 && strcmp(item->key + length - 4, "-bin") == 0)
        return true;
    for (size_t i = 0; i < item->value_length; i++)
        if (item->value[i] < ' ' || item->value[i] > '~')
            return false;
    return true;
}

static bool has_key(const struct metadata_list *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].key, key) == 0)
            return true;
    return false;
}

static enum berth_code add_text(struct outgoing *call, const char *key, const char *text)
{
    return add_metadata(call, &call->metadata, key, text, strlen(text));
}

static enum berth_code add_trace(struct outgoing *call, const struct berth_call *parent,
                                 const struct berth_trace *trace)
{
    char text[BERTH_TRACE_BAGGAGE_MAX + 1];
    struct berth_trace received;
    enum berth_code code = BERTH_OK;
    bool is_traced = trace != NULL;

    if (is_traced)
        call->trace = *trace;
    else if (parent != NULL)
        is_traced = berth_trace_of(parent, &call->trace) == BERTH_OK;
    if (is_traced)
        call->seen.trace = &call->trace;
    if (has_key(&call->metadata, BERTH_TRACE_PARENT))
        return BERTH_OK;
    if (is_traced) {
        berth_trace_format(&call->trace, text);
        code = add_text(call, BERTH_TRACE_PARENT, text);
    }
    if (code != BERTH_OK || parent == NULL)
        return code;
    if (is_traced && !has_key(&call->metadata, BERTH_TRACE_STATE) &&
        berth_trace_received(parent->metadata, parent->metadata_count, &received) == BERTH_OK &&
        berth_trace_state(parent->metadata, parent->metadata_count, text) == BERTH_OK)
        code = add_text(call, BERTH_TRACE_STATE, text);
    if (code == BERTH_OK && !has_key(&call->metadata, BERTH_TRACE_BAGGAGE) &&
        berth_trace_baggage(parent->metadata, parent->metadata_count, text) == BERTH_OK)
        code = add_text(call, BERTH_TRACE_BAGGAGE, text);
    return code;
}

static enum berth_code add_namespace(struct outgoing *call, struct berth_call *parent)
{
    const char *name = berth_call_annotation(parent, BERTH_NAMESPACE_ANNOTATION);

    return name == NULL || has_key(&call->metadata, NAMESPACE_KEY) ? BERTH_OK
                                                                   : add_text(call, NAMESPACE_KEY, name);
}

/* The end */

static void call_back(struct outgoing *call, const void **ret_owner)
{
    *ret_owner = call->caller->owner;
    router_enter_caller(call->room->router, *ret_owner, &call->seen);
}

/* More ended calls than are to rest are freed, but none that the pump may still look at. */
static void free_rested(struct outgoings *room, size_t rest)
{
    while (!room->is_pumping && room->resting_count > rest) {
        struct outgoing *call = STAILQ_FIRST(&room->resting);

        STAILQ_REMOVE_HEAD(&room->resting, resting_link);
        room->resting_count--;
        berth_arena_finish(&call->arena);
        free(call);
    }
}

/* Nothing of it is used any more but its public part and its path. */
static void rest(struct outgoing *call)
{
    struct outgoings *room = call->room;

    leave_pump(call);
    deadlines_stop(&room->deadlines, &call->deadline);
    queue_clear(&call->requests);
    queue_clear(&call->replies);
    LIST_REMOVE(call, link);
    call->caller->count--;
    call->caller = NULL;
    STAILQ_INSERT_TAIL(&room->resting, call, resting_link);
    room->resting_count++;
}

/* Tells the handler that nobody listens, and the caller how the call has ended. */
static void end(struct outgoing *call, bool tells)
{
    const struct router *router = call->room->router;
    const struct berth_outgoing_handlers *handlers = call->handlers;
    struct berth_call *target = call->target;
    const void *owner;

    call->target = NULL;
    if (target != NULL)
        call->room->calls->cancel(target, call->code == BERTH_DEADLINE_EXCEEDED ? BERTH_DEADLINE_EXCEEDED
                                                                                : BERTH_CANCELLED);
    /* The handler's on_end may have had this caller closed. */
    if (call->caller == NULL)
        return;
    if (tells && BERTH_HAS(handlers, on_end)) {
        call_back(call, &owner);
        handlers->on_end(call->context, &call->public, call->code, call->message != NULL ? call->message : "",
                         call->trailers.items, call->trailers.count);
        router_leave_caller(router, owner, &call->seen);
    }
    if (call->caller != NULL)
        rest(call);
}

static void fail(struct outgoing *call, enum berth_code code, const char *message)
{
    if (call->failed)
        return;
    call->failed = true;
    call->code = code;
    call->message = berth_arena_copy(&call->arena, message, strlen(message));
    call->trailers.count = 0;
    wait_for_pump(call);
}

static void on_overdue(struct deadline *deadline)
{
    fail(CONTAINER_OF(deadline, struct outgoing, deadline), BERTH_DEADLINE_EXCEEDED, "deadline exceeded");
}

/* What the router calls for the handler */

static enum berth_code stream_send(struct berth_stream *stream, const void *message, size_t length)
{
    struct outgoing *call = of_stream(stream);
    enum berth_code code = queue_put(&call->replies, message, length);

    call->headers_ready = true;
    if (code == BERTH_OK)
        call->refusal = NULL;
    else if (length > BERTH_OUTGOING_MESSAGE_MAX)
        call->refusal = "the message is larger than 16 MiB, the limit of calls between plugins";
    else
        call->refusal = "too much is queued for the calling plugin, or out of memory";
    wait_for_pump(call);
    return code;
}

static bool stream_can_send(struct berth_stream *stream)
{
    return queue_has_room(&of_stream(stream)->replies);
}

static enum berth_code stream_add_header(struct berth_stream *stream, const char *key, const void *value,
                                         size_t length)
{
    return add_metadata(of_stream(stream), &of_stream(stream)->headers, key, value, length);
}

static enum berth_code stream_add_trailer(struct berth_stream *stream, const char *key, const void *value,
                                          size_t length)
{
    return add_metadata(of_stream(stream), &of_stream(stream)->trailers, key, value, length);
}

static enum berth_code stream_send_headers(struct berth_stream *stream)
{
    of_stream(stream)->headers_ready = true;
    wait_for_pump(of_stream(stream));
    return BERTH_OK;
}

static void stream_finish(struct berth_stream *stream, enum berth_code code, const char *message,
                          const void *details, size_t details_length)
{
    struct outgoing *call = of_stream(stream);

    call->target = NULL;
    if (call->failed)
        return;
    call->finished = true;
    call->headers_ready = call->headers_ready || call->headers.count > 0;
    call->code = code;
    call->message = berth_arena_copy(&call->arena, message, message == NULL ? 0 : strlen(message));
    if (details_length > 0)
        add_metadata(call, &call->trailers, details_key, details, details_length);
    wait_for_pump(call);
}

static void stream_pause(struct berth_stream *stream)
{
    of_stream(stream)->target_paused = true;
}

static void stream_resume(struct berth_stream *stream)
{
    of_stream(stream)->target_paused = false;
    wait_for_pump(of_stream(stream));
}

static const char *stream_refusal(struct berth_stream *stream)
{
    return of_stream(stream)->refusal;
}

static const struct berth_stream_ops stream_ops = {
    .size = sizeof(stream_ops),
    .send = stream_send,
    .can_send = stream_can_send,
    .add_header = stream_add_header,
    .add_trailer = stream_add_trailer,
    .send_headers = stream_send_headers,
    .finish = stream_finish,
    .pause = stream_pause,
    .resume = stream_resume,
    .refusal = stream_refusal,
};

/* The pump */

static void open_target(struct outgoing *call)
{
    const struct berth_router *router = call->room->calls;
    const struct berth_peer peer = {
        .size = sizeof(peer),
        .address = call->caller->address,
        .pid = getpid(),
        .uid = geteuid(),
        .gid = getegid(),
    };
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = call->public.path,
        .transport = BERTH_OUTGOING_TRANSPORT,
        .peer = &peer,
        .deadline_ns = call->deadline_ns,
        .metadata = call->metadata.items,
        .metadata_count = call->metadata.count,
        .stream = (struct berth_stream *)call,
        .stream_ops = &stream_ops,
    };
    struct berth_call *target;

    call->opened = true;
    target = router->open(router, &request);
    if (call->finished || target == NULL)
        return;
    call->target = target;
    /* The handler's on_start may have had this caller closed: nobody listens any more. */
    if (call->caller == NULL)
        end(call, false);
}

static bool can_deliver(const struct outgoing *call)
{
    return call->target != NULL && !call->target_paused && !call->failed;
}

static void pass_requests(struct outgoing *call)
{
    const struct berth_router *router = call->room->calls;
    struct message *message;

    for (size_t i = 0; i < BURST && can_deliver(call); i++) {
        bool is_last;

        message = queue_take(&call->requests);
        if (message == NULL)
            break;
        is_last = call->half_closed && STAILQ_EMPTY(&call->requests.messages);
        call->half_close_passed = call->half_close_passed || is_last;
        if (is_last)
            router->deliver_last(call->target, message->bytes, message->length);
        else
            router->deliver(call->target, message->bytes, message->length);
        free(message);
    }
    if (can_deliver(call) && call->half_closed && !call->half_close_passed &&
        STAILQ_EMPTY(&call->requests.messages)) {
        call->half_close_passed = true;
        router->half_close(call->target);
    }
    if (can_deliver(call) && !STAILQ_EMPTY(&call->requests.messages))
        wait_for_pump(call);
}

/* Around each of them the caller may end the call, or be closed. */
static bool can_call_back(const struct outgoing *call)
{
    return call->caller != NULL && !call->failed;
}

static void pass_headers(struct outgoing *call)
{
    const void *owner;

    if (!can_call_back(call) || !call->headers_ready || call->headers_told)
        return;
    call->headers_told = true;
    if (!BERTH_HAS(call->handlers, on_headers))
        return;
    call_back(call, &owner);
    call->handlers->on_headers(call->context, &call->public, call->headers.items, call->headers.count);
    router_leave_caller(call->room->router, owner, &call->seen);
}

static void pass_replies(struct outgoing *call)
{
    struct message *message;
    const void *owner;

    for (size_t i = 0; i < BURST && can_call_back(call) && !call->caller_paused; i++) {
        message = queue_take(&call->replies);
        if (message == NULL)
            break;
        if (BERTH_HAS(call->handlers, on_message)) {
            call_back(call, &owner);
            call->handlers->on_message(call->context, &call->public, message->bytes, message->length);
            router_leave_caller(call->room->router, owner, &call->seen);
        }
        free(message);
    }
    if (can_call_back(call) && !call->caller_paused && !STAILQ_EMPTY(&call->replies.messages))
        wait_for_pump(call);
}

static void pass_room(struct outgoing *call)
{
    const void *owner;

    if (can_call_back(call) && !call->finished && !call->half_closed && queue_has_emptied(&call->requests) &&
        BERTH_HAS(call->handlers, on_writable)) {
        call_back(call, &owner);
        call->handlers->on_writable(call->context, &call->public);
        router_leave_caller(call->room->router, owner, &call->seen);
    }
    if (call->caller != NULL && call->target != NULL && queue_has_emptied(&call->replies))
        call->room->calls->writable(call->target);
}

static void work_on(struct outgoing *call)
{
    if (!call->opened && !call->failed)
        open_target(call);
    if (!call->failed)
        pass_requests(call);
    pass_headers(call);
    pass_replies(call);
    pass_room(call);
    if (call->caller == NULL)
        return;
    if (call->failed || (call->finished && STAILQ_EMPTY(&call->replies.messages)))
        end(call, true);
}

/* At most those of a turn: the rest waits for the next, in which everybody else comes first. */
static void on_pump(uv_idle_t *pump)
{
    struct outgoings *room = pump->data;
    struct outgoing *call;

    room->is_pumping = true;
    for (size_t i = 0; i < TURN && (call = TAILQ_FIRST(&room->waiting)) != NULL; i++) {
        leave_pump(call);
        work_on(call);
    }
    room->is_pumping = false;
    free_rested(room, room->rest);
    if (TAILQ_EMPTY(&room->waiting))
        uv_idle_stop(pump);
}

/* What the caller may do */

/* @return NULL if it may not be done, which is reported. */
static struct outgoing *enter(struct berth_outgoing *public, const char *done, const void *address)
{
    struct outgoing *call = of_public(public);
    char what[BERTH_ERROR_MAX];

    snprintf(what, sizeof(what), "%s the outgoing call %.200s", done, public->path);
    if (!router_is_on_thread(call->room->router, what, address))
        return NULL;
    if (call->caller != NULL)
        return call;
    snprintf(what, sizeof(what), "%s the outgoing call %.200s, which has ended; ignored", done, public->path);
    router_report_misuse(call->room->router, NULL, what, address);
    return NULL;
}

static void report(const struct outgoing *call, const char *did, const void *address)
{
    char what[BERTH_ERROR_MAX];

    snprintf(what, sizeof(what), "%s (%.200s); ignored", did, call->public.path);
    router_report_misuse(call->room->router, call->caller->owner, what, address);
}

static enum berth_code op_send(struct berth_outgoing *public, const void *message, size_t length)
{
    struct outgoing *call = enter(public, "sent a message to", CALLER);
    enum berth_code code;

    if (call == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (call->half_closed)
        report(call, "sent a message to an outgoing call after half-closing it", CALLER);
    if (call->half_closed || call->failed)
        return BERTH_FAILED_PRECONDITION;
    if (call->finished)
        return BERTH_OK;
    code = queue_put(&call->requests, message, length);
    wait_for_pump(call);
    return code;
}

static bool op_can_send(struct berth_outgoing *public)
{
    struct outgoing *call = enter(public, "checked for room to send on", CALLER);

    return call != NULL && !call->failed && !call->half_closed && queue_has_room(&call->requests);
}

static void op_half_close(struct berth_outgoing *public)
{
    struct outgoing *call = enter(public, "half-closed", CALLER);

    if (call == NULL)
        return;
    if (call->half_closed)
        report(call, "half-closed an outgoing call twice", CALLER);
    call->half_closed = true;
    wait_for_pump(call);
}

static void op_fail(struct berth_outgoing *public, enum berth_code code, const char *message)
{
    struct outgoing *call = enter(public, "cancelled", CALLER);

    if (call == NULL)
        return;
    if ((int)code <= BERTH_OK || (int)code > BERTH_UNAUTHENTICATED)
        code = BERTH_CANCELLED;
    fail(call, code, message != NULL ? message : "the caller cancelled the call");
}

static void op_pause(struct berth_outgoing *public)
{
    struct outgoing *call = enter(public, "paused", CALLER);

    if (call != NULL)
        call->caller_paused = true;
}

static void op_resume(struct berth_outgoing *public)
{
    struct outgoing *call = enter(public, "resumed", CALLER);

    if (call == NULL)
        return;
    call->caller_paused = false;
    wait_for_pump(call);
}

static const struct berth_outgoing_ops operations = {
    .size = sizeof(operations),
    .send = op_send,
    .can_send = op_can_send,
    .half_close = op_half_close,
    .end = op_fail,
    .pause = op_pause,
    .resume = op_resume,
};

/* Beginning one */

/* Members beyond the caller's header are zero. */
static struct berth_outgoing_options known_options(const struct berth_outgoing_options *given)
{
    struct berth_outgoing_options options = {0};

    memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    return options;
}

static enum berth_code take_metadata(struct outgoing *call, const struct berth_outgoing_options *options,
                                     struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; code == BERTH_OK && i < options->metadata_count; i++) {
        const struct berth_metadata *item = &options->metadata[i];

        if (!key_is_valid(item->key) || !value_is_valid(item))
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "%s: metadata \"%.100s\" cannot be sent: keys are [0-9a-z_.-]+ without "
                                   "grpc-, values printable unless the key ends in -bin",
                                   options->path, item->key == NULL ? "(null)" : item->key);
        code = add_metadata(call, &call->metadata, item->key, item->value, item->value_length);
    }
    if (code == BERTH_OK && options->parent != NULL)
        code = add_namespace(call, (struct berth_call *)(uintptr_t)options->parent);
    if (code == BERTH_OK)
        code = add_trace(call, options->parent, options->trace);
    return code == BERTH_OK ? code
                            : berth_error_set(err, code, "%s: more than %u bytes of metadata, or no memory",
                                              options->path, BERTH_OUTGOING_METADATA_MAX);
}

static enum berth_code take_deadline(struct outgoing *call, const struct berth_outgoing_options *options,
                                     struct berth_error *err)
{
    uint64_t timeout_ms = options->timeout_ms < TIMEOUT_MS_MAX ? options->timeout_ms : TIMEOUT_MS_MAX;
    uint64_t due = timeout_ms == 0 ? 0 : uv_hrtime() + timeout_ms * NANOSECONDS_PER_MILLISECOND;
    uint64_t inherited = options->parent != NULL ? options->parent->deadline_ns : 0;

    call->deadline_ns = due == 0 || (inherited != 0 && inherited < due) ? inherited : due;
    if (call->deadline_ns == 0 ||
        deadlines_start(&call->room->deadlines, &call->deadline, call->deadline_ns, on_overdue))
        return BERTH_OK;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for its deadline", options->path);
}

static enum berth_code check_start(const struct outgoing_caller *caller,
                                   const struct berth_outgoing_options *options, struct berth_error *err)
{
    const char *path = options->path == NULL ? "" : options->path;

    if (caller->room == NULL)
        return berth_error_set(err, BERTH_UNIMPLEMENTED,
                               "this host does not support calls of other services");
    if (path[0] != '/' || strrchr(path, '/') == path || strlen(path) > 1024)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%.200s\" is not a method path (try /package.Service/Method)", path);
    if (caller->is_closed)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s: the calling plugin is closing or has failed",
                               path);
    if (caller->count >= BERTH_OUTGOING_CALLS_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "%s: the calling plugin has %zu calls open; wait for some to end", path,
                               caller->count);
    return BERTH_OK;
}

static struct outgoing *create(struct outgoing_caller *caller, const struct berth_outgoing_options *options)
{
    struct outgoing *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    STAILQ_INIT(&call->requests.messages);
    STAILQ_INIT(&call->replies.messages);
    call->room = caller->room;
    call->public = (struct berth_outgoing){
        .size = sizeof(call->public),
        .ops = &operations,
        .path = berth_arena_copy(&call->arena, options->path, strlen(options->path)),
        .tag = options->tag,
    };
    call->seen = (struct berth_call){.size = sizeof(call->seen), .path = "an outgoing call"};
    if (call->public.path != NULL)
        return call;
    free(call);
    return NULL;
}

enum berth_code outgoing_start(struct outgoing_caller *caller, const struct berth_outgoing_options *given,
                               const struct berth_outgoing_handlers *handlers, void *context,
                               struct berth_outgoing **ret_call, struct berth_error *err)
{
    static const struct berth_outgoing_handlers none = {.size = sizeof(none)};
    const struct berth_outgoing_options options = known_options(given);
    enum berth_code code = check_start(caller, &options, err);
    struct outgoing *call;

    if (code != BERTH_OK)
        return code;
    call = create(caller, &options);
    if (call == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for the call", options.path);
    code = take_metadata(call, &options, err);
    if (code == BERTH_OK)
        code = take_deadline(call, &options, err);
    if (code != BERTH_OK) {
        berth_arena_finish(&call->arena);
        free(call);
        return code;
    }
    call->handlers = handlers != NULL ? handlers : &none;
    call->context = context;
    call->caller = caller;
    LIST_INSERT_HEAD(&caller->calls, call, link);
    caller->count++;
    wait_for_pump(call);
    if (ret_call != NULL)
        *ret_call = &call->public;
    return BERTH_OK;
}

/* Callers and their room */

void outgoing_caller_init(struct outgoing_caller *caller, struct outgoings *room, const char *uri,
                          const void *owner)
{
    *caller = (struct outgoing_caller){.room = room, .owner = owner};
    LIST_INIT(&caller->calls);
    if (asprintf(&caller->address, "plugin:%s", uri) < 0)
        abort();
}

size_t outgoing_caller_close(struct outgoing_caller *caller, bool tells)
{
    struct outgoing *call;
    size_t count = 0;

    caller->is_closed = true;
    while ((call = LIST_FIRST(&caller->calls)) != NULL) {
        fail(call, BERTH_CANCELLED, "the calling plugin is closing");
        end(call, tells);
        count++;
    }
    return count;
}

void outgoing_caller_finish(struct outgoing_caller *caller)
{
    free(caller->address);
    caller->address = NULL;
}

void outgoings_init(struct outgoings *room, struct router *router, uv_loop_t *loop, size_t rest_count)
{
    *room = (struct outgoings){.router = router, .calls = router_interface(router), .rest = rest_count};
    TAILQ_INIT(&room->waiting);
    STAILQ_INIT(&room->resting);
    deadlines_init(&room->deadlines, loop);
    uv_idle_init(loop, &room->pump);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_idle_start(&room->pump, on_pump);
    uv_idle_stop(&room->pump);
    room->pump.data = room;
}

static void on_handle_closed(struct outgoings *room)
{
    if (--room->open_handles > 0)
        return;
    deadlines_finish(&room->deadlines);
    free_rested(room, 0);
    if (room->on_closed != NULL)
        room->on_closed(room->context);
}

static void on_pump_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(CONTAINER_OF(handle, struct outgoings, deadlines.timer));
}

void outgoings_close(struct outgoings *room, void (*on_closed)(void *context), void *context)
{
    room->on_closed = on_closed;
    room->context = context;
    room->open_handles = 2;
    uv_close((uv_handle_t *)&room->pump, on_pump_closed);
    uv_close((uv_handle_t *)&room->deadlines.timer, on_timer_closed);
}
