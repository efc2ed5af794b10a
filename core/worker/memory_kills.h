/* SPDX-License-Identifier: Apache-2.0 */
/* How many processes the kernel has killed because memory ran out. */
#ifndef CORE_WORKER_MEMORY_KILLS_H
#define CORE_WORKER_MEMORY_KILLS_H

#include <stdint.h>

/** Reads a file of the kernel each time. @return of the whole system since it booted; 0 if the kernel does
 * not say. */
uint64_t memory_kills_count(void);

#endif
