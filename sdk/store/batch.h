/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_STORE_BATCH_H
#define BERTH_STORE_BATCH_H

#include "core.h"

/* Runs those that wait, as many as fit, and hands what they wrote to the engine. */
void store_batch_run(struct berth_store_core *core);
/* The batch has ended so; says it to its updates, or puts them back to run again. */
void store_batch_end(struct berth_store_core *core, enum berth_code code, const char *message);
/* Ends all that wait just now. */
void store_batch_fail_waiting(struct berth_store_core *core, enum berth_code code, const char *message);

#endif
