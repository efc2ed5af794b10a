/* SPDX-License-Identifier: Apache-2.0 */
/* What runs of an isolated plugin before its init. */
#ifndef CORE_INSIDE_PREPARE_H
#define CORE_INSIDE_PREPARE_H

#include "table.h"

/** Runs the plugin's own check of its settings. @return false: its first error is in `ret_reason`. */
bool prepare_check(struct inside *inside, char *ret_reason, size_t size);
/** Runs the plugin's prepare on a thread; `on_done` follows from the loop, with its result in `prepare`. */
void prepare_start(struct inside *inside, void (*on_done)(struct inside *inside));

#endif
