/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule for requirements: whether a plugin may start once the providers of what it requires have settled,
 * and who is to blame if not. The plan applies it ahead of time, life at run time.
 */
#include "plan.h"

#include <sdk/base/memory.h>

/* The root's reason may hold the path of a long cycle; its dependents need not repeat all of it. */
#define REASON_MAX 400

/* How a provider counts for its dependents. The gravest comes last. */
enum standing_kind {
    /** May still become anything. */
    KIND_OPEN,
    /** Ready or serving. */
    KIND_READY,
    /** Or idle: it does not take part. */
    KIND_DISABLED,
    KIND_SKIPPED,
    /** Failed, timed out, blocked, rejected, or going away. */
    KIND_FALLEN,
    KIND_COUNT,
};

struct standing {
    enum berth_state state;
    const char *reason;
    /** Where the chain of causes ends. */
    size_t root;
    /** The type whose tally counts it; PLAN_NONE if it is not a member of its type. */
    size_t type;
};

/* The providers of one type. */
struct tally {
    size_t counts[KIND_COUNT];
    /**
     * The first member of a kind, once it was looked for and until a member changes; so that many dependents
     * do not search for it each. KIND_COUNT: not known.
     */
    enum standing_kind blamed_kind;
    size_t blamed;
};

struct verdicts {
    const struct plan *plan;
    struct standing *standings;
    struct tally *tallies;
};

static enum standing_kind kind_of(enum berth_state state)
{
    switch (state) {
    case BERTH_STATE_WAITING:
    case BERTH_STATE_PREPARING:
    case BERTH_STATE_STARTING:
        return KIND_OPEN;
    case BERTH_STATE_READY:
    case BERTH_STATE_SERVING:
        return KIND_READY;
    case BERTH_STATE_DISABLED:
    case BERTH_STATE_IDLE:
        return KIND_DISABLED;
    case BERTH_STATE_SKIPPED:
        return KIND_SKIPPED;
    case BERTH_STATE_REJECTED:
    case BERTH_STATE_BLOCKED:
    case BERTH_STATE_FAILED:
    case BERTH_STATE_TIMED_OUT:
    case BERTH_STATE_QUARANTINED:
    case BERTH_STATE_DRAINING:
    case BERTH_STATE_STOPPED:
        return KIND_FALLEN;
    }
    return KIND_FALLEN;
}

struct verdicts *verdicts_create(const struct plan *plan)
{
    struct verdicts *verdicts = memory_allocate(1, sizeof(*verdicts));

    verdicts->plan = plan;
    verdicts->standings = memory_allocate(plan->count, sizeof(*verdicts->standings));
    verdicts->tallies = memory_allocate(plan->type_count, sizeof(*verdicts->tallies));
    for (size_t i = 0; i < plan->count; i++)
        verdicts->standings[i] = (struct standing){
            .state = plan->entries[i].state,
            .reason = plan->entries[i].reason,
            .root = plan->entries[i].root,
            .type = PLAN_NONE,
        };
    for (size_t i = 0; i < plan->type_count; i++) {
        verdicts->tallies[i].blamed_kind = KIND_COUNT;
        for (size_t k = 0; k < plan->types[i].member_count; k++) {
            struct standing *member = &verdicts->standings[plan->types[i].members[k]];

            member->type = i;
            verdicts->tallies[i].counts[kind_of(member->state)]++;
        }
    }
    return verdicts;
}

void verdicts_destroy(struct verdicts *verdicts)
{
    if (verdicts == NULL)
        return;
    free(verdicts->standings);
    free(verdicts->tallies);
    free(verdicts);
}

void verdicts_set(struct verdicts *verdicts, size_t entry, enum berth_state state, const char *reason,
                  size_t cause)
{
    struct standing *standing = &verdicts->standings[entry];

    if (standing->type != PLAN_NONE) {
        struct tally *tally = &verdicts->tallies[standing->type];

        tally->counts[kind_of(standing->state)]--;
        tally->counts[kind_of(state)]++;
        tally->blamed_kind = KIND_COUNT;
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
    return verdicts->tallies[type].counts[KIND_OPEN] == 0;
}

/* A type has a tally of all its members; one plugin's URI has one provider, "*" and what is missing have
 * none. */
static size_t count_providers(const struct verdicts *verdicts, const struct plan_requirement *requirement,
                              enum standing_kind kind)
{
    switch (requirement->target) {
    case PLAN_TARGET_TYPE:
        return verdicts->tallies[requirement->index].counts[kind];
    case PLAN_TARGET_PLUGIN:
        return kind_of(verdicts->standings[requirement->index].state) == kind;
    case PLAN_TARGET_ALL:
    case PLAN_TARGET_NOBODY:
        return 0;
    }
    return 0;
}

/* The first provider of a kind, in the plan's order. */
static size_t find_provider(struct verdicts *verdicts, const struct plan_requirement *requirement,
                            enum standing_kind kind)
{
    const struct plan_type *type;
    struct tally *tally;
    size_t i = 0;

    if (requirement->target != PLAN_TARGET_TYPE)
        return requirement->index;
    type = &verdicts->plan->types[requirement->index];
    tally = &verdicts->tallies[requirement->index];
    if (tally->blamed_kind != kind) {
        while (kind_of(verdicts->standings[type->members[i]].state) != kind)
            i++;
        tally->blamed_kind = kind;
        tally->blamed = type->members[i];
    }
    return tally->blamed;
}

/* No provider is ready: the gravest kind decides, since a failure must be seen, while a skip hides nothing.
 */
static struct verdict give_up(struct verdicts *verdicts, const struct plan_requirement *requirement)
{
    struct verdict verdict = {.state = BERTH_STATE_BLOCKED,
                              .code = BERTH_NOT_FOUND,
                              .requirement = requirement,
                              .cause = PLAN_NONE};
    enum standing_kind kind = KIND_FALLEN;

    while (kind > KIND_READY && count_providers(verdicts, requirement, kind) == 0)
        kind--;
    if (kind == KIND_READY)
        return verdict;
    verdict.cause = find_provider(verdicts, requirement, kind);
    verdict.code = BERTH_FAILED_PRECONDITION;
    if (kind == KIND_SKIPPED) {
        verdict.state = BERTH_STATE_SKIPPED;
        verdict.code = BERTH_SKIP;
    }
    return verdict;
}

struct verdict verdicts_decide(struct verdicts *verdicts, size_t entry)
{
    const struct plan_entry *self = &verdicts->plan->entries[entry];
    struct verdict verdict = {.state = BERTH_STATE_STARTING, .cause = PLAN_NONE};

    for (size_t i = 0; i < self->requirement_count; i++) {
        const struct plan_requirement *requirement = &self->requirements[i];

        if (count_providers(verdicts, requirement, KIND_OPEN) > 0)
            verdict.state = BERTH_STATE_WAITING;
        else if (requirement->binding && count_providers(verdicts, requirement, KIND_READY) == 0)
            return give_up(verdicts, requirement);
        if (verdict.requirement == NULL && !requirement->dropped &&
            count_providers(verdicts, requirement, KIND_FALLEN) > 0) {
            verdict.requirement = requirement;
            verdict.cause = find_provider(verdicts, requirement, KIND_FALLEN);
        }
    }
    return verdict;
}

static const char *uri_of(const struct verdicts *verdicts, size_t entry)
{
    return verdicts->plan->entries[entry].plugin->uri;
}

/* "was skipped", "is blocked": what a sentence says of a provider. */
static const char *verb_of(enum berth_state state)
{
    if (state == BERTH_STATE_FAILED || state == BERTH_STATE_TIMED_OUT)
        return "has";
    return state == BERTH_STATE_SKIPPED ? "was" : "is";
}

static char *explain_end(const struct verdicts *verdicts, const struct verdict *verdict)
{
    const struct plan_requirement *requirement = verdict->requirement;
    const struct standing *provider;
    const char *reason;
    char *text = NULL;
    size_t size, count;
    FILE *out;

    if (verdict->cause == PLAN_NONE)
        return memory_format("requires %s, but no plugin provides it (is its module in a plugin directory?)",
                             requirement->name);
    provider = &verdicts->standings[verdict->cause];
    reason = verdicts->standings[provider->root].reason;
    out = memory_or_abort(open_memstream(&text, &size));
    if (requirement->target == PLAN_TARGET_PLUGIN) {
        fprintf(out, "requires %s, which", requirement->name);
    } else {
        fprintf(out, "requires %s, but ", requirement->name);
        count = verdicts->plan->types[requirement->index].member_count;
        if (count > 1)
            fprintf(out, "none of its %zu providers is running: ", count);
        fputs(uri_of(verdicts, verdict->cause), out);
    }
    fprintf(out, " %s %s", verb_of(provider->state), berth_state_name(provider->state));
    if (provider->root != verdict->cause)
        fprintf(out, " because of %s", uri_of(verdicts, provider->root));
    if (reason != NULL)
        fprintf(out, ": %.*s%s", REASON_MAX, reason, strlen(reason) > REASON_MAX ? "..." : "");
    if (fclose(out) != 0)
        abort();
    return text;
}

/* A type can lose some of its providers and still be available. Causes further down have their own line. */
static char *explain_start(const struct verdicts *verdicts, const struct verdict *verdict)
{
    const struct standing *fallen = &verdicts->standings[verdict->cause];
    size_t count = count_providers(verdicts, verdict->requirement, KIND_FALLEN);
    const char *joint = ": ";
    const char *why = fallen->reason;
    char more[40] = "";

    if (fallen->root != verdict->cause) {
        joint = " because of ";
        why = uri_of(verdicts, fallen->root);
    }
    if (count > 1)
        snprintf(more, sizeof(more), " and %zu more", count - 1);
    return memory_format("starting without %s%s (%s%s%s)", uri_of(verdicts, verdict->cause), more,
                         berth_state_name(fallen->state), why == NULL ? "" : joint, why == NULL ? "" : why);
}

char *verdicts_explain(const struct verdicts *verdicts, const struct verdict *verdict)
{
    if (verdict->requirement == NULL || verdict->state == BERTH_STATE_WAITING)
        return NULL;
    return verdict->state == BERTH_STATE_STARTING ? explain_start(verdicts, verdict)
                                                  : explain_end(verdicts, verdict);
}
