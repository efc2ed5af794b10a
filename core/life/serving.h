/* SPDX-License-Identifier: Apache-2.0 */
/* The second part of a life: serve, readiness, and a failure in the middle of it. */
#ifndef CORE_LIFE_SERVING_H
#define CORE_LIFE_SERVING_H

#include "step.h"

/** All that it requires and wants has ended its serve. */
void serving_begin(struct life *life);
void serving_on_serve_ended(struct life *life, const struct step_outcome *outcome);
/** What the plugin says of itself through its host table. */
void serving_on_fail(struct life *life, enum berth_code code, const char *message);
void serving_on_report(struct life *life, enum berth_code code, const char *message);
/** It let go of a readiness hold. */
void serving_on_released(struct life *life);
/** Is no readiness hold kept? */
bool serving_is_all_ready(const struct lifecycle *lifecycle);

#endif
