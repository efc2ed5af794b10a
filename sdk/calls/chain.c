/* SPDX-License-Identifier: Apache-2.0 */
/* The interceptors in order, and what each of them learns about a call. */
#include "chain.h"

#include <stdio.h>
#include <stdlib.h>

#include "calls.h"

struct chain *chain_create(size_t hooks)
{
    struct chain *chain = calloc(1, sizeof(*chain) + hooks * sizeof(chain->hooks[0]));

    if (chain != NULL)
        chain->references = 1;
    return chain;
}

static void chain_append(struct chain *chain, struct hook *hook)
{
    hook->references++;
    chain->hooks[chain->count++] = hook;
}

static void hook_drop(struct hook *hook)
{
    if (--hook->references > 0)
        return;
    LIST_REMOVE(hook, link);
    free(hook);
}

void chain_drop(struct chain *chain)
{
    if (--chain->references > 0)
        return;
    for (size_t i = 0; i < chain->count; i++)
        hook_drop(chain->hooks[i]);
    free(chain);
}

struct chain *chain_with(const struct chain *chain, const struct hook *hook, struct hooks *all)
{
    struct chain *longer = chain_create(chain->count + 1);
    struct hook *added = malloc(sizeof(*added));
    size_t i = 0;

    if (longer == NULL || added == NULL) {
        free(longer);
        free(added);
        return NULL;
    }
    *added = *hook;
    added->references = 0;
    LIST_INSERT_HEAD(all, added, link);
    while (i < chain->count && chain->hooks[i]->order <= hook->order)
        chain_append(longer, chain->hooks[i++]);
    chain_append(longer, added);
    while (i < chain->count)
        chain_append(longer, chain->hooks[i++]);
    return longer;
}

struct chain *chain_sorted(const struct chain *chain)
{
    struct chain *sorted = chain_create(chain->count);

    if (sorted == NULL)
        return NULL;
    for (size_t i = 0; i < chain->count; i++) {
        size_t place = sorted->count;

        chain_append(sorted, chain->hooks[i]);
        for (; place > 0 && sorted->hooks[place - 1]->order > chain->hooks[i]->order; place--)
            sorted->hooks[place] = sorted->hooks[place - 1];
        sorted->hooks[place] = chain->hooks[i];
    }
    return sorted;
}

struct chain *chain_without(const struct chain *chain, const void *owner)
{
    struct chain *shorter = chain_create(chain->count);

    if (shorter == NULL)
        return NULL;
    for (size_t i = 0; i < chain->count; i++)
        if (chain->hooks[i]->owner != owner)
            chain_append(shorter, chain->hooks[i]);
    return shorter;
}

void chain_finish_one(struct call *call, size_t i, enum berth_code code, const char *message)
{
    const struct hook *hook = call->chain->hooks[i];
    struct hook_state *state = &call->hook_states[i];

    if (hook->removed || state->finished)
        return;
    state->finished = true;
    if (!BERTH_HAS(hook->interceptor, on_finish))
        return;
    call_enter_code(call, ROUTER_INTERCEPTOR, hook->owner);
    hook->interceptor->on_finish(hook->self, call->public, state->state, code, message);
    call_leave_code(call, ROUTER_INTERCEPTOR, hook->owner);
}

void chain_finish(struct call *call, const char *message)
{
    while (call->hooks_started > 0) {
        call->hooks_started--;
        chain_finish_one(call, call->hooks_started, call->code, message);
    }
}

enum berth_code chain_ask(struct call *call, size_t i, struct berth_error *err)
{
    const struct hook *hook = call->chain->hooks[i];
    enum berth_code code;

    if (hook->removed || !BERTH_HAS(hook->interceptor, on_start))
        return BERTH_OK;
    err->message[0] = '\0';
    call->asking = err;
    call->answer = BERTH_PENDING;
    call_enter_code(call, ROUTER_INTERCEPTOR, hook->owner);
    code = hook->interceptor->on_start(hook->self, call->public, &call->hook_states[i].state, err);
    call_leave_code(call, ROUTER_INTERCEPTOR, hook->owner);
    call->asking = NULL;
    if (code != BERTH_PENDING && code != call_wire_code(code))
        handles_report(&call->calls->handles, call->public, hook->owner,
                       *(const void **)&hook->interceptor->on_start,
                       "answered a call with invalid code %d; sending UNKNOWN instead", (int)code);
    /* A refusal that was given stands, even if OK is returned after it. */
    if (code == BERTH_PENDING || (code == BERTH_OK && call->answer != BERTH_PENDING))
        return call->answer;
    if (code != BERTH_OK && err->message[0] == '\0')
        snprintf(err->message, sizeof(err->message), "refused by %s", hook->interceptor->name);
    return code;
}

void chain_show_message(struct call *call, const void *message, size_t length)
{
    for (size_t i = 0; i < call->hooks_started && !call->ended; i++) {
        const struct hook *hook = call->chain->hooks[i];
        struct hook_state *state = &call->hook_states[i];

        if (hook->removed || state->finished || !BERTH_HAS(hook->interceptor, on_message))
            continue;
        call_enter_code(call, ROUTER_INTERCEPTOR, hook->owner);
        hook->interceptor->on_message(hook->self, call->public, state->state, message, length);
        call_leave_code(call, ROUTER_INTERCEPTOR, hook->owner);
    }
}

void chain_show_reply(struct call *call, const void *message, size_t length)
{
    call->showing_reply = true;
    for (size_t i = call->hooks_started; i > 0 && !call->ended; i--) {
        const struct hook *hook = call->chain->hooks[i - 1];
        struct hook_state *state = &call->hook_states[i - 1];

        if (hook->removed || state->finished || !BERTH_HAS(hook->interceptor, on_reply))
            continue;
        call_enter_code(call, ROUTER_INTERCEPTOR, hook->owner);
        hook->interceptor->on_reply(hook->self, call->public, state->state, message, length);
        call_leave_code(call, ROUTER_INTERCEPTOR, hook->owner);
    }
    call->showing_reply = false;
}
