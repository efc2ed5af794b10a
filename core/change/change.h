/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change of a running daemon as a value: what runs and a plan in, steps out, which can be printed before
 * anything moves. Pure: no clock, no file, no plugin code. The daemon's start is the change from nothing, its
 * stop the change to nothing.
 */
#ifndef CORE_CHANGE_CHANGE_H
#define CORE_CHANGE_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <berth/error.h>

#include <core/manifest/manifest.h>
#include <core/plan/plan.h>
#include <core/settings/settings.h>

/** No step. */
#define CHANGE_NONE SIZE_MAX

/** What becomes of one plugin. */
enum change_action {
    /** Not touched. */
    CHANGE_KEEP,
    /** Takes its new settings in place; may still ask for a restart, which is another change. */
    CHANGE_RECONFIGURE,
    /** Another generation of the same module. */
    CHANGE_RESTART,
    /** Another generation, of another file. */
    CHANGE_UPGRADE,
    CHANGE_START,
    CHANGE_STOP,
};

/** "restart". */
const char *change_action_name(enum change_action action);

enum change_kind {
    /** All that differs between what runs and the plan. */
    CHANGE_RELOAD,
    /** Only the subjects, and what follows from it. */
    CHANGE_START_PLUGINS,
    CHANGE_STOP_PLUGINS,
    CHANGE_RESTART_PLUGINS,
    /** Moves the subjects' modules to the files of the plan. */
    CHANGE_UPGRADE_PLUGINS,
    /** The same; the plan has what ran before. */
    CHANGE_ROLLBACK_PLUGINS,
    /** The subjects alone, back to a plan that they ran by. */
    CHANGE_UNDO,
    /** Starts the subjects, which were called, with all that they need; touches nothing that runs. */
    CHANGE_ACTIVATE_PLUGINS,
    /** Makes the subjects idle again, which nobody calls and nobody else uses. */
    CHANGE_REST_PLUGINS,
};

/**
 * One plugin that runs, or that has been tried since it last changed. All of it borrowed: entry and settings
 * from the survey that its newest generation was started from.
 */
struct change_running {
    const struct plan_entry *entry;
    const struct settings *settings;
    /** 0: it has never got as far as init. */
    uint64_t generation;
    /** Ready or serving. Otherwise it failed, was skipped or blocked, and is tried again only if a change
     * concerns it. */
    bool is_ready;
    /** It failed while it ran, and its instance has not been closed. */
    bool is_left_open;
    /** Its table has an interface, whatever the manifest says. */
    bool has_interface;
    /** The ledger has recorded every reference to it: of those that only want it, `users` are all that use
     * its interface. Otherwise each of them counts. Whoever requires it counts either way. */
    bool users_are_known;
    /** URIs of plugins that hold its interface, declared or not; one may be listed twice. */
    const char *const *users;
    size_t user_count;
    /** How long its last prepare, init and serve took together; 0: not known. */
    uint64_t start_ns;
};

struct change_request {
    enum change_kind kind;
    /** URIs; none for a reload. */
    const char *const *subjects;
    size_t subject_count;
    /**
     * Plugins that have refused to take their settings in place: they restart instead, with those that use
     * their interface.
     */
    const char *const *unwilling;
    size_t unwilling_count;
    /** A stop may take others with it. */
    bool cascade;
    /** State that the new version does not read is dropped instead of refusing. */
    bool force;
};

struct change_step {
    /** Of `from` or `to`; lives as long as the surveys. */
    const char *uri;
    enum change_action action;
    /** Counts in change.groups; CHANGE_NONE for CHANGE_KEEP. */
    size_t group;
    /** What runs, NULL for a start; and what will, NULL for a stop unless it is only to become idle. */
    const struct plan_entry *from, *to;
    /** Its place among `running`, or CHANGE_NONE. */
    size_t running;
    /** One sentence without a full stop; NULL for what is kept without having anything to say. */
    const char *reason;
    /** Which settings of its section changed; borrowed from the change. */
    const struct settings_difference *differences;
    size_t difference_count;
    /** The step that makes this one necessary, or CHANGE_NONE. */
    size_t cause;
    /** How long its services wait, as far as its last start tells; 0: not at all, or not known. */
    uint64_t expected_pause_ns;
};

/**
 * Steps that are done together or not at all: what restarts, and transitively all that use an interface of
 * it. Groups are performed one after another, in their order.
 */
struct change_group {
    /** That of its strictest member, in the old version or the new one. */
    enum manifest_upgrade mode;
    /** BERTH_OK, or why it will not be tried; the rest of the change is still done unless `atomic` was asked.
     */
    enum berth_code code;
    const char *reason;
    /**
     * Its steps, as indices into change.steps: what ends, in reverse order of what ran; what begins, in the
     * order of the plan. A restart or upgrade is in both. A reconfiguration is alone, in `begins`.
     */
    const size_t *ends;
    size_t end_count;
    const size_t *begins;
    size_t begin_count;
    uint64_t expected_pause_ns;
};

struct change {
    /** By URI, those that are kept as well. */
    struct change_step *steps;
    size_t step_count;
    struct change_group *groups;
    size_t group_count;
    /** How many steps are not CHANGE_KEEP. */
    size_t work_count;
    /** The daemon's own settings that differ, and which of them take effect without its restart. */
    const struct settings_difference *daemon;
    size_t daemon_count;
    /** One sentence each. */
    const char *const *warnings;
    size_t warning_count;
    /** BERTH_OK, or why nothing is done: a subject that does not exist, a stop that would take others along.
     */
    enum berth_code code;
    const char *refusal;
    struct change_memory *memory;
};

/** Does a step make a plugin idle: does it stop, although it is to run once it is called? */
static inline bool change_rests(const struct change_step *step)
{
    return step->action == CHANGE_STOP && step->to != NULL;
}

/**
 * Compares what runs with a plan. Whatever is idle in the plan stays so, unless something that runs or begins
 * needs it. Linear in plugins and requirements.
 *
 * @param running   users after what they use; each URI once.
 * @param before    the settings in effect for the daemon itself; NULL at its start.
 * @param plan      of the same survey as `settings`. A plugin that is to be stopped, or that an operator has
 *                  stopped, is disabled in it.
 * @return never NULL: what is wrong is the change's code and refusal, or a group's. Borrows from everything
 *         it was given. Aborts when out of memory.
 */
struct change *change_create(const struct change_running *running, size_t running_count,
                             const struct settings *before, const struct plan *plan,
                             const struct settings *settings, const struct change_request *request);
void change_destroy(struct change *change);

/** What would happen and why: for people, a line for each step that is not CHANGE_KEEP; and for programs. */
void change_print_text(FILE *out, const struct change *change);
void change_print_json(FILE *out, const struct change *change);

#endif
