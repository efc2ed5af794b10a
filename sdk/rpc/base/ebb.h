/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_EBB_H
#define RPC_BASE_EBB_H

#include <uv.h>

#include <sdk/base/deadlines.h>

#include "buffer.h"

/** A budget with a lower peak leaves too little free memory to be worth returning. */
#define EBB_HEIGHT_MIN ((uint64_t)8 * 1024 * 1024)

/**
 * Returns free memory to the kernel when the bytes counted by a budget have fallen far; otherwise the
 * allocator keeps whatever lies below a piece in use. Zero-initialised: watches nothing.
 */
struct ebb {
    struct budget *budget;
    uv_loop_t *loop;
    struct deadlines *deadlines;
    /** Frees memory kept for further calls, which fragments the free memory. */
    void (*drop)(struct ebb *ebb);
    struct deadline deadline;
    uv_work_t work;
    bool is_working;
    bool is_stopped;
    /** How long the work took, and when it may be done again. */
    uint64_t took_ns;
    uint64_t next_ns;
    /** How often it was done. */
    uint64_t count;
    void (*on_stopped)(struct ebb *ebb);
};

/** Watches a budget that is the parent of others, until ebb_stop. */
void ebb_watch(struct ebb *ebb, struct budget *budget, uv_loop_t *loop, struct deadlines *deadlines,
               void (*drop)(struct ebb *ebb));

/**
 * @return true if nothing is in progress. Otherwise `on_stopped` is called from the loop, and the memory is
 *         used until then.
 */
bool ebb_stop(struct ebb *ebb, void (*on_stopped)(struct ebb *ebb));

#endif
