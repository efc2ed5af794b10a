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

/** Kinds of trouble, the gravest first. */
enum engine_trouble {
    /** The file is damaged, or LMDB has given up on it: until a restart. */
    ENGINE_FILE,
    /** No room, a disk that fails, a file that was moved away: until a change of ordinary size succeeds. */
    ENGINE_WRITES,
    /** Damaged entries: until they are written again or removed. */
    ENGINE_ENTRIES,
};

/** The writer's current work. */
enum engine_work {
    ENGINE_IDLE,
    ENGINE_BATCH,
    /** A change of ordinary size, to see whether the next one of others would succeed. */
    ENGINE_PROBE,
};

enum engine_step {
    ENGINE_WRITING,
    /** An empty transaction, once for each work, so that LMDB gives out what the one before has freed. */
    ENGINE_TURNING,
    /** What the probe has written is removed. */
    ENGINE_TIDYING,
};

/** Caller's memory. */
struct engine {
    const struct berth_host *host;
    struct environment *environment;
    struct reader reader;
    struct writer writer;
    struct berth_store_health health;
    /** Until the next probe. */
    uv_timer_t pause;
    bool is_probe_due;
    /** Where commits are told; see engine_start. */
    void (*on_committed)(void *context, enum berth_code code, const char *message);
    void *context;

    /* Unreadable until a restart; the message is in `lost`. */
    bool is_lost;
    char lost[BERTH_ERROR_MAX];

    void (*on_stopped)(void *context);
    unsigned open_handles;
    enum engine_work work;
    enum engine_step step;
    bool has_turned;
    /* The core's, until its end is told; it waits while there is a probe. */
    const struct berth_store_batch *batch;
    /* The transaction that the writer's work builds upon: what a batch has seen, or our own after that. */
    uint64_t base;
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
