/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wanted now: configuration and directories, read again on a thread of its own. Only the files of
 * this room include it.
 */
#ifndef CORE_RELOAD_LOOK_H
#define CORE_RELOAD_LOOK_H

#include "asked.h"

void look_init(struct reload *reload);
/**
 * Begins to take `asked->survey`, with the files that are held back, and to plan it without what stays
 * stopped.
 *
 * @return true: perform_go_on follows. false: it is done already, as no thread could be started.
 */
bool look_begin(struct reload *reload, struct asked *asked);
/** Ends one that is under way for this change, after the file at hand: nothing came of it. */
void look_cancel(struct reload *reload, const struct asked *asked);
/** Closes its handle; nothing is under way. */
void look_close(struct reload *reload);

#endif
