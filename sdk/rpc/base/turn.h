/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_TURN_H
#define RPC_BASE_TURN_H

#include <uv.h>

#include <stdbool.h>
#include <sys/queue.h>

/** Work for the end of this turn of the loop; embedded in its owner. */
struct turn_task {
    TAILQ_ENTRY(turn_task) link;
    bool is_queued;
    void (*run)(struct turn_task *task);
};

/** Runs tasks before the loop sleeps, each once however often it was requested. */
struct turn {
    uv_prepare_t prepare;
    uv_idle_t idle;
    TAILQ_HEAD(, turn_task) tasks;
    /** How many of the two handles are closed. */
    unsigned closed;
    void (*on_closed)(struct turn *turn);
};

void turn_init(struct turn *turn, uv_loop_t *loop);
void turn_add(struct turn *turn, struct turn_task *task);
void turn_remove(struct turn *turn, struct turn_task *task);

/** @param on_closed  Called once, when both handles are closed. */
void turn_close(struct turn *turn, void (*on_closed)(struct turn *turn));

#endif
