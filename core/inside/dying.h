/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a worker that crashes: one line on standard error, which the daemon has in its reason. */
#ifndef CORE_INSIDE_DYING_H
#define CORE_INSIDE_DYING_H

/** On the main thread, once, before any code of a plugin. Sanitizers keep their own handlers. */
void dying_begin(void);

#endif
