/* SPDX-License-Identifier: Apache-2.0 */
/* A plan while it is made: what its phases hand to one another. Only the files of this room include it. */
#ifndef CORE_PLAN_BUILD_H
#define CORE_PLAN_BUILD_H

#include <core/base/names.h>
#include <sdk/base/memory.h>

#include "plan.h"

/** The plan and the memory it uses. */
struct plan_memory {
    struct plan plan;
    /** Those of all entries, in the order in which entries were collected. */
    struct plan_requirement *requirements;
    size_t requirement_count;
    size_t *members;
    struct name_table uris;
    struct name_table types;
    char **texts;
    size_t text_count;
    /** Services with transports that the configuration adds. */
    struct manifest_service *services;
    const char **transports;
    /** How many warnings were not kept. */
    size_t dropped_warnings;
};

/**
 * Entries are sorted by URI until the plan is published, and every index counts in that order. Rejected ones
 * are members of their types until then, so that they can be blamed.
 */
struct plan_build {
    const struct settings_plan *settings;
    struct plan_memory *memory;
    struct plan *plan;
    struct verdicts *verdicts;
};

/** Lists all plugins by URI with what they require. Those that lost in the catalog are rejected. */
void plan_build_collect(struct plan_build *build, const struct catalog *catalog);
/**
 * Puts entries and members in the plan's order, drops rejected entries from their types, and ends the build.
 * @param max_level  the highest level of all entries; -1: none will run.
 */
void plan_build_publish(struct plan_build *build, int32_t max_level);

const char *plan_build_uri(const struct plan_build *build, size_t entry);
bool plan_build_will_run(const struct plan_build *build, size_t entry);
/** The entry will not run. `reason` is borrowed; `cause` is the entry to blame, or PLAN_NONE. */
void plan_build_stop(struct plan_build *build, size_t entry, enum berth_state state, enum berth_code code,
                     const char *reason, size_t cause);
/** Takes over a malloced text, which then lives as long as the plan. */
const char *plan_build_keep(struct plan_build *build, char *text);
BERTH_PRINTF(2, 3)
const char *plan_build_text(struct plan_build *build, const char *format, ...);
BERTH_PRINTF(2, 3)
void plan_build_warn(struct plan_build *build, const char *format, ...);

/** The node that a requirement points at, or PLAN_NONE if it orders nothing. */
size_t plan_graph_target(const struct plan *plan, const struct plan_requirement *requirement);
/** Sets the level of each entry that will run. @return the highest one; -1 if none will. */
int32_t plan_graph_set_levels(struct plan *plan);

/** Disables, skips and rejects plugins for what they and the configuration say of themselves alone. */
void plan_rules_apply(struct plan_build *build);
/** Blocks or skips what can never start, and then all that requires it. */
void plan_rules_block(struct plan_build *build);

/** Rejects plugins that are to run in a process of their own, but use or offer what does not reach one. */
void plan_isolation_apply(struct plan_build *build);

/** Decides which plugins are idle until they are called. Needs the levels. */
void plan_activation_apply(struct plan_build *build);

/** Rejects plugins that export a service assigned to another plugin, and adds the configured transports. */
void plan_exports_apply(struct plan_build *build);
/** Warns about transports that no server carries. */
void plan_exports_warn(struct plan_build *build);

/**
 * Ignores each `wants` inside a cycle, and blocks plugins in a cycle without one. @return true if there were
 * any.
 */
bool plan_cycles_apply(struct plan_build *build);
/** Warns about each `wants` that is ignored. */
void plan_cycles_warn(struct plan_build *build);

#endif
