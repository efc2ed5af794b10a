/* SPDX-License-Identifier: Apache-2.0 */
/* Decides whose turn it is: counts for each plugin and each type what has not ended yet. */
#include "turns.h"

#include <stdlib.h>

#include <sdk/base/memory.h>

/* Nodes are those of the plan's graph. */
struct node {
    /** How many of the nodes that it waits for have not ended. */
    size_t open;
    bool given, ended;
};

struct turns {
    const struct plan *plan;
    struct node *nodes;
    struct plan_graph followers;
    /** Nothing before `first` and nothing from `last` on can be given out. */
    size_t first, last;
    /** All entries before it have ended: what those under "*" wait for. */
    size_t ended_before;
    size_t open_entries;
};

static void widen(struct turns *turns, size_t entry)
{
    if (entry < turns->first)
        turns->first = entry;
    if (entry >= turns->last)
        turns->last = entry + 1;
}

static void release_node(struct turns *turns, size_t index)
{
    const struct plan_graph *graph = &turns->followers;

    for (size_t i = graph->first[index]; i < graph->first[index + 1]; i++) {
        size_t follower = graph->targets[i];

        if (--turns->nodes[follower].open > 0)
            continue;
        if (follower < turns->plan->count)
            widen(turns, follower);
        else
            release_node(turns, follower);
    }
}

static void advance(struct turns *turns)
{
    const struct plan *plan = turns->plan;

    while (turns->ended_before < plan->run_count && turns->nodes[turns->ended_before].ended)
        turns->ended_before++;
    if (turns->ended_before < plan->run_count && plan_graph_is_star(&plan->entries[turns->ended_before]))
        widen(turns, turns->ended_before);
}

static void end_entry(struct turns *turns, size_t entry)
{
    turns->nodes[entry].ended = true;
    turns->open_entries--;
    release_node(turns, entry);
    advance(turns);
}

/* Types without a running member are released here. */
struct turns *turns_create(const struct plan *plan)
{
    struct turns *turns = memory_allocate(1, sizeof(*turns));
    struct plan_graph providers;

    turns->plan = plan;
    turns->nodes = memory_allocate(plan->count + plan->type_count, sizeof(*turns->nodes));
    turns->open_entries = plan->run_count;
    plan_graph_init(&providers, plan, false);
    plan_graph_init_reverse(&turns->followers, &providers);
    for (size_t i = 0; i < providers.node_count; i++)
        turns->nodes[i].open = providers.first[i + 1] - providers.first[i];
    for (size_t i = plan->count; i < providers.node_count; i++)
        if (providers.first[i] == providers.first[i + 1])
            release_node(turns, i);
    plan_graph_finish(&providers);
    turns->first = 0;
    turns->last = plan->run_count;
    return turns;
}

void turns_destroy(struct turns *turns)
{
    if (turns == NULL)
        return;
    plan_graph_finish(&turns->followers);
    free(turns->nodes);
    free(turns);
}

static bool may_go(const struct turns *turns, size_t entry)
{
    const struct node *node = &turns->nodes[entry];

    if (node->given || node->ended || node->open > 0)
        return false;
    return turns->ended_before >= entry || !plan_graph_is_star(&turns->plan->entries[entry]);
}

size_t turns_next(struct turns *turns)
{
    for (; turns->first < turns->last; turns->first++)
        if (may_go(turns, turns->first)) {
            turns->nodes[turns->first].given = true;
            return turns->first++;
        }
    turns->first = SIZE_MAX;
    turns->last = 0;
    return PLAN_NONE;
}

void turns_end(struct turns *turns, size_t entry)
{
    if (!turns->nodes[entry].ended)
        end_entry(turns, entry);
}

bool turns_are_over(const struct turns *turns)
{
    return turns->open_entries == 0;
}
