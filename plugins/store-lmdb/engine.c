/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of sdk/store over one file: reads through a pinned transaction, commits through the writer. */
#include "engine.h"

#include <inttypes.h>
#include <string.h>

#include "failure.h"
#include "layout.h"
#include "schema.h"

static const char *path_of(const struct engine *engine)
{
    return engine->environment->path;
}

/* Time until the next probe: after a change that found no room, after one that may have freed some, and while
 * nothing changes. */
#define PROBE_NOW_MS 0
#define PROBE_SOON_MS 100
#define PROBE_LATER_MS 5000

static enum writer_task task_of(const struct engine *engine)
{
    if (engine->step != ENGINE_WRITING)
        return WRITER_TURN;
    return engine->work == ENGINE_BATCH ? WRITER_BATCH : WRITER_PROBE;
}

static void take_step(struct engine *engine, enum engine_step step)
{
    struct writer_job job;

    engine->step = step;
    job = (struct writer_job){
        .task = task_of(engine),
        .batch = engine->batch,
        .base = engine->base,
        .file_size = engine->reader.file_size,
    };
    writer_commit(&engine->writer, &job);
}

static void begin_work(struct engine *engine, enum engine_work work)
{
    engine->work = work;
    engine->has_turned = false;
    take_step(engine, ENGINE_WRITING);
}

static void begin_probe(struct engine *engine)
{
    engine->is_probe_due = false;
    if (engine->is_lost || berth_store_health_has(&engine->health, ENGINE_FILE))
        return;
    engine->base = reader_id(&engine->reader);
    begin_work(engine, ENGINE_PROBE);
}

static void on_pause_over(uv_timer_t *timer)
{
    struct engine *engine = timer->data;

    engine->is_probe_due = true;
    if (engine->work == ENGINE_IDLE)
        begin_probe(engine);
}

static void ask_for_probe(struct engine *engine, uint64_t delay_ms)
{
    if (!uv_is_active((uv_handle_t *)&engine->pause) || uv_timer_get_due_in(&engine->pause) > delay_ms)
        uv_timer_start(&engine->pause, on_pause_over, delay_ms, 0);
}

/* The store is unreadable until a restart. */
static void lose(struct engine *engine, enum berth_code code, const char *message)
{
    engine->is_lost = engine->environment->is_lost = true;
    snprintf(engine->lost, sizeof(engine->lost), "%s", message);
    berth_fail(engine->host, code, message);
}

static void lose_writes(struct engine *engine, enum berth_code code, const char *message)
{
    berth_store_health_set(&engine->health, ENGINE_WRITES, code, message);
    ask_for_probe(engine, PROBE_LATER_MS);
}

/* Where something is wrong with the file itself. */
static enum berth_code refuse_astray(struct engine *engine, enum environment_fate fate,
                                     struct berth_error *err)
{
    enum berth_code code = environment_describe(engine->environment, fate, err);

    if (fate == ENVIRONMENT_CUT)
        berth_store_health_set(&engine->health, ENGINE_FILE, code, err->message);
    else
        lose_writes(engine, code, err->message);
    return code;
}

/* Pins the last commit. Only while the writer is idle; otherwise it might show a commit that has not been
 * reported yet. */
static enum berth_code pin_anew(struct engine *engine, struct berth_error *err)
{
    enum berth_code code;

    reader_unpin(&engine->reader);
    code = reader_pin(&engine->reader, err);
    if (code != BERTH_OK)
        lose(engine, code, err->message);
    return code;
}

static enum berth_code begin(void *self, struct berth_error *err)
{
    struct engine *engine = self;
    enum environment_fate fate;

    if (engine->is_lost)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s", engine->lost);
    fate = reader_look(&engine->reader);
    if (fate != ENVIRONMENT_IN_PLACE)
        return refuse_astray(engine, fate, err);
    if (!engine->reader.has_failed)
        return BERTH_OK;
    if (engine->work == ENGINE_IDLE)
        return pin_anew(engine, err);
    return berth_error_set(err, BERTH_UNAVAILABLE, "%s cannot be read until the change in flight has ended",
                           path_of(engine));
}

/*
 * After a damaged page the reader begins anew, so that the others can be read. What it shows must not move
 * within a bracket: where another process has written meanwhile it waits for the next one.
 */
static void revive(struct engine *engine)
{
    uint64_t before = reader_id(&engine->reader);
    struct berth_error err;

    if (engine->work == ENGINE_IDLE && pin_anew(engine, &err) == BERTH_OK)
        engine->reader.has_failed = reader_id(&engine->reader) != before;
}

static void tell_of_damage(struct engine *engine)
{
    const struct damage *damage = &engine->environment->damage;
    struct berth_error err;

    if (damage_is_empty(damage)) {
        berth_store_health_clear(&engine->health, ENGINE_ENTRIES);
        return;
    }
    damage_describe(damage, path_of(engine), &err);
    berth_store_health_set(&engine->health, ENGINE_ENTRIES, BERTH_DATA_LOSS, err.message);
}

static void note_failure(struct engine *engine, const char *bucket, struct berth_store_bytes key,
                         enum berth_code code, const struct berth_error *why)
{
    struct damage *damage = &engine->environment->damage;

    /* A damaged page, or an entry without a valid name, which cannot be removed. */
    if ((engine->reader.has_failed || key.length == 0) &&
        !berth_store_health_has(&engine->health, ENGINE_FILE))
        berth_store_health_set(&engine->health, ENGINE_FILE, code, why->message);
    if (engine->reader.has_failed)
        revive(engine);
    else if (key.length > 0 && damage_add(damage, bucket, key))
        tell_of_damage(engine);
}

static enum berth_code check_reader(struct engine *engine, struct berth_error *err)
{
    if (engine->is_lost)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s", engine->lost);
    if (engine->reader.has_failed)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s: a damaged page was met", path_of(engine));
    return BERTH_OK;
}

static enum berth_code get(void *self, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    struct engine *engine = self;
    enum berth_code code = check_reader(engine, err);

    if (code != BERTH_OK)
        return code;
    code = reader_get(&engine->reader, bucket, key, ret_value, err);
    if (code != BERTH_OK && code != BERTH_NOT_FOUND)
        note_failure(engine, bucket, key, code, err);
    return code;
}

static enum berth_code next(void *self, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err)
{
    struct engine *engine = self;
    enum berth_code code = check_reader(engine, err);

    if (code != BERTH_OK)
        return code;
    ret_entry->key.length = 0;
    code = reader_next(&engine->reader, bucket, after, ret_entry, err);
    if (code != BERTH_OK && code != BERTH_NOT_FOUND)
        note_failure(engine, bucket, ret_entry->key, code, err);
    return code;
}

static enum berth_code next_bucket(void *self, const char *after, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                   struct berth_error *err)
{
    struct engine *engine = self;
    enum berth_code code = check_reader(engine, err);

    if (code != BERTH_OK)
        return code;
    code = reader_next_bucket(&engine->reader, after, ret_bucket, err);
    if (code != BERTH_OK && code != BERTH_NOT_FOUND)
        note_failure(engine, after, (struct berth_store_bytes){NULL, 0}, code, err);
    return code;
}

static void commit(void *self, const struct berth_store_batch *batch)
{
    struct engine *engine = self;

    engine->batch = batch;
    if (engine->work != ENGINE_IDLE)
        return;
    engine->base = reader_id(&engine->reader);
    begin_work(engine, ENGINE_BATCH);
}

/* Ends a batch, or a probe, whose result is not reported. */
static void end_work(struct engine *engine, enum berth_code code, const char *message)
{
    bool was_batch = engine->work == ENGINE_BATCH;
    struct berth_error err;

    engine->work = ENGINE_IDLE;
    if (engine->reader.has_failed && !engine->is_lost)
        pin_anew(engine, &err);
    if (was_batch) {
        engine->batch = NULL;
        engine->on_committed(engine->context, code, message);
        /* However many changes wait: the next one is handed over at a later turn. */
        if (engine->is_probe_due && engine->work == ENGINE_IDLE)
            begin_probe(engine);
        return;
    }
    if (berth_store_health_has(&engine->health, ENGINE_WRITES))
        ask_for_probe(engine, PROBE_LATER_MS);
    if (engine->batch != NULL)
        begin_work(engine, ENGINE_BATCH);
}

static bool is_small(const struct engine *engine)
{
    return engine->work == ENGINE_PROBE || engine->batch->bytes <= SCHEMA_PROBE_BYTES;
}

/* A change that does not fit must not fail the others. */
static void note_refusal(struct engine *engine, enum berth_code code, const char *message)
{
    if (code == BERTH_DATA_LOSS || code == BERTH_UNKNOWN)
        berth_store_health_set(&engine->health, ENGINE_FILE, code, message);
    else if (code == BERTH_RESOURCE_EXHAUSTED && !is_small(engine))
        ask_for_probe(engine, PROBE_NOW_MS);
    else if (berth_store_health_has(&engine->health, ENGINE_WRITES))
        ask_for_probe(engine, PROBE_LATER_MS);
    else
        lose_writes(engine, code, message);
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

static void fail_work(struct engine *engine, const struct berth_store_write *write, enum berth_code code,
                      struct berth_error *err)
{
    note_refusal(engine, code, err->message);
    end_work(engine, say_where(write, code, err), err->message);
}

static void end_lost(struct engine *engine)
{
    end_work(engine, BERTH_UNAVAILABLE, engine->lost);
}

static void show_size(struct engine *engine)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, engine->reader.file_size);
    berth_add_export(engine->host, "size", text);
}

static void forget_damage(struct engine *engine)
{
    struct damage *damage = &engine->environment->damage;

    if (damage_is_empty(damage))
        return;
    damage_forget(damage, engine->batch);
    tell_of_damage(engine);
}

/* One success says nothing about the next change: it may have been a small one. */
static void look_ahead(struct engine *engine, bool has_grown)
{
    if (berth_store_health_has(&engine->health, ENGINE_WRITES))
        ask_for_probe(engine, PROBE_SOON_MS);
    else if (has_grown && environment_is_low(engine->environment, 2 * SCHEMA_PROBE_BYTES))
        ask_for_probe(engine, PROBE_LATER_MS);
}

/* The file has moved on, by us or by somebody else. */
static void move(struct engine *engine, enum berth_code code, const char *message)
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
        end_work(engine, code == BERTH_OK ? BERTH_OK : BERTH_UNAVAILABLE,
                 code == BERTH_OK ? NULL : err.message);
        return;
    }
    if (code == BERTH_OK && engine->work == ENGINE_BATCH) {
        forget_damage(engine);
        look_ahead(engine, engine->reader.file_size > size_before);
    }
    if (engine->reader.file_size != size_before)
        show_size(engine);
    end_work(engine, code, message);
}

static bool only_removes(const struct engine *engine)
{
    if (engine->work == ENGINE_PROBE)
        return engine->step == ENGINE_TIDYING;
    for (size_t i = 0; i < engine->batch->count; i++)
        if (engine->batch->writes[i].value.data != NULL)
            return false;
    return true;
}

/* Stale readers of dead processes prevent pages from being reused. */
static bool has_freed_readers(const struct engine *engine)
{
    int dead = 0;

    return mdb_reader_check(engine->environment->lmdb, &dead) == 0 && dead > 0;
}

/* Grows the map within its limit. If the map is lost, so is the store. */
static enum berth_code grow(struct engine *engine, struct berth_error *err)
{
    uint64_t limit = engine->environment->max_size + (only_removes(engine) ? ENGINE_RESERVE : 0);
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

static void make_room(struct engine *engine, const struct berth_store_write *write)
{
    enum berth_code code = BERTH_OK;
    struct berth_error err;

    if (!has_freed_readers(engine))
        code = grow(engine, &err);
    if (engine->is_lost) {
        end_lost(engine);
    } else if (code == BERTH_OK) {
        take_step(engine, engine->step);
    } else if (!engine->has_turned && engine->step == ENGINE_WRITING) {
        engine->has_turned = true;
        take_step(engine, ENGINE_TURNING);
    } else {
        fail_work(engine, write, code, &err);
    }
}

static void refuse(struct engine *engine, const struct writer_result *result)
{
    struct berth_error err;
    enum berth_code code;

    if (engine->is_lost) {
        end_lost(engine);
        return;
    }
    if (result->number == MDB_PANIC)
        code = berth_error_set(&err, BERTH_UNAVAILABLE,
                               "%s: a commit could not be completed, no further changes are possible; "
                               "run `berthctl plugins restart io.berth.store.v1.lmdb`",
                               path_of(engine));
    else
        code = failure_set(&err, result->number, path_of(engine), "change not written");
    if (result->number == MDB_PANIC)
        berth_store_health_set(&engine->health, ENGINE_FILE, code, err.message);
    else
        note_refusal(engine, code, err.message);
    end_work(engine, say_where(result->write, code, &err), err.message);
}

static void go_astray(struct engine *engine, const struct writer_result *result)
{
    struct berth_error err;
    enum berth_code code = refuse_astray(engine, result->fate, &err);

    if (result->end == WRITER_WRITTEN_ASTRAY)
        move(engine, BERTH_UNKNOWN, err.message);
    else
        end_work(engine, code, err.message);
}

/* There was room; the probe is removed before the next change needs it. */
static void on_probed(struct engine *engine)
{
    struct berth_error err;

    engine->base++;
    if (pin_anew(engine, &err) == BERTH_OK)
        take_step(engine, ENGINE_TIDYING);
    else
        end_lost(engine);
}

static void on_tidied(struct engine *engine)
{
    engine->base++;
    berth_store_health_clear(&engine->health, ENGINE_WRITES);
    move(engine, BERTH_OK, NULL);
}

/* The work is retried once, whatever the result. */
static void on_turned(struct engine *engine, const struct writer_result *result)
{
    struct berth_error err;

    if (result->end == WRITER_DONE || result->end == WRITER_WRITTEN_ASTRAY)
        engine->base++;
    if (pin_anew(engine, &err) == BERTH_OK)
        take_step(engine, ENGINE_WRITING);
    else
        end_lost(engine);
}

static void on_done(struct engine *engine)
{
    if (engine->step == ENGINE_TIDYING)
        on_tidied(engine);
    else if (engine->work == ENGINE_PROBE)
        on_probed(engine);
    else if (engine->batch->count == 0)
        end_work(engine, BERTH_OK, NULL);
    else
        move(engine, BERTH_OK, NULL);
}

static void leave_open(struct engine *engine, const struct writer_result *result)
{
    struct berth_error err;

    failure_set(
        &err, result->number, path_of(engine),
        "a commit could not be completed; after the restart that the store needs it may be there or not");
    fail_work(engine, NULL, BERTH_UNKNOWN, &err);
}

/* With a new LMDB the file is what it was before the change, unless LMDB could not put that back. */
static void begin_anew(struct engine *engine, const struct writer_result *result)
{
    uint64_t before = reader_id(&engine->reader);
    struct berth_error err;
    enum berth_code code;

    reader_drop(&engine->reader);
    code = environment_reopen(engine->environment, &err);
    if (code == BERTH_OK)
        code = reader_pin(&engine->reader, &err);
    if (code != BERTH_OK) {
        lose(engine, code, err.message);
        end_work(engine, BERTH_UNKNOWN, err.message);
        return;
    }
    if (reader_id(&engine->reader) == before) {
        refuse(engine, result);
        return;
    }
    lose(engine, BERTH_UNAVAILABLE,
         "the state of the last change on disk is unknown; run `berthctl plugins restart "
         "io.berth.store.v1.lmdb`");
    leave_open(engine, result);
}

/* LMDB gave up on the file, or restored it. */
static bool is_over(const struct writer_result *result)
{
    return result->end == WRITER_UNDONE || result->end == WRITER_UNCERTAIN || result->number == MDB_PANIC;
}

static void on_written(void *context, const struct writer_result *result)
{
    struct engine *engine = context;

    if (engine->step == ENGINE_TURNING && !is_over(result)) {
        on_turned(engine, result);
        return;
    }
    switch (result->end) {
    case WRITER_DONE:
        on_done(engine);
        return;
    case WRITER_OUTDATED:
        move(engine, BERTH_ABORTED, "another process has changed the file");
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
    case WRITER_ASTRAY:
    case WRITER_WRITTEN_ASTRAY:
        go_astray(engine, result);
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

static void tell_of_health(struct engine *engine)
{
    if (!damage_is_empty(&engine->environment->damage))
        tell_of_damage(engine);
    if (environment_is_low(engine->environment, 2 * SCHEMA_PROBE_BYTES))
        ask_for_probe(engine, PROBE_NOW_MS);
}

static enum berth_code start_writer(struct engine *engine, struct berth_error *err)
{
    int number = writer_start(&engine->writer, engine->host->loop, engine->environment, on_written, engine);

    if (number != 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "the store's thread cannot be started: %s",
                               uv_strerror(number));
    uv_timer_init(engine->host->loop, &engine->pause);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_timer_start(&engine->pause, on_pause_over, 0, 0);
    uv_timer_stop(&engine->pause);
    engine->pause.data = engine;
    engine->open_handles = 2;
    return BERTH_OK;
}

enum berth_code engine_start(struct engine *engine, const struct berth_host *host,
                             struct environment *environment,
                             void (*on_committed)(void *context, enum berth_code code, const char *message),
                             void *context, struct berth_error *err)
{
    enum berth_code code;

    memset(engine, 0, sizeof(*engine));
    engine->host = engine->health.host = host;
    engine->environment = engine->reader.environment = environment;
    engine->on_committed = on_committed;
    engine->context = context;
    code = reader_pin(&engine->reader, err);
    if (code == BERTH_OK)
        code = start_writer(engine, err);
    if (code != BERTH_OK) {
        reader_drop(&engine->reader);
        return code;
    }
    tell_of_file(engine);
    tell_of_health(engine);
    return BERTH_OK;
}

static void end_when_closed(struct engine *engine)
{
    if (--engine->open_handles > 0)
        return;
    reader_drop(&engine->reader);
    engine->on_stopped(engine->context);
}

static void on_pause_closed(uv_handle_t *handle)
{
    end_when_closed(handle->data);
}

static void on_writer_stopped(void *context)
{
    end_when_closed(context);
}

void engine_stop(struct engine *engine, void (*on_stopped)(void *context))
{
    engine->on_stopped = on_stopped;
    uv_close((uv_handle_t *)&engine->pause, on_pause_closed);
    writer_stop(&engine->writer, on_writer_stopped);
}
