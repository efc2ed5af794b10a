/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of one instance: each calls the plugin, and accepts its answer exactly once, at once or later. */
#ifndef CORE_LIFE_STEP_H
#define CORE_LIFE_STEP_H

#include <berth/inspect.h>
#include <berth/plugin.h>

#include <core/base/running.h>
#include <core/settings/settings.h>
#include <sdk/base/deadlines.h>

/**
 * In the order of a life. All but the first are those of `enum berth_step`, which count from 0. Those behind
 * close are taken between the others, the first of them any number of times; see base/handover.h.
 */
enum step {
    STEP_PREPARE,
    STEP_INIT,
    STEP_SERVE,
    STEP_DRAIN,
    STEP_CLOSE,
    STEP_RECONFIGURE,
    STEP_SAVE,
    STEP_LOAD,
};
#define STEP_COUNT 8

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
    void *result;
    const char *message;
    bool is_timeout;
};

struct steps;

/** The definition of a step: one row in the table of a life. */
struct step_kind {
    const char *name;
    /** What its call does on the loop; RUNNING_NOTHING if it only hands work to another thread. */
    enum running_doing doing;
    /** Where its deadline is in struct settings_timeouts. */
    size_t timeout;
    /** How the instance is listed while the step runs, and once it has ended well. */
    enum berth_state state_during, state_after;
    /** What happens to a result that came after the deadline, for the log; may be NULL. */
    const char *if_late;
    /** Calls the plugin. BERTH_PENDING if steps_complete follows. */
    enum berth_code (*call)(struct steps *steps, void **ret_result, struct berth_error *err);
    /** In time, or by its deadline. May begin the next step. */
    void (*on_ended)(struct steps *steps, const struct step_outcome *outcome);
    /** Completed past its deadline; may be NULL. */
    void (*on_late)(struct steps *steps, const struct step_outcome *outcome);
};

/** Embedded in the instance, which fills in the first part and gets it back in each function of the table. */
struct steps {
    /** STEP_COUNT of them. */
    const struct step_kind *kinds;
    const char *uri;
    struct running_plugin *running;
    struct deadlines *deadlines;
    struct settings_timeouts timeouts;
    /** The deadline of a pending step has passed: steps_time_out is due. */
    void (*on_overdue)(struct steps *steps, enum step step);

    struct step_record {
        enum step_status status;
        enum berth_code code;
        /** On the clock of uv_hrtime(). */
        uint64_t begun_ns, ended_ns;
    } records[STEP_COUNT];
    /** The deadline of the pending step. */
    struct deadline deadline;
    bool is_last_look;
    /** A completion from inside the callback itself, kept until that returns. */
    struct {
        bool is_set;
        enum berth_code code;
        void *result;
        char *message;
    } early;
};

/** Calls the plugin. on_ended follows, perhaps before this returns. */
void steps_begin(struct steps *steps, enum step step);
/** The plugin's answer. An unexpected answer is logged and ignored. */
void steps_complete(struct steps *steps, enum step step, enum berth_code code, void *result,
                    const char *message);
/** Ends a pending step without its answer. `message` is borrowed. */
void steps_time_out(struct steps *steps, enum step step, const char *message);

/** Has the pending step end within `after_ns` from now; 0: whenever. Prepare has no deadline before this. */
void steps_set_deadline(struct steps *steps, uint64_t after_ns);
/** The same, unless it is to end earlier. */
void steps_shorten_deadline(struct steps *steps, uint64_t after_ns);
/** 0: none. */
uint64_t steps_timeout_of(const struct steps *steps, enum step step);

/** Is the completion of a step awaited? */
bool steps_are_pending(const struct steps *steps);
/** Has a step passed its deadline without completing since? */
bool steps_are_late(const struct steps *steps);
/** One of gRPC's codes, or BERTH_SKIP: what a plugin made up becomes BERTH_UNKNOWN. */
enum berth_code step_sane_code(enum berth_code code);

#endif
