/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the table of a life: settings in place, and the state that one generation hands to the next. */
#ifndef CORE_LIFE_HANDOVER_H
#define CORE_LIFE_HANDOVER_H

#include <core/base/handover.h>

#include "generation.h"

enum berth_code handover_reconfigure(struct steps *steps, void **ret_result, struct berth_error *err);
enum berth_code handover_save(struct steps *steps, void **ret_result, struct berth_error *err);
enum berth_code handover_load(struct steps *steps, void **ret_result, struct berth_error *err);
void handover_on_ended(struct steps *steps, const struct step_outcome *outcome);
void handover_on_late(struct steps *steps, const struct step_outcome *outcome);
/** The generation goes away. */
void handover_finish(struct generation *generation);

#endif
