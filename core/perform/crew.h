/* SPDX-License-Identifier: Apache-2.0 */
/* All generations that live, and those that were replaced and leave once their last call has ended. */
#ifndef CORE_CHANGE_CREW_H
#define CORE_CHANGE_CREW_H

#include <core/life/generation.h>

#include "perform.h"

TAILQ_HEAD(generations, generation);

/** Embedded by the machine. */
struct crew {
    struct generation_ground ground;
    const struct perform_options *options;
    /** In the order in which they were made. */
    struct generations all;
    /** How many have been retired. */
    uint64_t retirements;
};

/** A generation of an entry, without a source yet. */
struct generation *crew_add(struct crew *crew, const struct plan_entry *entry, bool is_staged);
/** Loads what it runs. @return as perform_options.load; then it is only fit to be removed. */
enum berth_code crew_load(struct crew *crew, struct generation *generation);
/** Destroys one that is not busy. */
void crew_remove(struct crew *crew, struct generation *generation);
/** Gives its record away, because code of it may still run: whoever starts next gets another. */
void crew_leave_record(struct crew *crew, struct generation *generation);
/** Removes one that is closed or never opened; one that is busy only leaves its record. */
void crew_dismiss(struct crew *crew, struct generation *generation);
/** Dismisses those that never came to run and that the newest plan does not run: whether one of them can run
 * is asked anew when a later plan has it again. */
void crew_forget_attempts(struct crew *crew);
/** Removes those that could not be loaded: nothing keeps their survey, and their records say why. */
void crew_sweep(struct crew *crew);
/** The one that has the plugin's own record; NULL: none. */
struct generation *crew_find(const struct crew *crew, const char *uri);

/**
 * Another has taken its place: it drains, waits for its calls, closes and is removed, in its own time.
 */
void crew_retire(struct crew *crew, struct generation *generation);
/**
 * Who else has the interface of a generation: one that was handed it after a change had been planned; or with
 * `leaves`, one that was replaced itself and still has calls.
 *
 * @param is_inside  owners that do not count.
 * @return NULL if nobody has it, or it has no interface.
 */
const struct berth_holding *crew_find_holder(const struct crew *crew, const struct generation *provider,
                                             bool leaves,
                                             bool (*is_inside)(const void *context, const void *owner),
                                             const void *context);
/** From the top of the loop, whenever something has ended. */
void crew_tend(struct crew *crew);
/** Those that were retired need not wait any longer for calls of others that pass their interceptors; with
 * `is_forced`, not for their own either. */
void crew_hurry(struct crew *crew, bool is_forced);
/** Does one still live that was retired after so many others? */
bool crew_has_retired(const struct crew *crew, uint64_t others);

#endif
