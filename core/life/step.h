/* SPDX-License-Identifier: Apache-2.0 */
/* One step of a life: calls the plugin, and accepts its answer exactly once, at once or later. */
#ifndef CORE_LIFE_STEP_H
#define CORE_LIFE_STEP_H

#include "life.h"

/**
 * Calls the plugin's callback for a step; where it has none the step ends well. The end comes by
 * lifecycle_on_step_ended, perhaps before this returns.
 */
void step_begin(struct life *life, enum berth_step step);
/** What the plugin says through its host table. */
void step_complete(struct life *life, enum berth_step step, enum berth_code code, void *instance,
                   const char *message);
/** The deadline of the step that is pending has passed. */
void step_time_out(struct life *life);

const char *step_name(enum berth_step step);
/** Is the completion of a step awaited? */
bool step_is_pending(const struct life *life);
/** Is a step still to be completed although nobody waits for it? */
bool step_is_late(const struct life *life);
/** One of gRPC's codes, or BERTH_SKIP: what a plugin made up becomes BERTH_UNKNOWN. */
enum berth_code step_sane_code(enum berth_code code);

/** Answered by lifecycle.c. In time, and after the deadline. */
void lifecycle_on_step_ended(struct life *life, enum berth_step step, const struct step_outcome *outcome);
void lifecycle_on_step_late(struct life *life, enum berth_step step, const struct step_outcome *outcome);

#endif
