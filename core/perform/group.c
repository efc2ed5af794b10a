/* SPDX-License-Identifier: Apache-2.0 */
/* What all stages of a group need: who failed and who is told why, the deadline, the calls that wait. */
#include "group.h"

#include <stdarg.h>
#include <stdlib.h>

#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

BERTH_PRINTF(3, 4)
void member_say(struct member *member, enum berth_code code, const char *format, ...)
{
    char text[BERTH_ERROR_MAX];
    va_list arguments;

    if (member->message != NULL && member->message[0] != '\0' && member->code != BERTH_OK)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    free(member->message);
    member->message = memory_copy(text);
    member->code = code;
}

const char *exchange_reason_of(const struct generation *generation)
{
    return generation->plugin->reason != NULL ? generation->plugin->reason : "no reason given";
}

/* Its stop is done, whatever becomes of the others. */
static bool has_stopped(const struct member *member)
{
    return member->of->action == CHANGE_STOP && member->before == NULL;
}

/* One fails, and all others with it. */
void exchange_fail_others(struct exchange *exchange, const struct member *fault)
{
    for (size_t i = 0; i < exchange->count; i++)
        if (exchange->members[i].code == BERTH_OK && !has_stopped(&exchange->members[i]))
            member_say(&exchange->members[i], BERTH_ABORTED, "abandoned because of %s", fault->of->uri);
}

/* @return BERTH_OK, or why one that has to run does not. */
bool exchange_check_after(struct exchange *exchange)
{
    struct member *fault = NULL;

    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];
        const struct registry_plugin *plugin = member->after != NULL ? member->after->plugin : NULL;

        if (plugin == NULL || registry_plugin_is_ready(plugin))
            continue;
        /* Whoever prints this has already said "failed". */
        member_say(member, plugin->code != BERTH_OK ? plugin->code : BERTH_UNAVAILABLE, "%s%s%s",
                   plugin->state == BERTH_STATE_FAILED ? "" : berth_state_name(plugin->state),
                   plugin->state == BERTH_STATE_FAILED ? "" : ": ", exchange_reason_of(member->after));
        if (fault == NULL && member_restarts(member) && member->was_ready)
            fault = member;
    }
    if (fault == NULL)
        return true;
    exchange_fail_others(exchange, fault);
    return false;
}

/* Whoever does not run tells why to those whose calls have waited. */
void exchange_refuse_calls(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count && exchange_router(exchange) != NULL; i++) {
        const struct member *member = &exchange->members[i];
        char reason[BERTH_ERROR_MAX];

        if (member->after == NULL || registry_plugin_is_ready(member->after->plugin))
            continue;
        snprintf(reason, sizeof(reason), "%s is %s: %.1500s", member->of->uri,
                 berth_state_name(member->after->plugin->state), exchange_reason_of(member->after));
        service_routes_close(exchange_router(exchange), member->after->source.entry->plugin,
                             &member->after->host, reason);
    }
}

void exchange_release_calls(struct exchange *exchange)
{
    struct router *router = exchange_router(exchange);

    for (size_t i = 0; router != NULL && exchange->is_held && i < exchange->count; i++) {
        const struct generation *before = exchange->members[i].before;

        for (size_t k = 0; before != NULL && k < before->source.entry->plugin->service_count; k++)
            router_release(router, before->source.entry->plugin->services[k].name);
    }
    exchange->is_held = false;
    if (exchange->is_gated)
        router_open_gate(router);
    exchange->is_gated = false;
}

static void on_overdue(struct deadline *deadline)
{
    struct exchange *exchange = CONTAINER_OF(deadline, struct exchange, deadline);

    exchange->is_overdue = true;
    exchange->on_wake(exchange->context);
}

void exchange_limit(struct exchange *exchange)
{
    exchange->is_overdue = false;
    if (exchange->work->drain_ns > 0 &&
        !deadlines_start(&exchange->crew->ground.deadlines, &exchange->deadline,
                         uv_hrtime() + exchange->work->drain_ns, on_overdue))
        abort();
}
