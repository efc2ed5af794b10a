/* SPDX-License-Identifier: Apache-2.0 */
/* The interceptors in order, and what each of them learns about a call. */
#ifndef SDK_CALLS_CHAIN_H
#define SDK_CALLS_CHAIN_H

#include <sys/queue.h>

#include <berth/plugin.h>

struct call;

/** One interceptor. After its removal it lives on while a call holds a chain that contains it. */
struct hook {
    /** Among all of the router's. */
    LIST_ENTRY(hook) link;
    const struct berth_interceptor *interceptor;
    void *self;
    const void *owner;
    size_t order;
    /** Removed: not called any more. */
    bool removed;
    /** In no chain of later calls, but called for those that began with it. */
    bool retired;
    /** Calls that wait for its answer. */
    size_t pending;
    size_t references;
};

/** One interceptor's state for one call. */
struct hook_state {
    void *state;
    bool finished;
};

/** Immutable: replaced as a whole, while calls keep the chain they were opened with. */
struct chain {
    size_t references;
    size_t count;
    struct hook *hooks[];
};

/** @return an empty chain with room for `hooks`, referenced once; NULL without memory. */
struct chain *chain_create(size_t hooks);
/** Returns a reference. */
void chain_drop(struct chain *chain);
LIST_HEAD(hooks, hook);

/**
 * @return a chain with one more hook, after those of the same order, which also joins the list of all; NULL
 * without memory.
 */
struct chain *chain_with(const struct chain *chain, const struct hook *hook, struct hooks *all);
/** @return the same hooks in the order that they have now; NULL without memory. */
struct chain *chain_sorted(const struct chain *chain);
/** @return a chain without the hooks of an owner; NULL without memory. */
struct chain *chain_without(const struct chain *chain, const void *owner);

/** Asks one interceptor. @return BERTH_OK, BERTH_PENDING, or a refusal with its sentence. */
enum berth_code chain_ask(struct call *call, size_t i, struct berth_error *err);
/** Shows a message for the handler to all hooks that know of the call, until one ends it. */
void chain_show_message(struct call *call, const void *message, size_t length);
/** The same for a reply, in reverse order. A hook that ends the call keeps the message from leaving. */
void chain_show_reply(struct call *call, const void *message, size_t length);
/** Tells one interceptor the end, once. */
void chain_finish_one(struct call *call, size_t i, enum berth_code code, const char *message);
/** Tells all hooks that know of the call its end, in reverse order. */
void chain_finish(struct call *call, const char *message);

#endif
