/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is, by counting for each plugin and each type what has not ended. */
#include "turns.h"

#include <stdlib.h>
#include <string.h>

/* Nodes are the plan's entries followed by its types. */
struct node {
    /** How many nodes it waits for have not ended. */
    size_t open;
    /** Its part of `followers`. */
    size_t first_follower, follower_count;
    bool given, ended;
};

struct turns {
    const struct plan *plan;
    struct node *nodes;
    size_t node_count;
    size_t *followers;
    /** Nothing before `first` and nothing from `last` on can be given out. */
    size_t first, last;
    /** All entries before it have ended: what those under "*" wait for. */
    size_t ended_before;
    size_t open_entries;
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL)
        abort();
    return memory;
}

/* A plugin is never its own provider, so a type that it wants itself does not keep it waiting. */
static size_t awaited_node(const struct turns *turns, size_t entry,
                           const struct plan_requirement *requirement)
{
    if (requirement->dropped)
        return PLAN_NONE;
    switch (requirement->target) {
    case PLAN_TARGET_PLUGIN:
        return requirement->index != entry ? requirement->index : PLAN_NONE;
    case PLAN_TARGET_TYPE:
        if (strcmp(requirement->name, turns->plan->entries[entry].plugin->type) == 0)
            return PLAN_NONE;
        return turns->plan->count + requirement->index;
    case PLAN_TARGET_ALL:
    case PLAN_TARGET_NOBODY:
        return PLAN_NONE;
    }
    return PLAN_NONE;
}

static bool waits_for_all(const struct plan_entry *entry)
{
    for (size_t i = 0; i < entry->requirement_count; i++)
        if (entry->requirements[i].target == PLAN_TARGET_ALL && !entry->requirements[i].dropped)
            return true;
    return false;
}

/* Tells of every edge, once to count them and once to store them. */
static void visit_edges(struct turns *turns, void (*on_edge)(struct turns *turns, size_t from, size_t to))
{
    const struct plan *plan = turns->plan;

    for (size_t i = 0; i < plan->run_count; i++)
        for (size_t k = 0; k < plan->entries[i].requirement_count; k++) {
            size_t from = awaited_node(turns, i, &plan->entries[i].requirements[k]);

            if (from != PLAN_NONE)
                on_edge(turns, from, i);
        }
    for (size_t i = 0; i < plan->type_count; i++)
        for (size_t k = 0; k < plan->types[i].member_count; k++)
            on_edge(turns, plan->types[i].members[k], plan->count + i);
}

static void count_edge(struct turns *turns, size_t from, size_t to)
{
    turns->nodes[from].follower_count++;
    turns->nodes[to].open++;
}

static void store_edge(struct turns *turns, size_t from, size_t to)
{
    struct node *node = &turns->nodes[from];

    turns->followers[node->first_follower + node->follower_count++] = to;
}

static void lay_out_followers(struct turns *turns)
{
    size_t total = 0;

    visit_edges(turns, count_edge);
    for (size_t i = 0; i < turns->node_count; i++) {
        turns->nodes[i].first_follower = total;
        total += turns->nodes[i].follower_count;
        turns->nodes[i].follower_count = 0;
    }
    turns->followers = allocate(total, sizeof(*turns->followers));
    visit_edges(turns, store_edge);
}

static void widen(struct turns *turns, size_t entry)
{
    if (entry < turns->first)
        turns->first = entry;
    if (entry >= turns->last)
        turns->last = entry + 1;
}

static void release_node(struct turns *turns, size_t index)
{
    const struct node *node = &turns->nodes[index];

    for (size_t i = 0; i < node->follower_count; i++) {
        size_t follower = turns->followers[node->first_follower + i];

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
    if (turns->ended_before < plan->run_count && waits_for_all(&plan->entries[turns->ended_before]))
        widen(turns, turns->ended_before);
}

static void end_entry(struct turns *turns, size_t entry)
{
    turns->nodes[entry].ended = true;
    turns->open_entries--;
    release_node(turns, entry);
    advance(turns);
}

/* Types without members and what waits only for entries that do not run come free here. */
struct turns *turns_create(const struct plan *plan)
{
    struct turns *turns = allocate(1, sizeof(*turns));

    turns->plan = plan;
    turns->node_count = plan->count + plan->type_count;
    turns->nodes = allocate(turns->node_count, sizeof(*turns->nodes));
    turns->open_entries = plan->count;
    turns->last = plan->run_count;
    lay_out_followers(turns);
    for (size_t i = 0; i < plan->type_count; i++)
        if (plan->types[i].member_count == 0)
            release_node(turns, plan->count + i);
    for (size_t i = plan->run_count; i < plan->count; i++)
        end_entry(turns, i);
    turns->first = 0;
    turns->last = plan->run_count;
    return turns;
}

void turns_destroy(struct turns *turns)
{
    if (turns == NULL)
        return;
    free(turns->followers);
    free(turns->nodes);
    free(turns);
}

static bool may_go(const struct turns *turns, size_t entry)
{
    const struct node *node = &turns->nodes[entry];

    if (node->given || node->ended || node->open > 0)
        return false;
    return turns->ended_before >= entry || !waits_for_all(&turns->plan->entries[entry]);
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
