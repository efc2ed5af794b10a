/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of rollbacks in a change: which files it holds back, and what is left for a later rollback. Only
 * the files of this room include it.
 */
#ifndef CORE_RELOAD_PINS_H
#define CORE_RELOAD_PINS_H

#include "asked.h"

/**
 * Which files are held back if all goes well: `asked->pins`. The subjects of a rollback are files from here
 * on: whatever each had, goes back together.
 *
 * @return BERTH_OK; BERTH_NOT_FOUND for a subject that does not run; what rollback_pins_add returns.
 */
enum berth_code pins_find(struct reload *reload, struct asked *asked, struct berth_error *err);
/**
 * After a scan with them: what may not run any more is neither gone back to, and `asked->refusal` says so,
 * nor held back.
 *
 * @param pins  `count` of them, of `asked`, by rollback_pins_for_scan.
 * @return has the scan left out a file that is not held back any more? Then it has to be done again.
 */
bool pins_judge(struct asked *asked, const struct scan_pin *pins, size_t count);
/** Before anything is done: holds what runs of each plugin that gets another file. */
void pins_note_replaced(struct reload *reload, struct asked *asked);
/**
 * The change has ended. What was upgraded can go back; where all was done, so do the files that are held back
 * take effect. Lets go of the pins of `asked`.
 */
void pins_keep(struct reload *reload, struct asked *asked);
/** Tells later starts what they keep to; logs a failure. */
enum berth_code pins_save(struct reload *reload, struct berth_error *err);

#endif
