/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ETCD_COMMIT_H
#define STORE_ETCD_COMMIT_H

#include <stdbool.h>

#include <uv.h>

#include <berth/rpc/client.h>
#include <berth/store_engine.h>

#include "layout.h"

struct mirror;
struct revision;
struct store;
struct txn;

/*
 * The batch on its way. What decides is the order in which etcd moves the head: the next move after the state
 * that the batch was made on is the batch's own, and then it happened; or another's, and then it did not and
 * never will, however many copies of it are under way. So lost answers need no guessing: the same transaction
 * is sent again until the head moves.
 */
struct commit {
    const struct berth_store_batch *batch;
    struct txn *txn;
    /* "NODE-COUNTER". */
    char id[LAYOUT_ID_MAX];
    uint64_t counter;
    /* The head as the batch saw it: its mod_revision and what is in it. */
    int64_t head_revision;
    char head[LAYOUT_ID_MAX];
    /* Where an answer is awaited. */
    struct berth_rpc_call *call;
    /* What etcd answered: one of the two, and the watch has the last word. */
    bool has_succeeded;
    bool was_refused;
    /* A sending ended without an answer: it may have happened, or happen yet. */
    bool may_have_happened;
    /* Until when its fate is to be known; or at once, with the verdict in it. */
    uv_timer_t deadline;
    enum berth_code verdict;
    struct berth_error sentence;
};

void commit_init(struct commit *commit, struct store *store);
bool commit_is_open(const struct commit *commit);

/* The engine's: begins. */
void commit_start(struct store *store, const struct berth_store_batch *batch);
/* There is a connection, with or without a mirror that moved: send, or send again. */
void commit_on_live(struct store *store);
/* The connection went. */
void commit_on_lost(struct commit *commit);
/* The daemon closes: no longer than this. */
void commit_hurry(struct store *store);

/* Is this move of the head the batch's own? */
bool commit_is_own(const struct commit *commit, const struct revision *revision);
/* What a state that was loaded anew says of the batch: BERTH_PENDING where nothing happened. */
enum berth_code commit_judge(const struct commit *commit, const struct mirror *loaded);
/* Writes the batch into a mirror, as far as memory goes. */
void commit_write(const struct commit *commit, struct mirror *mirror);

/* The end: completes the batch. */
void commit_end(struct store *store, enum berth_code code, const char *message);

#endif
