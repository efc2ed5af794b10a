/* SPDX-License-Identifier: Apache-2.0 */
/* A group goes back to where it began: what is new is closed, and what was closed starts again. */
#include "group.h"

#include <stdlib.h>

#include <sdk/base/memory.h>

/* What is new is closed, the last first. @return is it all gone? */
static bool close_after(struct exchange *exchange)
{
    for (size_t i = exchange->count; i-- > 0;) {
        struct member *member = &exchange->members[i];

        if (member->after == NULL)
            continue;
        if (member->after->is_open)
            generation_close(member->after, BERTH_ENDING_REMOVED);
        if (steps_are_pending(&member->after->steps))
            return false;
        crew_dismiss(exchange->crew, member->after);
        member->after = NULL;
    }
    return true;
}

enum progress exchange_undo(struct exchange *exchange)
{
    if (!close_after(exchange))
        return PROGRESS_WAITS;
    for (size_t i = 0; i < exchange->count; i++)
        if (exchange->members[i].before != NULL)
            generation_undrain(exchange->members[i].before);
    exchange_release_calls(exchange);
    return PROGRESS_DONE;
}

/* A step of what ran never completed: its code may still run, so it is not started once more. */
static void note_lost(struct exchange *exchange, const struct member *member)
{
    struct registry *registry = exchange->crew->ground.host.registry;
    struct registry_plugin *own = registry_find(registry, member->of->uri);

    if (own != NULL && !own->is_taken)
        registry_blame(registry, own, BERTH_STATE_FAILED, BERTH_ABORTED,
                       "not started again, because its close never completed", NULL);
}

enum progress exchange_return(struct exchange *exchange)
{
    if (!close_after(exchange))
        return PROGRESS_WAITS;
    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];

        if (member_restarts(member) && !member->has_source && member->before == NULL)
            note_lost(exchange, member);
        if (!member->has_source || !member_restarts(member))
            continue;
        member->after = crew_add(exchange->crew, member->source.entry, true);
        generation_set_source(member->after, &member->source);
        member->has_source = false;
    }
    return PROGRESS_DONE;
}

static void report_return(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];
        char *before = member->message;

        if (member->after == NULL || !member_restarts(member))
            continue;
        if (registry_plugin_is_ready(member->after->plugin))
            member->message = memory_format("%s; version %s runs again%s%s", before,
                                            member->after->source.entry->plugin->manifest->version,
                                            member->lost_state != NULL ? ", but without its state: " : "",
                                            member->lost_state != NULL ? member->lost_state : "");
        else
            member->message = memory_format("%s; and version %s did not start again: %s", before,
                                            member->after->source.entry->plugin->manifest->version,
                                            exchange_reason_of(member->after));
        member->generation =
            registry_plugin_is_ready(member->after->plugin) ? member->after->plugin->generation : 0;
        free(before);
    }
}

enum progress exchange_return_switch(struct exchange *exchange)
{
    enum progress progress = exchange_switch(exchange);

    report_return(exchange);
    exchange_refuse_calls(exchange);
    return progress;
}
