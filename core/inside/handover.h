/* SPDX-License-Identifier: Apache-2.0 */
/* What an isolated plugin is asked for between its steps: other settings in place, its state. */
#ifndef CORE_INSIDE_HANDOVER_H
#define CORE_INSIDE_HANDOVER_H

#include <core/base/handover.h>

#include "table.h"

/** @return what it came to, with the reason in `err`. Breaks the channel if the reader is bad. */
enum berth_code handover_take(struct inside *inside, enum handover_step step, struct packet_reader *reader,
                              struct berth_error *err);

#endif
