/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who depends on whom in a plan, among those that run: what its levels, its cycles and the turns at run time
 * are found with. Nodes are the plan's entries followed by its types.
 */
#ifndef CORE_PLAN_GRAPH_H
#define CORE_PLAN_GRAPH_H

#include "plan.h"

/** The targets of node i are at first[i] up to first[i + 1]. */
struct plan_graph {
    size_t node_count;
    size_t *first;
    size_t *targets;
};

/** The node a requirement points at, or PLAN_NONE where it orders nothing. */
size_t plan_graph_target(const struct plan *plan, const struct plan_requirement *requirement);
/** Edges from dependents to providers: from entries to entries and types, from types to their members. */
void plan_graph_init(struct plan_graph *graph, const struct plan *plan, bool binding_only);
void plan_graph_init_reverse(struct plan_graph *graph, const struct plan_graph *forward);
void plan_graph_finish(struct plan_graph *graph);

/** Does the entry come after all that do not come after it? */
bool plan_graph_is_star(const struct plan_entry *entry);

#endif
