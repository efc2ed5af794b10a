/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of the room: each plugin at run time, what listings show of it, who is notified of changes, and
 * the daemon's folders.
 */
#ifndef CORE_STATE_STATE_H
#define CORE_STATE_STATE_H

#include <pthread.h>
#include <sys/types.h>

#include <berth/error.h>
#include <berth/plugin.h>

#include <core/base/running.h>
#include <core/plan/plan.h>
#include <core/scan/scan.h>
#include <core/settings/settings.h>

#include "changes.h"
#include "followers.h"
#include "ledger.h"

/** The most exports, platforms and capabilities that one plugin may publish, each. */
#define REGISTRY_PUBLISHED_MAX 256

/** One thing that a plugin still waits for; plugins see it as an opaque pointer. */
struct berth_hold {
    struct berth_hold *next;
    char what[];
};

/**
 * The record of one plugin, by URI, for as long as the daemon lives: what its newest generation is, or why it
 * has none. A generation beside it, one that is to take over or one that was replaced, has a record of its
 * own, and so has each module that lost a URI to another. Others may read it; the functions below are the
 * only way to change what they change.
 */
struct registry_plugin {
    /** Of the generation that has the record, in the plan that it came from; else of the newest plan. Never
     * NULL: a plugin that no plan has any more keeps its names. */
    const struct plan_entry *entry;
    /** The newest plan's; NULL: it has none. */
    const struct plan_entry *planned;
    /** Its place in the newest plan; PLAN_NONE: none, or another record has it. */
    size_t index;
    /** A generation has the record, from registry_take to registry_leave. */
    bool is_taken;
    /** Its generation, as the router and the ledger know it; NULL before it begins. */
    const void *owner;
    /** The generation that is to take over from this one, while both live. */
    struct registry_plugin *next;
    /** It is a `next`: it sees the `next` of others rather than themselves. */
    bool is_staged;
    /** Its generation is about to be closed: only those that are closed with it are still handed it. */
    bool is_closing;

    enum berth_state state;
    enum berth_code code;
    /** One line of UTF-8, or NULL. */
    char *reason;
    /** The plugin to blame; NULL if none or itself. */
    const struct registry_plugin *cause;

    /** The condition that its instance reported last, with the reason; BERTH_OK and NULL: healthy. */
    enum berth_code condition;
    char *condition_reason;
    /** When it stopped being healthy, on the clock of uv_hrtime(). */
    uint64_t condition_start_ns;

    /** How often it stopped being healthy. */
    uint64_t degradations;

    /** Under which name its code runs; NULL if it will not. */
    struct running_plugin *running;
    /** NULL if the module is not loaded. */
    const struct berth_plugin *table;
    /** The result of init, which may be NULL; valid while registry_plugin_is_ready. */
    void *instance;
    uint64_t generation;
    /** The last number that a generation of the plugin was given. */
    uint64_t last_generation;
    struct berth_times times;

    /** What it publishes for listings, in its own order. All strings are copies. */
    struct berth_export *exports;
    size_t export_count;
    struct berth_platform *platforms;
    size_t platform_count;
    const char **capabilities;
    size_t capability_count;
    /** Holds that keep the daemon from being ready, the oldest first. */
    struct berth_hold *holds;
    size_t hold_count;
};

struct registry;

/**
 * States, codes and reasons are those of the plan's verdicts.
 *
 * @param plan      borrowed until another is adopted.
 * @param start_ns  when the daemon started, on the clock of uv_hrtime().
 */
struct registry *registry_create(const struct plan *plan, uint64_t start_ns);
void registry_destroy(struct registry *registry);

/**
 * Makes another plan the newest. Records of its URIs stay; what no generation has takes the plan's verdict,
 * unless it was tried before and is to run in both plans. What the plan does not have is listed as stopped,
 * once no generation of it is left.
 */
void registry_adopt_plan(struct registry *registry, const struct plan *plan);
/** The newest. */
const struct plan *registry_plan(const struct registry *registry);
/** By its place in the newest plan. */
struct registry_plugin *registry_get(const struct registry *registry, size_t index);
/** All records, in the order of listings: `registry_plan()->count` of the newest plan, then the others. */
size_t registry_count(const struct registry *registry);
struct registry_plugin *registry_at(const struct registry *registry, size_t i);
/** NULL if no plan ever had the URI. */
struct registry_plugin *registry_find(const struct registry *registry, const char *uri);

/**
 * A new generation has the record from here on: what the one before published is forgotten, and it waits.
 * @param entry  borrowed until registry_leave.
 */
void registry_take(struct registry *registry, struct registry_plugin *plugin, const struct plan_entry *entry);
/** Gives its generation the next number of the plugin. */
void registry_number(struct registry *registry, struct registry_plugin *plugin);
/** Its generation has ended. State and reason stay. */
void registry_leave(struct registry *registry, struct registry_plugin *plugin);
/** What its last generation came to does not count any more: it is what the newest plan says. Not while a
 * generation has the record. */
void registry_forget_attempt(struct registry *registry, struct registry_plugin *plugin);
/** Another record for a plugin whose own is taken, which becomes its `next`. */
struct registry_plugin *registry_stage(struct registry *registry, struct registry_plugin *plugin);
/** The `next` of a record takes its place; the record remains beside it until registry_forget. */
void registry_promote(struct registry *registry, struct registry_plugin *plugin);
/** The `next` of a record takes no place: it stays beside it until registry_forget. */
void registry_unstage(struct registry *registry, struct registry_plugin *plugin);
/** Frees a record that is not the plugin's own, or not any more, and is not taken. */
void registry_forget(struct registry *registry, struct registry_plugin *plugin);

struct ledger *registry_ledger(struct registry *registry);
/**
 * Who runs code on this thread, as the ledger has it: by the running word, else by the module of an address
 * in the caller's code. Unknown if neither tells.
 */
struct ledger_side registry_find_holder(const struct registry *registry, const void *caller);

/** Nanoseconds since the daemon's start. */
uint64_t registry_since_start(const struct registry *registry);
/** The same for a time on the clock of uv_hrtime(); 0 for one before the start. */
uint64_t registry_time_of(const struct registry *registry, uint64_t clock_ns);

/** Receives changes; borrowed. NULL (default): none. */
void registry_set_changes(struct registry *registry, struct changes *changes);

/** Moves a healthy plugin to its next state. */
void registry_move(struct registry *registry, struct registry_plugin *plugin, enum berth_state state);
/** Records a failure or a skip. `reason` is copied; `cause` is NULL if the plugin itself is to blame. */
void registry_blame(struct registry *registry, struct registry_plugin *plugin, enum berth_state state,
                    enum berth_code code, const char *reason, const struct registry_plugin *cause);

/**
 * Records what the instance reports; dropped once it is blamed or stopped.
 * @param reason  copied; NULL with BERTH_OK.
 * @return did it change?
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
/** Clears what it has published. */
void registry_unpublish(struct registry *registry, struct registry_plugin *plugin);
enum berth_code registry_add_capability(struct registry *registry, struct registry_plugin *plugin,
                                        const char *capability);

/** @param what  copied, made one line. @return NULL when out of memory. */
struct berth_hold *registry_hold(struct registry *registry, struct registry_plugin *plugin, const char *what);
/** @return false if the plugin has no such hold: released already, or made up. */
bool registry_release(struct registry *registry, struct registry_plugin *plugin, struct berth_hold *hold);

/** Ready or serving; on its way out others may still use it, so draining counts too. */
bool registry_plugin_is_ready(const struct registry_plugin *plugin);

/** See berth_get, berth_get_single and berth_each; limited to what `plugin` declared. */
enum berth_code registry_fetch(struct registry *registry, const struct registry_plugin *plugin,
                               const char *uri, struct berth_ref *ret_ref, struct berth_error *err);
/** The generation of a plugin that they hand out; NULL: there is no such plugin. */
const struct registry_plugin *registry_find_seen(const struct registry *registry,
                                                 const struct registry_plugin *plugin, const char *uri);
enum berth_code registry_fetch_single(struct registry *registry, const struct registry_plugin *plugin,
                                      const char *type, struct berth_ref *ret_ref, struct berth_error *err);
enum berth_code registry_each(struct registry *registry, const struct registry_plugin *plugin,
                              const char *type, bool (*on_ref)(void *context, const struct berth_ref *ref),
                              void *context, struct berth_error *err);

struct activation;
struct costs;
struct holds;
struct reload;

/** Embedded by the owner, who keeps `daemon` up to date and notes each update in `changes`. */
struct inspect {
    struct berth_inspect table;
    struct berth_daemon_info daemon;
    struct changes changes;
    /** The loop's. */
    pthread_t thread;
    struct followers followers;
    /** For what plugins cost; kept here for the functions that the owner adds to the table. May be NULL. */
    const struct costs *costs;
    /** The same for who holds what. */
    const struct holds *holds;
    /** The same for changes that are asked for. */
    struct reload *reload;
    /** The same for plugins that start when they are called. */
    struct activation *activation;
    struct registry *registry;
    /** For rejected files; may be NULL. */
    const struct scan *scan;
    /** Set by the owner, for what plugins' sections hold; NULL: nobody's was checked. */
    const struct settings *settings;
    /** What is known of the process of a generation; NULL: there is none. Borrowed until the next turn of the
     * loop. Set by the owner, or NULL. */
    const struct berth_isolation *(*isolation_of)(const char *uri, uint64_t generation);
    /** Those that a plugin runs with, where it has not the newest; NULL: all have. Set by the owner. */
    const struct settings *(*settings_of)(const struct inspect *inspect, const char *uri);
};

/**
 * May the function of an inspect table continue? On any thread but the loop's it is refused, and `caller`
 * blamed.
 */
bool inspect_is_on_loop(const struct berth_inspect *table, const char *function, const void *caller);
/**
 * Records that a plugin holds something of the daemon's, until inspect_end is called with the same context.
 *
 * @param what      "a watch of the daemon's state"
 * @param function  the plugin's callback.
 * @param revoke    ends it, if the plugin's init fails.
 */
void inspect_note(const struct inspect *inspect, const char *what, const void *function,
                  void (*revoke)(void *context), void *context);
/** @return false if nothing is held with this context: it has been revoked, or never was. */
bool inspect_end(const struct inspect *inspect, const void *context);
/** All borrowed. Subscribes to the registry's changes; the owner forwards the router's. */
void inspect_init(struct inspect *inspect, uv_loop_t *loop, struct registry *registry,
                  const struct scan *scan, const char *root, const char *state);
/** Closes its handles, which takes one more turn of the loop. */
void inspect_finish(struct inspect *inspect);

/**
 * Creates a folder and missing parents; refuses a folder that others could tamper with.
 *
 * @param what  "root" or "state", for messages: the key of the configuration that set it.
 * @return BERTH_OK; BERTH_PERMISSION_DENIED if another user owns it or may write to it; else the system's
 * error.
 */
enum berth_code folder_prepare(const char *what, const char *path, mode_t mode, struct berth_error *err);
/**
 * Reports, without creating anything, what folder_prepare would refuse for any user: not a folder, or
 * writable by others. A path that this user may not access passes.
 */
enum berth_code folder_check(const char *what, const char *path, struct berth_error *err);
/**
 * Tries to write to an existing folder.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION for a read-only file system and BERTH_RESOURCE_EXHAUSTED for a
 * full one, both of which can still be read; else the system's error.
 */
enum berth_code folder_try(const char *what, const char *path, struct berth_error *err);

/** One folder of a plugin, created on first use. Any thread, one at a time. */
struct folder {
    /** Both borrowed. */
    const char *base;
    const char *name;
    /** It may belong to this user as well. */
    bool has_owner;
    uid_t owner;
    /** NULL until folder_get. */
    char *path;
};

/** @param ret_path  `base`/`name`, mode 0700, owned by this user; valid until folder_finish. */
enum berth_code folder_get(struct folder *folder, const char **ret_path, struct berth_error *err);
void folder_finish(struct folder *folder);

#endif
