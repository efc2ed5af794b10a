/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the loop the daemon's: names a plugin that runs it or stops it, and undoes that. */
#ifndef CORE_WATCH_GUARD_H
#define CORE_WATCH_GUARD_H

#include <uv.h>

/** On the loop's thread, before a plugin is called. One loop at a time. */
void guard_watch(uv_loop_t *loop);
/** Whatever runs the loop is about to poll. */
void guard_note_turn(void);
void guard_end(void);

#endif
