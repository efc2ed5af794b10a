/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who can run in a process of its own: between processes pass calls, the interfaces that both their provider
 * and their user list under `remote`, and a few of the daemon's own plugins. A plugin that others use by
 * another interface, or that uses one that does not cross, stays in the daemon.
 */
#include "build.h"

/* How to run it after all. */
#define CHOICES "remove it from isolation (%s:%u:%u)"

BERTH_PRINTF(3, 4)
static void refuse(struct plan_build *build, const struct settings_isolation *isolation, const char *format,
                   ...)
{
    size_t entry = name_table_find(&build->memory->uris, isolation->uri);
    va_list arguments;
    char *why;

    va_start(arguments, format);
    why = memory_format_arguments(format, arguments);
    va_end(arguments);
    plan_build_stop(build, entry, BERTH_STATE_REJECTED, BERTH_FAILED_PRECONDITION,
                    plan_build_text(build, "cannot be isolated: it %s; " CHOICES, why, isolation->mark.file,
                                    isolation->mark.line, isolation->mark.column),
                    PLAN_NONE);
    free(why);
}

static bool points_at(const struct plan *plan, const struct plan_requirement *requirement, size_t entry)
{
    if (requirement->target == PLAN_TARGET_PLUGIN)
        return requirement->index == entry;
    return requirement->target == PLAN_TARGET_TYPE && requirement->index == plan->entries[entry].type;
}

/* Does the interface of one, which is called across processes, reach the other? */
static bool is_remote(const struct plan_build *build, size_t provider, size_t user)
{
    const struct manifest_plugin *from = build->plan->entries[provider].plugin;

    return manifest_has_remote(from, from->interface) &&
           manifest_has_remote(build->plan->entries[user].plugin, from->interface);
}

/* The first plugin that runs, whom the requirement of this one means, and whose interface stays in the
 * daemon; or PLAN_NONE. */
static size_t find_interface(const struct plan_build *build, const struct plan_requirement *requirement,
                             size_t user)
{
    for (size_t i = 0; i < build->plan->count; i++)
        if (plan_build_will_run(build, i) && build->plan->entries[i].plugin->interface != NULL &&
            !manifest_interface_crosses(build->plan->entries[i].plugin) && !is_remote(build, i, user) &&
            points_at(build->plan, requirement, i))
            return i;
    return PLAN_NONE;
}

/* Another plugin that uses the interface of this one, and cannot do so across processes; or PLAN_NONE. */
static size_t find_user(const struct plan_build *build, size_t entry)
{
    for (size_t i = 0; i < build->plan->count; i++) {
        const struct plan_entry *user = &build->plan->entries[i];

        for (size_t k = 0; i != entry && plan_build_will_run(build, i) && k < user->requirement_count; k++)
            if (points_at(build->plan, &user->requirements[k], entry) && !is_remote(build, entry, i))
                return i;
    }
    return PLAN_NONE;
}

/* Which of the two manifests lacks it. */
static void refuse_user(struct plan_build *build, const struct settings_isolation *isolation,
                        const struct manifest_plugin *plugin, size_t user)
{
    if (manifest_has_remote(plugin, plugin->interface))
        refuse(build, isolation,
               "has an interface that %s uses, whose manifest does not list %s under remote",
               plan_build_uri(build, user), plugin->interface);
    else
        refuse(
            build, isolation,
            "has an interface that %s uses, and %s does not cross processes: it is not listed under remote",
            plan_build_uri(build, user), plugin->interface);
}

static void judge(struct plan_build *build, const struct settings_isolation *isolation, size_t entry)
{
    const struct plan_entry *isolated = &build->plan->entries[entry];
    const char *reason = manifest_find_obstacle(isolated->plugin);
    size_t other;

    if (reason != NULL) {
        refuse(build, isolation, "%s", reason);
        return;
    }
    /* Its program uses nothing of the daemon. */
    if (isolated->plugin->made_by != NULL)
        return;
    other = isolated->plugin->interface != NULL && !manifest_serves_http(isolated->plugin)
                ? find_user(build, entry)
                : PLAN_NONE;
    if (other != PLAN_NONE) {
        refuse_user(build, isolation, isolated->plugin, other);
        return;
    }
    for (size_t i = 0; i < isolated->requirement_count; i++) {
        const struct plan_requirement *requirement = &isolated->requirements[i];

        other = find_interface(build, requirement, entry);
        if (other == PLAN_NONE || other == entry)
            continue;
        if (requirement->binding) {
            refuse(build, isolation, "requires %s, and uses the interface of %s, which runs in the daemon",
                   requirement->name, plan_build_uri(build, other));
            return;
        }
        plan_build_warn(build, "%s is isolated and runs without %s, which it wants", isolation->uri,
                        plan_build_uri(build, other));
    }
}

void plan_isolation_apply(struct plan_build *build)
{
    for (size_t i = 0; i < build->settings->isolation_count; i++) {
        const struct settings_isolation *isolation = &build->settings->isolation[i];
        size_t entry = name_table_find(&build->memory->uris, isolation->uri);

        if (entry != NAME_TABLE_NONE && plan_build_will_run(build, entry))
            judge(build, isolation, entry);
    }
}
