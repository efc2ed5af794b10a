/* SPDX-License-Identifier: Apache-2.0 */
/* All generations that live, and those that leave. */
#include "crew.h"

#include <string.h>

struct generation *crew_add(struct crew *crew, const struct plan_entry *entry, bool is_staged)
{
    struct generation *generation = generation_create(&crew->ground, entry, is_staged);

    TAILQ_INSERT_TAIL(&crew->all, generation, link);
    return generation;
}

enum berth_code crew_load(struct crew *crew, struct generation *generation)
{
    struct generation_source source = {.entry = generation->source.entry};
    enum berth_code code =
        crew->options->load(crew->options->context, source.entry, generation->plugin, &source);

    if (code == BERTH_OK)
        generation_set_source(generation, &source);
    return code;
}

void crew_remove(struct crew *crew, struct generation *generation)
{
    struct generation_source source = generation->source;

    TAILQ_REMOVE(&crew->all, generation, link);
    generation_destroy(generation);
    if (source.table != NULL && crew->options->drop != NULL)
        crew->options->drop(crew->options->context, &source);
}

void crew_sweep(struct crew *crew)
{
    struct generation *generation, *next;

    for (generation = TAILQ_FIRST(&crew->all); generation != NULL; generation = next) {
        next = TAILQ_NEXT(generation, link);
        if (generation->source.table == NULL)
            crew_remove(crew, generation);
    }
}

struct generation *crew_find(const struct crew *crew, const char *uri)
{
    const struct registry_plugin *plugin = registry_find(crew->ground.host.registry, uri);
    struct generation *generation;

    TAILQ_FOREACH(generation, &crew->all, link)
    if (generation->plugin == plugin)
        return generation;
    return NULL;
}

void crew_leave_record(struct crew *crew, struct generation *generation)
{
    struct registry *registry = crew->ground.host.registry;
    struct registry_plugin *own = registry_find(registry, generation_uri(generation));

    generation->is_leaving = true;
    if (own == generation->plugin) {
        if (own->next == NULL)
            registry_stage(registry, own);
        registry_promote(registry, own);
        own = registry_find(registry, generation_uri(generation));
        if (!own->is_taken)
            registry_blame(registry, own, generation->plugin->state, generation->plugin->code,
                           generation->plugin->reason, generation->plugin->cause);
    } else if (own != NULL && own->next == generation->plugin) {
        registry_unstage(registry, own);
    }
}

void crew_dismiss(struct crew *crew, struct generation *generation)
{
    if (generation_is_busy(generation))
        crew_leave_record(crew, generation);
    else
        crew_remove(crew, generation);
}

/* Was it tried, and is nothing left of it but the reason why it does not run? */
static bool is_attempt(const struct generation *generation)
{
    return !generation->is_leaving && !generation->is_open && !steps_are_pending(&generation->steps) &&
           generation->plugin->state != BERTH_STATE_WAITING;
}

void crew_forget_attempts(struct crew *crew)
{
    struct registry *registry = crew->ground.host.registry;
    struct generation *generation, *next;

    for (generation = TAILQ_FIRST(&crew->all); generation != NULL; generation = next) {
        struct registry_plugin *plugin = generation->plugin;

        next = TAILQ_NEXT(generation, link);
        if (!is_attempt(generation) || (plugin->planned != NULL && plan_entry_will_run(plugin->planned)))
            continue;
        crew_dismiss(crew, generation);
        if (!plugin->is_taken)
            registry_forget_attempt(registry, plugin);
    }
}

static void on_idle(void *context)
{
    struct generation *generation = context;

    generation->ground->events->on_progress(generation);
}

void crew_retire(struct crew *crew, struct generation *generation)
{
    generation->is_leaving = true;
    generation->retirement = ++crew->retirements;
    /* It may take as long as its calls do. */
    generation->steps.timeouts.drain_ns = 0;
    generation_drain(generation, BERTH_ENDING_REPLACED);
    if (crew->ground.host.router != NULL)
        router_when_idle(crew->ground.host.router, &generation->host, on_idle, generation);
}

static bool is_leaving(const struct crew *crew, const void *owner)
{
    const struct generation *generation;

    TAILQ_FOREACH(generation, &crew->all, link)
    if (owner == &generation->host)
        return generation->is_leaving;
    return false;
}

const struct berth_holding *crew_find_holder(const struct crew *crew, const struct generation *provider,
                                             bool leaves,
                                             bool (*is_inside)(const void *context, const void *owner),
                                             const void *context)
{
    const struct berth_plugin *table = provider->plugin->table;
    const struct berth_holding *holding;

    if (table == NULL || !BERTH_HAS(table, interface))
        return NULL;
    LIST_FOREACH(holding, &registry_ledger(crew->ground.host.registry)->all, link)
    if (holding->is_reference && holding->provider.owner == &provider->host &&
        !is_inside(context, holding->holder.owner) && is_leaving(crew, holding->holder.owner) == leaves)
        return holding;
    return NULL;
}

static bool may_close(const struct crew *crew, const struct generation *generation)
{
    struct router *router = crew->ground.host.router;

    return !steps_are_pending(&generation->steps) &&
           !ledger_is_used(registry_ledger(crew->ground.host.registry), &generation->host) &&
           (router == NULL || router_is_idle(router, &generation->host));
}

void crew_tend(struct crew *crew)
{
    struct generation *generation, *next;

    for (generation = TAILQ_FIRST(&crew->all); generation != NULL; generation = next) {
        next = TAILQ_NEXT(generation, link);
        if (!generation->is_leaving || steps_are_pending(&generation->steps))
            continue;
        if (generation->is_open && may_close(crew, generation))
            generation_close(generation, BERTH_ENDING_REPLACED);
        if (!steps_are_pending(&generation->steps) && !generation_is_busy(generation))
            crew_remove(crew, generation);
    }
}

void crew_hurry(struct crew *crew, bool is_forced)
{
    struct router *router = crew->ground.host.router;
    struct generation *generation;

    TAILQ_FOREACH(generation, &crew->all, link)
    {
        if (!generation->is_leaving || !generation->is_open || router == NULL)
            continue;
        if (is_forced)
            router_end_calls(router, &generation->host, "its plugin was replaced; try again");
        if (is_forced || router_owner_calls(router, &generation->host) == 0)
            router_remove_interceptors(router, &generation->host);
        if (is_forced)
            steps_shorten_deadline(&generation->steps, 1);
    }
}

bool crew_has_retired(const struct crew *crew, uint64_t others)
{
    const struct generation *generation;

    TAILQ_FOREACH(generation, &crew->all, link)
    if (generation->retirement > others && generation->is_open)
        return true;
    return false;
}
