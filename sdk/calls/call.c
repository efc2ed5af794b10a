/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call's life: the interceptors and the route it passes before its handler sees it, the events from the
 * server and the handler, and how it ends whatever its callbacks do.
 *
 * A call has two parts. Its handle is what everybody else holds; it is never mistaken for a later call's,
 * since it rests once the call has ended. Its body is what the engine works on; it is reused at once.
 * Whoever comes in from outside does so through handle_call, which refuses and reports a handle without a
 * body and a thread that is not the router's.
 *
 * Code called from here may be anybody's (handlers, hooks, the server's operations). It may use the same call
 * again, end it, or end other calls. Three rules keep this safe:
 *
 * - Whoever works on a call does so between enter and leave, which count `depth`. The leave that brings the
 *   depth of an ended call to 0 calls its handler's on_end and frees it. So a call is never freed while one
 *   of its callbacks is on the stack.
 * - A handler may continue to use its call after each of its operations except finish and resume, even if the
 *   operation ended the call. So these operations return through leave_to_handler, which frees nothing: the
 *   call is abandoned, and the next event from a server frees it (call_reap), because then no engine
 *   function is on the stack.
 * - The end is decided once, in decide, which sets `ended`. After that, hooks and handlers only learn of the
 *   end, and `stream` is NULL: the server has been told or has itself cancelled. After each callback the code
 *   checks `ended` before it continues.
 */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"

/* The code that called the function this is used in. */
#define CALLER __builtin_return_address(0)

/* Only once the call has started. */
static const struct berth_method *handler_of(const struct call *call)
{
    return &call->binding->methods[call->method->index];
}

/* It waits no more, whatever for. */
static void leave_queue(struct call *call)
{
    struct route *route = call->method->route;

    switch (call->wait) {
    case CALL_WAITS_FOR_NOTHING:
        return;
    case CALL_WAITS_AT_GATE:
        TAILQ_REMOVE(&call->calls->gated, call, queue_link);
        break;
    case CALL_WAITS_FOR_HOOK:
        call->chain->hooks[call->hooks_started - 1]->pending--;
        break;
    case CALL_WAITS_FOR_ROUTE:
        TAILQ_REMOVE(&route->held, call, queue_link);
        route->held_count--;
        break;
    }
    call->wait = CALL_WAITS_FOR_NOTHING;
}

void call_decide(struct call *call, enum berth_code code, const char *message, const void *details,
                 size_t details_length)
{
    struct berth_stream *stream;

    if (call->ended)
        return;
    call->ended = true;
    call->code = call_wire_code(code);
    call->method->counts->ended[call->code]++;
    if (call->wait != CALL_WAITS_FOR_NOTHING)
        leave_queue(call);
    chain_finish(call, message);
    stream = call->stream;
    call->stream = NULL;
    if (stream != NULL)
        call->stream_ops->finish(stream, call->code, message, details, details_length);
}

/* Tells the handler the end and frees the call, which no function on the stack uses any more. */
static void release(struct call *call)
{
    struct calls *calls = call->calls;
    struct chain *chain = call->chain;

    if (call->started) {
        call->depth++;
        if (handler_of(call)->on_end != NULL) {
            call_enter_code(call, ROUTER_HANDLER, call->binding->owner);
            handler_of(call)->on_end(call->public, call->code);
            call_leave_code(call, ROUTER_HANDLER, call->binding->owner);
        }
        binding_unpin(call->binding);
    }
    call_free(call);
    calls->on_gone(calls, chain);
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
        release(call);
}

void call_leave_to_handler(struct call *call)
{
    call->calls->depth--;
    if (--call->depth == 0 && call->ended)
        call->calls->abandoned++;
}

void call_reap(struct calls *calls)
{
    struct call_cursor cursor;

    if (calls->abandoned == 0 || calls->depth > 0)
        return;
    calls->abandoned = 0;
    for (struct call *call = calls_first(calls, &cursor); call != NULL; call = calls_next(calls, &cursor))
        if (call->ended && call->depth == 0)
            release(call);
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

static bool takes_one_request(const struct call *call)
{
    return route_takes_one_request(call->public->kind);
}

static void pass_message(struct call *call, const void *message, size_t length)
{
    chain_show_message(call, message, length);
    if (call->ended || handler_of(call)->on_message == NULL)
        return;
    call->method->counts->messages_received++;
    call->method->counts->bytes_received += length;
    call_enter_code(call, ROUTER_HANDLER, call->binding->owner);
    handler_of(call)->on_message(call->public, message, length);
    call_leave_code(call, ROUTER_HANDLER, call->binding->owner);
}

static void pass_half_close(struct call *call)
{
    if (call->ended || handler_of(call)->on_half_close == NULL)
        return;
    call_enter_code(call, ROUTER_HANDLER, call->binding->owner);
    handler_of(call)->on_half_close(call->public);
    call_leave_code(call, ROUTER_HANDLER, call->binding->owner);
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
        call_decide(call, BERTH_RESOURCE_EXHAUSTED, "out of memory for the request", NULL, 0);
        return;
    }
    if (length > 0)
        memcpy(call->request, message, length);
    call->request_length = length;
}

static void take_request(struct call *call, const void *message, size_t length, bool last)
{
    /* The wording of this and of the one below is grpc-go's, which clients may know. */
    if (call->request_taken) {
        call_decide(call, BERTH_INTERNAL,
                    "cardinality violation: received multiple request messages for non-client-streaming RPC",
                    NULL, 0);
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

static void take_half_close(struct call *call)
{
    if (call->ended || call->half_closed)
        return;
    call->half_closed = true;
    if (!takes_one_request(call)) {
        if (call->started)
            pass_half_close(call);
    } else if (!call->request_taken) {
        call_decide(call, BERTH_INTERNAL,
                    "cardinality violation: received no request message from non-client-streaming RPC", NULL,
                    0);
    } else {
        call_pass_kept_request(call);
    }
}

static void refuse(struct call *call, const char *format)
{
    const struct route *route = call->method->route;
    char message[BERTH_ERROR_MAX];

    snprintf(message, sizeof(message), format, route->service, route->plugin);
    call_decide(call, BERTH_UNAVAILABLE, message, NULL, 0);
}

/* Too many calls wait for the plugin already. */
static void refuse_to_wait(struct call *call)
{
    const struct route *route = call->method->route;
    char message[BERTH_ERROR_MAX];

    snprintf(message, sizeof(message),
             "service %s: plugin %s is starting and %zu calls are already waiting for it; retry later",
             route->service, route->plugin, route->max_held);
    call_decide(call, BERTH_RESOURCE_EXHAUSTED, message, NULL, 0);
}

/* Most have one service, so that its own queue tells; those of a plugin whose others wait too are counted. */
static bool has_room(const struct route *route)
{
    return route->max_held == SIZE_MAX ||
           (route->held_count < route->max_held && route_count_waiting(route) < route->max_held);
}

/* Does the live instance have the method as it was when the call began? */
static bool is_served(const struct call *call)
{
    const struct binding *binding = call->method->route->live;
    size_t index = call->method->index;

    return index < binding->method_count && binding->methods[index].kind == call->public->kind;
}

/* Pins the live instance, calls its on_start, and passes on what has arrived in the meantime. */
static void start(struct call *call)
{
    struct binding *binding = call->method->route->live;
    bool half_closed = call->half_closed;

    if (!is_served(call)) {
        refuse(call, "service %s: plugin %s was replaced by a version without this method");
        return;
    }
    binding_pin(binding);
    call->binding = binding;
    handle_of(call->public)->owner = binding->owner;
    call->public->instance = binding->instance;
    call->public->handlers = binding->handlers;
    call->started = true;
    if (handler_of(call)->on_start != NULL) {
        call_enter_code(call, ROUTER_HANDLER, binding->owner);
        handler_of(call)->on_start(call->public);
        call_leave_code(call, ROUTER_HANDLER, binding->owner);
    }
    call_update_pause(call);
    if (takes_one_request(call))
        call_pass_kept_request(call);
    else if (half_closed)
        pass_half_close(call);
}

static void wait_in_queue(struct call *call)
{
    const struct router_observer *observer = &call->calls->observer;
    struct route *route = call->method->route;

    if (!has_room(route)) {
        refuse_to_wait(call);
        return;
    }
    call->wait = CALL_WAITS_FOR_ROUTE;
    TAILQ_INSERT_TAIL(&route->held, call, queue_link);
    route->held_count++;
    call_update_pause(call);
    if (observer->on_held != NULL && route->held_count == 1)
        observer->on_held(observer->context, route->service, route->plugin);
}

/* After all interceptors have let the call pass. */
static void bind_to_route(struct call *call)
{
    const struct route *route = call->method->route;

    switch (route->state) {
    case ROUTE_LIVE:
        start(call);
        break;
    case ROUTE_HELD:
        wait_in_queue(call);
        break;
    case ROUTE_DECLARED:
        refuse(call, "service %s is unavailable: plugin %s has not started");
        break;
    case ROUTE_GONE:
        call_decide(call, route->code, route->reason, NULL, 0);
        break;
    case ROUTE_REMOVED:
        refuse(call, "service %s of plugin %s was removed");
        break;
    }
}

/* Asks the interceptors that have not been asked yet, as far as it goes, and then the route. */
static void proceed(struct call *call)
{
    struct berth_error err;

    while (call->hooks_started < call->chain->count) {
        enum berth_code code = chain_ask(call, call->hooks_started, &err);

        if (call->ended)
            return;
        if (code != BERTH_OK && code != BERTH_PENDING) {
            call_decide(call, code, err.message, NULL, 0);
            return;
        }
        call->hooks_started++;
        if (code == BERTH_PENDING) {
            call->wait = CALL_WAITS_FOR_HOOK;
            call->chain->hooks[call->hooks_started - 1]->pending++;
            call_update_pause(call);
            return;
        }
    }
    bind_to_route(call);
}

void call_admit(struct berth_call *public, enum berth_code code, const char *message, const void *owner,
                const void *caller)
{
    struct call *call = handle_call_for(public, "admitted", owner, caller);
    struct calls *calls;
    bool is_second;

    if (call == NULL)
        return;
    is_second = call->asking != NULL ? call->answer != BERTH_PENDING
                                     : call->wait != CALL_WAITS_FOR_HOOK && !call->ended;
    if (is_second)
        handles_report(&call->calls->handles, public, owner, caller, "admitted a call twice; ignored");
    else if (code != call_wire_code(code))
        handles_report(&call->calls->handles, public, owner, caller,
                       "refused a call with invalid code %d; sending UNKNOWN instead", (int)code);
    if (is_second || (call->asking == NULL && call->ended))
        return;
    if (call->asking != NULL) {
        call->answer = code;
        snprintf(call->asking->message, sizeof(call->asking->message), "%s", message == NULL ? "" : message);
        return;
    }
    calls = call->calls;
    call_enter(call);
    leave_queue(call);
    if (code == BERTH_OK) {
        proceed(call);
    } else {
        call->hooks_started--;
        call_decide(call, code, message, NULL, 0);
    }
    call_leave(call);
    calls->on_gone(calls, NULL);
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
    static const char reason[] = "the interceptor's plugin is stopping";

    if (call->ended)
        return;
    call_enter(call);
    for (size_t i = call->hooks_started; i > 0 && !call->ended; i--) {
        if (call->chain->hooks[i - 1]->owner != owner)
            continue;
        if (call->wait == CALL_WAITS_FOR_HOOK && i == call->hooks_started)
            call_decide(call, BERTH_UNAVAILABLE, reason, NULL, 0);
        else
            chain_finish_one(call, i - 1, BERTH_UNAVAILABLE, reason);
    }
    call_leave(call);
}

/*
 * Begins an event of the server, usually from the top level of the loop. Abandoned calls are reaped first,
 * and this may be one of them. @return NULL if the event is to be ignored.
 */
static struct call *begin(struct berth_call *public, const char *done, const void *caller)
{
    struct call *call = handle_call(public, done, caller);

    if (call == NULL)
        return NULL;
    call_reap(call->calls);
    call = handle_of(public)->call;
    if (call != NULL)
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
    if (call->started)
        pass_message(call, message, length);
    else
        call_decide(call, BERTH_INTERNAL, "the server delivered a message on a paused call", NULL, 0);
    if (last)
        take_half_close(call);
}

void call_deliver(struct berth_call *public, const void *message, size_t length)
{
    struct call *call = begin(public, "delivered a message to", CALLER);

    if (call == NULL)
        return;
    take(call, message, length, false);
    call_leave(call);
}

void call_deliver_last(struct berth_call *public, const void *message, size_t length)
{
    struct call *call = begin(public, "delivered a message to", CALLER);

    if (call == NULL)
        return;
    take(call, message, length, true);
    call_leave(call);
}

void call_half_close(struct berth_call *public)
{
    struct call *call = begin(public, "half-closed", CALLER);

    if (call == NULL)
        return;
    take_half_close(call);
    call_leave(call);
}

void call_writable(struct berth_call *public)
{
    struct call *call = begin(public, "reported room to send on", CALLER);

    if (call == NULL)
        return;
    if (call->started && !call->ended && handler_of(call)->on_writable != NULL) {
        call_enter_code(call, ROUTER_HANDLER, call->binding->owner);
        handler_of(call)->on_writable(public);
        call_leave_code(call, ROUTER_HANDLER, call->binding->owner);
    }
    call_leave(call);
}

void call_cancel(struct berth_call *public, enum berth_code code)
{
    struct call *call = begin(public, "cancelled", CALLER);

    if (call == NULL)
        return;
    call->stream = NULL;
    code = code == BERTH_OK ? BERTH_CANCELLED : code;
    if (code == BERTH_CANCELLED && call->started && !call->ended)
        call->method->counts->abandoned++;
    call_decide(call, code, NULL, NULL, 0);
    call_leave(call);
}

static struct berth_call *run_new(struct calls *calls, struct chain *chain, const struct route_method *method,
                                  const struct berth_call_request *request, bool is_gated)
{
    struct berth_call *public;
    struct call *call;

    call_reap(calls);
    call = call_create(calls, chain, method, request);
    if (call == NULL) {
        request->stream_ops->finish(request->stream, BERTH_RESOURCE_EXHAUSTED, "out of memory for the call",
                                    NULL, 0);
        return NULL;
    }
    if (BERTH_STREAM_OPS_HAVE(request->stream_ops, found))
        request->stream_ops->found(request->stream, call->public->kind);
    call_enter(call);
    if (is_gated) {
        call->wait = CALL_WAITS_AT_GATE;
        TAILQ_INSERT_TAIL(&calls->gated, call, queue_link);
        call_update_pause(call);
    } else {
        proceed(call);
    }
    public = call->ended ? NULL : call->public;
    call_leave(call);
    return public;
}

struct berth_call *call_open(struct calls *calls, struct chain *chain, const struct route_method *method,
                             const struct berth_call_request *request)
{
    return run_new(calls, chain, method, request, false);
}

struct berth_call *call_open_gated(struct calls *calls, struct chain *chain,
                                   const struct route_method *method,
                                   const struct berth_call_request *request)
{
    return run_new(calls, chain, method, request, true);
}

/* No hook knows the call yet. @return false without memory. */
static bool set_chain(struct call *call, struct chain *chain)
{
    struct hook_state *states = call->hook_states;

    if (chain->count > call->chain->count) {
        states = calloc(chain->count, sizeof(*states));
        if (states == NULL)
            return false;
    }
    if (states != call->hook_states && call->hook_states != call->own_states)
        free(call->hook_states);
    call->hook_states = states;
    chain->references++;
    chain_drop(call->chain);
    call->chain = chain;
    return true;
}

void call_pass_gate(struct call *call, struct chain *chain)
{
    call_enter(call);
    leave_queue(call);
    if (set_chain(call, chain))
        proceed(call);
    else
        call_decide(call, BERTH_RESOURCE_EXHAUSTED, "out of memory for the call", NULL, 0);
    call_leave(call);
}
