/* SPDX-License-Identifier: Apache-2.0 */
/* The single thread that writes to the file, one batch at a time. */
#include "writer.h"

#include <errno.h>
#include <unistd.h>

#include "layout.h"
#include "schema.h"

/* Overhead of a batch: the pages on the way to its entries, and those that list free pages. */
#define ROOM_FOR_TREES (256u << 10)
/* Retries of a transaction interrupted by a signal. */
#define INTERRUPTIONS_MAX 16

/* Straight into LMDB's page, without a copy on the way. */
static int put(MDB_txn *txn, MDB_dbi entries, MDB_val *name, const struct berth_store_write *write)
{
    MDB_val record = {write->value.length + LAYOUT_SUM_SIZE, NULL};
    int number = mdb_put(txn, entries, name, &record, MDB_RESERVE);

    if (number == 0)
        layout_make_record((struct berth_store_bytes){name->mv_data, name->mv_size}, write->value,
                           record.mv_data);
    return number;
}

static int apply(MDB_txn *txn, MDB_dbi entries, const struct berth_store_write *write)
{
    struct layout_name name;
    MDB_val key;
    int number;

    layout_make_name(write->bucket, write->key, &name);
    key = (MDB_val){name.length, name.bytes};
    if (write->value.data != NULL)
        return put(txn, entries, &key, write);
    number = mdb_del(txn, entries, &key, NULL);
    return number == MDB_NOTFOUND ? 0 : number;
}

static int apply_all(MDB_txn *txn, MDB_dbi entries, const struct berth_store_batch *batch,
                     const struct berth_store_write **ret_write)
{
    for (size_t i = 0; i < batch->count; i++) {
        int number = apply(txn, entries, &batch->writes[i]);

        if (number != 0) {
            *ret_write = &batch->writes[i];
            return number;
        }
    }
    return 0;
}

static struct writer_result failed(int number)
{
    if (number == MDB_MAP_RESIZED)
        return (struct writer_result){.end = WRITER_OUTDATED};
    return (struct writer_result){.end = number == MDB_MAP_FULL ? WRITER_FULL : WRITER_FAILED,
                                  .number = number};
}

/* LMDB refuses every transaction after its last write has failed, and only then. */
static bool is_uncertain(struct environment *environment)
{
    MDB_txn *txn;
    int number = mdb_txn_begin(environment->lmdb, NULL, 0, &txn);

    if (number == 0)
        mdb_txn_abort(txn);
    return number == MDB_PANIC;
}

static bool can_sync(const struct environment *environment)
{
    int number;

    do
        number = fdatasync(environment->file_fd);
    while (number != 0 && errno == EINTR);
    return number == 0;
}

static int apply_job(struct environment *environment, MDB_txn *txn, const struct writer_job *job,
                     const struct berth_store_write **ret_write)
{
    switch (job->task) {
    case WRITER_BATCH:
        return apply_all(txn, environment->entries, job->batch, ret_write);
    case WRITER_PROBE:
        return schema_probe(txn);
    case WRITER_TURN:
        return schema_touch(txn);
    }
    return EINVAL;
}

/*
 * Once this returns 0 the change is on the disk: LMDB has written and synced it. Where a write was short LMDB
 * says EIO, though no system call did: the disk is full. An EIO of the disk's own is not to be tried again:
 * after one of fdatasync the next may succeed without having written what was lost.
 */
static int commit(MDB_txn *txn, bool *ret_was_short)
{
    int number;

    errno = 0;
    number = mdb_txn_commit(txn);
    *ret_was_short = number == EIO && errno != EIO;
    return number;
}

static struct writer_result write_in(struct environment *environment, MDB_txn *txn,
                                     const struct writer_job *job, bool *ret_was_short)
{
    struct writer_result result = {.end = WRITER_DONE};
    const struct berth_store_write *write = NULL;
    int number = apply_job(environment, txn, job, &write);

    if (number != 0) {
        mdb_txn_abort(txn);
        result = failed(number);
        result.write = write;
        return result;
    }
    number = commit(txn, ret_was_short);
    if (number == 0)
        return result;
    result = failed(number);
    if (is_uncertain(environment))
        result.end = can_sync(environment) ? WRITER_UNDONE : WRITER_UNCERTAIN;
    return result;
}

static struct writer_result write_once(struct environment *environment, const struct writer_job *job,
                                       bool *ret_was_short)
{
    MDB_txn *txn;
    int number = mdb_txn_begin(environment->lmdb, NULL, 0, &txn);

    if (number != 0)
        return failed(number);
    if (mdb_txn_id(txn) == job->base + 1)
        return write_in(environment, txn, job, ret_was_short);
    mdb_txn_abort(txn);
    return (struct writer_result){.end = WRITER_OUTDATED};
}

/* Signals meant for a plugin's thread may be delivered to this one. */
static struct writer_result write_uninterrupted(struct environment *environment, const struct writer_job *job,
                                                bool *ret_was_short)
{
    struct writer_result result;
    unsigned interruptions = 0;

    do {
        *ret_was_short = false;
        result = write_once(environment, job, ret_was_short);
    } while (result.end == WRITER_FAILED && result.number == EINTR && ++interruptions < INTERRUPTIONS_MAX);
    return result;
}

static struct writer_result confirm(struct environment *environment, const struct writer_job *job)
{
    MDB_envinfo info;

    mdb_env_info(environment->lmdb, &info);
    return (struct writer_result){.end = info.me_last_txnid == job->base ? WRITER_DONE : WRITER_OUTDATED};
}

/* Gives back what the file had not before, unless somebody has written since `base`: then it may be his. */
static void cut(struct environment *environment, const struct writer_job *job, uint64_t size)
{
    MDB_txn *txn;

    if (mdb_txn_begin(environment->lmdb, NULL, 0, &txn) != 0)
        return;
    if (mdb_txn_id(txn) == job->base + 1)
        (void)!ftruncate(environment->file_fd, (off_t)size);
    mdb_txn_abort(txn);
}

/* A short write: was there no room for the rest? */
static struct writer_result write_again(struct environment *environment, const struct writer_job *job)
{
    uint64_t bytes = job->task == WRITER_BATCH ? job->batch->bytes : SCHEMA_PROBE_BYTES;
    uint64_t size = environment_file_size(environment);
    int number = environment_find_room(environment, 2 * bytes + ROOM_FOR_TREES);
    bool was_short;
    struct writer_result result =
        number != 0 ? failed(number) : write_uninterrupted(environment, job, &was_short);

    /* Gives back space that was not enough; it would be taken again each time. */
    if (result.end == WRITER_FAILED && size > 0)
        cut(environment, job, size);
    return result;
}

static struct writer_result write_durably(struct environment *environment, const struct writer_job *job)
{
    bool was_short;
    struct writer_result result = write_uninterrupted(environment, job, &was_short);

    return result.end == WRITER_FAILED && was_short ? write_again(environment, job) : result;
}

static struct writer_result run(struct environment *environment, const struct writer_job *job)
{
    struct writer_result result = {.end = WRITER_ASTRAY};

    if (environment->is_lost)
        return failed(ENOMEM);
    result.fate = environment_look(environment, job->file_size, true);
    if (result.fate != ENVIRONMENT_IN_PLACE)
        return result;
    if (job->task == WRITER_BATCH && job->batch->count == 0)
        return confirm(environment, job);
    result = write_durably(environment, job);
    if (result.end != WRITER_DONE)
        return result;
    /* Success may be reported only if the file is still in place after the sync. */
    result.fate = environment_look(environment, 0, true);
    if (result.fate != ENVIRONMENT_IN_PLACE)
        result.end = WRITER_WRITTEN_ASTRAY;
    return result;
}

/* false when the thread is to end. */
static bool take_job(struct writer *writer, struct writer_job *ret_job)
{
    bool has_job;

    uv_mutex_lock(&writer->lock);
    while (!writer->has_job && !writer->is_stopping)
        uv_cond_wait(&writer->wake_thread, &writer->lock);
    has_job = writer->has_job;
    writer->has_job = false;
    *ret_job = writer->job;
    uv_mutex_unlock(&writer->lock);
    return has_job;
}

static void thread_main(void *context)
{
    struct writer *writer = context;
    struct writer_job job;

    while (take_job(writer, &job)) {
        struct writer_result result = run(writer->environment, &job);

        uv_mutex_lock(&writer->lock);
        writer->result = result;
        writer->has_result = true;
        uv_mutex_unlock(&writer->lock);
        uv_async_send(&writer->wake_loop);
    }
}

static void on_wake(uv_async_t *handle)
{
    struct writer *writer = handle->data;
    struct writer_result result;
    bool has_result;

    uv_mutex_lock(&writer->lock);
    result = writer->result;
    has_result = writer->has_result;
    writer->has_result = false;
    uv_mutex_unlock(&writer->lock);
    if (has_result)
        writer->on_done(writer->context, &result);
}

static int start_thread(struct writer *writer)
{
    int number = uv_mutex_init(&writer->lock);

    if (number != 0)
        return number;
    number = uv_cond_init(&writer->wake_thread);
    if (number == 0) {
        number = uv_thread_create(&writer->thread, thread_main, writer);
        if (number == 0)
            return 0;
        uv_cond_destroy(&writer->wake_thread);
    }
    uv_mutex_destroy(&writer->lock);
    return number;
}

static void end_thread(struct writer *writer)
{
    uv_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    uv_cond_signal(&writer->wake_thread);
    uv_mutex_unlock(&writer->lock);
    uv_thread_join(&writer->thread);
    uv_cond_destroy(&writer->wake_thread);
    uv_mutex_destroy(&writer->lock);
}

int writer_start(struct writer *writer, uv_loop_t *loop, struct environment *environment,
                 void (*on_done)(void *context, const struct writer_result *result), void *context)
{
    int number;

    *writer = (struct writer){.environment = environment, .on_done = on_done, .context = context};
    number = start_thread(writer);
    if (number != 0)
        return number;
    writer->wake_loop.data = writer;
    number = uv_async_init(loop, &writer->wake_loop, on_wake);
    if (number != 0)
        end_thread(writer);
    return number;
}

void writer_commit(struct writer *writer, const struct writer_job *job)
{
    uv_mutex_lock(&writer->lock);
    writer->job = *job;
    writer->has_job = true;
    uv_mutex_unlock(&writer->lock);
    uv_cond_signal(&writer->wake_thread);
}

static void on_closed(uv_handle_t *handle)
{
    struct writer *writer = handle->data;

    writer->on_stopped(writer->context);
}

void writer_stop(struct writer *writer, void (*on_stopped)(void *context))
{
    end_thread(writer);
    writer->on_stopped = on_stopped;
    uv_close((uv_handle_t *)&writer->wake_loop, on_closed);
}
