/* SPDX-License-Identifier: Apache-2.0 */
/* The first part of a life: the verdict on what it requires, prepare, init. */
#ifndef CORE_LIFE_STARTING_H
#define CORE_LIFE_STARTING_H

#include "step.h"

/** All that it requires and wants has settled. */
void starting_begin(struct life *life);
void starting_on_init_ended(struct life *life, const struct step_outcome *outcome);
/** Init has completed after its deadline. */
void starting_on_init_late(struct life *life, const struct step_outcome *outcome);
/** The deadline of its prepare has passed. */
void starting_on_prepare_overdue(struct life *life);
/**
 * The daemon stops: what has not begun never does, what is preparing is asked to return, and what is pending
 * gets no more time than a close.
 */
void starting_cancel(struct life *life);

#endif
