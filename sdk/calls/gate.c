/* SPDX-License-Identifier: Apache-2.0 */
/* What a call passes before its handler hears of it: the interceptors, then the state of its route. */
#include "call.h"

void call_leave_queue(struct call *call)
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

void call_finish_hooks(struct call *call, const char *message)
{
    while (call->hooks_started > 0) {
        call->hooks_started--;
        finish_hook(call, call->hooks_started, call->code, message);
    }
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
        call_start(call);
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
    /* A refusal that was given stands, also where OK is returned behind it. */
    return code == BERTH_PENDING || (code == BERTH_OK && call->answer != BERTH_PENDING) ? call->answer : code;
}

/* Asks the interceptors that have not been asked yet, as far as it goes. */
void call_proceed(struct call *call)
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
        call_proceed(call);
    } else {
        call->hooks_started--;
        call_decide(call, code, message, NULL, 0);
    }
    call_leave(call);
}

void call_retry(struct call *call)
{
    call_enter(call);
    call_leave_queue(call);
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
