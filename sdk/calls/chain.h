/* SPDX-License-Identifier: Apache-2.0 */
/* The interceptors around every call, in order: a list that never changes, replaced when plugins do. */
#ifndef SDK_CALLS_CHAIN_H
#define SDK_CALLS_CHAIN_H

#include <berth/router.h>

/** One interceptor. Outlives its removal for as long as a chain that a call was opened with holds it. */
struct hook {
    const struct berth_interceptor *interceptor;
    void *self;
    const void *owner;
    /** Its place in the plan's order. */
    size_t order;
    /** Nobody calls into it any more. */
    bool removed;
    size_t references;
};

struct chain {
    size_t references;
    size_t count;
    struct hook *hooks[];
};

/** Without hooks; NULL where memory is out. */
struct chain *chain_create(void);
struct chain *chain_take(struct chain *chain);
void chain_drop(struct chain *chain);

/** A new chain with one hook more, behind those of the same order; NULL where memory is out. */
struct chain *chain_with(const struct chain *chain, const struct hook *hook);
/** A new chain without the hooks of an owner; NULL where memory is out. */
struct chain *chain_without(const struct chain *chain, const void *owner);

#endif
