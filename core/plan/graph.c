/* SPDX-License-Identifier: Apache-2.0 */
/* The graph of a plan, as flat arrays, and the levels of those that will run in it. */
#include "build.h"

size_t plan_graph_target(const struct plan *plan, const struct plan_requirement *requirement)
{
    if (requirement->dropped)
        return PLAN_NONE;
    switch (requirement->target) {
    case PLAN_TARGET_TYPE:
        return plan->count + requirement->index;
    case PLAN_TARGET_PLUGIN:
        return plan_entry_will_run(&plan->entries[requirement->index]) ? requirement->index : PLAN_NONE;
    case PLAN_TARGET_ALL:
    case PLAN_TARGET_NOBODY:
        return PLAN_NONE;
    }
    return PLAN_NONE;
}

static size_t add_entry(size_t *targets, const struct plan *plan, const struct plan_entry *entry,
                        bool binding_only)
{
    size_t count = 0;

    for (size_t i = 0; i < entry->requirement_count && plan_entry_will_run(entry); i++) {
        size_t target = plan_graph_target(plan, &entry->requirements[i]);

        if (target != PLAN_NONE && (entry->requirements[i].binding || !binding_only))
            targets[count++] = target;
    }
    return count;
}

static size_t add_type(size_t *targets, const struct plan *plan, const struct plan_type *type)
{
    size_t count = 0;

    for (size_t i = 0; i < type->member_count; i++)
        if (plan_entry_will_run(&plan->entries[type->members[i]]))
            targets[count++] = type->members[i];
    return count;
}

void plan_graph_init(struct plan_graph *graph, const struct plan *plan, bool binding_only)
{
    size_t node = 0, used = 0, most = 0;

    for (size_t i = 0; i < plan->count; i++)
        most += plan->entries[i].requirement_count;
    for (size_t i = 0; i < plan->type_count; i++)
        most += plan->types[i].member_count;
    graph->node_count = plan->count + plan->type_count;
    graph->first = memory_allocate(graph->node_count + 1, sizeof(*graph->first));
    graph->targets = memory_allocate(most, sizeof(*graph->targets));
    for (size_t i = 0; i < plan->count; i++) {
        used += add_entry(graph->targets + used, plan, &plan->entries[i], binding_only);
        graph->first[++node] = used;
    }
    for (size_t i = 0; i < plan->type_count; i++) {
        used += add_type(graph->targets + used, plan, &plan->types[i]);
        graph->first[++node] = used;
    }
}

void plan_graph_init_reverse(struct plan_graph *graph, const struct plan_graph *forward)
{
    size_t count = forward->node_count;
    size_t *next = memory_allocate(count + 2, sizeof(*next));

    for (size_t i = 0; i < forward->first[count]; i++)
        next[forward->targets[i] + 2]++;
    for (size_t i = 2; i < count + 2; i++)
        next[i] += next[i - 1];
    graph->targets = memory_allocate(forward->first[count], sizeof(*graph->targets));
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

/* The level of an entry is one above the highest of its providers; "*" is above all that do not come after
 * it. */
struct levels {
    struct plan *plan;
    struct plan_graph dependents;
    int32_t max_level;
    /** For each node: how many providers have no level yet, and the highest level of the others; -1: none. */
    size_t *waits_for;
    int32_t *highest;
    size_t *queue;
    size_t queue_count;
    /** A heap of "*" plugins that wait for nothing else, the first by URI on top. */
    size_t *stars;
    size_t star_count;
};

static void swap(size_t *heap, size_t i, size_t j)
{
    size_t value = heap[i];

    heap[i] = heap[j];
    heap[j] = value;
}

static void push_star(struct levels *levels, size_t entry)
{
    size_t *heap = levels->stars;
    size_t i = levels->star_count++;

    heap[i] = entry;
    for (; i > 0 && heap[i] < heap[(i - 1) / 2]; i = (i - 1) / 2)
        swap(heap, i, (i - 1) / 2);
}

static size_t pop_star(struct levels *levels)
{
    size_t *heap = levels->stars;
    size_t top = heap[0], i = 0;

    heap[0] = heap[--levels->star_count];
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < levels->star_count && heap[child + 1] < heap[child])
            child++;
        if (child >= levels->star_count || heap[i] <= heap[child])
            return top;
        swap(heap, i, child);
        i = child;
    }
}

/* All providers of the node have their level. */
static void release(struct levels *levels, size_t node)
{
    if (node < levels->plan->count && plan_graph_is_star(&levels->plan->entries[node]))
        push_star(levels, node);
    else
        levels->queue[levels->queue_count++] = node;
}

/* The level of a type is that of its highest member, the level of an entry one above. */
static void settle(struct levels *levels, size_t node)
{
    const struct plan_graph *graph = &levels->dependents;
    int32_t level = levels->highest[node];

    if (node < levels->plan->count) {
        levels->plan->entries[node].level = ++level;
        if (level > levels->max_level)
            levels->max_level = level;
    }
    for (size_t i = graph->first[node]; i < graph->first[node + 1]; i++) {
        size_t dependent = graph->targets[i];

        if (level > levels->highest[dependent])
            levels->highest[dependent] = level;
        if (--levels->waits_for[dependent] == 0)
            release(levels, dependent);
    }
}

static void levels_init(struct levels *levels, struct plan *plan)
{
    size_t count = plan->count + plan->type_count;
    struct plan_graph providers;

    *levels = (struct levels){
        .plan = plan,
        .max_level = -1,
        .waits_for = memory_allocate(count, sizeof(*levels->waits_for)),
        .highest = memory_allocate(count, sizeof(*levels->highest)),
        .queue = memory_allocate(count, sizeof(*levels->queue)),
        .stars = memory_allocate(plan->count, sizeof(*levels->stars)),
    };
    plan_graph_init(&providers, plan, false);
    plan_graph_init_reverse(&levels->dependents, &providers);
    for (size_t i = 0; i < count; i++) {
        levels->waits_for[i] = providers.first[i + 1] - providers.first[i];
        levels->highest[i] = -1;
    }
    plan_graph_finish(&providers);
    for (size_t i = 0; i < count; i++)
        if (levels->waits_for[i] == 0 && (i >= plan->count || plan_entry_will_run(&plan->entries[i])))
            release(levels, i);
}

static void levels_finish(struct levels *levels)
{
    plan_graph_finish(&levels->dependents);
    free(levels->waits_for);
    free(levels->highest);
    free(levels->queue);
    free(levels->stars);
}

int32_t plan_graph_set_levels(struct plan *plan)
{
    struct levels levels;

    levels_init(&levels, plan);
    for (size_t head = 0; head < levels.queue_count || levels.star_count > 0;) {
        if (head < levels.queue_count) {
            settle(&levels, levels.queue[head++]);
        } else {
            size_t star = pop_star(&levels);

            levels.highest[star] = levels.max_level;
            settle(&levels, star);
        }
    }
    levels_finish(&levels);
    return levels.max_level;
}
