/* SPDX-License-Identifier: Apache-2.0 */
/* One plugin's life, as the files that take it along see it: step, starting, serving, stopping, lifecycle. */
#ifndef CORE_LIFE_LIFE_H
#define CORE_LIFE_LIFE_H

#include "deadline.h"
#include "lifecycle.h"
#include "prepare.h"
#include "turns.h"
#include <core/plan/verdict.h>

#define LIFE_STEPS 4

enum step_status {
    STEP_NONE,
    /** The plugin's callback runs. */
    STEP_CALLING,
    /** It answered BERTH_PENDING. */
    STEP_PENDING,
    /** Its deadline has passed; it may still complete. */
    STEP_LATE,
    STEP_ENDED,
};

/** How a step ended. `message` is never NULL; it is borrowed. */
struct step_outcome {
    enum berth_code code;
    void *instance;
    const char *message;
    bool is_timeout;
};

struct step {
    enum step_status status;
    enum berth_code code;
    uint64_t begun_ns;
};

struct life {
    struct lifecycle *lifecycle;
    struct registry_plugin *plugin;
    /** NULL where the module is not loaded. */
    const struct berth_plugin *table;
    struct settings_timeouts timeouts;
    struct host host;
    struct deadline deadline;

    /** While its prepare runs, also once that was given up; else NULL. */
    struct prepare_job *job;
    /** What prepare made, on its way to init. */
    void *prepared;

    struct step steps[LIFE_STEPS];
    /** A completion from inside the callback itself, kept until that returns. */
    struct {
        bool is_set;
        enum berth_code code;
        void *instance;
        char *message;
    } early;

    /** Init has made an instance, and close has not been called for it. */
    bool has_instance;
    /** It was made after the deadline, and is to be closed from the top of the loop. */
    bool is_late;
};

enum lifecycle_phase {
    LIFECYCLE_CREATED,
    LIFECYCLE_STARTING,
    LIFECYCLE_SETTLED,
    LIFECYCLE_SERVING,
    LIFECYCLE_SERVED,
    LIFECYCLE_READY,
    /** From here on it stops. Waits for what is under way. */
    LIFECYCLE_QUIESCING,
    LIFECYCLE_DRAINING,
    LIFECYCLE_CLOSING,
    LIFECYCLE_STOPPED,
};

struct lifecycle {
    struct lifecycle_options options;
    const struct plan *plan;
    struct registry *registry;
    struct router *router;
    enum lifecycle_phase phase;
    /** `plan->run_count` of them. */
    struct life *lives;
    /** Where each entry stands for its dependents. */
    struct verdicts *verdicts;
    struct turns *turns;
    /** NULL until somebody prepares. */
    struct prepare_pool *pool;
    /** Runs while there is something to do, so that all is done from the top of the loop. */
    uv_idle_t turn;
    uv_idle_cb on_turn;
    /** Steps and prepares whose end is awaited, and instances that came too late. */
    size_t in_flight, late;
    /** Lives below it are not closed yet. */
    size_t close_before;
    size_t open_handles;
};

/** Has the loop come back to the lifecycle's turn. */
void life_wake(struct lifecycle *lifecycle);
const char *life_uri(const struct life *life);
/** Has its init ended in an instance that is not yet closed, and is nothing wrong with it? */
bool life_is_well(const struct life *life);

/** Its services lead to the instance. False where they are not those of the manifest; it has fallen then. */
bool life_open_routes(struct life *life);
/** Its services answer UNAVAILABLE with its reason. */
void life_close_routes(struct life *life);

/** Lists it in a state with a reason, logs that once, and closes its routes. `cause` may be PLAN_NONE. */
void life_fall(struct life *life, enum berth_state state, enum berth_code code, const char *reason,
               size_t cause);
/** The same for a step that did not end well, and for a prepare. */
void life_fall_in(struct life *life, const char *step, const struct step_outcome *outcome);
/** Its state is what dependents see from here on, and what waited for it may start. */
void life_settle(struct life *life);

#endif
