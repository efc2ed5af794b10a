/* SPDX-License-Identifier: Apache-2.0 */
/* One call from open to its end, whatever happens inside its callbacks. */
#include "call.h"

#include <stdlib.h>
#include <string.h>

static bool takes_one_request(const struct call *call)
{
    return call->public.kind == BERTH_METHOD_UNARY || call->public.kind == BERTH_METHOD_SERVER_STREAM;
}

/* A code that may travel on a wire. */
static enum berth_code wire_code(enum berth_code code)
{
    return (int)code >= 0 && (int)code <= BERTH_UNAUTHENTICATED ? code : BERTH_UNKNOWN;
}

static const struct berth_method *handler(const struct call *call)
{
    return &call->binding->methods[call->method->index];
}

struct call *calls_next(struct calls *calls, struct call_cursor *cursor)
{
    struct call *call = cursor->next;

    if (call == NULL)
        calls->cursors = cursor->outer;
    else
        cursor->next = LIST_NEXT(call, link);
    return call;
}

struct call *calls_first(struct calls *calls, struct call_cursor *cursor)
{
    *cursor = (struct call_cursor){.next = LIST_FIRST(&calls->all), .outer = calls->cursors};
    calls->cursors = cursor;
    return calls_next(calls, cursor);
}

static void unlink_call(struct call *call)
{
    for (struct call_cursor *cursor = call->calls->cursors; cursor != NULL; cursor = cursor->outer)
        if (cursor->next == call)
            cursor->next = LIST_NEXT(call, link);
    LIST_REMOVE(call, link);
}

static void call_free(struct call *call)
{
    call_free_annotations(call);
    chain_drop(call->chain);
    free(call->request);
    free(call);
}

/* The last that is heard of a call: nobody works on it any more. */
static void call_release(struct call *call)
{
    struct calls *calls = call->calls;
    const void *instance = call->public.instance;
    bool started = call->started;

    if (started) {
        call->depth++;
        if (handler(call)->on_end != NULL)
            handler(call)->on_end(&call->public, call->code);
        binding_unpin(call->binding);
    }
    unlink_call(call);
    call_free(call);
    if (started)
        calls->on_unpinned(calls, instance);
}

void call_enter(struct call *call)
{
    call->calls->depth++;
    call->depth++;
}

void call_leave(struct call *call)
{
    call->calls->depth--;
    if (--call->depth == 0 && call->ended)
        call_release(call);
}

void call_leave_to_handler(struct call *call)
{
    call->calls->depth--;
    if (--call->depth == 0 && call->ended)
        call->calls->abandoned++;
}

void calls_reap(struct calls *calls)
{
    struct call_cursor cursor;

    if (calls->abandoned == 0 || calls->depth > 0)
        return;
    calls->abandoned = 0;
    for (struct call *call = calls_first(calls, &cursor); call != NULL; call = calls_next(calls, &cursor))
        if (call->ended && call->depth == 0)
            call_release(call);
}

static void leave_queue(struct call *call)
{
    struct route *route = call->method->route;

    if (!call->held)
        return;
    call->held = false;
    TAILQ_REMOVE(&route->held, call, held_link);
    route->held_count--;
}

static void finish_hook(struct call *call, size_t i, enum berth_code code, const char *message)
{
    const struct hook *hook = call->chain->hooks[i];
    struct hook_state *state = &call->hook_states[i];

    if (hook->removed || state->finished)
        return;
    state->finished = true;
    if (BERTH_HAS(hook->interceptor, on_finish))
        hook->interceptor->on_finish(hook->self, &call->public, state->state, code, message);
}

static void finish_hooks(struct call *call, const char *message)
{
    while (call->hooks_started > 0) {
        call->hooks_started--;
        finish_hook(call, call->hooks_started, call->code, message);
    }
}

void call_decide(struct call *call, enum berth_code code, const char *message, const void *details,
                 size_t details_length)
{
    struct berth_stream *stream;

    if (call->ended)
        return;
    call->ended = true;
    call->code = wire_code(code);
    leave_queue(call);
    finish_hooks(call, message);
    stream = call->stream;
    call->stream = NULL;
    if (stream != NULL)
        call->stream_ops->finish(stream, call->code, message, details, details_length);
}

void call_end(struct call *call, enum berth_code code, const char *message)
{
    call_enter(call);
    call_decide(call, code, message, NULL, 0);
    call_leave(call);
}

void call_update_pause(struct call *call)
{
    bool pause = call->handler_paused || !call->started;

    if (call->ended || pause == call->stream_paused)
        return;
    call->stream_paused = pause;
    if (pause)
        call->stream_ops->pause(call->stream);
    else
        call->stream_ops->resume(call->stream);
}

static void pass_message(struct call *call, const void *message, size_t length)
{
    for (size_t i = 0; i < call->hooks_started && !call->ended; i++) {
        const struct hook *hook = call->chain->hooks[i];
        struct hook_state *state = &call->hook_states[i];

        if (!hook->removed && !state->finished && BERTH_HAS(hook->interceptor, on_message))
            hook->interceptor->on_message(hook->self, &call->public, state->state, message, length);
    }
    if (!call->ended && handler(call)->on_message != NULL)
        handler(call)->on_message(&call->public, message, length);
}

static void pass_half_close(struct call *call)
{
    if (!call->ended && handler(call)->on_half_close != NULL)
        handler(call)->on_half_close(&call->public);
}

static bool can_pass_request(const struct call *call)
{
    return call->started && !call->ended && !call->handler_paused && call->half_closed &&
           !call->request_delivered;
}

void call_pass_kept_request(struct call *call)
{
    if (!takes_one_request(call) || !call->request_taken || !can_pass_request(call))
        return;
    call->request_delivered = true;
    pass_message(call, call->request, call->request_length);
    free(call->request);
    call->request = NULL;
}

static void keep_request(struct call *call, const void *message, size_t length)
{
    call->request = malloc(length > 0 ? length : 1);
    if (call->request == NULL) {
        call_decide(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the request", NULL, 0);
        return;
    }
    if (length > 0)
        memcpy(call->request, message, length);
    call->request_length = length;
}

/* The wording of these two is grpc-go's, which clients may know. */
static void refuse_several(struct call *call)
{
    call_decide(call, BERTH_INTERNAL,
                "cardinality violation: received multiple request messages for non-client-streaming RPC",
                NULL, 0);
}

static void refuse_none(struct call *call)
{
    call_decide(call, BERTH_INTERNAL,
                "cardinality violation: received no request message from non-client-streaming RPC", NULL, 0);
}

static void take_request(struct call *call, const void *message, size_t length, bool last)
{
    if (call->request_taken) {
        refuse_several(call);
        return;
    }
    call->request_taken = true;
    call->half_closed = call->half_closed || last;
    if (can_pass_request(call)) {
        call->request_delivered = true;
        pass_message(call, message, length);
    } else {
        keep_request(call, message, length);
    }
}

static void take_message(struct call *call, const void *message, size_t length)
{
    if (!call->started) {
        call_decide(call, BERTH_INTERNAL,
                    "the server delivered a message of a call that it was asked to pause", NULL, 0);
        return;
    }
    pass_message(call, message, length);
}

static void take_half_close(struct call *call)
{
    if (call->ended || call->half_closed)
        return;
    call->half_closed = true;
    if (!takes_one_request(call)) {
        if (call->started)
            pass_half_close(call);
    } else if (!call->request_taken) {
        refuse_none(call);
    } else {
        call_pass_kept_request(call);
    }
}

/* An event that a server brings: the one place where nothing of ours need be on the stack. */
static struct call *begin(struct berth_call *public)
{
    struct call *call = call_of(public);

    calls_reap(call->calls);
    call_enter(call);
    return call;
}

static void take(struct call *call, const void *message, size_t length, bool last)
{
    if (call->ended)
        return;
    if (takes_one_request(call)) {
        take_request(call, message, length, last);
        return;
    }
    take_message(call, message, length);
    if (last)
        take_half_close(call);
}

void call_deliver(struct berth_call *public, const void *message, size_t length)
{
    struct call *call = begin(public);

    take(call, message, length, false);
    call_leave(call);
}

void call_deliver_last(struct berth_call *public, const void *message, size_t length)
{
    struct call *call = begin(public);

    take(call, message, length, true);
    call_leave(call);
}

void call_half_close(struct berth_call *public)
{
    struct call *call = begin(public);

    take_half_close(call);
    call_leave(call);
}

void call_writable(struct berth_call *public)
{
    struct call *call = begin(public);

    if (call->started && !call->ended && handler(call)->on_writable != NULL)
        handler(call)->on_writable(public);
    call_leave(call);
}

void call_cancel(struct berth_call *public, enum berth_code code)
{
    struct call *call = begin(public);

    call->stream = NULL;
    call_decide(call, code == BERTH_OK ? BERTH_CANCELLED : code, NULL, NULL, 0);
    call_leave(call);
}

static void start_handler(struct call *call)
{
    struct binding *binding = call->method->route->live;
    bool half_closed = call->half_closed;

    binding_pin(binding);
    call->binding = binding;
    call->public.instance = binding->instance;
    call->started = true;
    if (handler(call)->on_start != NULL)
        handler(call)->on_start(&call->public);
    call_update_pause(call);
    if (takes_one_request(call))
        call_pass_kept_request(call);
    else if (half_closed)
        pass_half_close(call);
}

static void refuse(struct call *call, const char *format, size_t number)
{
    const struct route *route = call->method->route;
    struct berth_error err;

    snprintf(err.message, sizeof(err.message), format, route->service, route->plugin, number);
    call_decide(call, BERTH_UNAVAILABLE, err.message, NULL, 0);
}

static void wait_in_queue(struct call *call)
{
    struct route *route = call->method->route;

    if (route->held_count >= route->max_held) {
        refuse(call,
               "service %s: its plugin %s is being started, and %zu calls wait for it already: try again",
               route->held_count);
        return;
    }
    call->held = true;
    TAILQ_INSERT_TAIL(&route->held, call, held_link);
    route->held_count++;
    call_update_pause(call);
}

/* All interceptors have let it pass: to the instance, or to wait for one. */
static void bind_to_route(struct call *call)
{
    const struct route *route = call->method->route;

    switch (route->state) {
    case ROUTE_LIVE:
        start_handler(call);
        break;
    case ROUTE_HELD:
        wait_in_queue(call);
        break;
    case ROUTE_DECLARED:
        refuse(call, "service %s is not there: its plugin %s has not started", 0);
        break;
    case ROUTE_GONE:
        call_decide(call, route->code, route->reason, NULL, 0);
        break;
    }
}

/* @return BERTH_OK, BERTH_PENDING, or a refusal with its sentence. */
static enum berth_code ask_hook(struct call *call, size_t i, struct berth_error *err)
{
    const struct hook *hook = call->chain->hooks[i];
    enum berth_code code;

    if (hook->removed || !BERTH_HAS(hook->interceptor, on_start))
        return BERTH_OK;
    snprintf(err->message, sizeof(err->message), "refused by %s", hook->interceptor->name);
    call->asking = err;
    call->answer = BERTH_PENDING;
    code = hook->interceptor->on_start(hook->self, &call->public, &call->hook_states[i].state, err);
    call->asking = NULL;
    return code == BERTH_PENDING ? call->answer : code;
}

/* Asks the interceptors that have not been asked yet, as far as it goes. */
static void proceed(struct call *call)
{
    struct berth_error err;

    while (call->hooks_started < call->chain->count) {
        enum berth_code code = ask_hook(call, call->hooks_started, &err);

        if (call->ended)
            return;
        if (code != BERTH_OK && code != BERTH_PENDING) {
            call_decide(call, code, err.message, NULL, 0);
            return;
        }
        call->hooks_started++;
        if (code == BERTH_PENDING) {
            call->pending = true;
            call_update_pause(call);
            return;
        }
    }
    bind_to_route(call);
}

void call_admit(struct berth_call *public, enum berth_code code, const char *message)
{
    struct call *call = call_of(public);

    if (call->asking != NULL) {
        call->answer = code;
        snprintf(call->asking->message, sizeof(call->asking->message), "%s", message == NULL ? "" : message);
        return;
    }
    if (!call->pending || call->ended)
        return;
    call_enter(call);
    call->pending = false;
    if (code == BERTH_OK) {
        proceed(call);
    } else {
        call->hooks_started--;
        call_decide(call, code, message, NULL, 0);
    }
    call_leave(call);
}

void call_retry(struct call *call)
{
    call_enter(call);
    leave_queue(call);
    bind_to_route(call);
    call_leave(call);
}

void call_forget_hooks(struct call *call, const void *owner)
{
    static const char reason[] = "the interceptor's plugin goes";

    if (call->ended)
        return;
    call_enter(call);
    for (size_t i = call->hooks_started; i > 0 && !call->ended; i--) {
        if (call->chain->hooks[i - 1]->owner != owner)
            continue;
        if (call->pending && i == call->hooks_started)
            call_decide(call, BERTH_UNAVAILABLE, reason, NULL, 0);
        else
            finish_hook(call, i - 1, BERTH_UNAVAILABLE, reason);
    }
    call_leave(call);
}

static const struct berth_peer unknown_peer = {
    .size = sizeof(unknown_peer),
    .address = "unknown",
    .pid = -1,
    .uid = -1,
    .gid = -1,
};

/* Bytes that a call needs behind its hooks for what it copies out of the request. */
static size_t copies_size(const struct berth_call_request *request, const struct berth_peer *peer)
{
    size_t size = sizeof(*peer) + strlen(peer->address) + 1;

    for (size_t i = 0; i < request->metadata_count; i++)
        size += sizeof(struct berth_metadata) + strlen(request->metadata[i].key) + 1 +
                request->metadata[i].value_length + 1;
    return size;
}

static const char *copy_text(char **cursor, const char *text, size_t length)
{
    char *copy = *cursor;

    memcpy(copy, text, length);
    copy[length] = '\0';
    *cursor += length + 1;
    return copy;
}

static void copy_request(struct call *call, const struct berth_call_request *request,
                         const struct berth_peer *peer, void *space)
{
    struct berth_peer *own_peer = space;
    struct berth_metadata *metadata = (struct berth_metadata *)(own_peer + 1);
    char *cursor = (char *)(metadata + request->metadata_count);

    *own_peer =
        (struct berth_peer){.size = sizeof(*own_peer), .pid = peer->pid, .uid = peer->uid, .gid = peer->gid};
    own_peer->address = copy_text(&cursor, peer->address, strlen(peer->address));
    for (size_t i = 0; i < request->metadata_count; i++) {
        const struct berth_metadata *from = &request->metadata[i];

        metadata[i].key = copy_text(&cursor, from->key, strlen(from->key));
        metadata[i].value = copy_text(&cursor, from->value, from->value_length);
        metadata[i].value_length = from->value_length;
    }
    call->public.peer = own_peer;
    call->public.metadata = metadata;
    call->public.metadata_count = request->metadata_count;
}

static struct call *call_create(struct calls *calls, struct chain *chain, const struct route_method *method,
                                const struct berth_call_request *request)
{
    const struct berth_peer *peer = request->peer != NULL ? request->peer : &unknown_peer;
    size_t fixed = sizeof(struct call) + chain->count * sizeof(struct hook_state);
    struct call *call = malloc(fixed + copies_size(request, peer));

    if (call == NULL)
        return NULL;
    memset(call, 0, fixed);
    call->public = (struct berth_call){
        .size = sizeof(call->public),
        .ops = &call_ops,
        .path = method->path,
        .service = method->route->service,
        .method = method->name,
        .kind = method->kind,
        .transport = request->transport,
        .deadline_ns = request->deadline_ns,
    };
    copy_request(call, request, peer, (char *)call + fixed);
    call->calls = calls;
    call->chain = chain_take(chain);
    call->method = method;
    call->stream = request->stream;
    call->stream_ops = request->stream_ops;
    LIST_INSERT_HEAD(&calls->all, call, link);
    return call;
}

struct berth_call *call_open(struct calls *calls, struct chain *chain, const struct route_method *method,
                             const struct berth_call_request *request)
{
    struct call *call;
    bool ended;

    calls_reap(calls);
    call = call_create(calls, chain, method, request);
    if (call == NULL) {
        request->stream_ops->finish(request->stream, BERTH_RESOURCE_EXHAUSTED, "no memory for the call", NULL,
                                    0);
        return NULL;
    }
    call_enter(call);
    proceed(call);
    ended = call->ended;
    call_leave(call);
    return ended ? NULL : &call->public;
}
