/* SPDX-License-Identifier: Apache-2.0 */
/* What a server brings to a call: messages, the end of the caller's side, room to send, cancelling. */
#include "call.h"

#include <stdlib.h>
#include <string.h>

static bool takes_one_request(const struct call *call)
{
    return call->public.kind == BERTH_METHOD_UNARY || call->public.kind == BERTH_METHOD_SERVER_STREAM;
}

static void pass_message(struct call *call, const void *message, size_t length)
{
    for (size_t i = 0; i < call->hooks_started && !call->ended; i++) {
        const struct hook *hook = call->chain->hooks[i];
        struct hook_state *state = &call->hook_states[i];

        if (!hook->removed && !state->finished && BERTH_HAS(hook->interceptor, on_message))
            hook->interceptor->on_message(hook->self, &call->public, state->state, message, length);
    }
    if (!call->ended && call_handler(call)->on_message != NULL)
        call_handler(call)->on_message(&call->public, message, length);
}

static void pass_half_close(struct call *call)
{
    if (!call->ended && call_handler(call)->on_half_close != NULL)
        call_handler(call)->on_half_close(&call->public);
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

    if (call->started && !call->ended && call_handler(call)->on_writable != NULL)
        call_handler(call)->on_writable(public);
    call_leave(call);
}

void call_cancel(struct berth_call *public, enum berth_code code)
{
    struct call *call = begin(public);

    call->stream = NULL;
    call_decide(call, code == BERTH_OK ? BERTH_CANCELLED : code, NULL, NULL, 0);
    call_leave(call);
}

void call_start(struct call *call)
{
    struct binding *binding = call->method->route->live;
    bool half_closed = call->half_closed;

    binding_pin(binding);
    call->binding = binding;
    call->public.instance = binding->instance;
    call->public.handlers = binding->handlers;
    call->started = true;
    if (call_handler(call)->on_start != NULL)
        call_handler(call)->on_start(&call->public);
    call_update_pause(call);
    if (takes_one_request(call))
        call_pass_kept_request(call);
    else if (half_closed)
        pass_half_close(call);
}
