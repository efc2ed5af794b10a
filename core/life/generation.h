/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One generation: one run of one plugin, from its prepare to its close. It takes the plugin through its steps
 * as it is told, and tells its owner how each has ended. It knows no plan and no other generation.
 */
#ifndef CORE_LIFE_GENERATION_H
#define CORE_LIFE_GENERATION_H

#include <core/settings/settings.h>
#include <sdk/base/deadlines.h>

#include "host.h"
#include "mailbox.h"
#include "prepare.h"
#include "service_routes.h"
#include "step.h"

struct generation;
struct handover;

/** What a generation is made from. All borrowed, for as long as it lives. */
struct generation_source {
    const struct plan_entry *entry;
    /** NULL if the module could not be loaded; then the record says why. */
    const struct berth_plugin *table;
    const struct berth_settings *settings;
    /** 0: no deadline. */
    struct settings_timeouts timeouts;
    /** The table stands in for a plugin in a process of its own: every step of it may be pending. */
    bool is_isolated;
    /** Its folders may belong to this user, that of the program that it starts. */
    bool has_folder_owner;
    uid_t folder_owner;
    /** The owner's, for what keeps the rest alive. */
    void *keep;
};

/** Each is told at once, from inside the step that it is about: to act, the owner waits for the top of the
 * loop.
 */
struct generation_events {
    /** Its state has changed for those that require it. */
    void (*on_stand)(struct generation *generation);
    /** What was begun has ended well or badly, up to where the owner has to decide: init with its prepare,
     * serve. */
    void (*on_settled)(struct generation *generation);
    /** A step has ended, a hold was released: something may be due. */
    void (*on_progress)(struct generation *generation);
    /** It has failed while it ran. */
    void (*on_failed)(struct generation *generation);
};

/** What all generations of a daemon share. */
struct generation_ground {
    struct host_options host;
    unsigned prepare_threads;
    const struct generation_events *events;
    void *context;
    struct deadlines deadlines;
    struct mailroom mailroom;
    /** Not without a router. */
    struct outgoings outgoings;
    /** NULL until the first prepare. */
    struct prepare_pool *pool;
    /** Steps that have begun and not ended, of all generations. */
    size_t in_flight;
};

struct generation {
    struct generation_ground *ground;
    /** What listings show of it. Changes when another takes its place. */
    struct registry_plugin *plugin;
    struct generation_source source;
    struct host host;
    struct steps steps;
    /** While its prepare runs, even after it was abandoned; else NULL. */
    struct prepare_job *job;
    /** The result of prepare, on its way to init. */
    void *prepared;
    /** NULL until the first of its steps behind close. */
    struct handover *handover;
    /** Services and interceptors wait for generation_collect instead of joining when it is ready. */
    bool is_staged;
    /** Nothing more may begin but what ends it. */
    bool is_cancelled;
    /** Init has returned an instance, and close has not been called for it. */
    bool is_open;
    /** Init completed after its deadline; to be closed from the top of the loop. */
    bool is_late;
    /** Another has taken its place, and it ends once its calls have. The owner's. */
    bool is_leaving;
    /** Its number among those that others have replaced, from 1; 0: it was not. */
    uint64_t retirement;
    /** The step that is pending ends by timeouts.close, because of generation_cancel. */
    bool is_cut_short;
    /** The owner's. */
    TAILQ_ENTRY(generation) link;
    /** Its place in the newest plan that has it: interceptors run in this order, and it is closed in reverse.
     */
    size_t order;
    /** The same; PLAN_NONE if the newest plan does not have it. */
    size_t entry;
};

/** Needs the loop of `ground->host`. Aborts when out of memory. */
void generation_ground_init(struct generation_ground *ground);

/** A generation with a record of its own: that of the plugin, or a staged one if that is taken. */
struct generation *generation_create(struct generation_ground *ground, const struct plan_entry *entry,
                                     bool is_staged);
/** Before it begins. */
void generation_set_source(struct generation *generation, const struct generation_source *source);
/** Its init may never have ended: what its threads post and what it calls is dropped from here on. */
void generation_cut_off(struct generation *generation);
/** It is closed, or never opened, and not busy. Its record stays, unless another has taken its place. */
void generation_destroy(struct generation *generation);

const char *generation_uri(const struct generation *generation);
/** Ready, or serving, with an instance that is open. */
bool generation_is_well(const struct generation *generation);
/** May code of it still run, because its prepare never returned or a step of it never completed? */
bool generation_is_busy(const struct generation *generation);

/** It never starts, because of another. `cause` may be NULL. */
void generation_block(struct generation *generation, enum berth_state state, enum berth_code code,
                      const char *reason, const struct registry_plugin *cause);
/** Prepare and init; on_settled follows, perhaps before this returns. */
void generation_start(struct generation *generation);
/** Serve, if it has that and is ready; on_settled follows either way. */
void generation_serve(struct generation *generation);
/** Drain, if it has that and it is its turn. @return has it begun? on_progress follows once it has ended. */
bool generation_drain(struct generation *generation, enum berth_ending ending);
/** Close, if it is open. @return has it begun? on_progress follows once it has ended. */
bool generation_close(struct generation *generation, enum berth_ending ending);
/** Whatever has not begun never will; what is pending gets no more time than a close. */
void generation_cancel(struct generation *generation);

/**
 * Adds what becomes live with a staged generation. The arrays grow; the caller frees them.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if its module lacks a service that its manifest names.
 */
enum berth_code generation_collect(const struct generation *generation, struct service_targets *targets,
                                   struct router_hook **hooks, size_t *hook_count, struct berth_error *err);
/** What it was collected for has been done. */
void generation_join(struct generation *generation);
/**
 * It goes on although it was drained, because a change was abandoned: it may be drained again.
 */
void generation_undrain(struct generation *generation);
/** Finds its places in the registry's newest plan. */
void generation_find_place(struct generation *generation);

/*
 * Each of the next three begins when it is called first, and is to be called again with the same after each
 * on_progress, as long as it returns BERTH_PENDING; then it is over.
 */

/**
 * Gives it other settings in place. `source` becomes its own once this returns BERTH_OK, which its owner sees
 * to; on any other result nothing has changed.
 *
 * @return BERTH_OK; BERTH_RESTART with the plugin's reason, if it gives one; else its error.
 */
enum berth_code generation_reconfigure(struct generation *generation, const struct generation_source *source,
                                       struct berth_error *err);
/** `source` goes away while that is pending: it has its own settings, whatever comes of it. */
void generation_keep_settings(struct generation *generation);

/** What a generation hands to the next. */
struct generation_state {
    unsigned char *bytes;
    size_t length, capacity;
};

void generation_state_finish(struct generation_state *state);
/** @return BERTH_OK, also if the plugin has no save_state; else its error. */
enum berth_code generation_save(struct generation *generation, struct generation_state *ret_state,
                                struct berth_error *err);
/**
 * @param state  empty while that is pending, as the generation then has it.
 * @return BERTH_OK, also if the plugin has no load_state; else its error.
 */
enum berth_code generation_load(struct generation *generation, uint32_t version,
                                struct generation_state *state, struct berth_error *err);

/** Calls with each step that is pending, within its deadline. */
void generation_each_pending(const struct generation *generation,
                             void (*on_pending)(void *context, const char *uri, const char *step),
                             void *context);

#endif
