/* SPDX-License-Identifier: Apache-2.0 */
/* Which plugin changed what belongs to the whole process, in which step: logged, and restored where needed.
 */
#ifndef CORE_WATCH_TAMPERING_H
#define CORE_WATCH_TAMPERING_H

/** On the loop's thread, before the first module is loaded: what is there is as it should be. */
void tampering_watch(void);
/** On each turn of the loop: code that libuv calls may run between this step and the next. */
void tampering_note_turn(void);
/** In a step: it runs no code of the plugin, so there is nothing to compare when it ends. */
void tampering_note_nothing_ran(void);
void tampering_end(void);

#endif
