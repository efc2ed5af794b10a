/* SPDX-License-Identifier: Apache-2.0 */
/* The monotonic clock of the process, taken over: it stands still until it is moved. */
#ifndef TESTING_CLOCK_H
#define TESTING_CLOCK_H

#include <stdint.h>

/** Stops the clock; as often as it is stopped it must be let go before it runs again. */
void clock_stop(void);
void clock_let_go(void);
void clock_advance(uint64_t nanoseconds);
/** The clock that does not stand still, in nanoseconds. */
uint64_t clock_real(void);

#endif
