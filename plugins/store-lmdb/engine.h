/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of sdk/store over one file: a reader that is pinned to the last commit, and moves when the
 * writer is done. Growing the map unpins it and pins it again, at the top level of the loop, where nobody
 * reads.
 */
#ifndef STORE_LMDB_ENGINE_H
#define STORE_LMDB_ENGINE_H

#include <berth/plugin.h>
#include <berth/store_engine.h>

#include "environment.h"
#include "reader.h"
#include "writer.h"

/** One value, one change: what fits into a batch with room to spare. */
#define ENGINE_VALUE_MAX (16u << 20)
#define ENGINE_WRITES_MAX 65536u
#define ENGINE_CHANGE_MAX (64u << 20)
/** Beyond max_size, for batches that only remove: a full store can be emptied. */
#define ENGINE_RESERVE (4u << 20)

/** Caller's memory. */
struct engine {
    const struct berth_host *host;
    struct environment *environment;
    struct reader reader;
    struct writer writer;
    /** Where commits are told; see engine_start. */
    void (*on_committed)(void *context, enum berth_code code, const char *message);
    void *context;

    /* Not to be read any more; the sentence is in `lost`. */
    bool is_lost;
    char lost[BERTH_ERROR_MAX];

    void (*on_stopped)(void *context);
    const struct berth_store_batch *batch;
    /* The transaction that its changes have seen, whatever has been pinned since. */
    uint64_t base;
    /* For this batch an empty transaction was made, or is on its way. */
    bool has_turned, is_turning;
    bool is_reported;
};

extern const struct berth_store_engine engine_functions;

/**
 * @param environment   stays the caller's, until the engine has stopped.
 * @param on_committed  berth_store_committed, in a daemon.
 * @return BERTH_OK; as failure_set, and nothing is to be stopped.
 */
enum berth_code engine_start(struct engine *engine, const struct berth_host *host,
                             struct environment *environment,
                             void (*on_committed)(void *context, enum berth_code code, const char *message),
                             void *context, struct berth_error *err);
/** When no commit is on its way; `on_stopped` with the engine's context, from the top level of the loop. */
void engine_stop(struct engine *engine, void (*on_stopped)(void *context));

#endif
