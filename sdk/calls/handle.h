/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What everybody outside the engine holds of a call, and the way from there back to the call: it refuses and
 * reports a late use and a use from another thread.
 */
#ifndef SDK_CALLS_HANDLE_H
#define SDK_CALLS_HANDLE_H

#include <sys/queue.h>

#include <berth/plugin.h>

#include "router.h"

struct call;

/** All handles of a router. */
struct handles {
    /** Those of ended calls, the oldest first. One is reused once `rest` calls have ended after its own. */
    STAILQ_HEAD(, handle) resting;
    size_t resting_count, rest;
    /** The memory of all handles: of as many as calls were open at once, and of those that rest. */
    SLIST_HEAD(, slab) slabs;
    /** Where everything happens: an address that only that thread has. */
    const void *thread;
    const struct router_observer *observer;
};

/**
 * A call as seen from outside the engine. Once the call has ended the handle rests: late users are refused
 * and reported, and no later call is mistaken for it. Whatever lives as long as the router stays readable.
 */
struct handle {
    struct berth_call public;
    struct handles *handles;
    /** NULL once it has ended. */
    struct call *call;
    /** Whose handler had it, for the observer; NULL: none. */
    const void *owner;
    STAILQ_ENTRY(handle) link;
};

/** The peer of a call whose server does not know it, and of one that has ended. */
extern const struct berth_peer handle_unknown_peer;

/** The calling thread becomes the router's. Borrows the observer. */
void handles_init(struct handles *handles, const struct router_observer *observer);
/** Frees the memory of all handles. */
void handles_finish(struct handles *handles);

/** @return a handle to be filled in, whose contents are undefined; NULL without memory. */
struct handle *handle_take(struct handles *handles);
/** The call has ended: the handle no longer refers to any part of it, and rests. */
void handle_give(struct handle *handle);
struct handle *handle_of(struct berth_call *public);

/**
 * The call behind a handle, for an operation that comes from outside, such as "replied to". `caller` is for
 * the observer.
 *
 * @return NULL if it has ended or this is another thread; that is reported, and nothing may come of it.
 */
struct call *handle_call(struct berth_call *public, const char *done, const void *caller);
/** The same for an operation of `owner`, who need not be the handler's. */
struct call *handle_call_for(struct berth_call *public, const char *done, const void *owner,
                             const void *caller);
/** The same without a report. */
struct call *handle_call_quietly(struct berth_call *public);

/** @return is this the router's thread? If not, `what` is reported. */
bool handles_on_thread(const struct handles *handles, const char *what, const void *caller);
/** Reports a misuse, as router_observer.on_misuse wants it. */
BERTH_PRINTF(5, 6)
void handles_report(const struct handles *handles, const struct berth_call *call, const void *owner,
                    const void *caller, const char *format, ...);

#endif
