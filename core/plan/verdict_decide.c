/* SPDX-License-Identifier: Apache-2.0 */
/* The rule for requirements, applied to the entries of a plan as they come to stand. */
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct standing {
    enum berth_state state;
    const char *reason;
    /** Where the chain of causes ends. */
    size_t root;
    /** Whose tally counts it; PLAN_NONE for who is no member of its type. */
    size_t type;
};

/* The providers of one type. */
struct crowd {
    struct verdict_tally tally;
    /** Who was found to blame, and for what, since the last of them moved; so that many dependents do not
     * look for it each. */
    enum verdict_blame blame;
    size_t blamed;
};

struct verdicts {
    const struct plan *plan;
    struct standing *standings;
    struct crowd *crowds;
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL)
        abort();
    return memory;
}

struct verdicts *verdicts_create(const struct plan *plan)
{
    struct verdicts *verdicts = allocate(1, sizeof(*verdicts));

    verdicts->plan = plan;
    verdicts->standings = allocate(plan->count, sizeof(*verdicts->standings));
    verdicts->crowds = allocate(plan->type_count, sizeof(*verdicts->crowds));
    for (size_t i = 0; i < plan->count; i++)
        verdicts->standings[i] = (struct standing){
            .state = plan_verdict_state(plan->entries[i].verdict),
            .reason = plan->entries[i].reason,
            .root = plan->entries[i].root,
            .type = PLAN_NONE,
        };
    for (size_t i = 0; i < plan->type_count; i++)
        for (size_t k = 0; k < plan->types[i].member_count; k++) {
            struct standing *member = &verdicts->standings[plan->types[i].members[k]];

            member->type = i;
            (*verdict_counter(&verdicts->crowds[i].tally, member->state))++;
        }
    return verdicts;
}

void verdicts_destroy(struct verdicts *verdicts)
{
    if (verdicts == NULL)
        return;
    free(verdicts->standings);
    free(verdicts->crowds);
    free(verdicts);
}

void verdicts_set(struct verdicts *verdicts, size_t entry, enum berth_state state, const char *reason,
                  size_t cause)
{
    struct standing *standing = &verdicts->standings[entry];

    if (standing->type != PLAN_NONE) {
        struct crowd *crowd = &verdicts->crowds[standing->type];

        (*verdict_counter(&crowd->tally, standing->state))--;
        (*verdict_counter(&crowd->tally, state))++;
        crowd->blame = VERDICT_BLAME_NOBODY;
    }
    standing->state = state;
    standing->reason = reason;
    standing->root = cause == PLAN_NONE ? entry : verdicts->standings[cause].root;
}

size_t verdicts_root(const struct verdicts *verdicts, size_t entry)
{
    return verdicts->standings[entry].root;
}

bool verdicts_type_has_settled(const struct verdicts *verdicts, size_t type)
{
    return verdicts->crowds[type].tally.open == 0;
}

static struct verdict_tally tally_of(const struct verdicts *verdicts,
                                     const struct plan_requirement *requirement)
{
    struct verdict_tally tally = {0};

    switch (requirement->target) {
    case PLAN_TARGET_TYPE:
        return verdicts->crowds[requirement->index].tally;
    case PLAN_TARGET_PLUGIN:
        *verdict_counter(&tally, verdicts->standings[requirement->index].state) = 1;
        return tally;
    case PLAN_TARGET_ALL:
    case PLAN_TARGET_NOBODY:
        return tally;
    }
    return tally;
}

/* The first of the type's members that is to blame. */
static size_t blame_member(struct verdicts *verdicts, size_t type, enum verdict_blame blame)
{
    struct crowd *crowd = &verdicts->crowds[type];
    const struct plan_type *of = &verdicts->plan->types[type];

    if (crowd->blame == blame)
        return crowd->blamed;
    crowd->blame = blame;
    crowd->blamed = PLAN_NONE;
    for (size_t i = 0; i < of->member_count && crowd->blamed == PLAN_NONE; i++)
        if (verdict_blames(blame, verdicts->standings[of->members[i]].state))
            crowd->blamed = of->members[i];
    return crowd->blamed;
}

static size_t cause_of(struct verdicts *verdicts, const struct plan_requirement *requirement,
                       enum verdict_blame blame)
{
    if (blame == VERDICT_BLAME_NOBODY)
        return PLAN_NONE;
    if (requirement->target == PLAN_TARGET_TYPE)
        return blame_member(verdicts, requirement->index, blame);
    return requirement->index;
}

void verdicts_decide(struct verdicts *verdicts, size_t entry, struct verdict_decision *ret_decision)
{
    const struct plan_entry *self = &verdicts->plan->entries[entry];

    *ret_decision =
        (struct verdict_decision){.answer = VERDICT_START, .state = BERTH_STATE_STARTING, .cause = PLAN_NONE};
    for (size_t i = 0; i < self->requirement_count; i++) {
        const struct plan_requirement *requirement = &self->requirements[i];
        const struct verdict_tally tally = tally_of(verdicts, requirement);
        const struct verdict verdict =
            verdict_of(requirement->binding ? VERDICT_REQUIRES : VERDICT_ORDERS, &tally);

        if (verdict.answer == VERDICT_GIVE_UP) {
            *ret_decision = (struct verdict_decision){
                .answer = verdict.answer,
                .state = verdict.state,
                .code = verdict.code,
                .requirement = requirement,
                .cause = cause_of(verdicts, requirement, verdict.blame),
            };
            return;
        }
        if (verdict.answer == VERDICT_WAIT)
            ret_decision->answer = VERDICT_WAIT;
        if (ret_decision->cause == PLAN_NONE && !requirement->dropped && tally.fallen > 0) {
            ret_decision->requirement = requirement;
            ret_decision->cause = cause_of(verdicts, requirement, VERDICT_BLAME_FALLEN);
        }
    }
}

static const char *uri_of(const struct verdicts *verdicts, size_t entry)
{
    return verdicts->plan->entries[entry].plugin->uri;
}

static char *explain_end(const struct verdicts *verdicts, const struct verdict_decision *decision)
{
    struct verdict_cause cause = {.requirement = decision->requirement->name, .provider_count = 1};
    struct berth_error sentence;

    if (decision->requirement->target == PLAN_TARGET_TYPE)
        cause.provider_count = verdicts->plan->types[decision->requirement->index].member_count;
    if (decision->cause != PLAN_NONE) {
        const struct standing *provider = &verdicts->standings[decision->cause];

        cause.provider = uri_of(verdicts, decision->cause);
        cause.state = provider->state;
        cause.root = uri_of(verdicts, provider->root);
        cause.reason = verdicts->standings[provider->root].reason;
    }
    verdict_explain(&cause, &sentence);
    return strdup(sentence.message);
}

/* A type can lose some of its providers and still do. What is to blame further down has a line of its own. */
static char *explain_start(const struct verdicts *verdicts, const struct verdict_decision *decision)
{
    const struct standing *fallen = &verdicts->standings[decision->cause];
    size_t count = tally_of(verdicts, decision->requirement).fallen;
    const char *joint = ": ";
    const char *why = fallen->reason;
    char more[40] = "";
    char *text;

    if (fallen->root != decision->cause) {
        joint = " because of ";
        why = uri_of(verdicts, fallen->root);
    }
    if (count > 1)
        snprintf(more, sizeof(more), " and %zu more", count - 1);
    if (asprintf(&text, "starts without %s%s (%s%s%s)", uri_of(verdicts, decision->cause), more,
                 berth_state_name(fallen->state), why == NULL ? "" : joint, why == NULL ? "" : why) < 0)
        return NULL;
    return text;
}

char *verdicts_explain(const struct verdicts *verdicts, const struct verdict_decision *decision)
{
    char *text;

    if (decision->requirement == NULL || decision->answer == VERDICT_WAIT)
        return NULL;
    text = decision->answer == VERDICT_GIVE_UP ? explain_end(verdicts, decision)
                                               : explain_start(verdicts, decision);
    if (text == NULL)
        abort();
    return text;
}
