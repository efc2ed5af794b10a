/* SPDX-License-Identifier: Apache-2.0 */
/* A call as the files of the engine see it, and all open calls of a router. */
#ifndef SDK_CALLS_CALLS_H
#define SDK_CALLS_CALLS_H

#include <sys/queue.h>

#include <berth/trace.h>

#include "chain.h"
#include "handle.h"
#include "route.h"

struct name;

struct annotation {
    struct annotation *next;
    char *value;
    char key[];
};

enum call_wait {
    CALL_WAITS_FOR_NOTHING,
    /** In the queue before the first interceptor. */
    CALL_WAITS_AT_GATE,
    /** An interceptor has not admitted it yet. */
    CALL_WAITS_FOR_HOOK,
    /** In the queue of a held route. */
    CALL_WAITS_FOR_ROUTE,
};

struct call {
    /** The call's public part inside its handle, which outlives it. */
    struct berth_call *public;
    /** Size of its memory. */
    size_t block_bytes;
    struct calls *calls;
    LIST_ENTRY(call) link;
    const struct route_method *method;
    /** From on_start of the handler until the call is freed. */
    struct binding *binding;
    struct chain *chain;
    /** The number of hooks that know of this call and will be told its end. */
    size_t hooks_started;
    /** While a hook's on_start runs: its error, and the arguments of an admit made meanwhile. */
    struct berth_error *asking;
    enum berth_code answer;

    /** NULL once the server has been told the end or has cancelled. */
    struct berth_stream *stream;
    const struct berth_stream_ops *stream_ops;

    /** Engine functions on the stack that work on this call. */
    unsigned depth;
    enum berth_code code;
    /** The end has been decided; only on_end follows. */
    bool ended;
    /** on_start of the handler has been called. */
    bool started;
    /** What it waits for before its handler gets it. */
    enum call_wait wait;
    bool handler_paused;
    bool stream_paused;
    bool half_closed;
    bool headers_sent;
    bool request_taken;
    bool request_delivered;
    /** The handler itself has finished it. */
    bool handler_finished;
    /** Interceptors are seeing a message from the handler; they must not send. */
    bool showing_reply;
    /** Interceptors on the stack. What they do is not the handler's mistake. */
    unsigned hooks_running;
    size_t replies;
    /** The one request, if it came before the half-close or while it could not be delivered. */
    void *request;
    size_t request_length;

    /** In the queue that it waits in. */
    TAILQ_ENTRY(call) queue_link;
    struct annotation *annotations;
    /** The trace that `public->trace` points to, once it is set. */
    struct berth_trace trace;
    /** One for each hook of the chain: `own_states`, unless the chain changed while the call was gated. */
    struct hook_state *hook_states;
    /** Followed by the copies of the request's peer and metadata. */
    struct hook_state own_states[];
};

/** A position in a walk over all calls. It stays valid while calls come and go. */
struct call_cursor {
    struct call *next;
    struct call_cursor *outer;
};

/** All open calls of a router. */
struct calls {
    LIST_HEAD(, call) all;
    /** Memory of ended calls, reused for new ones: the last first, because it is still in the cache. */
    LIST_HEAD(, call) kept;
    size_t kept_count;
    struct handles handles;
    /** The operations that handlers get. */
    const struct berth_call_ops *operations;
    /** Copies of the transports' names: a handle that rests may outlive the server that it came from. */
    SLIST_HEAD(, name) transports;
    size_t transport_count;
    struct call_cursor *cursors;
    /** Calls that wait before the first interceptor, the oldest first. */
    TAILQ_HEAD(, call) gated;
    /** Engine functions on the stack, for any call. */
    unsigned depth;
    /** Ended calls that could not be freed yet; the next event on any call frees them. */
    size_t abandoned;
    struct router_observer observer;
    /** A call has been freed: returns its reference to the chain. NULL: an interceptor answered. */
    void (*on_gone)(struct calls *calls, struct chain *chain);
};

/** Operations are those of `struct berth_call`. For on_gone see struct calls. */
void calls_init(struct calls *calls, const struct berth_call_ops *operations,
                void (*on_gone)(struct calls *calls, struct chain *chain));
/** Frees the kept memory. */
void calls_finish(struct calls *calls);

/** Walks over all calls, also while they end: `for (call = calls_first(…); call; call = calls_next(…))`. */
struct call *calls_first(struct calls *calls, struct call_cursor *cursor);
struct call *calls_next(struct calls *calls, struct call_cursor *cursor);

/** Takes a reference to the chain. @return the call, not visible to anyone yet; NULL without memory. */
struct call *call_create(struct calls *calls, struct chain *chain, const struct route_method *method,
                         const struct berth_call_request *request);
/** Frees the call, which no function uses any more; its handle rests. The reference to the chain remains. */
void call_free(struct call *call);

/** These two stand around each callback and tell the observer whose code runs. */
void call_enter_code(struct call *call, enum router_part part, const void *owner);
void call_leave_code(struct call *call, enum router_part part, const void *owner);

/** @return a code that may travel on a wire. */
static inline enum berth_code call_wire_code(enum berth_code code)
{
    return (int)code >= 0 && (int)code <= BERTH_UNAUTHENTICATED ? code : BERTH_UNKNOWN;
}

#endif
