/* SPDX-License-Identifier: Apache-2.0 */
/* A stack for a thread's signal handlers, so that a handler can still run when the thread's own is full. */
#ifndef CORE_BASE_SIGNAL_STACK_H
#define CORE_BASE_SIGNAL_STACK_H

/** For the calling thread. Without memory it has none, which costs the report of a stack overflow only. */
void signal_stack_begin(void);
/** Before the thread ends. */
void signal_stack_end(void);

#endif
