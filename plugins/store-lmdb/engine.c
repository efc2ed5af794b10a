/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of sdk/store over one file: reads by a pinned transaction, commits by the writer. */
#include "engine.h"

#include <inttypes.h>

#include "failure.h"
#include "layout.h"
#include "schema.h"

static const char *path_of(const struct engine *engine)
{
    return engine->environment->path;
}

/* Nothing can be read any more, and there is no way back but a restart. */
static void lose(struct engine *engine, enum berth_code code, const char *message)
{
    engine->is_lost = engine->environment->is_lost = true;
    snprintf(engine->lost, sizeof(engine->lost), "%s", message);
    berth_fail(engine->host, code, message);
}

static enum berth_code begin(void *self, struct berth_error *err)
{
    struct engine *engine = self;

    if (engine->is_lost)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s", engine->lost);
    return reader_check(&engine->reader, err);
}

static enum berth_code get(void *self, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    struct engine *engine = self;

    return reader_get(&engine->reader, bucket, key, ret_value, err);
}

static enum berth_code next(void *self, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err)
{
    struct engine *engine = self;

    return reader_next(&engine->reader, bucket, after, ret_entry, err);
}

static enum berth_code next_bucket(void *self, const char *after, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                   struct berth_error *err)
{
    struct engine *engine = self;

    return reader_next_bucket(&engine->reader, after, ret_bucket, err);
}

static void send_job(struct engine *engine, const struct berth_store_batch *batch)
{
    const struct writer_job job = {
        .batch = batch,
        .base = engine->base,
        .file_size = engine->reader.file_size,
    };

    writer_commit(&engine->writer, &job);
}

static void write_batch(struct engine *engine)
{
    send_job(engine, engine->batch);
}

static void commit(void *self, const struct berth_store_batch *batch)
{
    struct engine *engine = self;

    engine->batch = batch;
    engine->base = mdb_txn_id(engine->reader.pinned);
    write_batch(engine);
}

/* What operators see of it: the last commit's failure, until one succeeds. */
static void report(struct engine *engine, enum berth_code code, const char *message)
{
    if (code != BERTH_OK || engine->is_reported)
        berth_report(engine->host, code, message);
    engine->is_reported = code != BERTH_OK;
}

static void end_commit(struct engine *engine, enum berth_code code, const char *message)
{
    engine->batch = NULL;
    engine->has_turned = false;
    engine->on_committed(engine->context, code, message);
}

static void fail_commit(struct engine *engine, enum berth_code code, const char *message)
{
    report(engine, code, message);
    end_commit(engine, code, message);
}

static void show_size(struct engine *engine)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, engine->reader.file_size);
    berth_add_export(engine->host, "size", text);
}

/* The file has moved on, by us or by somebody else. */
static void move(struct engine *engine, enum berth_code code)
{
    uint64_t size_before = engine->reader.file_size;
    struct berth_error err;
    enum berth_code pinned;

    reader_unpin(&engine->reader);
    pinned = environment_shrink(engine->environment, &err);
    if (pinned == BERTH_OK)
        pinned = reader_pin(&engine->reader, &err);
    if (pinned != BERTH_OK) {
        lose(engine, pinned, err.message);
        end_commit(engine, code == BERTH_OK ? BERTH_OK : BERTH_UNAVAILABLE,
                   code == BERTH_OK ? NULL : err.message);
        return;
    }
    if (code == BERTH_OK)
        report(engine, BERTH_OK, NULL);
    if (engine->reader.file_size != size_before)
        show_size(engine);
    end_commit(engine, code, code == BERTH_OK ? NULL : "another process has changed the file");
}

static bool only_removes(const struct berth_store_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->writes[i].value.data != NULL)
            return false;
    return true;
}

static enum berth_code say_where(const struct berth_store_write *write, enum berth_code code,
                                 struct berth_error *err)
{
    char text[LAYOUT_PRINT_MAX];
    struct berth_error reason = *err;

    if (write == NULL)
        return code;
    return berth_error_set(err, code, "bucket %s, key \"%s\": %s", write->bucket,
                           layout_print_key(write->key, text), reason.message);
}

/* Readers of processes that are gone keep pages from being used again. */
static bool has_freed_readers(const struct engine *engine)
{
    int dead = 0;

    return mdb_reader_check(engine->environment->lmdb, &dead) == 0 && dead > 0;
}

/* Larger, as far as it may be. Where it is lost: so is the store. */
static enum berth_code grow(struct engine *engine, struct berth_error *err)
{
    uint64_t limit = engine->environment->max_size + (only_removes(engine->batch) ? ENGINE_RESERVE : 0);
    struct berth_error lost;
    enum berth_code code, pinned;

    reader_unpin(&engine->reader);
    code = environment_grow(engine->environment, limit, err);
    if (engine->environment->is_lost) {
        lose(engine, code, err->message);
        return code;
    }
    pinned = reader_pin(&engine->reader, &lost);
    if (pinned != BERTH_OK)
        lose(engine, pinned, lost.message);
    return code;
}

/* What the last transaction freed can be used when there was one more, and nobody reads what was before it.
 */
static void turn(struct engine *engine)
{
    engine->has_turned = engine->is_turning = true;
    send_job(engine, NULL);
}

static void make_room(struct engine *engine, const struct berth_store_write *write)
{
    enum berth_code code = BERTH_OK;
    struct berth_error err;

    if (!has_freed_readers(engine))
        code = grow(engine, &err);
    if (engine->is_lost)
        end_commit(engine, BERTH_UNAVAILABLE, engine->lost);
    else if (code == BERTH_OK)
        write_batch(engine);
    else if (!engine->has_turned)
        turn(engine);
    else
        fail_commit(engine, say_where(write, code, &err), err.message);
}

static void refuse(struct engine *engine, const struct writer_result *result)
{
    struct berth_error err;
    enum berth_code code;

    if (engine->is_lost) {
        end_commit(engine, BERTH_UNAVAILABLE, engine->lost);
        return;
    }
    if (result->number == MDB_PANIC)
        code = berth_error_set(
            &err, BERTH_UNAVAILABLE,
            "%s takes no more changes since the end of one could not be written: restart the daemon",
            path_of(engine));
    else
        code = failure_set(&err, result->number, path_of(engine), "the change was not written");
    fail_commit(engine, say_where(result->write, code, &err), err.message);
}

/* Whether it went well or not: the batch is tried once more, unless LMDB takes nothing any more. */
static void on_turned(struct engine *engine, const struct writer_result *result)
{
    const struct writer_result refused = {.end = WRITER_FAILED, .number = MDB_PANIC};
    struct berth_error err;
    enum berth_code code;

    engine->is_turning = false;
    if (result->end == WRITER_DONE)
        engine->base++;
    if (result->end == WRITER_UNCERTAIN || result->number == MDB_PANIC) {
        refuse(engine, &refused);
        return;
    }
    reader_unpin(&engine->reader);
    code = reader_pin(&engine->reader, &err);
    if (code == BERTH_OK) {
        write_batch(engine);
        return;
    }
    lose(engine, code, err.message);
    end_commit(engine, BERTH_UNAVAILABLE, err.message);
}

static void leave_open(struct engine *engine, const struct writer_result *result)
{
    struct berth_error err;

    failure_set(
        &err, result->number, path_of(engine),
        "the end of a change could not be written, it may be there after a restart, which is needed now");
    fail_commit(engine, BERTH_UNKNOWN, err.message);
}

/* With a new LMDB the file is what it was before the change, unless LMDB could not put that back. */
static void begin_anew(struct engine *engine, const struct writer_result *result)
{
    uint64_t before = mdb_txn_id(engine->reader.pinned);
    struct berth_error err;
    enum berth_code code;

    reader_drop(&engine->reader);
    code = environment_reopen(engine->environment, &err);
    if (code == BERTH_OK)
        code = reader_pin(&engine->reader, &err);
    if (code != BERTH_OK) {
        lose(engine, code, err.message);
        end_commit(engine, BERTH_UNKNOWN, err.message);
        return;
    }
    engine->is_turning = false;
    if (mdb_txn_id(engine->reader.pinned) == before) {
        refuse(engine, result);
        return;
    }
    lose(engine, BERTH_UNAVAILABLE, "what the disk has of the last change is not known: restart the daemon");
    leave_open(engine, result);
}

static void on_written(void *context, const struct writer_result *result)
{
    struct engine *engine = context;

    if (engine->is_turning && result->end != WRITER_UNDONE) {
        on_turned(engine, result);
        return;
    }
    switch (result->end) {
    case WRITER_DONE:
        if (engine->batch->count == 0)
            end_commit(engine, BERTH_OK, NULL);
        else
            move(engine, BERTH_OK);
        return;
    case WRITER_OUTDATED:
        move(engine, BERTH_ABORTED);
        return;
    case WRITER_FULL:
        make_room(engine, result->write);
        return;
    case WRITER_FAILED:
        refuse(engine, result);
        return;
    case WRITER_UNDONE:
        begin_anew(engine, result);
        return;
    case WRITER_UNCERTAIN:
        leave_open(engine, result);
        return;
    }
}

const struct berth_store_engine engine_functions = {
    .size = sizeof(engine_functions),
    .begin = begin,
    .get = get,
    .next = next,
    .next_bucket = next_bucket,
    .commit = commit,
};

static void tell_of_file(struct engine *engine)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", SCHEMA_VERSION);
    berth_add_export(engine->host, "path", path_of(engine));
    berth_add_export(engine->host, "schema", text);
    show_size(engine);
}

enum berth_code engine_start(struct engine *engine, const struct berth_host *host,
                             struct environment *environment,
                             void (*on_committed)(void *context, enum berth_code code, const char *message),
                             void *context, struct berth_error *err)
{
    enum berth_code code;
    int number;

    *engine = (struct engine){.host = host,
                              .environment = environment,
                              .reader = {.environment = environment},
                              .on_committed = on_committed,
                              .context = context};
    code = reader_pin(&engine->reader, err);
    if (code == BERTH_OK) {
        number = writer_start(&engine->writer, host->loop, environment, on_written, engine);
        if (number != 0)
            code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "the store's thread cannot be started: %s",
                                   uv_strerror(number));
    }
    if (code == BERTH_OK)
        tell_of_file(engine);
    else
        reader_drop(&engine->reader);
    return code;
}

static void on_writer_stopped(void *context)
{
    struct engine *engine = context;

    reader_drop(&engine->reader);
    engine->on_stopped(engine->context);
}

void engine_stop(struct engine *engine, void (*on_stopped)(void *context))
{
    engine->on_stopped = on_stopped;
    writer_stop(&engine->writer, on_writer_stopped);
}
