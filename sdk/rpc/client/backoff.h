/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_CLIENT_BACKOFF_H
#define RPC_CLIENT_BACKOFF_H

#include <stdint.h>

/** How long to wait between two tries to connect (gRPC, Connection Backoff Protocol). */
struct backoff {
    uint64_t first_ns;
    uint64_t longest_ns;
    /** The next pause, before chance has its part; 0: the first. */
    uint64_t next_ns;
};

/** After a good connection: the next pause is the first again. */
void backoff_reset(struct backoff *backoff);

/** @param random  Any 32 bits: they spread the pause by a fifth each way. @return the pause after one more
 * failure.
 */
uint64_t backoff_next(struct backoff *backoff, uint32_t random);

#endif
