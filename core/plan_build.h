/* SPDX-License-Identifier: Apache-2.0 */
/* A plan while it is made: what its phases hand to one another. Nobody but core/plan*.c includes this. */
#ifndef CORE_PLAN_BUILD_H
#define CORE_PLAN_BUILD_H

#include <berth/inspect.h>

#include "name_table.h"
#include "plan.h"
#include "verdict.h"

/** The plan and the memory behind it. */
struct plan_memory {
    struct plan plan;
    struct plan_requirement *requirements;
    size_t *members;
    struct name_table uris;
    struct name_table types;
    char **texts;
    size_t text_count;
};

/** All plugins of one type, rejected ones too, by URI. */
struct plan_build_type {
    const char *name;
    const size_t *members;
    size_t member_count;
};

/**
 * Entries stand by URI here, and every index counts in that order. Nodes of the graph: the entries, then the
 * types.
 */
struct plan_build {
    const struct plan_settings *settings;
    struct plan_memory *memory;
    struct plan_entry *entries;
    size_t count;
    size_t *type_of;
    /** Where each one's chain of causes ends. */
    size_t *root_of;
    struct plan_build_type *types;
    size_t type_count;
    size_t *members;
    int32_t max_level;
};

/** Who depends on whom, among those that run; targets of node i are at first[i] up to first[i + 1]. */
struct plan_graph {
    size_t node_count;
    size_t *first;
    size_t *targets;
};

/** A sentence that lives as long as the plan. */
BERTH_PRINTF(2, 3)
const char *plan_build_text(struct plan_build *build, const char *format, ...);
BERTH_PRINTF(2, 3)
void plan_build_warn(struct plan_build *build, const char *format, ...);
/** malloc that aborts; never NULL. */
void *plan_build_allocate(size_t count, size_t size);

/** Ends the run of an entry. `cause` is PLAN_NONE where it is its own. */
void plan_build_stop(struct plan_build *build, size_t entry, enum plan_verdict verdict, enum berth_code code,
                     const char *reason, size_t cause);
enum berth_state plan_build_state(enum plan_verdict verdict);
const char *plan_build_uri(const struct plan_build *build, size_t entry);

/** The node a requirement points at, or PLAN_NONE where it orders nothing. */
size_t plan_graph_target(const struct plan_build *build, const struct plan_requirement *requirement);
/** Edges from dependents to providers, among those that run. */
void plan_graph_init(struct plan_graph *graph, const struct plan_build *build, bool binding_only);
void plan_graph_init_reverse(struct plan_graph *graph, const struct plan_graph *forward);
void plan_graph_finish(struct plan_graph *graph);

/** How many lines of requires and wants there are, of all entries. */
size_t plan_collect_requirements(const struct plan_build *build);

/** The phases, in their order. */
void plan_collect(struct plan_build *build, const struct catalog *catalog);
void plan_rules_apply(struct plan_build *build);
void plan_block_apply(struct plan_build *build);
/** @return true where it blocked some. */
bool plan_cycles_apply(struct plan_build *build);
/** Says which wishes of those that run gave way. */
void plan_cycles_warn(struct plan_build *build);
void plan_order_apply(struct plan_build *build);

/** Tarjan's strongly connected components: the number of each node's, counted from 0, and their sizes. */
void plan_components_find(const struct plan_graph *graph, size_t *ret_component_of, size_t *ret_sizes);

#endif
