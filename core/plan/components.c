/* SPDX-License-Identifier: Apache-2.0 */
/* Tarjan's strongly connected components with a stack of its own: a chain of 100,000 plugins is no deep
 * recursion. (R. Tarjan, Depth-first search and linear graph algorithms, 1972.) */
#include "build.h"

#include <stdlib.h>

#define UNSEEN SIZE_MAX

struct search {
    const struct plan_graph *graph;
    size_t *number;
    size_t *low;
    size_t next_number;
    /** Nodes that were seen and have no component. */
    size_t *open;
    size_t open_count;
    /** The path from the start to where the search is, and each node's next edge. */
    size_t *path;
    size_t path_count;
    size_t *next_edge;
    size_t *component_of;
    size_t *sizes;
    size_t component_count;
};

static void enter(struct search *search, size_t node)
{
    search->number[node] = search->low[node] = search->next_number++;
    search->next_edge[node] = search->graph->first[node];
    search->open[search->open_count++] = node;
    search->path[search->path_count++] = node;
}

static void close_component(struct search *search, size_t node)
{
    size_t member;

    do {
        member = search->open[--search->open_count];
        search->component_of[member] = search->component_count;
        search->sizes[search->component_count]++;
    } while (member != node);
    search->component_count++;
}

static void lower(size_t *low, size_t value)
{
    if (value < *low)
        *low = value;
}

static void leave(struct search *search, size_t node)
{
    if (search->low[node] == search->number[node])
        close_component(search, node);
    search->path_count--;
    if (search->path_count > 0)
        lower(&search->low[search->path[search->path_count - 1]], search->low[node]);
}

static void follow(struct search *search, size_t node, size_t target)
{
    if (search->number[target] == UNSEEN)
        enter(search, target);
    else if (search->component_of[target] == PLAN_NONE)
        lower(&search->low[node], search->number[target]);
}

static void visit(struct search *search, size_t start)
{
    enter(search, start);
    while (search->path_count > 0) {
        size_t node = search->path[search->path_count - 1];

        if (search->next_edge[node] < search->graph->first[node + 1])
            follow(search, node, search->graph->targets[search->next_edge[node]++]);
        else
            leave(search, node);
    }
}

void plan_components_find(const struct plan_graph *graph, size_t *ret_component_of, size_t *ret_sizes)
{
    size_t count = graph->node_count;
    size_t *memory = plan_build_allocate(count * 5, sizeof(*memory));
    struct search search = {
        .graph = graph,
        .number = memory,
        .low = memory + count,
        .open = memory + 2 * count,
        .path = memory + 3 * count,
        .next_edge = memory + 4 * count,
        .component_of = ret_component_of,
        .sizes = ret_sizes,
    };

    for (size_t i = 0; i < count; i++) {
        search.number[i] = UNSEEN;
        ret_component_of[i] = PLAN_NONE;
        ret_sizes[i] = 0;
    }
    for (size_t i = 0; i < count; i++)
        if (search.number[i] == UNSEEN)
            visit(&search, i);
    free(memory);
}
