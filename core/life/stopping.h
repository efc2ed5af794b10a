/* SPDX-License-Identifier: Apache-2.0 */
/* The last part of a life: drain, close. */
#ifndef CORE_LIFE_STOPPING_H
#define CORE_LIFE_STOPPING_H

#include "step.h"

/** Refuses new work, where it has begun any. */
void stopping_drain(struct life *life);
void stopping_on_drain_ended(struct life *life, const struct step_outcome *outcome);
/** Closes its instance. @return false where it has none. */
bool stopping_close(struct life *life);
void stopping_on_close_ended(struct life *life, const struct step_outcome *outcome);

#endif
