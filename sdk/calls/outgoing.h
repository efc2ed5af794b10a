/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls from plugins to services of the same router: the caller is a stream like a server's. Neither side's
 * code ever runs inside the other's: what each does is queued, and passed on from the top of the loop.
 */
#ifndef SDK_CALLS_OUTGOING_H
#define SDK_CALLS_OUTGOING_H

#include <sys/queue.h>

#include <berth/plugin.h>

#include <sdk/base/deadlines.h>

#include "router.h"

struct outgoing;

/** All such calls of a router. Embedded; it needs the router until it is closed. */
struct outgoings {
    struct router *router;
    /** Where the calls go: the router itself, unless its owner sets another table after outgoings_init. */
    const struct berth_router *calls;
    struct deadlines deadlines;
    uv_idle_t pump;
    /** Calls for which something can be done. */
    TAILQ_HEAD(, outgoing) waiting;
    /** Ended calls, the oldest first: late users are refused and reported. More than `rest` are freed. */
    STAILQ_HEAD(, outgoing) resting;
    size_t resting_count, rest;
    /** The pump is on the stack: nothing that rests is freed. */
    bool is_pumping;
    unsigned open_handles;
    void (*on_closed)(void *context);
    void *context;
};

/** One plugin as a caller. Embedded. */
struct outgoing_caller {
    struct outgoings *room;
    /** For the router's observer. */
    const void *owner;
    char *address;
    bool is_closed;
    size_t count;
    LIST_HEAD(, outgoing) calls;
};

/** @param rest  how many ended calls are kept. */
void outgoings_init(struct outgoings *room, struct router *router, uv_loop_t *loop, size_t rest);
/** Every caller is closed. `on_closed` follows from the loop, once, and then the room is empty. May be NULL.
 */
void outgoings_close(struct outgoings *room, void (*on_closed)(void *context), void *context);

/** @param room  NULL: starting calls is UNIMPLEMENTED. */
void outgoing_caller_init(struct outgoing_caller *caller, struct outgoings *room, const char *uri,
                          const void *owner);
/**
 * Ends all calls and refuses new ones. From the top of the loop.
 *
 * @param tells  whether each on_end is called, with CANCELLED, before this returns.
 * @return how many there were.
 */
size_t outgoing_caller_close(struct outgoing_caller *caller, bool tells);
/** Closed. */
void outgoing_caller_finish(struct outgoing_caller *caller);

/** As berth_outgoing_start. */
enum berth_code outgoing_start(struct outgoing_caller *caller, const struct berth_outgoing_options *options,
                               const struct berth_outgoing_handlers *handlers, void *context,
                               struct berth_outgoing **ret_call, struct berth_error *err);
/** Calls that a plugin has open. */
static inline size_t outgoing_caller_count(const struct outgoing_caller *caller)
{
    return caller->count;
}

#endif
