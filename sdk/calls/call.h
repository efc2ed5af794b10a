/* SPDX-License-Identifier: Apache-2.0 */
/* One call from open to its end: what the server brings goes in, what the handler does comes out, and the
 * interceptors stand between. */
#ifndef SDK_CALLS_CALL_H
#define SDK_CALLS_CALL_H

#include <sys/queue.h>

#include "route.h"

struct annotation;

/** One interceptor. Outlives its removal for as long as a chain that a call was opened with holds it. */
struct hook {
    const struct berth_interceptor *interceptor;
    void *self;
    const void *owner;
    size_t order;
    /** Nobody calls into it any more. */
    bool removed;
    size_t references;
};

/** The interceptors around every call, in order: a list that never changes, replaced when plugins do. */
struct chain {
    size_t references;
    size_t count;
    struct hook *hooks[];
};

/** A place in a walk over all calls, which stays right when calls come and go meanwhile. */
struct call_cursor {
    struct call *next;
    struct call_cursor *outer;
};

/** All calls that are open. */
struct calls {
    LIST_HEAD(, call) all;
    /** Memory of calls that ended, for those that begin. */
    LIST_HEAD(, call) kept;
    size_t kept_count;
    struct call_cursor *cursors;
    /** How many functions of ours, for whatever call, are on the stack. */
    unsigned depth;
    /** Calls that ended where nothing could be freed; the next event on any call does it. */
    size_t abandoned;
    struct router_observer observer;
    /** A call is gone: it gives back its reference to the chain and, where it had started, has let go of the
     * instance. */
    void (*on_gone)(struct calls *calls, struct chain *chain, const void *instance, bool started);
};

/** What one interceptor keeps for one call. */
struct hook_state {
    void *state;
    bool finished;
};

struct call {
    struct berth_call public;
    /** Of the memory that it stands in. */
    size_t block_bytes;
    struct calls *calls;
    LIST_ENTRY(call) link;
    const struct route_method *method;
    /** From on_start of the handler until the call is freed. */
    struct binding *binding;
    struct chain *chain;
    /** How many hooks are to hear of this call, and the error of the one that is being asked. */
    size_t hooks_started;
    struct berth_error *asking;
    enum berth_code answer;

    /** NULL once the server must not be troubled any more. */
    struct berth_stream *stream;
    const struct berth_stream_ops *stream_ops;

    /** How many functions of ours work on the call further up the stack. */
    unsigned depth;
    enum berth_code code;
    /** The end is decided; nothing but on_end comes. */
    bool ended;
    /** on_start of the handler has been called. */
    bool started;
    /** An interceptor has yet to admit it. */
    bool pending;
    /** It stands in the queue of a held route. */
    bool held;
    bool handler_paused;
    bool stream_paused;
    bool half_closed;
    bool headers_sent;
    bool request_taken;
    bool request_delivered;
    /** Interceptors look at a message that the handler sends. */
    bool showing_reply;
    size_t replies;
    /** The one request, where it came before the end of the caller's side or while it could not be delivered.
     */
    void *request;
    size_t request_length;

    TAILQ_ENTRY(call) held_link;
    struct annotation *annotations;
    /** One for each hook of the chain; behind them the copies of what `public` points to. */
    struct hook_state hook_states[];
};

/**
 * Opens a call of a method and runs it as far as it goes. It takes a reference to the chain, which on_gone
 * gives back. @return NULL where it has ended, also for want of memory; the stream has been told.
 */
struct berth_call *call_open(struct calls *calls, struct chain *chain, const struct route_method *method,
                             const struct berth_call_request *request);

/** As of struct berth_router. */
void call_deliver(struct berth_call *public, const void *message, size_t length);
void call_deliver_last(struct berth_call *public, const void *message, size_t length);
void call_half_close(struct berth_call *public);
void call_writable(struct berth_call *public);
void call_cancel(struct berth_call *public, enum berth_code code);

/** The answer of an interceptor that was asked to wait. */
void call_admit(struct berth_call *public, enum berth_code code, const char *message);
/** A held call tries its route again. */
void call_retry(struct call *call);
/** Ends a call on the host's side. */
void call_end(struct call *call, enum berth_code code, const char *message);
/** Hooks that were removed hear no more of the call: those of `owner` are told so. */
void call_forget_hooks(struct call *call, const void *owner);

/** Walks over all calls, also while they end: `for (call = calls_first(…); call; call = calls_next(…))`. */
struct call *calls_first(struct calls *calls, struct call_cursor *cursor);
struct call *calls_next(struct calls *calls, struct call_cursor *cursor);
/** Frees the calls that ended where nothing could be freed, unless that is still so. */
void calls_reap(struct calls *calls);
/** Frees the memory that is kept. */
void calls_finish(struct calls *calls);

#endif
