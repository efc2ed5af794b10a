/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call from open to its end: between the server's events and the handler's operations are the
 * interceptors.
 */
#ifndef SDK_CALLS_CALL_H
#define SDK_CALLS_CALL_H

#include <sys/queue.h>

#include <berth/trace.h>

#include "route.h"

struct annotation;
struct name;

/** One interceptor. After its removal it lives on while a call holds a chain that contains it. */
struct hook {
    const struct berth_interceptor *interceptor;
    void *self;
    const void *owner;
    size_t order;
    /** Removed: not called any more. */
    bool removed;
    size_t references;
};

/**
 * The interceptors in order. Immutable: replaced as a whole, while calls keep the chain they were opened
 * with.
 */
struct chain {
    size_t references;
    size_t count;
    struct hook *hooks[];
};

/** A position in a walk over all calls. It stays valid while calls come and go. */
struct call_cursor {
    struct call *next;
    struct call_cursor *outer;
};

/**
 * A call as everybody outside the engine sees it. Once the call has ended it rests: whoever still uses it is
 * refused and named, and no later call is mistaken for it. What stays readable is what lives as long as the
 * router.
 */
struct handle {
    struct berth_call public;
    struct calls *calls;
    /** NULL once it has ended. */
    struct call *call;
    /** Whose handler had it, for the observer; NULL: none. */
    const void *owner;
    STAILQ_ENTRY(handle) link;
};

/** All open calls of a router. */
struct calls {
    LIST_HEAD(, call) all;
    /** Memory of ended calls, reused for new ones: the last first, because it is still in the cache. */
    LIST_HEAD(, call) kept;
    size_t kept_count;
    /** Handles of ended calls, the oldest first. One is reused once `rest` calls have ended after its own. */
    STAILQ_HEAD(, handle) resting;
    size_t resting_count, rest;
    /** The memory of all handles: of as many as calls were open at once, and of those that rest. */
    SLIST_HEAD(, slab) slabs;
    /** Copies of the transports' names: a handle that rests may outlive the server that it came from. */
    SLIST_HEAD(, name) transports;
    size_t transport_count;
    /** Where everything happens: an address that only that thread has. */
    const void *thread;
    struct call_cursor *cursors;
    /** Engine functions on the stack, for any call. */
    unsigned depth;
    /** Ended calls that could not be freed yet; the next event on any call frees them. */
    size_t abandoned;
    struct router_observer observer;
    /**
     * A call has been freed: returns its reference to the chain and, if it had started, unpins the instance.
     */
    void (*on_gone)(struct calls *calls, struct chain *chain, const void *instance, bool started);
};

/** One interceptor's state for one call. */
struct hook_state {
    void *state;
    bool finished;
};

struct call {
    /** That of its handle, which outlives it. */
    struct berth_call *public;
    /** Size of its memory. */
    size_t block_bytes;
    struct calls *calls;
    LIST_ENTRY(call) link;
    const struct route_method *method;
    /** From on_start of the handler until the call is freed. */
    struct binding *binding;
    struct chain *chain;
    /** How many hooks know of this call, and are told its end. */
    size_t hooks_started;
    /** While a hook's on_start runs: its error, and the arguments of an admit meanwhile. */
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
    /** An interceptor has yet to admit it. */
    bool pending;
    /** In the queue of a held route. */
    bool held;
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

    TAILQ_ENTRY(call) held_link;
    struct annotation *annotations;
    /** What `public->trace` points to, once it is set. */
    struct berth_trace trace;
    /** One for each hook of the chain, followed by the copies of the request's peer and metadata. */
    struct hook_state hook_states[];
};

/**
 * Opens a call of a method and runs it as far as possible. Takes a reference to the chain, which on_gone
 * returns.
 *
 * @return NULL if it has ended, also without memory; the stream has been told.
 */
struct berth_call *call_open(struct calls *calls, struct chain *chain, const struct route_method *method,
                             const struct berth_call_request *request);

/** As in struct berth_router. */
void call_deliver(struct berth_call *public, const void *message, size_t length);
void call_deliver_last(struct berth_call *public, const void *message, size_t length);
void call_half_close(struct berth_call *public);
void call_writable(struct berth_call *public);
void call_cancel(struct berth_call *public, enum berth_code code);

/** The result of an interceptor that returned BERTH_PENDING. `owner` and `caller` are for the observer. */
void call_admit(struct berth_call *public, enum berth_code code, const char *message, const void *owner,
                const void *caller);
/** Lets a held call try its route again. */
void call_retry(struct call *call);
/** Ends a call from the host's side. */
void call_end(struct call *call, enum berth_code code, const char *message);
/** Tells the hooks of `owner`, which are being removed, that they get no further callbacks for this call. */
void call_forget_hooks(struct call *call, const void *owner);

/** Walks over all calls, also while they end: `for (call = calls_first(…); call; call = calls_next(…))`. */
struct call *calls_first(struct calls *calls, struct call_cursor *cursor);
struct call *calls_next(struct calls *calls, struct call_cursor *cursor);
/** Frees the abandoned calls, unless an engine function is on the stack. */
void calls_reap(struct calls *calls);
/** @return is this the router's thread? If not, `what` is reported. */
bool calls_on_thread(const struct calls *calls, const char *what, const void *caller);
void calls_init(struct calls *calls);
/** Frees the kept memory. */
void calls_finish(struct calls *calls);

#endif
