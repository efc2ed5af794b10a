/* SPDX-License-Identifier: Apache-2.0 */
/* Over which transports each service goes: those that its plugin names, and those that the configuration
 * adds. */
#include "build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct settings_transports *added_to(const struct plan_build *build, const char *service)
{
    const struct settings_plan *settings = build->settings;

    for (size_t i = 0; i < settings->transport_count; i++)
        if (strcmp(settings->transports[i].service, service) == 0)
            return &settings->transports[i];
    return NULL;
}

static bool is_widened(const struct plan_build *build, const struct manifest_plugin *plugin)
{
    for (size_t i = 0; i < plugin->service_count; i++)
        if (added_to(build, plugin->services[i].name) != NULL)
            return true;
    return false;
}

static bool names(const char *const *transports, size_t count, const char *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(transports[i], wanted) == 0)
            return true;
    return false;
}

static size_t add_transports(const char **transports, size_t count, const char *const *more,
                             size_t more_count)
{
    for (size_t i = 0; i < more_count; i++)
        if (!names(transports, count, more[i]))
            transports[count++] = more[i];
    return count;
}

/* Writes the entry's services with all their transports. @return how many names that took. */
static size_t widen(const struct plan_build *build, struct plan_entry *entry,
                    struct manifest_service *services, const char **transports)
{
    size_t used = 0;

    for (size_t i = 0; i < entry->plugin->service_count; i++) {
        const struct manifest_service *own = &entry->plugin->services[i];
        const struct settings_transports *added = added_to(build, own->name);
        const char **all = transports + used;
        size_t count = add_transports(all, 0, own->transports, own->transport_count);

        if (added != NULL)
            count = add_transports(all, count, added->names, added->count);
        services[i] = *own;
        services[i].transports = all;
        services[i].transport_count = count;
        used += count;
    }
    entry->services = services;
    return used;
}

static size_t count_transports(const struct plan_build *build, const struct manifest_plugin *plugin)
{
    size_t count = 0;

    for (size_t i = 0; i < plugin->service_count; i++) {
        const struct settings_transports *added = added_to(build, plugin->services[i].name);

        count += plugin->services[i].transport_count + (added == NULL ? 0 : added->count);
    }
    return count;
}

void plan_transports_apply(struct plan_build *build)
{
    struct plan *plan = build->plan;
    struct manifest_service *services;
    const char **transports;
    size_t service_count = 0, transport_count = 0;

    if (build->settings->transport_count == 0)
        return;
    for (size_t i = 0; i < plan->count; i++)
        if (is_widened(build, plan->entries[i].plugin)) {
            service_count += plan->entries[i].plugin->service_count;
            transport_count += count_transports(build, plan->entries[i].plugin);
        }
    services = build->memory->services = plan_build_allocate(service_count, sizeof(*services));
    transports = build->memory->transports = plan_build_allocate(transport_count, sizeof(*transports));
    for (size_t i = 0; i < plan->count; i++)
        if (is_widened(build, plan->entries[i].plugin)) {
            transports += widen(build, &plan->entries[i], services, transports);
            services += plan->entries[i].plugin->service_count;
        }
}

/* What servers of the plan carry, also those that are disabled or skipped: whoever names their transports has
 * made no mistake. */
static size_t list_carried(const struct plan_build *build, const char **carried)
{
    size_t count = 0;

    for (size_t i = 0; i < build->plan->count; i++) {
        const struct plan_entry *entry = &build->plan->entries[i];

        if (entry->verdict != PLAN_REJECTED)
            count = add_transports(carried, count, entry->plugin->carries, entry->plugin->carry_count);
    }
    return count;
}

static void warn(struct plan_build *build, const struct plan_entry *entry, const char *service,
                 const char *transport, const char *const *carried, size_t carried_count)
{
    char list[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < carried_count && used < sizeof(list); i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", carried[i]);
    plan_build_warn(build, "%s: %s names the transport %s, which no server carries (carried: %s)",
                    entry->plugin->uri, service, transport, list);
}

void plan_transports_warn(struct plan_build *build)
{
    const char **carried;
    size_t count = 0;

    for (size_t i = 0; i < build->plan->count; i++)
        count += build->plan->entries[i].plugin->carry_count;
    if (count == 0)
        return;
    carried = plan_build_allocate(count, sizeof(*carried));
    count = list_carried(build, carried);
    for (size_t i = 0; i < build->plan->count; i++) {
        const struct plan_entry *entry = &build->plan->entries[i];

        for (size_t k = 0; entry->verdict == PLAN_RUN && k < entry->plugin->service_count; k++)
            for (size_t n = 0; n < entry->services[k].transport_count; n++)
                if (!names(carried, count, entry->services[k].transports[n]))
                    warn(build, entry, entry->services[k].name, entry->services[k].transports[n], carried,
                         count);
    }
    free(carried);
}
