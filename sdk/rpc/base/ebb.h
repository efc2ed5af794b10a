/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_EBB_H
#define RPC_BASE_EBB_H

#include <uv.h>

#include <sdk/base/deadlines.h>

#include "buffer.h"

/** A budget whose use was below this at its height leaves too little behind to look for. */
#define EBB_HEIGHT_MIN ((uint64_t)8 * 1024 * 1024)

/**
 * Has free memory given back to the kernel where what a budget counts has fallen far: the allocator keeps
 * what lies below a piece that is still in use. All zero watches nothing.
 */
struct ebb {
    struct budget *budget;
    uv_loop_t *loop;
    struct deadlines *deadlines;
    /** Frees what is kept for the next call, as it fragments the free memory. */
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
 * @return true where nothing is under way. Otherwise `on_stopped` is called from the loop, and the memory is
 * used until then.
 */
bool ebb_stop(struct ebb *ebb, void (*on_stopped)(struct ebb *ebb));

#endif
