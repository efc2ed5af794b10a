/* SPDX-License-Identifier: Apache-2.0 */
/* What runs comes to rest: its calls wait, it drains, its state is saved. It can still go on. */
#include "group.h"

/* Is something of the group in the middle of a step? */
static bool is_pending(const struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++) {
        const struct member *member = &exchange->members[i];

        if ((member->before != NULL && steps_are_pending(&member->before->steps)) ||
            (member->after != NULL && steps_are_pending(&member->after->steps)))
            return true;
    }
    return false;
}

enum progress exchange_hold(struct exchange *exchange)
{
    struct router *router = exchange_router(exchange);

    for (size_t i = 0; router != NULL && i < exchange->end_count; i++) {
        struct member *member = &exchange->members[exchange->ends[i]];
        const struct generation *before = member->before;

        member->held_ns = uv_hrtime();
        for (size_t k = 0; before != NULL && k < before->source.entry->plugin->service_count; k++) {
            const char *service = before->source.entry->plugin->services[k].name;

            if (router_find_owner(router, service) == &before->host)
                router_hold(router, service, SIZE_MAX);
        }
    }
    exchange->is_held = true;
    return PROGRESS_DONE;
}

static void on_idle(void *context)
{
    struct exchange *exchange = context;

    exchange->on_wake(exchange->context);
}

/* Its drain had all the time there was, and did not end. */
static bool has_drained_in_vain(const struct generation *generation)
{
    return generation->steps.records[STEP_DRAIN].status == STEP_LATE;
}

static bool is_at_rest(const struct exchange *exchange, const struct member *member)
{
    return member->before == NULL ||
           (!steps_are_pending(&member->before->steps) && !has_drained_in_vain(member->before) &&
            (exchange_router(exchange) == NULL ||
             router_owner_calls(exchange_router(exchange), &member->before->host) == 0));
}

static bool is_of_group(const void *context, const void *owner)
{
    const struct exchange *exchange = context;

    for (size_t i = 0; i < exchange->count; i++) {
        const struct member *member = &exchange->members[i];

        if ((member->before != NULL && owner == &member->before->host) ||
            (member->after != NULL && owner == &member->after->host))
            return true;
    }
    return false;
}

/* Has a generation outside the group the interface of what ends? @return the member whose it is, or NULL. */
static struct member *find_outsider(const struct exchange *exchange, bool leaves,
                                    const struct berth_holding **ret_holding)
{
    for (size_t i = 0; i < exchange->end_count; i++) {
        struct member *member = &exchange->members[exchange->ends[i]];

        if (member->before != NULL)
            *ret_holding = crew_find_holder(exchange->crew, member->before, leaves, is_of_group, exchange);
        if (member->before != NULL && *ret_holding != NULL)
            return member;
    }
    return NULL;
}

/* Nobody outside the group may keep what ends. @return may the group go on? */
bool exchange_check_outsiders(struct exchange *exchange)
{
    const struct berth_holding *holding;
    struct member *member = find_outsider(exchange, false, &holding);

    if (member == NULL)
        return true;
    member_say(member, BERTH_ABORTED, "abandoned: %s was handed its interface meanwhile; try again",
               holding->holder.name);
    exchange_fail_others(exchange, member);
    return false;
}

/* A stop waits as long as the plugin's own drain may take; a change of what goes on, for upgrade.drain. */
static void begin_drain(struct exchange *exchange)
{
    exchange_limit(exchange);
    for (size_t i = 0; i < exchange->end_count; i++) {
        struct member *member = &exchange->members[exchange->ends[i]];

        if (member->before == NULL)
            continue;
        if (member->of->action != CHANGE_STOP)
            member->before->steps.timeouts.drain_ns = exchange->work->drain_ns;
        generation_drain(member->before, member_ending(member));
        member->before->steps.timeouts.drain_ns = member->before->source.timeouts.drain_ns;
        if (exchange_router(exchange) != NULL)
            router_when_idle(exchange_router(exchange), &member->before->host, on_idle, exchange);
    }
}

/* What was replaced and still has calls may use what is to be closed. Past the deadline the group is
 * abandoned. */
static bool waits_for_outsider(struct exchange *exchange)
{
    const struct berth_holding *holding;
    struct member *member =
        exchange->mode == MANIFEST_UPGRADE_EXCLUSIVE ? find_outsider(exchange, true, &holding) : NULL;

    if (member == NULL || !exchange->is_overdue)
        return member != NULL;
    member_say(member, BERTH_DEADLINE_EXCEEDED,
               "abandoned: generation %llu of %s, which was replaced, did not let go of its "
               "interface within "
               "upgrade.drain",
               (unsigned long long)holding->holder.generation, holding->holder.name);
    exchange_fail_others(exchange, member);
    return true;
}

/* What is left of calls and drains is ended: because that was asked for, or because the plugin stops. */
static enum progress end_the_rest(struct exchange *exchange)
{
    struct router *router = exchange_router(exchange);

    if (is_pending(exchange))
        return PROGRESS_WAITS;
    for (size_t i = 0; i < exchange->end_count && router != NULL; i++)
        if (exchange->members[exchange->ends[i]].before != NULL)
            router_end_calls(router, &exchange->members[exchange->ends[i]].before->host,
                             "its plugin is being replaced; try again");
    return waits_for_outsider(exchange) ? PROGRESS_FAILED : PROGRESS_DONE;
}

static enum progress abandon(struct exchange *exchange, struct member *busy)
{
    char calls[512] = "";

    if (exchange_router(exchange) != NULL)
        router_describe_calls(exchange_router(exchange), &busy->before->host, calls, sizeof(calls));
    member_say(busy, BERTH_DEADLINE_EXCEEDED, "abandoned: its calls did not end within upgrade.drain%s%s",
               calls[0] != '\0' ? "; " : "", calls);
    exchange_fail_others(exchange, busy);
    return PROGRESS_FAILED;
}

enum progress exchange_drain(struct exchange *exchange)
{
    struct member *busy = NULL;

    if (!exchange->stage_has_begun)
        begin_drain(exchange);
    exchange->stage_has_begun = true;
    for (size_t i = 0; i < exchange->end_count; i++)
        if (!is_at_rest(exchange, &exchange->members[exchange->ends[i]]))
            busy = &exchange->members[exchange->ends[i]];
    if (!exchange_check_outsiders(exchange))
        return PROGRESS_FAILED;
    if (busy == NULL && !waits_for_outsider(exchange))
        return PROGRESS_DONE;
    if (!exchange->is_overdue)
        return PROGRESS_WAITS;
    if (busy == NULL)
        return PROGRESS_FAILED;
    if (exchange->work->is_forced || (busy->of->action == CHANGE_STOP && !change_rests(busy->of)))
        return end_the_rest(exchange);
    return abandon(exchange, busy);
}

enum progress exchange_save(struct exchange *exchange)
{
    for (; exchange->done < exchange->end_count; exchange->done++) {
        struct member *member = &exchange->members[exchange->ends[exchange->done]];
        const struct manifest_state *state =
            member->before != NULL ? &member->before->source.entry->plugin->state : NULL;
        struct berth_error error;
        enum berth_code code;

        if (state == NULL || state->writes == 0 || member->of->action == CHANGE_STOP)
            continue;
        code = generation_save(member->before, &member->state, &error);
        if ((int)code == BERTH_PENDING)
            return PROGRESS_WAITS;
        member->state_version = state->writes;
        if (code == BERTH_OK)
            continue;
        member_say(member, code, "its state could not be saved: %s", error.message);
        exchange_fail_others(exchange, member);
        return PROGRESS_FAILED;
    }
    return PROGRESS_DONE;
}
