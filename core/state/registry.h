/* SPDX-License-Identifier: Apache-2.0 */
/* Each plugin as it stands at run time, by type and id, and its instance for those who may have it. */
#ifndef CORE_STATE_REGISTRY_H
#define CORE_STATE_REGISTRY_H

#include <berth/plugin.h>

#include "changes.h"
#include <core/plan/plan.h>
#include "publication.h"
#include "readiness.h"

/** The record of one plan entry. Others read it; state, code, reason and cause change by the functions below.
 */
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
    struct publication publication;
    struct readiness readiness;
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
