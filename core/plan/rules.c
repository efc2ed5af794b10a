/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that a plugin breaks or keeps by itself: not its own provider, "*" alone, services that nobody
 * else exports; and what the configuration disables. */
#include "build.h"

#include <string.h>

static void reject(struct plan_build *build, size_t entry, enum berth_code code, const char *reason,
                   size_t cause)
{
    plan_build_stop(build, entry, PLAN_REJECTED, code, reason, cause);
}

static const char *disabled_reason(struct plan_build *build, const struct settings_uri *disabled)
{
    if (disabled->mark.file == NULL)
        return "named under disabled_plugins";
    return plan_build_text(build, "named under disabled_plugins at %s:%u:%u", disabled->mark.file,
                           disabled->mark.line, disabled->mark.column);
}

static void disable(struct plan_build *build)
{
    for (size_t i = 0; i < build->settings->disabled_count; i++) {
        const struct settings_uri *disabled = &build->settings->disabled[i];
        size_t entry = name_table_find(&build->memory->uris, disabled->uri);

        if (entry != NAME_TABLE_NONE && build->plan->entries[entry].verdict == PLAN_RUN)
            plan_build_stop(build, entry, PLAN_DISABLED, BERTH_SKIP, disabled_reason(build, disabled),
                            PLAN_NONE);
    }
}

static void skip(struct plan_build *build)
{
    for (size_t i = 0; i < build->settings->unset_count; i++) {
        const struct settings_unset *unset = &build->settings->unset[i];
        size_t entry = name_table_find(&build->memory->uris, unset->uri);
        struct berth_error sentence;

        if (entry == NAME_TABLE_NONE || build->plan->entries[entry].verdict != PLAN_RUN)
            continue;
        manifest_explain_unset(unset->condition, &sentence);
        plan_build_stop(build, entry, PLAN_SKIPPED, BERTH_SKIP,
                        plan_build_text(build, "%s", sentence.message), PLAN_NONE);
    }
}

static const char *broken_requirement(struct plan_build *build, const struct manifest_plugin *plugin,
                                      const struct manifest_requirement *requirement)
{
    if (strcmp(requirement->name, plugin->type) == 0)
        return plan_build_text(build,
                               "requires its own type %s, and no plugin is its own provider: name the others "
                               "by their URIs",
                               plugin->type);
    if (strcmp(requirement->name, plugin->uri) == 0)
        return plan_build_text(build, "requires itself (%s): remove that line from its manifest",
                               plugin->uri);
    if (strcmp(requirement->name, "*") == 0 && plugin->requirement_count > 1)
        return plan_build_text(build,
                               "requires \"*\" together with %zu other%s: \"*\" means all, and stands alone",
                               plugin->requirement_count - 1, plugin->requirement_count > 2 ? "s" : "");
    return NULL;
}

static void reject_broken(struct plan_build *build, size_t entry)
{
    const struct manifest_plugin *plugin = build->plan->entries[entry].plugin;

    for (size_t i = 0; i < plugin->requirement_count; i++) {
        const char *reason = broken_requirement(build, plugin, &plugin->requirements[i]);

        if (reason != NULL) {
            reject(build, entry, BERTH_INVALID_ARGUMENT, reason, PLAN_NONE);
            return;
        }
    }
}

static bool exports_service(const struct manifest_plugin *plugin, const char *service)
{
    for (size_t i = 0; i < plugin->service_count; i++)
        if (strcmp(plugin->services[i].name, service) == 0)
            return true;
    return false;
}

static void read_choices(struct plan_build *build, struct name_table *chosen)
{
    for (size_t i = 0; i < build->settings->choice_count; i++) {
        const struct settings_choice *choice = &build->settings->choices[i];
        size_t entry = name_table_find(&build->memory->uris, choice->uri);

        if (entry == NAME_TABLE_NONE)
            plan_build_warn(build,
                            "services: %s is to export %s, but there is no such plugin; ignoring this entry",
                            choice->uri, choice->service);
        else if (build->plan->entries[entry].verdict != PLAN_RUN)
            plan_build_warn(build, "services: %s is to export %s, but is %s; ignoring this entry",
                            choice->uri, choice->service,
                            berth_state_name(plan_verdict_state(build->plan->entries[entry].verdict)));
        else if (!exports_service(build->plan->entries[entry].plugin, choice->service))
            plan_build_warn(build, "services: %s does not export %s; ignoring this entry", choice->uri,
                            choice->service);
        else
            name_table_add(chosen, choice->service, entry);
    }
}

/* Rejects an entry where somebody else is to export one of its services. */
static void reject_loser(struct plan_build *build, size_t entry, const struct name_table *chosen,
                         const struct name_table *exporters)
{
    const struct manifest_plugin *plugin = build->plan->entries[entry].plugin;

    for (size_t i = 0; i < plugin->service_count && build->plan->entries[entry].verdict == PLAN_RUN; i++) {
        const char *service = plugin->services[i].name;
        size_t choice = name_table_find(chosen, service);
        size_t first = name_table_find(exporters, service);

        if (choice != NAME_TABLE_NONE && choice != entry)
            reject(build, entry, BERTH_ALREADY_EXISTS,
                   plan_build_text(build, "exports %s, which the configuration takes from %s (services: %s)",
                                   service, plan_build_uri(build, choice), service),
                   choice);
        else if (choice == NAME_TABLE_NONE && first != NAME_TABLE_NONE)
            reject(build, entry, BERTH_ALREADY_EXISTS,
                   plan_build_text(build,
                                   "exports %s, as %s does: choose one in the configuration, services: {%s: "
                                   "%s}",
                                   service, plan_build_uri(build, first), service, plugin->uri),
                   first);
    }
}

static size_t count_services(const struct plan_build *build)
{
    size_t count = 0;

    for (size_t i = 0; i < build->plan->count; i++)
        count += build->plan->entries[i].plugin->service_count;
    return count;
}

static void reject_second_exporters(struct plan_build *build)
{
    struct name_table chosen, exporters;

    name_table_init(&chosen, build->settings->choice_count);
    name_table_init(&exporters, count_services(build));
    read_choices(build, &chosen);
    for (size_t i = 0; i < build->plan->count; i++) {
        const struct manifest_plugin *plugin = build->plan->entries[i].plugin;

        if (build->plan->entries[i].verdict != PLAN_RUN)
            continue;
        reject_loser(build, i, &chosen, &exporters);
        for (size_t j = 0; j < plugin->service_count && build->plan->entries[i].verdict == PLAN_RUN; j++)
            name_table_add(&exporters, plugin->services[j].name, i);
    }
    name_table_finish(&chosen);
    name_table_finish(&exporters);
}

void plan_rules_apply(struct plan_build *build)
{
    disable(build);
    skip(build);
    for (size_t i = 0; i < build->plan->count; i++) {
        const struct manifest *manifest = build->plan->entries[i].plugin->manifest;

        if (build->plan->entries[i].verdict != PLAN_RUN)
            continue;
        if (manifest->objection != NULL)
            reject(build, i, manifest->objection_code, manifest->objection, PLAN_NONE);
        else
            reject_broken(build, i);
    }
    reject_second_exporters(build);
}
