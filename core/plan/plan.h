/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host will do with a set of manifests: an order, a level and a verdict for each plugin; and the
 * rule for requirements, which life applies again while plugins start. Pure: no file, no clock, no plugin
 * code. The order of the input does not matter.
 *
 * A type is a node of the graph of its own, so that a plan with many providers of one type stays linear.
 */
#ifndef CORE_PLAN_PLAN_H
#define CORE_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <berth/inspect.h>

#include <core/manifest/manifest.h>
#include <core/scan/scan.h>
#include <core/settings/settings.h>

/** No index. */
#define PLAN_NONE SIZE_MAX

enum plan_target {
    /** A type: `index` counts in plan.types. */
    PLAN_TARGET_TYPE,
    /** One plugin: `index` counts in plan.entries. */
    PLAN_TARGET_PLUGIN,
    /** "*": all that do not come after me; `index` is PLAN_NONE. */
    PLAN_TARGET_ALL,
    /** No plugin provides it (only a `wants` survives that); `index` is PLAN_NONE. */
    PLAN_TARGET_NOBODY,
};

/** One line of `requires` or `wants`, resolved. */
struct plan_requirement {
    /** As in the manifest. */
    const char *name;
    /** A `requires`; "*" and any `wants` only order. */
    bool binding;
    /** A `wants` that is ignored because it is part of a cycle. */
    bool dropped;
    enum plan_target target;
    size_t index;
};

/** All plugins of one type, in the plan's order. Disabled and blocked ones are members, rejected ones are
 * not. */
struct plan_type {
    const char *name;
    const size_t *members;
    size_t member_count;
};

struct plan_entry {
    const struct manifest_plugin *plugin;
    /**
     * BERTH_STATE_WAITING if it will run, else why it will not:
     * DISABLED: listed in disabled_plugins.
     * QUARANTINED: killed the daemon too often.
     * SKIPPED: a setting of its skip_unless is not set, or all providers of a requirement were skipped.
     * BLOCKED: a requirement can never be met.
     * REJECTED: lost to another module, or breaks a rule: requires its own type, "*" with others, a service
     * twice.
     */
    enum berth_state state;
    /** Rejected only because another module provides it, which is not an error. */
    bool is_replaced;
    /** BERTH_OK if it will run; BERTH_SKIP if disabled or skipped. */
    enum berth_code code;
    /** One sentence; NULL if it will run. */
    const char *reason;
    /** The entry to blame, or PLAN_NONE; and the end of that chain, which is the entry itself without a
     * cause. */
    size_t cause, root;
    /** Counts in plan.types. */
    size_t type;
    /** 0 for what waits for nothing; -1 if it will not run. */
    int32_t level;
    const struct plan_requirement *requirements;
    size_t requirement_count;
    /** It will run, but stays idle until it is called, or something else that needs it is. */
    bool starts_on_call;
    /** When it starts and why, as far as it is not the default; one sentence, or NULL. */
    const char *activation;
    /** The services of its manifest, with the transports that the configuration adds. */
    const struct manifest_service *services;
};

struct plan {
    /** First those that will run, in the order of starting; then the others by URI. */
    struct plan_entry *entries;
    size_t count;
    size_t run_count;
    /** How many calls may wait for one plugin to start. */
    size_t max_waiting;
    /** Sorted by name. */
    struct plan_type *types;
    size_t type_count;
    /** One sentence each. If there were too many, the last one counts the rest. */
    char **warnings;
    size_t warning_count;
};

/**
 * Makes the plan.
 *
 * @param catalog  borrowed for as long as the plan lives. Plugins that lost there are entries too, and
 * rejected.
 * @return never NULL: what is wrong with a plugin is its state and reason. Aborts when out of memory.
 */
struct plan *plan_create(const struct catalog *catalog, const struct settings_plan *settings);
void plan_destroy(struct plan *plan);

/** The index of a URI among the entries, or PLAN_NONE. If two entries have the URI, the one that did not
 * lose. */
size_t plan_find(const struct plan *plan, const char *uri);
/** The index of a type, or PLAN_NONE. */
size_t plan_find_type(const struct plan *plan, const char *type);

static inline bool plan_entry_will_run(const struct plan_entry *entry)
{
    return entry->state == BERTH_STATE_WAITING;
}

/** Does it start with the daemon? */
static inline bool plan_entry_starts(const struct plan_entry *entry)
{
    return plan_entry_will_run(entry) && !entry->starts_on_call;
}

/** Can a call start it: has it services, or a prefix for HTTP requests? */
static inline bool plan_entry_is_callable(const struct plan_entry *entry)
{
    return entry->plugin->service_count > 0 || entry->plugin->http_prefix != NULL;
}

/**
 * Does an entry need the providers of one of its requirements to run with it? Not under "*", nor where a
 * `wants` is ignored, nor where a server wants those to whom it carries calls.
 */
bool plan_entry_needs(const struct plan_entry *entry, const struct plan_requirement *requirement);

/**
 * Who depends on whom among those that will run: the plan's levels and cycles and the turns at run time come
 * from it. Nodes are the plan's entries followed by its types. The targets of node i are at first[i] up to
 * first[i + 1].
 */
struct plan_graph {
    size_t node_count;
    size_t *first;
    size_t *targets;
};

/** Edges from dependents to providers: from entries to entries and types, from types to their members. */
void plan_graph_init(struct plan_graph *graph, const struct plan *plan, bool binding_only);
void plan_graph_init_reverse(struct plan_graph *graph, const struct plan_graph *forward);
void plan_graph_finish(struct plan_graph *graph);
/**
 * Finds the strongly connected components. A component has a higher number than all that its nodes point at.
 *
 * @param component_of, sizes  a slot for each node: the number of its component; and, by that number, how
 * many nodes it has.
 * @return how many components there are.
 */
size_t plan_graph_components(const struct plan_graph *graph, size_t *component_of, size_t *sizes);
/** Does the entry come after all that do not come after it? */
bool plan_graph_is_star(const struct plan_entry *entry);

/**
 * The state of each entry of a plan, as its dependents see it. The plan asks it ahead of time, life while
 * plugins start: what blocks a plugin, and who is to blame, is decided here and nowhere else.
 */
struct verdicts;

/** The verdict on an entry, and who causes it. */
struct verdict {
    /**
     * BERTH_STATE_WAITING: some providers have not settled. BERTH_STATE_STARTING: it may start.
     * BERTH_STATE_BLOCKED or, if all that is needed was skipped, BERTH_STATE_SKIPPED: it never starts.
     */
    enum berth_state state;
    /** BERTH_OK unless it never starts. */
    enum berth_code code;
    /** The requirement that decided it, if it never starts; else the first one that lost a provider; or NULL.
     */
    const struct plan_requirement *requirement;
    /** The provider to blame, or PLAN_NONE. */
    size_t cause;
};

/** Every entry stands as the plan has it. @param plan  borrowed, types and requirements included. */
struct verdicts *verdicts_create(const struct plan *plan);
void verdicts_destroy(struct verdicts *verdicts);

/**
 * Records where an entry stands.
 *
 * @param reason  borrowed until the next call for this entry; one line, or NULL.
 * @param cause   the entry to blame, which must have been set before; or PLAN_NONE.
 */
void verdicts_set(struct verdicts *verdicts, size_t entry, enum berth_state state, const char *reason,
                  size_t cause);
/** Where the entry's chain of causes ends: itself without a cause. */
size_t verdicts_root(const struct verdicts *verdicts, size_t entry);
/** Have all of the type's providers settled? */
bool verdicts_type_has_settled(const struct verdicts *verdicts, size_t type);

/** Applies the rule to all that an entry requires and wants. Constant time for each of them. */
struct verdict verdicts_decide(struct verdicts *verdicts, size_t entry);
/** Why the entry never starts, or whom it starts without: one line, malloced; NULL if there is nothing to
 * say. */
char *verdicts_explain(const struct verdicts *verdicts, const struct verdict *verdict);

struct config_json;

/**
 * The plan as text for people, as JSON for programs, and as a graph for dot(1).
 * @param add_more  adds members to the object of each entry.
 */
void plan_print_text(FILE *out, const struct plan *plan, const struct scan *scan);
void plan_print_json(FILE *out, const struct plan *plan, const struct scan *scan,
                     void (*add_more)(void *context, struct config_json *json,
                                      const struct plan_entry *entry),
                     void *context);
void plan_print_dot(FILE *out, const struct plan *plan);

#endif
