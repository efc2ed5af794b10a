/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of sdk/store over one file. Reading goes by one transaction of LMDB that stays open, pinned to
 * the last commit, so that it costs no lock and shows nothing before its time; it moves when the writer is
 * done. Growing the map takes it away and puts it back, at the top level of the loop, where nobody reads.
 */
#ifndef STORE_LMDB_ENGINE_H
#define STORE_LMDB_ENGINE_H

#include <berth/plugin.h>
#include <berth/store_engine.h>

#include "environment.h"
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
    struct writer writer;
    /** Where commits are told; see engine_start. */
    void (*on_committed)(void *context, enum berth_code code, const char *message);
    void *context;

    /* NULL before the first. */
    MDB_txn *pinned;
    MDB_cursor *cursor;
    /* The file's size when it was pinned. */
    uint64_t file_size;
    /* Not to be read any more; the sentence is in `lost`. */
    bool is_lost;
    char lost[BERTH_ERROR_MAX];

    void (*on_stopped)(void *context);
    const struct berth_store_batch *batch;
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
