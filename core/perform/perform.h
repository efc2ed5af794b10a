/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one machine that starts and stops plugins. The daemon's start is the change from nothing, its stop the
 * change to nothing; between them it performs the changes that are asked for, one after the other.
 */
#ifndef CORE_PERFORM_PERFORM_H
#define CORE_PERFORM_PERFORM_H

#include <sys/queue.h>

#include <core/change/change.h>
#include <core/life/generation.h>

struct perform;

/** The events of the daemon's start and stop, each once, from the top of the loop. */
struct perform_events {
    /** All have settled, and none serves: perform_serve or perform_stop is due. */
    void (*on_settled)(void *context);
    /** Every serve has ended, well or badly. */
    void (*on_served)(void *context);
    /** No readiness hold is kept. After on_served. */
    void (*on_ready)(void *context);
    /** All is closed that could be, and so are the handles of the room. */
    void (*on_stopped)(void *context);
};

struct perform_options {
    struct host_options host;
    unsigned prepare_threads;
    struct perform_events events;
    /**
     * Loads the module of an entry and checks its settings.
     *
     * @param plugin      the record to blame.
     * @param ret_source  with BERTH_OK; `keep` is the owner's. `entry` is filled in already.
     * @return BERTH_OK, or an error: the record says why.
     */
    enum berth_code (*load)(void *context, const struct plan_entry *entry, struct registry_plugin *plugin,
                            struct generation_source *ret_source);
    /** A generation of that source has ended: nothing of it is used any more. May be NULL. */
    void (*drop)(void *context, const struct generation_source *source);
    /**
     * A generation goes on with other settings: what runs of it passes from one source to the other, and the
     * first is dropped next. May be NULL.
     */
    void (*adopt)(void *context, struct generation_source *before, struct generation_source *after);
    void *context;
};

/** Starts nothing yet. Aborts when out of memory. */
struct perform *perform_create(const struct perform_options *options);
/** After on_stopped, unless perform_is_any_busy. */
void perform_destroy(struct perform *perform);

/** Makes a generation of each entry of the registry's plan that starts with the daemon, and loads it, until
 * `is_over`. */
void perform_load(struct perform *perform, bool (*is_over)(void));
void perform_start(struct perform *perform);
/** In on_settled. */
void perform_serve(struct perform *perform);
/**
 * Any time after perform_start: starts nothing more, waits for pending steps, drains, closes. A change that
 * is under way is abandoned, and those that wait are answered. Idempotent.
 */
void perform_stop(struct perform *perform);

/** What was done to one plugin. */
struct perform_result {
    char *uri;
    enum change_action action;
    enum berth_code code;
    /** Why not, or what else is to be said; "" if nothing. */
    char *message;
    /** Of what runs afterwards; 0: nothing does. */
    uint64_t generation;
    /** How long its calls waited. */
    uint64_t pause_ns;
};

struct perform_report {
    /** BERTH_OK if all was done; else of the first that was not, or of the request as a whole. */
    enum berth_code code;
    const char *message;
    const struct perform_result *results;
    size_t result_count;
};

/** What a request turns out to be when its turn has come. */
struct perform_work {
    /** Adopted if there is anything to do. Lives until another is adopted and its last generation has ended.
     */
    const struct plan *plan;
    /** Borrowed until on_done. */
    const struct change *change;
    /** How long calls may delay a change: upgrade.drain. */
    uint64_t drain_ns;
    /** What is left of calls and drains by then is ended, instead of abandoning the change. */
    bool is_forced;
    /** The first group that fails ends the change, and what was done is undone, if the request can say how.
     */
    bool is_atomic;
};

/** A change that is asked for. Embedded by whoever asks, who keeps it until on_done. */
struct perform_request {
    /**
     * Its turn has come: gathers what `begin` needs. May be NULL.
     *
     * @return false: it has all of it. true: it calls perform_go_on once it has, from the loop's thread, and
     *         the loop turns meanwhile. on_done without begin: it was given up, and nothing is to follow.
     */
    bool (*gather)(struct perform_request *request);
    /**
     * After that: compares what runs with what is wanted. Called again if plugins refused to take
     * their settings in place, with their URIs.
     *
     * @return BERTH_OK with the work, which may have nothing to do; an error with its sentence: on_done
     *         follows.
     */
    enum berth_code (*begin)(struct perform_request *request, const char *const *unwilling,
                             size_t unwilling_count, struct perform_work *ret_work, struct berth_error *err);
    /**
     * An atomic change failed: says what brings back that which was done of it already. It has no undo of its
     * own. May be NULL.
     *
     * @param done  URIs of the results that are BERTH_OK; borrowed for the length of the call.
     * @return BERTH_OK with the work; an error with its sentence: what was done stays.
     */
    enum berth_code (*undo)(struct perform_request *request, const char *const *done, size_t done_count,
                            struct perform_work *ret_work, struct berth_error *err);
    /** From the top of the loop. */
    void (*on_done)(struct perform_request *request, const struct perform_report *report);
    TAILQ_ENTRY(perform_request) link;
};

/**
 * Queues a request. None is dropped: on_done is called in each case. BERTH_UNAVAILABLE in its report: the
 * daemon stops.
 */
void perform_ask(struct perform *perform, struct perform_request *request);
/** The first request of the queue has gathered what it needs. */
void perform_go_on(struct perform *perform);

/** Is a change under way? */
bool perform_is_changing(const struct perform *perform);
/** Has calls of a plugin that nobody serves wait, from now on, until it is ready or has failed. */
void perform_hold_calls(struct perform *perform, const struct plan_entry *entry);
/** Refuses calls of a plugin that nobody serves, also those that wait. */
void perform_refuse_calls(struct perform *perform, const struct plan_entry *entry, const char *reason);

/** Each generation that runs or was tried last, in the order of their start, until the visitor returns false.
 */
void perform_each(const struct perform *perform,
                  bool (*on_generation)(void *context, const struct generation *generation), void *context);
/**
 * The same, as order_by_use has them: users after what they use, whichever started last.
 * @return to be freed.
 */
const struct generation **perform_list(const struct perform *perform, size_t *ret_count);
/** As perform_each, those that were replaced and still live as well. */
void perform_each_living(const struct perform *perform,
                         bool (*on_generation)(void *context, const struct generation *generation),
                         void *context);
/** Gives each generation the deadlines that `find` has for it, from its next step on. */
void perform_set_timeouts(struct perform *perform,
                          struct settings_timeouts (*find)(void *context, const char *uri), void *context);
/** At most so many plugins in prepare at once, from here on. */
void perform_set_prepare_threads(struct perform *perform, unsigned threads);
/** Names each prepare that runs and each step that is pending, within its deadline. */
void perform_each_pending(const struct perform *perform,
                          void (*on_pending)(void *context, const char *uri, const char *step),
                          void *context);
/**
 * After on_stopped: names the plugins whose code may still run, because a prepare never returned or a step
 * never completed. Then nothing is destroyed. @return is there any? `on_busy` may be NULL.
 */
bool perform_is_any_busy(const struct perform *perform, void (*on_busy)(void *context, const char *uri),
                         void *context);

#endif
