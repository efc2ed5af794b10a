/* SPDX-License-Identifier: Apache-2.0 */
/* The rule for requirements: what a plugin does once the providers of one of them have settled. Pure. */
#ifndef CORE_VERDICT_H
#define CORE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/error.h>
#include <berth/inspect.h>

#include "plan.h"

/** What a line of the manifest asks for. "*", and anything under `wants`, only orders. */
enum verdict_requirement {
    VERDICT_REQUIRES,
    VERDICT_ORDERS,
};

/** The providers of one requirement, by where they stand. Zero-initialise. */
struct verdict_tally {
    /** May still become anything. */
    size_t open;
    /** Ready or serving. */
    size_t ready;
    size_t skipped;
    /** Failed, timed out, blocked, rejected, or going away. */
    size_t fallen;
    size_t disabled;
};

enum verdict_answer {
    /** Some have not settled. */
    VERDICT_WAIT,
    VERDICT_START,
    /** Never starts. `state`, `code` and `blame` say how it is listed and because of whom. */
    VERDICT_GIVE_UP,
};

/** Which providers are to blame, the first of them in the plan's order by name. */
enum verdict_blame {
    VERDICT_BLAME_NOBODY,
    VERDICT_BLAME_DISABLED,
    VERDICT_BLAME_SKIPPED,
    VERDICT_BLAME_FALLEN,
};

struct verdict {
    enum verdict_answer answer;
    /** BERTH_STATE_BLOCKED, or BERTH_STATE_SKIPPED where all that is needed was skipped. */
    enum berth_state state;
    enum berth_code code;
    enum verdict_blame blame;
};

/** Counts a provider that stands at `state` in. */
void verdict_count(struct verdict_tally *tally, enum berth_state state);
/** Is a provider in this state one of those to blame? */
bool verdict_blames(enum verdict_blame blame, enum berth_state state);

/**
 * The table of requirements. It is the same for a type and for one plugin's URI: the latter has one provider
 * at most.
 */
struct verdict verdict_of(enum verdict_requirement requirement, const struct verdict_tally *tally);

/** What the sentence of a plugin that gives up is made of. */
struct verdict_cause {
    /** As in the manifest. */
    const char *requirement;
    size_t provider_count;
    /** The provider to blame: its URI and its state. NULL where nobody provides it. */
    const char *provider;
    enum berth_state state;
    /** Where the chain of causes ends, and why that one is as it is; both NULL where the provider is the end
     * and has no reason. */
    const char *root;
    const char *reason;
};

/** Words it: one line, for `reason`. */
void verdict_explain(const struct verdict_cause *cause, struct berth_error *ret_sentence);

/** Where one entry of a plan stands. */
struct verdict_provider {
    enum berth_state state;
    /** One line, or NULL. */
    const char *reason;
    /** The entry that it blames, or PLAN_NONE. */
    size_t cause;
};

/** What becomes of an entry whose providers have settled. */
struct verdict_decision {
    bool start;
    /** BERTH_STATE_BLOCKED or BERTH_STATE_SKIPPED, unless it starts. */
    enum berth_state state;
    enum berth_code code;
    /** The provider to blame, or PLAN_NONE. */
    size_t cause;
    /** Malloced. Where it starts all the same: who fell, for the log; NULL where none did. */
    char *reason;
};

/**
 * Applies the table to an entry of a plan that runs, once all that it requires and wants has settled.
 *
 * @param providers  one for each entry of the plan, in its order.
 */
void verdict_decide(const struct plan *plan, size_t entry, const struct verdict_provider *providers,
                    struct verdict_decision *ret_decision);

#endif
