/* SPDX-License-Identifier: Apache-2.0 */
/* The rule for requirements: what a plugin does once the providers of one of them have settled. Pure. */
#ifndef CORE_PLAN_VERDICT_H
#define CORE_PLAN_VERDICT_H

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

/** Which member of a tally counts providers that stand at `state`. */
size_t *verdict_counter(struct verdict_tally *tally, enum berth_state state);
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

/**
 * Where each entry of a plan stands, as its dependents see it. The plan asks it ahead of time and the
 * life while plugins start: what blocks a plugin, and who is to blame, is decided here and nowhere else.
 */
struct verdicts;

/** What becomes of an entry. */
struct verdict_decision {
    enum verdict_answer answer;
    /** BERTH_STATE_BLOCKED or BERTH_STATE_SKIPPED where it gives up. */
    enum berth_state state;
    enum berth_code code;
    /** The requirement that decided it, where it gives up; or of which a provider fell; else NULL. */
    const struct plan_requirement *requirement;
    /** The provider to blame, or PLAN_NONE. */
    size_t cause;
};

/** Every entry stands as its verdict in the plan says. @param plan  borrowed, types and requirements
 * included. */
struct verdicts *verdicts_create(const struct plan *plan);
void verdicts_destroy(struct verdicts *verdicts);

/**
 * Where an entry stands from here on.
 *
 * @param reason  borrowed until the next call for this entry; one line, or NULL.
 * @param cause   the entry that it blames, which has been set before; or PLAN_NONE.
 */
void verdicts_set(struct verdicts *verdicts, size_t entry, enum berth_state state, const char *reason,
                  size_t cause);
/** Where the entry's chain of causes ends: itself where it blames nobody. */
size_t verdicts_root(const struct verdicts *verdicts, size_t entry);
/** May none of the type's providers become anything else? */
bool verdicts_type_has_settled(const struct verdicts *verdicts, size_t type);

/** Applies the table to all that an entry requires and wants. Constant time for each of them. */
void verdicts_decide(struct verdicts *verdicts, size_t entry, struct verdict_decision *ret_decision);
/**
 * Words a decision in one line, malloced: why the entry gives up, or whom it starts without. NULL where it
 * starts with all, or waits.
 */
char *verdicts_explain(const struct verdicts *verdicts, const struct verdict_decision *decision);

#endif
