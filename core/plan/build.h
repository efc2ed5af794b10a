/* SPDX-License-Identifier: Apache-2.0 */
/* A plan while it is made: what its phases hand to one another. Nobody but core/plan*.c includes this. */
#ifndef CORE_PLAN_BUILD_H
#define CORE_PLAN_BUILD_H

#include <core/base/names.h>
#include "graph.h"
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
    /** Services whose transports are not those of the manifest. */
    struct manifest_service *services;
    const char **transports;
    /** Warnings that were too many to be kept. */
    size_t dropped_warnings;
};

/**
 * The plan's entries stand by URI until it is published, and every index counts in that order. Rejected ones
 * are members of their types until then, so that they can be blamed.
 */
struct plan_build {
    const struct settings_plan *settings;
    struct plan_memory *memory;
    struct plan *plan;
    struct verdicts *verdicts;
    size_t *type_of;
    int32_t max_level;
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
const char *plan_build_uri(const struct plan_build *build, size_t entry);

/** How many lines of requires and wants there are, of all entries. */
size_t plan_collect_requirements(const struct plan_build *build);

/** The phases, in their order. */
void plan_collect(struct plan_build *build, const struct catalog *catalog);
void plan_rules_apply(struct plan_build *build);
void plan_transports_apply(struct plan_build *build);
void plan_block_apply(struct plan_build *build);
/** @return true where it blocked some. */
bool plan_cycles_apply(struct plan_build *build);
/** Says which wishes of those that run gave way. */
void plan_cycles_warn(struct plan_build *build);
/** Says which services of those that run name transports that nobody carries. */
void plan_transports_warn(struct plan_build *build);
/** Counts the warnings that are too many. After all others. */
void plan_build_end_warnings(struct plan_build *build);
void plan_order_apply(struct plan_build *build);

/** Tarjan's strongly connected components: the number of each node's, counted from 0, and their sizes. */
void plan_components_find(const struct plan_graph *graph, size_t *ret_component_of, size_t *ret_sizes);

#endif
