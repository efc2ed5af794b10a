/* SPDX-License-Identifier: Apache-2.0 */
/* Services: who exports each, since only one plugin may, and over which transports. */
#include "build.h"

static bool exports(const struct manifest_plugin *plugin, const char *service)
{
    for (size_t i = 0; i < plugin->service_count; i++)
        if (strcmp(plugin->services[i].name, service) == 0)
            return true;
    return false;
}

/* Which entry the configuration chooses for a service. */
static void read_choices(struct plan_build *build, struct name_table *chosen)
{
    for (size_t i = 0; i < build->settings->choice_count; i++) {
        const struct settings_choice *choice = &build->settings->choices[i];
        size_t entry = name_table_find(&build->memory->uris, choice->uri);

        if (entry == NAME_TABLE_NONE)
            plan_build_warn(
                build, "services: %s is to export %s, but no such plugin is installed; ignoring this entry",
                choice->uri, choice->service);
        else if (!plan_build_will_run(build, entry))
            plan_build_warn(build, "services: %s is to export %s, but is %s; ignoring this entry",
                            choice->uri, choice->service,
                            berth_state_name(build->plan->entries[entry].state));
        else if (!exports(build->plan->entries[entry].plugin, choice->service))
            plan_build_warn(build, "services: %s does not export %s; ignoring this entry", choice->uri,
                            choice->service);
        else
            name_table_add(chosen, choice->service, entry);
    }
}

/* Rejects an entry if another plugin is to export one of its services; else it exports them all. */
static void judge_exporter(struct plan_build *build, size_t entry, const struct name_table *chosen,
                           struct name_table *exporters)
{
    const struct manifest_plugin *plugin = build->plan->entries[entry].plugin;

    for (size_t i = 0; i < plugin->service_count; i++) {
        const char *service = plugin->services[i].name, *reason;
        size_t choice = name_table_find(chosen, service);
        size_t other = choice != NAME_TABLE_NONE ? choice : name_table_find(exporters, service);

        if (other == NAME_TABLE_NONE || other == entry)
            continue;
        if (choice != NAME_TABLE_NONE)
            reason = plan_build_text(build, "exports %s, but the configuration chooses %s (services: %s)",
                                     service, plan_build_uri(build, other), service);
        else
            reason = plan_build_text(
                build,
                "exports %s, which %s also exports; choose one in the configuration: services: {%s: %s}",
                service, plan_build_uri(build, other), service, plugin->uri);
        plan_build_stop(build, entry, BERTH_STATE_REJECTED, BERTH_ALREADY_EXISTS, reason, other);
        return;
    }
    for (size_t i = 0; i < plugin->service_count; i++)
        name_table_add(exporters, plugin->services[i].name, entry);
}

static void reject_second_exporters(struct plan_build *build)
{
    struct name_table chosen, exporters;
    size_t count = 0;

    for (size_t i = 0; i < build->plan->count; i++)
        count += build->plan->entries[i].plugin->service_count;
    name_table_init(&chosen, build->settings->choice_count);
    name_table_init(&exporters, count);
    read_choices(build, &chosen);
    for (size_t i = 0; i < build->plan->count; i++)
        if (plan_build_will_run(build, i))
            judge_exporter(build, i, &chosen, &exporters);
    name_table_finish(&chosen);
    name_table_finish(&exporters);
}

/* The transports that the configuration adds to a service, or NULL. */
static const struct settings_transports *find_added(const struct plan_build *build, const char *service)
{
    const struct settings_plan *settings = build->settings;

    for (size_t i = 0; i < settings->transport_count; i++)
        if (strcmp(settings->transports[i].service, service) == 0)
            return &settings->transports[i];
    return NULL;
}

static bool contains(const char *const *transports, size_t count, const char *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(transports[i], wanted) == 0)
            return true;
    return false;
}

/* Adds those that are not there. @return how many there are then. */
static size_t add_transports(const char **transports, size_t count, const char *const *more,
                             size_t more_count)
{
    for (size_t i = 0; i < more_count; i++)
        if (!contains(transports, count, more[i]))
            transports[count++] = more[i];
    return count;
}

/* Writes the entry's services with all their transports, if it has more. @return how many names that took. */
static size_t widen(const struct plan_build *build, struct plan_entry *entry,
                    struct manifest_service *services, const char **transports)
{
    const struct manifest_plugin *plugin = entry->plugin;
    size_t used = 0;
    bool is_widened = false;

    for (size_t i = 0; i < plugin->service_count; i++) {
        const struct manifest_service *own = &plugin->services[i];
        const struct settings_transports *added = find_added(build, own->name);
        const char **all = transports + used;
        size_t count = add_transports(all, 0, own->transports, own->transport_count);

        if (added != NULL)
            count = add_transports(all, count, added->names, added->count);
        is_widened = is_widened || added != NULL;
        services[i] = *own;
        services[i].transports = all;
        services[i].transport_count = count;
        used += count;
    }
    if (is_widened)
        entry->services = services;
    return used;
}

static void widen_all(struct plan_build *build)
{
    struct plan *plan = build->plan;
    struct manifest_service *services;
    const char **transports;
    size_t service_count = 0, transport_count = 0;

    if (build->settings->transport_count == 0)
        return;
    for (size_t i = 0; i < plan->count; i++)
        for (size_t k = 0; k < plan->entries[i].plugin->service_count; k++) {
            const struct manifest_service *service = &plan->entries[i].plugin->services[k];
            const struct settings_transports *added = find_added(build, service->name);

            service_count++;
            transport_count += service->transport_count + (added == NULL ? 0 : added->count);
        }
    services = build->memory->services = memory_allocate(service_count, sizeof(*services));
    transports = build->memory->transports = memory_allocate(transport_count, sizeof(*transports));
    for (size_t i = 0; i < plan->count; i++) {
        transports += widen(build, &plan->entries[i], services, transports);
        services += plan->entries[i].plugin->service_count;
    }
}

void plan_exports_apply(struct plan_build *build)
{
    reject_second_exporters(build);
    widen_all(build);
}

static void warn_of(struct plan_build *build, const struct plan_entry *entry,
                    const struct manifest_service *service, const char *transport, const char *const *carried,
                    size_t carried_count)
{
    char list[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < carried_count && used < sizeof(list); i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", carried[i]);
    plan_build_warn(build, "%s: %s lists transport %s, but no server carries it (carried: %s)",
                    entry->plugin->uri, service->name, transport, list);
}

static void warn_of_entry(struct plan_build *build, const struct plan_entry *entry,
                          const char *const *carried, size_t carried_count)
{
    for (size_t i = 0; i < entry->plugin->service_count; i++)
        for (size_t k = 0; k < entry->services[i].transport_count; k++)
            if (!contains(carried, carried_count, entry->services[i].transports[k]))
                warn_of(build, entry, &entry->services[i], entry->services[i].transports[k], carried,
                        carried_count);
}

/* Disabled and skipped servers count too: naming their transports is not a mistake. */
void plan_exports_warn(struct plan_build *build)
{
    const struct plan *plan = build->plan;
    const char **carried;
    size_t most = 0, count = 0;

    for (size_t i = 0; i < plan->count; i++)
        most += plan->entries[i].plugin->carry_count;
    if (most == 0)
        return;
    carried = memory_allocate(most, sizeof(*carried));
    for (size_t i = 0; i < plan->count; i++)
        if (plan->entries[i].state != BERTH_STATE_REJECTED)
            count = add_transports(carried, count, plan->entries[i].plugin->carries,
                                   plan->entries[i].plugin->carry_count);
    for (size_t i = 0; i < plan->count; i++)
        if (plan_build_will_run(build, i))
            warn_of_entry(build, &plan->entries[i], carried, count);
    free(carried);
}
