/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins that start when they are called: who starts with one that does, and who may be idle again. */
#include "build.h"

#include <string.h>

void change_judge_for_activation(struct change_build *build, struct change_node *node)
{
    if (!node->is_subject)
        return;
    if (!node->will || node->runs) {
        node->reason = node->runs ? "it is already running" : "it is no longer planned to run";
        return;
    }
    node->action = CHANGE_START;
    node->reason = "it was called";
}

void change_judge_for_rest(struct change_build *build, struct change_node *node)
{
    if (!node->is_subject || !node->runs || !node->will || !node->entry->starts_on_call)
        return;
    node->action = CHANGE_STOP;
    node->reason = "nothing has called it for idle_after";
}

/* The providers of a type are visited once for those that begin, and once for those that run. */
struct visits {
    bool *types[2];
};

static void need(struct change_build *build, size_t plan_place, const struct change_node *by)
{
    size_t place = name_table_find(&build->uris, build->plan->entries[plan_place].plugin->uri);
    struct change_node *node = place != NAME_TABLE_NONE ? change_node_at(build, place) : NULL;

    if (node == NULL || node->action != CHANGE_KEEP || !change_is_idle(node))
        return;
    /* What has failed is tried again with one that begins, not because of one that goes on. */
    if (node->running != NULL && !change_begins(by))
        return;
    node->action = CHANGE_START;
    node->reason = change_text(build, "%s needs it", by->uri);
    node->cause = (size_t)(by - build->memory->nodes);
}

static void need_all(struct change_build *build, const struct change_node *node, struct visits *visits)
{
    const struct plan *plan = build->plan;
    bool *is_visited = visits->types[change_begins(node)];

    for (size_t i = 0; i < node->entry->requirement_count; i++) {
        const struct plan_requirement *requirement = &node->entry->requirements[i];
        const struct plan_type *type;

        if (!plan_entry_needs(node->entry, requirement))
            continue;
        if (requirement->target == PLAN_TARGET_PLUGIN) {
            need(build, requirement->index, node);
            continue;
        }
        if (is_visited[requirement->index])
            continue;
        is_visited[requirement->index] = true;
        type = &plan->types[requirement->index];
        for (size_t k = 0; k < type->member_count; k++)
            need(build, type->members[k], node);
    }
}

static bool is_any_idle(const struct plan *plan)
{
    for (size_t i = 0; i < plan->run_count; i++)
        if (plan->entries[i].starts_on_call)
            return true;
    return false;
}

/* Against the plan's order, in which providers come first: once is enough. */
void change_activate(struct change_build *build)
{
    const struct plan *plan = build->plan;
    struct visits visits;

    if (build->request->kind == CHANGE_STOP_PLUGINS || build->request->kind == CHANGE_REST_PLUGINS ||
        !is_any_idle(plan))
        return;
    visits.types[false] = memory_allocate(plan->type_count + 1, sizeof(bool));
    visits.types[true] = memory_allocate(plan->type_count + 1, sizeof(bool));
    for (size_t i = plan->run_count; i-- > 0;) {
        size_t place = name_table_find(&build->uris, plan->entries[i].plugin->uri);
        const struct change_node *node = place != NAME_TABLE_NONE ? change_node_at(build, place) : NULL;

        if (node != NULL && node->will && (node->runs || change_begins(node)))
            need_all(build, node, &visits);
    }
    free(visits.types[false]);
    free(visits.types[true]);
}
