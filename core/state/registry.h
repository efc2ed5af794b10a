/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each plugin at run time: its state and why, what it says of itself, and its instance for those who declared
 * that they use it.
 */
#ifndef CORE_STATE_REGISTRY_H
#define CORE_STATE_REGISTRY_H

#include <berth/plugin.h>

#include <core/plan/plan.h>

#include "changes.h"

/** The most exports, platforms and capabilities that one plugin may publish, each. */
#define REGISTRY_PUBLISHED_MAX 256

/** One thing that a plugin still waits for; plugins see it as an opaque pointer. */
struct berth_hold {
    struct berth_hold *next;
    char what[];
};

/** The record of one plan entry. Others read it; what the functions below change changes by them alone. */
struct registry_plugin {
    const struct plan_entry *entry;
    size_t index;

    enum berth_state state;
    enum berth_code code;
    /** One line of UTF-8, or NULL. */
    char *reason;
    /** The entry that is to blame; PLAN_NONE where it is no other. */
    size_t cause;

    /** What its instance said of itself last, and the sentence; BERTH_OK and NULL where all is well. */
    enum berth_code condition;
    char *condition_reason;
    /** Since when all is not well, on the clock of uv_hrtime(). */
    uint64_t condition_start_ns;

    /** NULL where the module is not loaded. */
    const struct berth_plugin *table;
    /** What init made, NULL perhaps even so; valid where registry_plugin_is_ready. */
    void *instance;
    uint64_t generation;
    struct berth_times times;

    /** What it publishes for listings, in its order. All strings are copies. */
    struct berth_export *exports;
    size_t export_count;
    struct berth_platform *platforms;
    size_t platform_count;
    const char **capabilities;
    size_t capability_count;
    /** What keeps the daemon from being ready, the oldest first. */
    struct berth_hold *holds;
    size_t hold_count;
};

struct registry;

/**
 * States, codes and reasons are those of the plan's verdicts.
 *
 * @param plan      borrowed.
 * @param start_ns  when the daemon started, on the clock of uv_hrtime().
 */
struct registry *registry_create(const struct plan *plan, uint64_t start_ns);
void registry_destroy(struct registry *registry);

const struct plan *registry_plan(const struct registry *registry);
struct registry_plugin *registry_get(const struct registry *registry, size_t index);
/** NULL where nobody has the URI. */
struct registry_plugin *registry_find(const struct registry *registry, const char *uri);

/** Nanoseconds since the daemon's start. */
uint64_t registry_since_start(const struct registry *registry);
/** The same for a time on the clock of uv_hrtime(); 0 for one before the start. */
uint64_t registry_time_of(const struct registry *registry, uint64_t clock_ns);

/** Who is told of changes; borrowed. NULL, as at the beginning: nobody. */
void registry_set_changes(struct registry *registry, struct changes *changes);
/** Something that is kept here and shown has changed, by other means than the functions below. */
void registry_note_change(struct registry *registry);

/** Moves a plugin on while nothing is wrong with it. */
void registry_move(struct registry *registry, struct registry_plugin *plugin, enum berth_state state);
/** Ends it badly, or skips it. `reason` is copied; `cause` is PLAN_NONE where it is its own. */
void registry_blame(struct registry *registry, struct registry_plugin *plugin, enum berth_state state,
                    enum berth_code code, const char *reason, size_t cause);

/**
 * What the instance says of itself while it lives; forgotten once it is blamed or stopped.
 * @param reason  copied; NULL with BERTH_OK.
 * @return is that other than before?
 */
bool registry_set_condition(struct registry *registry, struct registry_plugin *plugin, enum berth_code code,
                            const char *reason);

/**
 * Publishes something of a plugin. What is there already is not added twice; an export's value is replaced.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for NULL, an empty word, or what is not a line of UTF-8;
 * BERTH_RESOURCE_EXHAUSTED past REGISTRY_PUBLISHED_MAX.
 */
enum berth_code registry_add_export(struct registry *registry, struct registry_plugin *plugin,
                                    const char *key, const char *value);
enum berth_code registry_add_platform(struct registry *registry, struct registry_plugin *plugin,
                                      const char *os, const char *architecture, const char *variant);
enum berth_code registry_add_capability(struct registry *registry, struct registry_plugin *plugin,
                                        const char *capability);

/** @param what  copied, made one line. @return NULL when out of memory. */
struct berth_hold *registry_hold(struct registry *registry, struct registry_plugin *plugin, const char *what);
/** @return false where the plugin has no such hold: released already, or made up. */
bool registry_release(struct registry *registry, struct registry_plugin *plugin, struct berth_hold *hold);

/** Ready or serving; on its way out others may still use it, so draining counts too. */
bool registry_plugin_is_ready(const struct registry_plugin *plugin);

/** As berth_get, berth_get_single and berth_each say, for what `plugin` declared. */
enum berth_code registry_fetch(const struct registry *registry, const struct registry_plugin *plugin,
                               const char *uri, struct berth_ref *ret_ref, struct berth_error *err);
enum berth_code registry_fetch_single(const struct registry *registry, const struct registry_plugin *plugin,
                                      const char *type, struct berth_ref *ret_ref, struct berth_error *err);
enum berth_code registry_each(const struct registry *registry, const struct registry_plugin *plugin,
                              const char *type, bool (*on_ref)(void *context, const struct berth_ref *ref),
                              void *context, struct berth_error *err);

#endif
