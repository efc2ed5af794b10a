/* SPDX-License-Identifier: Apache-2.0 */
/* The core of a store, for the parts of this library. */
#ifndef BERTH_STORE_CORE_H
#define BERTH_STORE_CORE_H

#include <stdbool.h>

#include <berth/store_engine.h>

#include "overlay.h"
#include "queue.h"

/* Watches, in the order they were added. Zeroed is empty. */
struct store_watches {
    struct berth_store_watch *first;
    struct berth_store_watch *last;
    /* How many times it is being told just now. */
    unsigned depth;
};

/* A damaged entry; without a key: none. */
struct store_damaged {
    char bucket[BERTH_STORE_BUCKET_MAX + 1];
    unsigned char key[BERTH_STORE_NAME_MAX];
    size_t key_length;
};

struct berth_store_core {
    const struct berth_store_engine *engine;
    void *self;
    struct berth_store_limits limits;
    /* Snapshots and changes that are open. */
    size_t brackets;

    struct store_queue waiting;
    /* Those of the batch, in order. */
    struct store_queue running;
    struct store_overlay overlay;
    struct berth_store_batch batch;
    bool is_committing;
    /* Where the engine's word of a commit goes. */
    void (*on_committed)(struct berth_store_core *core, enum berth_code code, const char *message);
    /* What the running change's view failed with. */
    struct berth_error sentence;
    /* Where that was a damaged entry: this one. */
    struct store_damaged damaged;
    /* For callers that pass no error. */
    struct berth_error unheard;

    struct store_watches watches;

    /* The end of the loop's turn: the idle handle keeps it from going to sleep before. */
    uv_check_t turn;
    uv_idle_t awake;
    bool is_closing;
    bool is_ending;
    void (*on_closed)(void *self);
};

struct berth_store_txn {
    struct berth_store_core *core;
    /* False: a snapshot, which does not see what is not committed. */
    bool is_change;
    /* What a function of this view failed with; of a change it is the end. The sentence is the core's. */
    enum berth_code failure;
};

/* Snapshots and changes read within one. */
enum berth_code store_bracket_open(struct berth_store_core *core, struct berth_error *err);
void store_bracket_close(struct berth_store_core *core);

/* The batch has ended so. */
void store_core_end_batch(struct berth_store_core *core, enum berth_code code, const char *message);

#endif
