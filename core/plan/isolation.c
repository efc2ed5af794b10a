/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who can run in a process of its own: between processes pass calls, the interfaces that both their provider
 * and their user list under `remote`, and a few of the daemon's own plugins. A plugin that others use by
 * another interface, or that uses one that does not cross, stays in the daemon.
 */
#include "build.h"

#include <stdlib.h>

/* How to run it after all. */
#define CHOICES "remove it from isolation (%s:%u:%u)"

/* @param choices  what else can be done: "" or "set both alike, or ". */
static void stop(struct plan_build *build, const struct settings_isolation *isolation, const char *why,
                 const char *choices)
{
    size_t entry = name_table_find(&build->memory->uris, isolation->uri);

    plan_build_stop(build, entry, BERTH_STATE_REJECTED, BERTH_FAILED_PRECONDITION,
                    plan_build_text(build, "cannot be isolated: it %s; %s" CHOICES, why, choices,
                                    isolation->mark.file, isolation->mark.line, isolation->mark.column),
                    PLAN_NONE);
}

BERTH_PRINTF(3, 4)
static void refuse(struct plan_build *build, const struct settings_isolation *isolation, const char *format,
                   ...)
{
    va_list arguments;
    char *why;

    va_start(arguments, format);
    why = memory_format_arguments(format, arguments);
    va_end(arguments);
    stop(build, isolation, why, "");
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
    if (isolated->plugin->made_by != NULL) {
        if (isolation->worker != NULL)
            stop(build, isolation, "runs a program, which cannot share a process", "remove worker, or ");
        return;
    }
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

/* One process has one user, one limit of memory and so on. Of two that want it to be otherwise, the one that
 * comes first in the configuration has it. */
static void judge_sharers(struct plan_build *build, size_t at)
{
    const struct settings_isolation *isolation = &build->settings->isolation[at];
    const struct plan_entry *entries = build->plan->entries;
    size_t entry = name_table_find(&build->memory->uris, isolation->uri);

    for (size_t i = 0; i < at; i++) {
        const struct settings_isolation *other = &build->settings->isolation[i];
        size_t sharer = name_table_find(&build->memory->uris, other->uri);
        char *disagreement;

        if (sharer == NAME_TABLE_NONE || !plan_build_will_run(build, sharer) ||
            entries[entry].plugin->made_by != NULL || entries[sharer].plugin->made_by != NULL ||
            !settings_share_worker(isolation, entries[entry].plugin->manifest->module, other,
                                   entries[sharer].plugin->manifest->module))
            continue;
        disagreement = settings_find_disagreement(isolation, other);
        if (disagreement != NULL) {
            char *why = memory_format("would share the process of %s (%s:%u:%u), and %s", other->uri,
                                      other->mark.file, other->mark.line, other->mark.column, disagreement);

            stop(build, isolation, why, "set both alike, name another worker for it, or ");
            free(why);
        }
        free(disagreement);
        /* All who are left agree with the first of them. */
        return;
    }
}

void plan_isolation_apply(struct plan_build *build)
{
    for (size_t i = 0; i < build->settings->isolation_count; i++) {
        const struct settings_isolation *isolation = &build->settings->isolation[i];
        size_t entry = name_table_find(&build->memory->uris, isolation->uri);

        if (entry != NAME_TABLE_NONE && plan_build_will_run(build, entry))
            judge(build, isolation, entry);
        if (entry != NAME_TABLE_NONE && plan_build_will_run(build, entry))
            judge_sharers(build, i);
    }
}
