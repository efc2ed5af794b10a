/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds what of whom: references to other plugins' interfaces, which the host hands out, and what
 * providers note themselves, such as subscriptions. Recorded where it is taken; what cannot be attributed
 * says so.
 */
#ifndef CORE_STATE_LEDGER_H
#define CORE_STATE_LEDGER_H

#include <sys/queue.h>

#include <berth/plugin.h>

/** One side of an entry: a generation, as its owner. */
struct ledger_side {
    /** NULL: unknown, or it has ended. */
    const void *owner;
    /** NULL: unknown. For a module whose plugin is unknown, the name of its file. Copied. */
    const char *name;
    /** 0: unknown. */
    uint64_t generation;
};

/** Plugins see it as an opaque pointer. */
struct berth_holding {
    LIST_ENTRY(berth_holding) link;
    struct ledger_side provider, holder;
    /** "its interface", "a subscription to events" */
    char *what;
    /** To the provider's interface: handed out by the host, which ends with the holder. */
    bool is_reference;
    /** The holder's generation has ended, and this has not. */
    bool is_orphan;
    /** Ends it, for a holder whose init has failed. NULL: the provider cannot. */
    void (*revoke)(void *context);
    void *context;
    /** It is being revoked. */
    bool is_taken;
    size_t count;
};

/** Zero-initialise. */
struct ledger {
    LIST_HEAD(holdings, berth_holding) all;
};

/** A plugin was handed another's interface. Once for each pair of generations, and counted. */
void ledger_refer(struct ledger *ledger, const struct ledger_side *holder,
                  const struct ledger_side *provider);
/** @param what  made one line. @return NULL without memory. */
struct berth_holding *ledger_hold(struct ledger *ledger, const struct ledger_side *holder,
                                  const struct ledger_side *provider, const char *what);
/** Ends the provider's holding with this context. @return false if there is none. */
bool ledger_release_context(struct ledger *ledger, const void *provider, const void *context);
/**
 * Something that the owner holds and its provider can revoke; each is returned once. The caller revokes it,
 * and then calls ledger_end_taken. @return NULL: nothing is left.
 */
struct berth_holding *ledger_take_revocable(struct ledger *ledger, const void *owner);
/** Ends what ledger_take_revocable returned, unless its provider has. */
void ledger_end_taken(struct ledger *ledger, const struct berth_holding *taken);
/** @return false if the provider has noted no such thing. */
bool ledger_release(struct ledger *ledger, const void *provider, struct berth_holding *holding);
/**
 * A generation has ended: what it held of interfaces is returned, and what others held of it is gone. What
 * providers have noted for it stays, as an orphan: they may still use it.
 */
void ledger_forget(struct ledger *ledger, const void *owner);
/** Does another generation that lives have this one's interface? */
bool ledger_is_used(const struct ledger *ledger, const void *owner);
void ledger_finish(struct ledger *ledger);

#endif
