/* SPDX-License-Identifier: Apache-2.0 */
/* The core of a store, for the files of this library. */
#ifndef BERTH_STORE_CORE_H
#define BERTH_STORE_CORE_H

#include <stdbool.h>
#include <sys/queue.h>

#include <berth/store_engine.h>
#include <berth/types/metrics.h>

#include "overlay.h"
#include "queue.h"

/* Watches, in the order they were added. Zero-initialised: empty. */
struct store_watches {
    struct berth_store_watch *first;
    struct berth_store_watch *last;
    /* Nesting depth of notifications in progress. */
    unsigned depth;
};

/* A corrupt entry; without a key: none. */
struct store_damaged {
    char bucket[BERTH_STORE_BUCKET_MAX + 1];
    unsigned char key[BERTH_STORE_NAME_MAX];
    size_t key_length;
};

struct berth_store_core {
    const struct berth_store_engine *engine;
    void *self;
    struct berth_store_limits limits;
    /* Open snapshots and changes. */
    size_t brackets;
    /* Snapshots that are open, and those that the core closed for their owners, until these end them. */
    LIST_HEAD(, berth_store_txn) snapshots, closed;
    /* Learns who left one open; NULL: nobody does. */
    const struct berth_host *host;
    /* Before each poll of the loop, while there may be an open snapshot. */
    uv_prepare_t turn_end;

    struct store_queue waiting;
    /* The updates in the batch, in order. */
    struct store_queue running;
    struct store_overlay overlay;
    struct berth_store_batch batch;
    bool is_committing;
    /* A change of the batch found its view out of date (BERTH_ABORTED): all run again. */
    bool is_outdated;
    /* Receives the engine's result of a commit. */
    void (*on_committed)(struct berth_store_core *core, enum berth_code code, const char *message);
    /* The error of the running change's view. */
    struct berth_error sentence;
    /* If that was a corrupt entry: the entry. */
    struct store_damaged damaged;
    /* For callers that pass no error. */
    struct berth_error unheard;

    struct store_watches watches;

    /* When the commit that runs began. */
    uint64_t commit_began_ns;
    /* NULL: nobody counts. */
    struct berth_series *commits, *failures, *commit_seconds, *waiting_updates;

    /* End of the loop's turn: the idle handle keeps the loop from sleeping before it. */
    uv_check_t turn;
    uv_idle_t awake;
    bool is_closing;
    bool is_ending;
    void (*on_closed)(void *self);
};

struct berth_store_txn {
    struct berth_store_core *core;
    /* Snapshots only: among those of the core, and the code that opened it. */
    LIST_ENTRY(berth_store_txn) link;
    const void *caller;
    bool is_closed;
    /* False: a snapshot, which does not see uncommitted writes. */
    bool is_change;
    /* The error of a function of this view; a change ends with it. The core has the message. */
    enum berth_code failure;
};

/* Snapshots and changes read within one. */
enum berth_code store_bracket_open(struct berth_store_core *core, struct berth_error *err);
void store_bracket_close(struct berth_store_core *core);

/* The loop's turn ends: closes the snapshots that are still open. */
void store_snapshots_close(struct berth_store_core *core);
/** Of the handle that ends snapshots with the turn of the loop. */
void store_snapshots_init(struct berth_store_core *core, uv_loop_t *loop);
/* Nobody uses a snapshot any more. */
void store_snapshots_finish(struct berth_store_core *core);

/* The batch has ended with this result. */
void store_core_end_batch(struct berth_store_core *core, enum berth_code code, const char *message);

#endif
