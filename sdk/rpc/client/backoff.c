/* SPDX-License-Identifier: Apache-2.0 */
/* The growing pauses between tries to connect, so that clients neither hammer a server nor come back in step.
 * Pure. */
#include "backoff.h"

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next_ns = 0;
}

uint64_t backoff_next(struct backoff *backoff, uint32_t random)
{
    uint64_t pause = backoff->next_ns;
    uint64_t fifth;

    if (pause == 0)
        pause = lesser(backoff->first_ns, backoff->longest_ns);
    fifth = pause / 5;
    backoff->next_ns = lesser(pause + 3 * fifth, backoff->longest_ns);
    return pause - fifth + (2 * fifth * (random >> 16) >> 16);
}
