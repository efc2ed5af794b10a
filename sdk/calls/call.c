/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call's life: the interceptors and the route it passes before its handler sees it, the events from the
 * server and the handler, and how it ends whatever its callbacks do.
 *
 * A call has two parts. Its handle is what everybody else holds; it is never mistaken for a later call's,
 * since it rests once the call has ended. Its body is what the engine works on; it is reused at once.
 * Whoever comes in from outside does so through call_for, which refuses and reports a handle without a body
 * and a thread that is not the router's.
 *
 * Code called from here may be anybody's (handlers, hooks, the server's operations). It may use the same call
 * again, end it, or end other calls. Three rules keep this safe:
 *
 * - Whoever works on a call does so between enter and leave, which count `depth`. The leave that brings the
 *   depth of an ended call to 0 calls its handler's on_end and frees it. So a call is never freed while one
 *   of its callbacks is on the stack.
 * - A handler may continue to use its call after each of its operations except finish and resume, even if the
 *   operation ended the call. So these operations return through leave_to_handler, which frees nothing: the
 *   call is abandoned, and the next event from a server frees it (calls_reap), because then no engine
 *   function is on the stack.
 * - The end is decided once, in decide, which sets `ended`. After that, hooks and handlers only learn of the
 *   end, and `stream` is NULL: the server has been told or has itself cancelled. After each callback the code
 *   checks `ended` before it continues.
 */
#include "call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>

struct annotation {
    struct annotation *next;
    char *value;
    char key[];
};

/* Memory of calls that ended is kept for those that begin, so that a busy router needs no malloc. This is
 * what a call takes as a rule, its copies of a request's headers included; larger ones are not kept. */
#define KEPT_BYTES 1024

/* A few busy connections' worth. */
#define KEPT_MAX 256

/* How many calls end before a handle is used again, unless router_set_rest says otherwise. */
#define REST_DEFAULT 1024

/* Under AddressSanitizer every call has memory of its own, so that it sees who touches one that has ended. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_NONE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_NONE 1
#endif
#endif
#ifndef KEEPS_NONE
#define KEEPS_NONE 0
#endif

/* @return memory for a call: `fixed` bytes, zero except for `block_bytes`, and `more` behind them; or NULL.
 */
static struct call *take_block(struct calls *calls, size_t fixed, size_t more)
{
    size_t size = fixed + more > KEPT_BYTES ? fixed + more : KEPT_BYTES;
    struct call *call = size == KEPT_BYTES ? LIST_FIRST(&calls->kept) : NULL;

    if (call != NULL) {
        LIST_REMOVE(call, link);
        calls->kept_count--;
    } else {
        call = malloc(size);
    }
    if (call == NULL)
        return NULL;
    memset(call, 0, fixed);
    call->block_bytes = size;
    return call;
}

static void give_block(struct calls *calls, struct call *call)
{
    if (KEEPS_NONE || call->block_bytes != KEPT_BYTES || calls->kept_count >= KEPT_MAX) {
        free(call);
        return;
    }
    LIST_INSERT_HEAD(&calls->kept, call, link);
    calls->kept_count++;
}

static const struct berth_peer unknown_peer = {
    .size = sizeof(unknown_peer),
    .address = "unknown",
    .pid = -1,
    .uid = -1,
    .gid = -1,
};

/* A thread is told by where its own variables are: to ask for that costs less than pthread_self. */
static const void *this_thread(void)
{
    static _Thread_local char mark;

    return &mark;
}

static struct handle *handle_of(struct berth_call *public)
{
    return CONTAINER_OF(public, struct handle, public);
}

/*
 * Handles come by the page and stay: one alone, between the large blocks of the messages of its time, would
 * keep their memory from going back to the system for as long as it rests.
 */
#define SLAB_HANDLES 256

struct slab {
    SLIST_ENTRY(slab) link;
    size_t used;
    struct handle handles[SLAB_HANDLES];
};

static struct handle *wake_oldest(struct calls *calls)
{
    struct handle *handle = STAILQ_FIRST(&calls->resting);

    STAILQ_REMOVE_HEAD(&calls->resting, link);
    calls->resting_count--;
    /* It has left the cache long ago, and so has the next one, which is due soon. */
    __builtin_prefetch(STAILQ_FIRST(&calls->resting), 1);
    __builtin_prefetch((char *)STAILQ_FIRST(&calls->resting) + sizeof(*handle) / 2, 1);
    __builtin_prefetch((char *)STAILQ_FIRST(&calls->resting) + sizeof(*handle) - 1, 1);
    return handle;
}

static struct handle *take_new(struct calls *calls)
{
    struct slab *slab = SLIST_FIRST(&calls->slabs);

    if (slab == NULL || slab->used == SLAB_HANDLES) {
        slab = malloc(sizeof(*slab));
        if (slab == NULL)
            return NULL;
        slab->used = 0;
        SLIST_INSERT_HEAD(&calls->slabs, slab, link);
    }
    return &slab->handles[slab->used++];
}

static struct handle *take_handle(struct calls *calls)
{
    return calls->resting_count > calls->rest ? wake_oldest(calls) : take_new(calls);
}

/* The call has ended: what pointed into it points at nothing of it any more. */
static void give_handle(struct calls *calls, struct handle *handle)
{
    handle->call = NULL;
    handle->public.peer = &unknown_peer;
    handle->public.metadata = NULL;
    handle->public.metadata_count = 0;
    handle->public.instance = NULL;
    handle->public.state = NULL;
    handle->public.trace = NULL;
    STAILQ_INSERT_TAIL(&calls->resting, handle, link);
    calls->resting_count++;
}

/* A handful is usual; a server that makes up new ones all the time costs no memory. */
#define TRANSPORTS_MAX 64

struct name {
    SLIST_ENTRY(name) link;
    char text[];
};

/* @return NULL without memory. */
static const char *keep_transport(struct calls *calls, const char *transport)
{
    struct name *name;
    size_t size;

    SLIST_FOREACH(name, &calls->transports, link)
    {
        if (strcmp(name->text, transport) == 0)
            return name->text;
    }
    if (calls->transport_count == TRANSPORTS_MAX)
        return "other";
    size = strlen(transport) + 1;
    name = malloc(sizeof(*name) + size);
    if (name == NULL)
        return NULL;
    memcpy(name->text, transport, size);
    SLIST_INSERT_HEAD(&calls->transports, name, link);
    calls->transport_count++;
    return name->text;
}

void calls_init(struct calls *calls)
{
    STAILQ_INIT(&calls->resting);
    calls->rest = REST_DEFAULT;
    calls->thread = this_thread();
}

void calls_finish(struct calls *calls)
{
    while (!LIST_EMPTY(&calls->kept)) {
        struct call *call = LIST_FIRST(&calls->kept);

        LIST_REMOVE(call, link);
        free(call);
    }
    calls->kept_count = 0;
    while (!SLIST_EMPTY(&calls->slabs)) {
        struct slab *slab = SLIST_FIRST(&calls->slabs);

        SLIST_REMOVE_HEAD(&calls->slabs, link);
        free(slab);
    }
    while (!SLIST_EMPTY(&calls->transports)) {
        struct name *name = SLIST_FIRST(&calls->transports);

        SLIST_REMOVE_HEAD(&calls->transports, link);
        free(name);
    }
}

/* The code that called the function this is used in. */
#define CALLER __builtin_return_address(0)

BERTH_PRINTF(5, 6)
static void report(const struct calls *calls, const struct berth_call *call, const void *owner,
                   const void *caller, const char *format, ...)
{
    char what[BERTH_ERROR_MAX];
    va_list arguments;

    if (calls->observer.on_misuse == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    calls->observer.on_misuse(calls->observer.context, owner, call, what, caller);
}

/* Who watches nothing may also have begun on one thread what it runs on another. */
static bool is_on_thread(const struct calls *calls)
{
    return calls->observer.on_misuse == NULL || this_thread() == calls->thread;
}

bool calls_on_thread(const struct calls *calls, const char *what, const void *caller)
{
    if (is_on_thread(calls))
        return true;
    report(calls, NULL, NULL, caller, "%s from a thread other than the loop's; ignored", what);
    return false;
}

/* The call behind a handle, without a word where it has ended or this is another thread. */
static struct call *call_quietly(struct berth_call *public)
{
    return is_on_thread(handle_of(public)->calls) ? handle_of(public)->call : NULL;
}

/*
 * The call behind a handle, for an operation that comes from outside: "replied to". NULL where it has ended
 * or this is another thread; that is reported, and nothing may come of it.
 */
static struct call *call_for_owner(struct berth_call *public, const char *done, const void *owner,
                                   const void *caller)
{
    const struct handle *handle = handle_of(public);

    if (!is_on_thread(handle->calls)) {
        report(handle->calls, public, owner, caller, "%s a call from a thread other than the loop's; ignored",
               done);
        return NULL;
    }
    if (handle->call == NULL)
        report(handle->calls, public, owner, caller, "%s a call that has ended; ignored", done);
    return handle->call;
}

static struct call *call_for(struct berth_call *public, const char *done, const void *caller)
{
    return call_for_owner(public, done, handle_of(public)->owner, caller);
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

/* These two stand around each callback and tell the observer whose code runs. */
static void enter_code(struct call *call, enum router_part part, const void *owner)
{
    const struct router_observer *observer = &call->calls->observer;

    call->hooks_running += part == ROUTER_INTERCEPTOR;
    if (observer->on_enter != NULL)
        observer->on_enter(observer->context, owner, part, call->public);
}

static void leave_code(struct call *call, enum router_part part, const void *owner)
{
    const struct router_observer *observer = &call->calls->observer;

    call->hooks_running -= part == ROUTER_INTERCEPTOR;
    if (observer->on_leave != NULL)
        observer->on_leave(observer->context, owner, call->public);
}

/* Only once the call has started. */
static const struct berth_method *handler_of(const struct call *call)
{
    return &call->binding->methods[call->method->index];
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
    if (!BERTH_HAS(hook->interceptor, on_finish))
        return;
    enter_code(call, ROUTER_INTERCEPTOR, hook->owner);
    hook->interceptor->on_finish(hook->self, call->public, state->state, code, message);
    leave_code(call, ROUTER_INTERCEPTOR, hook->owner);
}

/* In reverse order. */
static void finish_hooks(struct call *call, const char *message)
{
    while (call->hooks_started > 0) {
        call->hooks_started--;
        finish_hook(call, call->hooks_started, call->code, message);
    }
}

/* A code that may travel on a wire. */
static enum berth_code wire_code(enum berth_code code)
{
    return (int)code >= 0 && (int)code <= BERTH_UNAUTHENTICATED ? code : BERTH_UNKNOWN;
}

/* Decides the end, tells the interceptors and then the server. The handler hears of it when the call is left.
 */
static void decide(struct call *call, enum berth_code code, const char *message, const void *details,
                   size_t details_length)
{
    struct berth_stream *stream;

    if (call->ended)
        return;
    call->ended = true;
    call->code = wire_code(code);
    call->method->counts->ended[call->code]++;
    leave_queue(call);
    finish_hooks(call, message);
    stream = call->stream;
    call->stream = NULL;
    if (stream != NULL)
        call->stream_ops->finish(stream, call->code, message, details, details_length);
}

static void free_annotations(struct call *call)
{
    struct annotation *annotation;

    while ((annotation = call->annotations) != NULL) {
        call->annotations = annotation->next;
        free(annotation->value);
        free(annotation);
    }
}

/* Tells the handler the end and frees the call, on which nobody works any more. */
static void release(struct call *call)
{
    struct calls *calls = call->calls;
    struct chain *chain = call->chain;
    struct handle *handle = handle_of(call->public);
    const void *instance = call->public->instance;
    bool started = call->started;

    if (started) {
        call->depth++;
        if (handler_of(call)->on_end != NULL) {
            enter_code(call, ROUTER_HANDLER, call->binding->owner);
            handler_of(call)->on_end(call->public, call->code);
            leave_code(call, ROUTER_HANDLER, call->binding->owner);
        }
        binding_unpin(call->binding);
    }
    unlink_call(call);
    free_annotations(call);
    free(call->request);
    give_handle(calls, handle);
    give_block(calls, call);
    calls->on_gone(calls, chain, instance, started);
}

static void enter(struct call *call)
{
    call->calls->depth++;
    call->depth++;
}

static void leave(struct call *call)
{
    call->calls->depth--;
    if (--call->depth == 0 && call->ended)
        release(call);
}

static void leave_to_handler(struct call *call)
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
            release(call);
}

void call_end(struct call *call, enum berth_code code, const char *message)
{
    enter(call);
    decide(call, code, message, NULL, 0);
    leave(call);
}

/* Pauses or resumes the server's stream as the call's state demands. */
static void update_pause(struct call *call)
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
    for (size_t i = 0; i < call->hooks_started && !call->ended; i++) {
        const struct hook *hook = call->chain->hooks[i];
        struct hook_state *state = &call->hook_states[i];

        if (hook->removed || state->finished || !BERTH_HAS(hook->interceptor, on_message))
            continue;
        enter_code(call, ROUTER_INTERCEPTOR, hook->owner);
        hook->interceptor->on_message(hook->self, call->public, state->state, message, length);
        leave_code(call, ROUTER_INTERCEPTOR, hook->owner);
    }
    if (call->ended || handler_of(call)->on_message == NULL)
        return;
    call->method->counts->messages_received++;
    call->method->counts->bytes_received += length;
    enter_code(call, ROUTER_HANDLER, call->binding->owner);
    handler_of(call)->on_message(call->public, message, length);
    leave_code(call, ROUTER_HANDLER, call->binding->owner);
}

static void pass_half_close(struct call *call)
{
    if (call->ended || handler_of(call)->on_half_close == NULL)
        return;
    enter_code(call, ROUTER_HANDLER, call->binding->owner);
    handler_of(call)->on_half_close(call->public);
    leave_code(call, ROUTER_HANDLER, call->binding->owner);
}

static bool can_pass_request(const struct call *call)
{
    return call->started && !call->ended && !call->handler_paused && call->half_closed &&
           !call->request_delivered;
}

/* Passes the one request to the handler if it is there, complete, and the handler is not paused. */
static void pass_kept_request(struct call *call)
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
        decide(call, BERTH_RESOURCE_EXHAUSTED, "out of memory for the request", NULL, 0);
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
        decide(call, BERTH_INTERNAL,
               "cardinality violation: received multiple request messages for non-client-streaming RPC", NULL,
               0);
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
        decide(call, BERTH_INTERNAL,
               "cardinality violation: received no request message from non-client-streaming RPC", NULL, 0);
    } else {
        pass_kept_request(call);
    }
}

/* Pins the live instance, calls its on_start, and passes on what came meanwhile. */
static void start(struct call *call)
{
    struct binding *binding = call->method->route->live;
    bool half_closed = call->half_closed;

    binding_pin(binding);
    call->binding = binding;
    handle_of(call->public)->owner = binding->owner;
    call->public->instance = binding->instance;
    call->public->handlers = binding->handlers;
    call->started = true;
    if (handler_of(call)->on_start != NULL) {
        enter_code(call, ROUTER_HANDLER, binding->owner);
        handler_of(call)->on_start(call->public);
        leave_code(call, ROUTER_HANDLER, binding->owner);
    }
    update_pause(call);
    if (takes_one_request(call))
        pass_kept_request(call);
    else if (half_closed)
        pass_half_close(call);
}

static void refuse(struct call *call, const char *format, size_t number)
{
    const struct route *route = call->method->route;
    char message[BERTH_ERROR_MAX];

    snprintf(message, sizeof(message), format, route->service, route->plugin, number);
    decide(call, BERTH_UNAVAILABLE, message, NULL, 0);
}

static void wait_in_queue(struct call *call)
{
    struct route *route = call->method->route;

    if (route->held_count >= route->max_held) {
        refuse(call, "service %s: plugin %s is starting and %zu calls are already waiting; retry later",
               route->held_count);
        return;
    }
    call->held = true;
    TAILQ_INSERT_TAIL(&route->held, call, held_link);
    route->held_count++;
    update_pause(call);
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
        refuse(call, "service %s is unavailable: plugin %s has not started", 0);
        break;
    case ROUTE_GONE:
        decide(call, route->code, route->reason, NULL, 0);
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
    err->message[0] = '\0';
    call->asking = err;
    call->answer = BERTH_PENDING;
    enter_code(call, ROUTER_INTERCEPTOR, hook->owner);
    code = hook->interceptor->on_start(hook->self, call->public, &call->hook_states[i].state, err);
    leave_code(call, ROUTER_INTERCEPTOR, hook->owner);
    call->asking = NULL;
    if (code != BERTH_PENDING && code != wire_code(code))
        report(call->calls, call->public, hook->owner, *(const void **)&hook->interceptor->on_start,
               "answered a call with invalid code %d; sending UNKNOWN instead", (int)code);
    /* A refusal that was given stands, also where OK is returned behind it. */
    if (code == BERTH_PENDING || (code == BERTH_OK && call->answer != BERTH_PENDING))
        return call->answer;
    if (code != BERTH_OK && err->message[0] == '\0')
        snprintf(err->message, sizeof(err->message), "refused by %s", hook->interceptor->name);
    return code;
}

/* Asks the interceptors that have not been asked yet, as far as it goes, and then the route. */
static void proceed(struct call *call)
{
    struct berth_error err;

    while (call->hooks_started < call->chain->count) {
        enum berth_code code = ask_hook(call, call->hooks_started, &err);

        if (call->ended)
            return;
        if (code != BERTH_OK && code != BERTH_PENDING) {
            decide(call, code, err.message, NULL, 0);
            return;
        }
        call->hooks_started++;
        if (code == BERTH_PENDING) {
            call->pending = true;
            update_pause(call);
            return;
        }
    }
    bind_to_route(call);
}

void call_admit(struct berth_call *public, enum berth_code code, const char *message, const void *owner,
                const void *caller)
{
    struct call *call = call_for_owner(public, "admitted", owner, caller);
    bool is_second;

    if (call == NULL)
        return;
    is_second = call->asking != NULL ? call->answer != BERTH_PENDING : !call->pending && !call->ended;
    if (is_second)
        report(call->calls, public, owner, caller, "admitted a call twice; ignored");
    else if (code != wire_code(code))
        report(call->calls, public, owner, caller,
               "refused a call with invalid code %d; sending UNKNOWN instead", (int)code);
    if (is_second || (call->asking == NULL && call->ended))
        return;
    if (call->asking != NULL) {
        call->answer = code;
        snprintf(call->asking->message, sizeof(call->asking->message), "%s", message == NULL ? "" : message);
        return;
    }
    enter(call);
    call->pending = false;
    if (code == BERTH_OK) {
        proceed(call);
    } else {
        call->hooks_started--;
        decide(call, code, message, NULL, 0);
    }
    leave(call);
}

void call_retry(struct call *call)
{
    enter(call);
    leave_queue(call);
    bind_to_route(call);
    leave(call);
}

void call_forget_hooks(struct call *call, const void *owner)
{
    static const char reason[] = "the interceptor's plugin is stopping";

    if (call->ended)
        return;
    enter(call);
    for (size_t i = call->hooks_started; i > 0 && !call->ended; i--) {
        if (call->chain->hooks[i - 1]->owner != owner)
            continue;
        if (call->pending && i == call->hooks_started)
            decide(call, BERTH_UNAVAILABLE, reason, NULL, 0);
        else
            finish_hook(call, i - 1, BERTH_UNAVAILABLE, reason);
    }
    leave(call);
}

/*
 * Begins an event that the server brings, usually from the top level of the loop. NULL: not to be. What is
 * abandoned is reaped first, and this call may be of it.
 */
static struct call *begin(struct berth_call *public, const char *done, const void *caller)
{
    struct call *call = call_for(public, done, caller);

    if (call == NULL)
        return NULL;
    calls_reap(call->calls);
    call = handle_of(public)->call;
    if (call != NULL)
        enter(call);
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
        decide(call, BERTH_INTERNAL, "the server delivered a message on a paused call", NULL, 0);
    if (last)
        take_half_close(call);
}

void call_deliver(struct berth_call *public, const void *message, size_t length)
{
    struct call *call = begin(public, "delivered a message to", CALLER);

    if (call == NULL)
        return;
    take(call, message, length, false);
    leave(call);
}

void call_deliver_last(struct berth_call *public, const void *message, size_t length)
{
    struct call *call = begin(public, "delivered a message to", CALLER);

    if (call == NULL)
        return;
    take(call, message, length, true);
    leave(call);
}

void call_half_close(struct berth_call *public)
{
    struct call *call = begin(public, "half-closed", CALLER);

    if (call == NULL)
        return;
    take_half_close(call);
    leave(call);
}

void call_writable(struct berth_call *public)
{
    struct call *call = begin(public, "reported room to send on", CALLER);

    if (call == NULL)
        return;
    if (call->started && !call->ended && handler_of(call)->on_writable != NULL) {
        enter_code(call, ROUTER_HANDLER, call->binding->owner);
        handler_of(call)->on_writable(public);
        leave_code(call, ROUTER_HANDLER, call->binding->owner);
    }
    leave(call);
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
    decide(call, code, NULL, NULL, 0);
    leave(call);
}

/* The operations of handlers: each checks the state of the call and passes on to the server. */

static bool gives_one_reply(const struct berth_call *public)
{
    return public->kind == BERTH_METHOD_UNARY || public->kind == BERTH_METHOD_CLIENT_STREAM;
}

/* The refusal of a message that was refused as misuse. A finish with it is the other half of the same reply.
 */
static const char no_second_reply[] = "the handler had replied already";

/* What an interceptor does in between is not the handler's. */
BERTH_PRINTF(3, 4)
static void report_handler(const struct call *call, const void *caller, const char *format, ...)
{
    char what[BERTH_ERROR_MAX];
    va_list arguments;

    if (call->hooks_running > 0)
        return;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    report(call->calls, call->public, handle_of(call->public)->owner, caller, "%s", what);
}

/* In reverse order. A hook that ends the call keeps the message from leaving. */
static void show_reply(struct call *call, const void *message, size_t length)
{
    call->showing_reply = true;
    for (size_t i = call->hooks_started; i > 0 && !call->ended; i--) {
        const struct hook *hook = call->chain->hooks[i - 1];
        struct hook_state *state = &call->hook_states[i - 1];

        if (hook->removed || state->finished || !BERTH_HAS(hook->interceptor, on_reply))
            continue;
        enter_code(call, ROUTER_INTERCEPTOR, hook->owner);
        hook->interceptor->on_reply(hook->self, call->public, state->state, message, length);
        leave_code(call, ROUTER_INTERCEPTOR, hook->owner);
    }
    call->showing_reply = false;
}

static enum berth_code op_send(struct berth_call *public, const void *message, size_t length)
{
    const char *done = gives_one_reply(public) ? "replied to" : "sent a message to";
    struct call *call = call_for(public, done, CALLER);
    bool is_second = call != NULL && gives_one_reply(public) && call->replies > 0;
    enum berth_code code = BERTH_FAILED_PRECONDITION;

    if (call == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (call->handler_finished || (is_second && !call->ended))
        report_handler(call, CALLER,
                       is_second ? "%s a call twice; ignored" : "%s a call after finishing it; ignored",
                       done);
    if (call->ended || call->showing_reply || is_second)
        return BERTH_FAILED_PRECONDITION;
    enter(call);
    show_reply(call, message, length);
    if (!call->ended)
        code = call->stream_ops->send(call->stream, message, length);
    if (code == BERTH_OK) {
        call->headers_sent = true;
        call->replies++;
        call->method->counts->messages_sent++;
        call->method->counts->bytes_sent += length;
    }
    if (call->ended)
        code = BERTH_FAILED_PRECONDITION;
    leave_to_handler(call);
    return code;
}

static bool op_can_send(struct berth_call *public)
{
    const struct call *call = call_for(public, "checked for room to send on", CALLER);

    return call != NULL && !call->ended && call->stream_ops->can_send(call->stream);
}

static void op_finish(struct berth_call *public, enum berth_code code, const char *message,
                      const void *details, size_t details_length)
{
    bool is_rest_of_reply = message == no_second_reply, was_ended;
    struct call *call = is_rest_of_reply ? call_quietly(public) : call_for(public, "finished", CALLER);

    if (call == NULL)
        return;
    was_ended = call->ended;
    if (call->handler_finished && !is_rest_of_reply)
        report_handler(call, CALLER, "%s a call twice; ignored", "finished");
    else if (!was_ended && code != wire_code(code))
        report_handler(call, CALLER, "finished a call with invalid code %d; sending UNKNOWN instead",
                       (int)code);
    enter(call);
    if (code == BERTH_OK && gives_one_reply(public) && call->replies == 0)
        decide(call, BERTH_INTERNAL, "the handler finished the call with OK but sent no reply", NULL, 0);
    else
        decide(call, code, message, details, details_length);
    if (!was_ended && call->started && call->hooks_running == 0)
        call->handler_finished = true;
    leave(call);
}

static bool key_is_valid(const char *key)
{
    size_t length = strspn(key, "0123456789abcdefghijklmnopqrstuvwxyz_.-");

    return length > 0 && key[length] == '\0' && strncmp(key, "grpc-", 5) != 0;
}

static enum berth_code op_add_header(struct berth_call *public, const char *key, const void *value,
                                     size_t length)
{
    struct call *call = call_for(public, "added a header to", CALLER);
    enum berth_code code;

    if (call == NULL || call->ended || call->headers_sent)
        return BERTH_FAILED_PRECONDITION;
    if (!key_is_valid(key))
        return BERTH_INVALID_ARGUMENT;
    enter(call);
    code = call->stream_ops->add_header(call->stream, key, value, length);
    leave_to_handler(call);
    return code;
}

/* Allowed while the interceptors hear the end, so `ended` does not matter. */
static enum berth_code op_add_trailer(struct berth_call *public, const char *key, const void *value,
                                      size_t length)
{
    struct call *call = call_for(public, "added a trailer to", CALLER);
    enum berth_code code;

    if (call == NULL || call->stream == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!key_is_valid(key))
        return BERTH_INVALID_ARGUMENT;
    enter(call);
    code = call->stream_ops->add_trailer(call->stream, key, value, length);
    leave_to_handler(call);
    return code;
}

static enum berth_code op_send_headers(struct berth_call *public)
{
    struct call *call = call_for(public, "sent the headers of", CALLER);
    enum berth_code code;

    if (call == NULL || call->ended || call->headers_sent)
        return BERTH_FAILED_PRECONDITION;
    enter(call);
    code = call->stream_ops->send_headers(call->stream);
    call->headers_sent = code == BERTH_OK;
    leave_to_handler(call);
    return code;
}

static void op_pause(struct berth_call *public)
{
    struct call *call = call_for(public, "paused", CALLER);

    if (call == NULL)
        return;
    enter(call);
    call->handler_paused = true;
    update_pause(call);
    leave_to_handler(call);
}

static void op_resume(struct berth_call *public)
{
    struct call *call = call_for(public, "resumed", CALLER);

    if (call == NULL)
        return;
    enter(call);
    call->handler_paused = false;
    update_pause(call);
    pass_kept_request(call);
    leave(call);
}

static enum berth_code op_compress(struct berth_call *public, bool wanted)
{
    struct call *call = call_for(public, "set the compression of", CALLER);

    if (call == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!BERTH_STREAM_OPS_HAVE(call->stream_ops, compress))
        return BERTH_UNIMPLEMENTED;
    return call->stream == NULL ? BERTH_FAILED_PRECONDITION
                                : call->stream_ops->compress(call->stream, wanted);
}

static bool op_came_compressed(struct berth_call *public)
{
    struct call *call = call_for(public, "asked for the compression of", CALLER);

    return call != NULL && BERTH_STREAM_OPS_HAVE(call->stream_ops, came_compressed) && call->stream != NULL &&
           call->stream_ops->came_compressed(call->stream);
}

/* Asked by berth_call_reply after a send that was refused, so nothing more is reported. */
static const char *op_refusal(struct berth_call *public)
{
    struct call *call = call_quietly(public);

    if (call == NULL || call->handler_finished || (gives_one_reply(public) && call->replies > 0))
        return no_second_reply;
    return BERTH_STREAM_OPS_HAVE(call->stream_ops, refusal) && call->stream != NULL
               ? call->stream_ops->refusal(call->stream)
               : NULL;
}

static struct annotation *find_annotation(const struct call *call, const char *key)
{
    struct annotation *annotation = call->annotations;

    while (annotation != NULL && strcmp(annotation->key, key) != 0)
        annotation = annotation->next;
    return annotation;
}

static struct annotation *add_annotation(struct call *call, const char *key)
{
    size_t size = strlen(key) + 1;
    struct annotation *annotation = malloc(sizeof(*annotation) + size);

    if (annotation == NULL)
        return NULL;
    memcpy(annotation->key, key, size);
    annotation->value = NULL;
    annotation->next = call->annotations;
    call->annotations = annotation;
    return annotation;
}

static enum berth_code op_annotate(struct berth_call *public, const char *key, const char *value)
{
    struct call *call = call_for(public, "annotated", CALLER);
    struct annotation *annotation = call != NULL ? find_annotation(call, key) : NULL;
    char *copy;

    if (call == NULL)
        return BERTH_FAILED_PRECONDITION;
    copy = strdup(value);
    if (annotation == NULL && copy != NULL)
        annotation = add_annotation(call, key);
    if (annotation == NULL || copy == NULL) {
        free(copy);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    free(annotation->value);
    annotation->value = copy;
    return BERTH_OK;
}

static const char *op_annotation(struct berth_call *public, const char *key)
{
    const struct call *call = call_for(public, "asked for an annotation of", CALLER);
    const struct annotation *annotation = call != NULL ? find_annotation(call, key) : NULL;

    return annotation == NULL ? NULL : annotation->value;
}

static enum berth_code op_set_trace(struct berth_call *public, const struct berth_trace *trace)
{
    struct call *call = call_for(public, "set the trace of", CALLER);

    if (call == NULL)
        return BERTH_FAILED_PRECONDITION;
    call->trace = *trace;
    public->trace = &call->trace;
    return BERTH_OK;
}

static const struct berth_call_ops call_ops = {
    .size = sizeof(call_ops),
    .send = op_send,
    .can_send = op_can_send,
    .finish = op_finish,
    .add_header = op_add_header,
    .add_trailer = op_add_trailer,
    .send_headers = op_send_headers,
    .pause = op_pause,
    .resume = op_resume,
    .annotate = op_annotate,
    .annotation = op_annotation,
    .compress = op_compress,
    .came_compressed = op_came_compressed,
    .refusal = op_refusal,
    .set_trace = op_set_trace,
};

/* Reads only the members that the server's header had. */
static struct berth_peer known_peer(const struct berth_call_request *request)
{
    const struct berth_peer *peer = request->peer != NULL ? request->peer : &unknown_peer;
    struct berth_peer known = {.size = sizeof(known),
                               .address = peer->address,
                               .pid = peer->pid,
                               .uid = peer->uid,
                               .gid = peer->gid};

    if (peer->size >= sizeof(known)) {
        known.tls_subject = peer->tls_subject;
        known.tls_names = peer->tls_names;
        known.tls_name_count = peer->tls_name_count;
    }
    return known;
}

static size_t peer_size(const struct berth_peer *peer)
{
    size_t size = sizeof(*peer) + strlen(peer->address) + 1;

    if (peer->tls_subject != NULL)
        size += strlen(peer->tls_subject) + 1;
    for (size_t i = 0; i < peer->tls_name_count; i++)
        size += sizeof(char *) + strlen(peer->tls_names[i]) + 1;
    return size;
}

/* Bytes that a call needs behind its hooks for what it copies out of the request. */
static size_t copies_size(const struct berth_call_request *request, const struct berth_peer *peer)
{
    size_t size = peer_size(peer);

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

static void copy_peer(struct berth_peer *own, const char **names, const struct berth_peer *peer,
                      char **cursor)
{
    *own = *peer;
    own->address = copy_text(cursor, peer->address, strlen(peer->address));
    if (peer->tls_subject != NULL)
        own->tls_subject = copy_text(cursor, peer->tls_subject, strlen(peer->tls_subject));
    for (size_t i = 0; i < peer->tls_name_count; i++)
        names[i] = copy_text(cursor, peer->tls_names[i], strlen(peer->tls_names[i]));
    own->tls_names = names;
}

/* The peer, its list of names, the list of metadata, and behind them all texts. */
static void copy_request(struct call *call, const struct berth_call_request *request,
                         const struct berth_peer *peer, void *space)
{
    struct berth_peer *own_peer = space;
    const char **names = (const char **)(own_peer + 1);
    struct berth_metadata *metadata = (struct berth_metadata *)(names + peer->tls_name_count);
    char *cursor = (char *)(metadata + request->metadata_count);

    copy_peer(own_peer, names, peer, &cursor);
    for (size_t i = 0; i < request->metadata_count; i++) {
        const struct berth_metadata *from = &request->metadata[i];

        metadata[i].key = copy_text(&cursor, from->key, strlen(from->key));
        metadata[i].value = copy_text(&cursor, from->value, from->value_length);
        metadata[i].value_length = from->value_length;
    }
    call->public->peer = own_peer;
    call->public->metadata = metadata;
    call->public->metadata_count = request->metadata_count;
}

static struct call *call_create(struct calls *calls, struct chain *chain, const struct route_method *method,
                                const struct berth_call_request *request)
{
    struct berth_peer peer = known_peer(request);
    size_t fixed = sizeof(struct call) + chain->count * sizeof(struct hook_state);
    const char *transport = keep_transport(calls, request->transport);
    struct call *call = transport != NULL ? take_block(calls, fixed, copies_size(request, &peer)) : NULL;
    struct handle *handle = call != NULL ? take_handle(calls) : NULL;

    if (call == NULL)
        return NULL;
    if (handle == NULL) {
        give_block(calls, call);
        return NULL;
    }
    *handle = (struct handle){
        .public = {.size = sizeof(handle->public),
                   .ops = &call_ops,
                   .path = method->path,
                   .service = method->route->service,
                   .method = method->name,
                   .kind = method->kind,
                   .transport = transport,
                   .deadline_ns = request->deadline_ns},
        .calls = calls,
        .call = call,
    };
    call->public = &handle->public;
    copy_request(call, request, &peer, (char *)call + fixed);
    call->calls = calls;
    call->chain = chain;
    chain->references++;
    call->method = method;
    method->counts->opened++;
    call->stream = request->stream;
    call->stream_ops = request->stream_ops;
    LIST_INSERT_HEAD(&calls->all, call, link);
    return call;
}

struct berth_call *call_open(struct calls *calls, struct chain *chain, const struct route_method *method,
                             const struct berth_call_request *request)
{
    struct berth_call *public;
    struct call *call;

    calls_reap(calls);
    call = call_create(calls, chain, method, request);
    if (call == NULL) {
        request->stream_ops->finish(request->stream, BERTH_RESOURCE_EXHAUSTED, "out of memory for the call",
                                    NULL, 0);
        return NULL;
    }
    if (BERTH_STREAM_OPS_HAVE(request->stream_ops, found))
        request->stream_ops->found(request->stream, call->public->kind);
    enter(call);
    proceed(call);
    public = call->ended ? NULL : call->public;
    leave(call);
    return public;
}
