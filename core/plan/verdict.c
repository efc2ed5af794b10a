/* SPDX-License-Identifier: Apache-2.0 */
/* The rule for requirements, which the plan applies ahead of time and life at run time. */
#include "verdict.h"

#include <string.h>

/* A root's reason may hold the path of a long cycle; who only depends on it need not repeat all of it. */
#define REASON_MAX 400

size_t *verdict_counter(struct verdict_tally *tally, enum berth_state state)
{
    switch (state) {
    case BERTH_STATE_WAITING:
    case BERTH_STATE_PREPARING:
    case BERTH_STATE_STARTING:
        return &tally->open;
    case BERTH_STATE_READY:
    case BERTH_STATE_SERVING:
        return &tally->ready;
    case BERTH_STATE_SKIPPED:
        return &tally->skipped;
    case BERTH_STATE_DISABLED:
        return &tally->disabled;
    case BERTH_STATE_REJECTED:
    case BERTH_STATE_BLOCKED:
    case BERTH_STATE_FAILED:
    case BERTH_STATE_TIMED_OUT:
    case BERTH_STATE_DRAINING:
    case BERTH_STATE_STOPPED:
        return &tally->fallen;
    }
    return &tally->fallen;
}

bool verdict_blames(enum verdict_blame blame, enum berth_state state)
{
    struct verdict_tally tally;
    const size_t *counter = verdict_counter(&tally, state);

    switch (blame) {
    case VERDICT_BLAME_NOBODY:
        return false;
    case VERDICT_BLAME_DISABLED:
        return counter == &tally.disabled;
    case VERDICT_BLAME_SKIPPED:
        return counter == &tally.skipped;
    case VERDICT_BLAME_FALLEN:
        return counter == &tally.fallen;
    }
    return false;
}

static struct verdict give_up(enum berth_state state, enum berth_code code, enum verdict_blame blame)
{
    return (struct verdict){.answer = VERDICT_GIVE_UP, .state = state, .code = code, .blame = blame};
}

/* Where none is ready the gravest decides: a failure is to be seen, a skip hides nothing. */
struct verdict verdict_of(enum verdict_requirement requirement, const struct verdict_tally *tally)
{
    if (tally->open > 0)
        return (struct verdict){.answer = VERDICT_WAIT, .state = BERTH_STATE_WAITING};
    if (tally->ready > 0 || requirement == VERDICT_ORDERS)
        return (struct verdict){.answer = VERDICT_START, .state = BERTH_STATE_STARTING};
    if (tally->fallen > 0)
        return give_up(BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, VERDICT_BLAME_FALLEN);
    if (tally->skipped > 0)
        return give_up(BERTH_STATE_SKIPPED, BERTH_SKIP, VERDICT_BLAME_SKIPPED);
    if (tally->disabled > 0)
        return give_up(BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, VERDICT_BLAME_DISABLED);
    return give_up(BERTH_STATE_BLOCKED, BERTH_NOT_FOUND, VERDICT_BLAME_NOBODY);
}

/* "was skipped", "is blocked": what a sentence says of a provider. */
static const char *state_verb(enum berth_state state)
{
    switch (state) {
    case BERTH_STATE_SKIPPED:
        return "was";
    case BERTH_STATE_FAILED:
    case BERTH_STATE_TIMED_OUT:
        return "has";
    case BERTH_STATE_REJECTED:
    case BERTH_STATE_DISABLED:
    case BERTH_STATE_BLOCKED:
    case BERTH_STATE_WAITING:
    case BERTH_STATE_PREPARING:
    case BERTH_STATE_STARTING:
    case BERTH_STATE_READY:
    case BERTH_STATE_SERVING:
    case BERTH_STATE_DRAINING:
    case BERTH_STATE_STOPPED:
        return "is";
    }
    return "is";
}

static size_t explain_provider(const struct verdict_cause *cause, char *text, size_t size)
{
    if (strcmp(cause->requirement, cause->provider) == 0)
        return (size_t)snprintf(text, size, "requires %s, which", cause->requirement);
    if (cause->provider_count > 1)
        return (size_t)snprintf(text, size, "requires %s, but none of its %zu providers is running: %s",
                                cause->requirement, cause->provider_count, cause->provider);
    return (size_t)snprintf(text, size, "requires %s, but %s", cause->requirement, cause->provider);
}

void verdict_explain(const struct verdict_cause *cause, struct berth_error *ret_sentence)
{
    char *text = ret_sentence->message;
    size_t size = sizeof(ret_sentence->message);
    size_t used;

    if (cause->provider == NULL) {
        snprintf(text, size, "requires %s, which nobody provides: is its module in a plugin directory?",
                 cause->requirement);
        return;
    }
    used = explain_provider(cause, text, size);
    if (used < size)
        used += (size_t)snprintf(text + used, size - used, " %s %s", state_verb(cause->state),
                                 berth_state_name(cause->state));
    if (used < size && cause->root != NULL && strcmp(cause->root, cause->provider) != 0)
        used += (size_t)snprintf(text + used, size - used, " because of %s", cause->root);
    if (used < size && cause->reason != NULL)
        snprintf(text + used, size - used, ": %.*s%s", REASON_MAX, cause->reason,
                 strlen(cause->reason) > REASON_MAX ? "..." : "");
}
