/* SPDX-License-Identifier: Apache-2.0 */
/* How much one worker may put into the daemon's log. Pure. */
#ifndef CORE_CROSSING_FLOOD_H
#define CORE_CROSSING_FLOOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** In a second, of what it logs and prints together. */
#define FLOOD_LINES 1000u
#define FLOOD_BYTES (256u << 10)

/** Zero-initialise. */
struct flood {
    /** When the present second began, and what was logged in it. */
    uint64_t since_ns;
    unsigned lines;
    size_t bytes;
    /** Lines left out in the present second, and since the episode began. */
    uint64_t left_out, left_out_before;
};

/**
 * Counts a line.
 *
 * @param now_ns  on a clock that never goes back; the same for all calls.
 * @param length  in bytes.
 * @return may it be logged? Otherwise an episode has begun, or goes on.
 */
bool flood_admits(struct flood *flood, uint64_t now_ns, size_t length);
/**
 * Is there an episode that is over, because a whole second had no line left out?
 * @return how many lines were left out in it, and then it is forgotten; 0: there is none.
 */
uint64_t flood_end(struct flood *flood, uint64_t now_ns);

#endif
