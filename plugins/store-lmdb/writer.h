/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one thread that writes to the file: a commit waits for the disk, and libuv's pool has other work. One
 * batch at a time.
 *
 * What is synced: LMDB writes the batch's pages (never over what a reader sees), calls fdatasync, and then
 * writes the page that makes them the committed ones through a descriptor with O_DSYNC. When a batch is done
 * both have reached the disk.
 */
#ifndef STORE_LMDB_WRITER_H
#define STORE_LMDB_WRITER_H

#include <uv.h>

#include <berth/store_engine.h>

#include "environment.h"

enum writer_end {
    /** Durable, and what a new transaction sees. */
    WRITER_DONE,
    /** The map is too small for it. */
    WRITER_FULL,
    /** Another process has changed the file since `base`. */
    WRITER_OUTDATED,
    /** Nothing of it happened. */
    WRITER_FAILED,
    /** The very last write failed, but what LMDB put in its place is on the disk. LMDB takes no more. */
    WRITER_UNDONE,
    /** The very last write failed: after a crash the batch may be there or not. LMDB takes no more. */
    WRITER_UNCERTAIN,
    /** The file is no longer at its path, see `fate`; nothing was written. */
    WRITER_ASTRAY,
    /** As WRITER_ASTRAY, but the file that was there when it began has it. */
    WRITER_WRITTEN_ASTRAY,
};

struct writer_result {
    enum writer_end end;
    /** Of LMDB or an errno; else 0. */
    int number;
    enum environment_fate fate;
    /** With WRITER_FULL: the write that did not fit; NULL if it was the commit. */
    const struct berth_store_write *write;
};

enum writer_task {
    WRITER_BATCH,
    /** Write an entry of ordinary size that no reader sees, to find out whether a change would succeed. */
    WRITER_PROBE,
    /** What a probe has written is removed. After this LMDB gives out the pages that the transaction before
     * has freed. */
    WRITER_TURN,
};

struct writer_job {
    enum writer_task task;
    /** Of WRITER_BATCH. */
    const struct berth_store_batch *batch;
    /** The transaction that its changes have seen. */
    uint64_t base;
    /** The size that the file had then; a smaller one has been cut. */
    uint64_t file_size;
};

/** Caller's memory. */
struct writer {
    struct environment *environment;
    void (*on_done)(void *context, const struct writer_result *result);
    void (*on_stopped)(void *context);
    void *context;

    uv_async_t wake_loop;
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t wake_thread;
    /* Under the lock. */
    struct writer_job job;
    struct writer_result result;
    bool has_job, has_result, is_stopping;
};

/** @param on_done  from the top level of the loop, once for each batch. @return 0 or a number of libuv. */
int writer_start(struct writer *writer, uv_loop_t *loop, struct environment *environment,
                 void (*on_done)(void *context, const struct writer_result *result), void *context);
/** Only when the one before is done. A batch without writes asks whether `base` is still the last. */
void writer_commit(struct writer *writer, const struct writer_job *job);
/** When none is on its way; `on_stopped` from the top level of the loop. */
void writer_stop(struct writer *writer, void (*on_stopped)(void *context));

#endif
