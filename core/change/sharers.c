/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolated plugins that share a process. It is confined once, and has one file of each module: if one of them
 * moves to another sandbox or file, all of them move, so that they share a process again.
 */
#include "build.h"

#include <core/settings/settings.h>

/* Does it need another process than the one in which it runs, or is it to leave or join one? */
static const char *find_reason(const struct change_build *build, const struct change_node *node)
{
    if (node->running == NULL || node->running->settings == NULL)
        return NULL;
    if (node->action == CHANGE_UPGRADE)
        return "is upgraded";
    return settings_isolation_differs(node->running->settings, build->settings, node->uri)
               ? "is isolated in another way"
               : NULL;
}

static bool shares(const struct settings *settings, const struct plan_entry *one,
                   const struct plan_entry *other)
{
    const struct settings_isolation *first = settings_find_isolation(settings, one->plugin->uri);
    const struct settings_isolation *second = settings_find_isolation(settings, other->plugin->uri);

    return first != NULL && second != NULL && one->plugin->made_by == NULL &&
           other->plugin->made_by == NULL &&
           settings_share_worker(first, one->plugin->manifest->module, second,
                                 other->plugin->manifest->module);
}

/* In the process that runs, or in the one that is planned. */
static bool share(const struct change_build *build, const struct change_node *one,
                  const struct change_node *other)
{
    return (one->entry != NULL && other->entry != NULL &&
            shares(build->settings, one->entry, other->entry)) ||
           (one->running->settings != NULL &&
            shares(one->running->settings, one->running->entry, other->running->entry));
}

static void move_sharers(struct change_build *build, size_t cause, const char *reason)
{
    const struct change_node *of = change_node_at(build, cause);

    for (size_t i = 0; i < build->memory->count; i++) {
        struct change_node *node = change_node_at(build, i);

        if (i == cause || !node->runs || !node->will || change_moves(node) || !share(build, node, of))
            continue;
        node->action = CHANGE_RESTART;
        node->cause = cause;
        node->reason = change_text(build, "shares a process with %s, which %s", of->uri, reason);
    }
}

void change_judge_sharers(struct change_build *build)
{
    if (build->settings == NULL || build->settings->plan.isolation_count == 0)
        return;
    for (size_t i = 0; i < build->memory->count; i++) {
        const struct change_node *node = change_node_at(build, i);
        const char *reason = change_moves(node) ? find_reason(build, node) : NULL;

        if (reason != NULL)
            move_sharers(build, i, reason);
    }
}
