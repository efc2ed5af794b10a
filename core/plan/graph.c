/* SPDX-License-Identifier: Apache-2.0 */
/* The graph of a plan: dependents point at providers, types at their members; as flat arrays. */
#include "graph.h"

#include <stdlib.h>

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL)
        abort();
    return memory;
}

size_t plan_graph_target(const struct plan *plan, const struct plan_requirement *requirement)
{
    if (requirement->dropped)
        return PLAN_NONE;
    switch (requirement->target) {
    case PLAN_TARGET_TYPE:
        return plan->count + requirement->index;
    case PLAN_TARGET_PLUGIN:
        return plan->entries[requirement->index].verdict == PLAN_RUN ? requirement->index : PLAN_NONE;
    case PLAN_TARGET_ALL:
    case PLAN_TARGET_NOBODY:
        return PLAN_NONE;
    }
    return PLAN_NONE;
}

/* Writes the targets where there is room for them, and counts them. */
static size_t add_entry(const struct plan *plan, size_t entry, bool binding_only, size_t *targets)
{
    const struct plan_entry *self = &plan->entries[entry];
    size_t count = 0;

    if (self->verdict != PLAN_RUN)
        return 0;
    for (size_t i = 0; i < self->requirement_count; i++) {
        size_t target = plan_graph_target(plan, &self->requirements[i]);

        if (target == PLAN_NONE || (binding_only && !self->requirements[i].binding))
            continue;
        if (targets != NULL)
            targets[count] = target;
        count++;
    }
    return count;
}

static size_t add_type(const struct plan *plan, size_t type, size_t *targets)
{
    const struct plan_type *of = &plan->types[type];
    size_t count = 0;

    for (size_t i = 0; i < of->member_count; i++) {
        if (plan->entries[of->members[i]].verdict != PLAN_RUN)
            continue;
        if (targets != NULL)
            targets[count] = of->members[i];
        count++;
    }
    return count;
}

static size_t add_node(const struct plan *plan, size_t node, bool binding_only, size_t *targets)
{
    if (node < plan->count)
        return add_entry(plan, node, binding_only, targets);
    return add_type(plan, node - plan->count, targets);
}

void plan_graph_init(struct plan_graph *graph, const struct plan *plan, bool binding_only)
{
    graph->node_count = plan->count + plan->type_count;
    graph->first = allocate(graph->node_count + 1, sizeof(*graph->first));
    graph->first[0] = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        graph->first[i + 1] = graph->first[i] + add_node(plan, i, binding_only, NULL);
    graph->targets = allocate(graph->first[graph->node_count], sizeof(*graph->targets));
    for (size_t i = 0; i < graph->node_count; i++)
        add_node(plan, i, binding_only, graph->targets + graph->first[i]);
}

void plan_graph_init_reverse(struct plan_graph *graph, const struct plan_graph *forward)
{
    size_t count = forward->node_count;
    size_t *next = allocate(count + 2, sizeof(*next));

    for (size_t i = 0; i < forward->first[count]; i++)
        next[forward->targets[i] + 2]++;
    for (size_t i = 2; i < count + 2; i++)
        next[i] += next[i - 1];
    graph->targets = allocate(forward->first[count], sizeof(*graph->targets));
    for (size_t node = 0; node < count; node++)
        for (size_t i = forward->first[node]; i < forward->first[node + 1]; i++)
            graph->targets[next[forward->targets[i] + 1]++] = node;
    graph->node_count = count;
    graph->first = next;
}

void plan_graph_finish(struct plan_graph *graph)
{
    free(graph->first);
    free(graph->targets);
}

bool plan_graph_is_star(const struct plan_entry *entry)
{
    for (size_t i = 0; i < entry->requirement_count; i++)
        if (entry->requirements[i].target == PLAN_TARGET_ALL)
            return true;
    return false;
}
