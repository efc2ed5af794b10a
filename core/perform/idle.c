/* SPDX-License-Identifier: Apache-2.0 */
/* What callers meet where no generation is: they wait for one to start, or learn why none will. */
#include "idle.h"

#include <stdlib.h>
#include <string.h>

#include <core/life/generation.h>
#include <sdk/base/memory.h>

/* Is the service this plugin's, with nobody serving it? */
static bool is_vacant(const struct router *router, const struct plan_entry *entry, const char *service)
{
    const char *exporter = router_find_exporter(router, service);

    return exporter != NULL && strcmp(exporter, entry->plugin->uri) == 0 &&
           router_find_owner(router, service) == NULL;
}

void idle_hold(struct router *router, const struct plan *plan, const struct plan_entry *entry)
{
    for (size_t i = 0; i < entry->plugin->service_count; i++)
        if (is_vacant(router, entry, entry->services[i].name))
            router_hold(router, entry->services[i].name, plan->max_waiting);
}

void idle_refuse(struct router *router, const struct plan_entry *entry, const char *reason)
{
    for (size_t i = 0; i < entry->plugin->service_count; i++)
        if (is_vacant(router, entry, entry->services[i].name))
            router_set_gone(router, entry->services[i].name, BERTH_UNAVAILABLE, reason);
}

/* As the newest plan has it, unless somebody serves it, or another plugin has it that is to run. */
static void declare(struct router *router, const struct plan *plan, const struct plan_entry *entry)
{
    for (size_t i = 0; i < entry->plugin->service_count; i++) {
        const char *service = entry->services[i].name;
        const char *exporter = router_find_exporter(router, service);
        size_t other = exporter != NULL ? plan_find(plan, exporter) : PLAN_NONE;
        bool is_theirs = other != PLAN_NONE && &plan->entries[other] != entry &&
                         (plan_entry_will_run(&plan->entries[other]) || !plan_entry_will_run(entry));

        if (!is_theirs)
            service_routes_redeclare(router, entry->plugin, &entry->services[i], NULL);
    }
}

struct removal {
    const struct router *router;
    const struct plan *plan;
    char **services;
    size_t count;
};

static bool note_removal(void *context, const struct berth_route_info *route)
{
    struct removal *removal = context;

    if (plan_find(removal->plan, route->plugin) != PLAN_NONE ||
        router_find_owner(removal->router, route->service) != NULL)
        return true;
    removal->services = memory_grow(removal->services, removal->count, sizeof(*removal->services));
    removal->services[removal->count++] = memory_copy(route->service);
    return true;
}

/* Nobody would ever answer their calls. */
static void remove_orphans(struct router *router, const struct plan *plan)
{
    const struct berth_router *interface = router_interface(router);
    struct removal removal = {.router = router, .plan = plan};

    interface->each(interface, note_removal, &removal);
    for (size_t i = 0; i < removal.count; i++) {
        router_remove(router, removal.services[i]);
        free(removal.services[i]);
    }
    free(removal.services);
}

void idle_declare(struct router *router, const struct registry *registry)
{
    const struct plan *plan = registry_plan(registry);

    remove_orphans(router, plan);
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        const struct registry_plugin *plugin = registry_get(registry, i);
        char reason[BERTH_ERROR_MAX];

        if (!plan_entry_will_run(entry)) {
            declare(router, plan, entry);
            snprintf(reason, sizeof(reason), "%s is not running: %s", entry->plugin->uri, entry->reason);
            idle_refuse(router, entry, reason);
        } else if (plugin->state == BERTH_STATE_IDLE) {
            declare(router, plan, entry);
            idle_hold(router, plan, entry);
        }
    }
}
