/* SPDX-License-Identifier: Apache-2.0 */
/* Injects the faults that a test chooses between a core and its engine. */
#include <berth/store_test.h>

#include <stdlib.h>

#include "core.h"

struct berth_store_faults {
    struct berth_store_core *core;
    const struct berth_store_engine *engine;
    void *self;
    struct berth_store_fault (*choose)(void *context, enum berth_store_operation operation);
    void *context;
    /* Ends commits that never reached the engine, and starts delayed ones. */
    uv_timer_t timer;
    struct berth_store_fault fault;
    const struct berth_store_batch *batch;
};

/* True if the engine is not to be called. */
static bool goes_wrong(struct berth_store_faults *faults, enum berth_store_operation operation,
                       enum berth_code *ret_code, struct berth_error *err)
{
    struct berth_store_fault fault = faults->choose(faults->context, operation);

    if (fault.kind != BERTH_STORE_REFUSED)
        return false;
    *ret_code = berth_error_set(err, fault.code, "a fault of the test");
    return true;
}

static enum berth_code begin(void *self, struct berth_error *err)
{
    struct berth_store_faults *faults = self;
    enum berth_code code;

    if (goes_wrong(faults, BERTH_STORE_BEGIN, &code, err))
        return code;
    return faults->engine->begin == NULL ? BERTH_OK : faults->engine->begin(faults->self, err);
}

static void end(void *self)
{
    struct berth_store_faults *faults = self;

    if (faults->engine->end != NULL)
        faults->engine->end(faults->self);
}

static enum berth_code get(void *self, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    struct berth_store_faults *faults = self;
    enum berth_code code;

    if (goes_wrong(faults, BERTH_STORE_GET, &code, err))
        return code;
    return faults->engine->get(faults->self, bucket, key, ret_value, err);
}

static enum berth_code next(void *self, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err)
{
    struct berth_store_faults *faults = self;
    enum berth_code code;

    if (goes_wrong(faults, BERTH_STORE_NEXT, &code, err))
        return code;
    return faults->engine->next(faults->self, bucket, after, ret_entry, err);
}

static enum berth_code next_bucket(void *self, const char *after, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                   struct berth_error *err)
{
    struct berth_store_faults *faults = self;
    enum berth_code code;

    if (goes_wrong(faults, BERTH_STORE_NEXT_BUCKET, &code, err))
        return code;
    return faults->engine->next_bucket(faults->self, after, ret_bucket, err);
}

static void on_due(uv_timer_t *timer)
{
    struct berth_store_faults *faults = timer->data;

    switch (faults->fault.kind) {
    case BERTH_STORE_NO_FAULT:
    case BERTH_STORE_ANSWER_LOST:
    case BERTH_STORE_DELAYED:
        faults->engine->commit(faults->self, faults->batch);
        return;
    case BERTH_STORE_REFUSED:
        store_core_end_batch(faults->core, faults->fault.code, "a fault of the test");
        return;
    case BERTH_STORE_REQUEST_LOST:
        store_core_end_batch(faults->core, BERTH_UNKNOWN, "the test lost the request");
        return;
    }
}

static void commit(void *self, const struct berth_store_batch *batch)
{
    struct berth_store_faults *faults = self;

    faults->fault = faults->choose(faults->context, BERTH_STORE_COMMIT);
    faults->batch = batch;
    uv_timer_start(&faults->timer, on_due, faults->fault.delay_ms, 0);
}

static void on_committed(struct berth_store_core *core, enum berth_code code, const char *message)
{
    struct berth_store_faults *faults = core->self;

    if (faults->fault.kind == BERTH_STORE_ANSWER_LOST && code == BERTH_OK)
        store_core_end_batch(core, BERTH_UNKNOWN, "the test lost the answer");
    else
        store_core_end_batch(core, code, message);
}

static const struct berth_store_engine engine = {
    .size = sizeof(engine),
    .begin = begin,
    .end = end,
    .get = get,
    .next = next,
    .next_bucket = next_bucket,
    .commit = commit,
};

struct berth_store_faults *berth_store_faults_add(
    uv_loop_t *loop, void *instance,
    struct berth_store_fault (*choose)(void *context, enum berth_store_operation operation), void *context)
{
    struct berth_store_core *core = *(struct berth_store_core **)instance;
    struct berth_store_faults *faults = calloc(1, sizeof(*faults));

    if (faults == NULL)
        return NULL;
    *faults = (struct berth_store_faults){
        .core = core,
        .engine = core->engine,
        .self = core->self,
        .choose = choose,
        .context = context,
    };
    uv_timer_init(loop, &faults->timer);
    faults->timer.data = faults;
    core->engine = &engine;
    core->self = faults;
    core->on_committed = on_committed;
    return faults;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void berth_store_faults_remove(struct berth_store_faults *faults)
{
    if (faults == NULL)
        return;
    faults->core->engine = faults->engine;
    faults->core->self = faults->self;
    faults->core->on_committed = store_core_end_batch;
    uv_close((uv_handle_t *)&faults->timer, on_closed);
}
