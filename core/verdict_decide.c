/* SPDX-License-Identifier: Apache-2.0 */
/* The rule for requirements, applied to an entry of a plan and to what has become of all the others. */
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct providers {
    const struct plan *plan;
    const struct verdict_provider *states;
    /** Those of one requirement. */
    const size_t *members;
    size_t count;
};

static struct providers providers_of(const struct plan *plan, const struct plan_requirement *requirement,
                                     const struct verdict_provider *states)
{
    struct providers providers = {.plan = plan, .states = states};

    switch (requirement->target) {
    case PLAN_TARGET_TYPE:
        providers.members = plan->types[requirement->index].members;
        providers.count = plan->types[requirement->index].member_count;
        break;
    case PLAN_TARGET_PLUGIN:
        providers.members = &requirement->index;
        providers.count = 1;
        break;
    case PLAN_TARGET_ALL:
    case PLAN_TARGET_NOBODY:
        break;
    }
    return providers;
}

static struct verdict_tally tally_of(const struct providers *providers)
{
    struct verdict_tally tally = {0};

    for (size_t i = 0; i < providers->count; i++)
        verdict_count(&tally, providers->states[providers->members[i]].state);
    return tally;
}

static size_t first_blamed(const struct providers *providers, enum verdict_blame blame)
{
    for (size_t i = 0; i < providers->count; i++)
        if (verdict_blames(blame, providers->states[providers->members[i]].state))
            return providers->members[i];
    return PLAN_NONE;
}

/* Causes point at what settled earlier, so the chain ends; the bound is for a caller's mistake. */
static size_t root_of(const struct providers *providers, size_t entry)
{
    for (size_t i = 0; i < providers->plan->count && providers->states[entry].cause != PLAN_NONE; i++)
        entry = providers->states[entry].cause;
    return entry;
}

static char *explain(const struct providers *providers, const char *requirement, size_t provider)
{
    struct verdict_cause cause = {.requirement = requirement, .provider_count = providers->count};
    struct berth_error sentence;
    char *text;

    if (provider != PLAN_NONE) {
        size_t root = root_of(providers, provider);

        cause.provider = providers->plan->entries[provider].plugin->uri;
        cause.state = providers->states[provider].state;
        cause.root = providers->plan->entries[root].plugin->uri;
        cause.reason = providers->states[root].reason;
    }
    verdict_explain(&cause, &sentence);
    text = strdup(sentence.message);
    if (text == NULL)
        abort();
    return text;
}

/* A type can lose some of its providers and still do. What is to blame further down has a line of its own. */
static char *explain_start(const struct providers *providers, const struct verdict_tally *tally)
{
    size_t fallen = tally->fallen == 0 ? PLAN_NONE : first_blamed(providers, VERDICT_BLAME_FALLEN);
    const char *joint = ": ";
    const char *why;
    char more[40] = "";
    char *text;

    if (fallen == PLAN_NONE)
        return NULL;
    why = providers->states[fallen].reason;
    if (root_of(providers, fallen) != fallen) {
        joint = " because of ";
        why = providers->plan->entries[root_of(providers, fallen)].plugin->uri;
    }
    if (tally->fallen > 1)
        snprintf(more, sizeof(more), " and %zu more", tally->fallen - 1);
    if (asprintf(&text, "starts without %s%s (%s%s%s)", providers->plan->entries[fallen].plugin->uri, more,
                 berth_state_name(providers->states[fallen].state), why == NULL ? "" : joint,
                 why == NULL ? "" : why) < 0)
        abort();
    return text;
}

void verdict_decide(const struct plan *plan, size_t entry, const struct verdict_provider *providers,
                    struct verdict_decision *ret_decision)
{
    const struct plan_entry *self = &plan->entries[entry];

    *ret_decision =
        (struct verdict_decision){.start = true, .state = BERTH_STATE_STARTING, .cause = PLAN_NONE};
    for (size_t i = 0; i < self->requirement_count; i++) {
        const struct plan_requirement *requirement = &self->requirements[i];
        const struct providers of = providers_of(plan, requirement, providers);
        const struct verdict_tally tally = tally_of(&of);
        const struct verdict verdict =
            verdict_of(requirement->binding ? VERDICT_REQUIRES : VERDICT_ORDERS, &tally);

        if (verdict.answer == VERDICT_GIVE_UP) {
            free(ret_decision->reason);
            ret_decision->start = false;
            ret_decision->state = verdict.state;
            ret_decision->code = verdict.code;
            ret_decision->cause = first_blamed(&of, verdict.blame);
            ret_decision->reason = explain(&of, requirement->name, ret_decision->cause);
            return;
        }
        if (ret_decision->reason == NULL && !requirement->dropped)
            ret_decision->reason = explain_start(&of, &tally);
    }
}
