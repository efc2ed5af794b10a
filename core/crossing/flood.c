/* SPDX-License-Identifier: Apache-2.0 */
/* Counts a worker's lines, second by second. */
#include "flood.h"

#define SECOND_NS UINT64_C(1000000000)

static void begin_second(struct flood *flood, uint64_t now_ns)
{
    flood->since_ns = now_ns;
    flood->lines = 0;
    flood->bytes = 0;
    flood->left_out_before += flood->left_out;
    flood->left_out = 0;
}

bool flood_admits(struct flood *flood, uint64_t now_ns, size_t length)
{
    if (now_ns - flood->since_ns >= SECOND_NS)
        begin_second(flood, now_ns);
    if (flood->lines >= FLOOD_LINES || length > FLOOD_BYTES - flood->bytes) {
        flood->left_out++;
        return false;
    }
    flood->lines++;
    flood->bytes += length;
    return true;
}

uint64_t flood_end(struct flood *flood, uint64_t now_ns)
{
    uint64_t left_out;

    if (flood->left_out > 0) {
        if (now_ns - flood->since_ns >= SECOND_NS)
            begin_second(flood, now_ns);
        return 0;
    }
    left_out = flood->left_out_before;
    flood->left_out_before = 0;
    return left_out;
}
