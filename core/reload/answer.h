/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of a change, which whoever waits is sent: all texts are copied into the memory of the change.
 * Only the files of this room include it.
 */
#ifndef CORE_RELOAD_ANSWER_H
#define CORE_RELOAD_ANSWER_H

#include "asked.h"

/** What is wrong with what was read. Sorts the survey's diagnostics. */
void answer_problems(struct asked *asked, struct survey *survey);
/** What is planned: the steps in the order of their groups, and what the daemon itself applies. */
void answer_change(struct asked *asked, const struct change *change);
/**
 * What came of it, for each step that was planned.
 *
 * @param ret_done  how many steps have been done.
 */
void answer_outcome(struct asked *asked, const struct perform_report *report, size_t *ret_done);
/** Logs a report that is finished; one of a dry run is not. */
void answer_log(const struct asked *asked, size_t done);

#endif
