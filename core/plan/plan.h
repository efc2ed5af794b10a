/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host will do with a set of manifests: an order, a level and a verdict for each plugin. A pure
 * computation: no file, no clock, no plugin code. The same input gives the same plan, whatever its order.
 *
 * A type is a node of the graph of its own, so that a plan with many providers of one type stays linear.
 */
#ifndef CORE_PLAN_PLAN_H
#define CORE_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/inspect.h>

#include <core/manifest/manifest.h>
#include <core/settings/settings.h>

/** No index. */
#define PLAN_NONE SIZE_MAX

enum plan_verdict {
    /** Starts when what it needs has settled. */
    PLAN_RUN,
    /** Named under disabled_plugins. */
    PLAN_DISABLED,
    /** Lacks a setting that its manifest names under skip_unless, or all that it requires was skipped. */
    PLAN_SKIPPED,
    /** What it requires can never be there. */
    PLAN_BLOCKED,
    /** Lost to another module, or breaks a rule: requires its own type, "*" with others, a service twice. */
    PLAN_REJECTED,
};

enum plan_target {
    /** A type: `index` counts in plan.types. */
    PLAN_TARGET_TYPE,
    /** One plugin: `index` counts in plan.entries. */
    PLAN_TARGET_PLUGIN,
    /** "*": all that do not come after me; `index` is PLAN_NONE. */
    PLAN_TARGET_ALL,
    /** Nobody provides it (only a `wants` survives that); `index` is PLAN_NONE. */
    PLAN_TARGET_NOBODY,
};

/** One line of `requires` or `wants`, resolved. */
struct plan_requirement {
    /** As in the manifest. */
    const char *name;
    bool binding;
    /** A `wants` that gave way, because it stood inside a cycle. */
    bool dropped;
    enum plan_target target;
    size_t index;
};

/** All plugins of one type, in the plan's order. Rejected ones are no members; disabled and blocked ones are.
 */
struct plan_type {
    const char *name;
    const size_t *members;
    size_t member_count;
};

struct plan_entry {
    const struct manifest_plugin *plugin;
    enum plan_verdict verdict;
    /** Rejected only because another module provides it: no fault of anybody's. */
    bool is_replaced;
    /** BERTH_OK for PLAN_RUN; BERTH_SKIP for disabled and skipped. */
    enum berth_code code;
    /** One sentence, NULL for PLAN_RUN. */
    const char *reason;
    /** The entry to blame, or PLAN_NONE; and the one where that chain ends, itself where it blames nobody. */
    size_t cause, root;
    /** 0 for what waits for nothing; -1 unless PLAN_RUN. */
    int32_t level;
    const struct plan_requirement *requirements;
    size_t requirement_count;
    /** Those of its manifest, with the transports that the configuration adds. */
    const struct manifest_service *services;
};

struct plan {
    /** In the plan's order: what runs first, in the order of starting; then the others by URI. */
    struct plan_entry *entries;
    size_t count;
    /** How many of them run. */
    size_t run_count;
    /** Sorted by name. */
    struct plan_type *types;
    size_t type_count;
    /** One sentence each: a `wants` that gave way, a choice that names nobody, a transport that nobody
     * carries. A last one counts those that are too many. */
    char **warnings;
    size_t warning_count;
};

/**
 * Makes the plan.
 *
 * @param catalog  borrowed for as long as the plan lives. Who lost there is an entry too, and rejected.
 * @return never NULL: what is wrong with a plugin is its verdict. Aborts when memory is out.
 */
struct plan *plan_create(const struct catalog *catalog, const struct settings_plan *settings);
void plan_destroy(struct plan *plan);

/** How an entry with this verdict is listed. */
enum berth_state plan_verdict_state(enum plan_verdict verdict);

/** The index of a URI among the entries, or PLAN_NONE. Of a URI that stands twice, the one that is not
 * rejected. */
size_t plan_find(const struct plan *plan, const char *uri);
/** The index of a type, or PLAN_NONE. */
size_t plan_find_type(const struct plan *plan, const char *type);

#endif
