/* SPDX-License-Identifier: Apache-2.0 */
/* Joins changes that wait into one batch, and ends them in the order they were asked for. */
#include "batch.h"

#include <string.h>

#include "txn.h"

#define MAX_CHANGES 256
#define MAX_NANOSECONDS 2000000
#define MAX_ATTEMPTS 64

enum fit {
    FITS,
    TOO_MUCH,
};

static void keep_message(struct berth_store_core *core, struct berth_store_update *update,
                         const char *sentence)
{
    const char *message = berth_arena_copy(&core->overlay.arena, sentence, strlen(sentence) + 1);

    if (message == NULL)
        message = "refused, and there was no memory for the reason";
    store_update_set(update, STORE_UPDATE_MESSAGE, (uintptr_t)message);
}

static bool is_too_much(const struct berth_store_core *core)
{
    const struct store_overlay_size *all = &core->overlay.all;

    return all->count > core->limits.max_writes || all->bytes > core->limits.max_change;
}

static void refuse(struct berth_store_core *core, struct berth_store_update *update, enum berth_code code,
                   const char *sentence)
{
    store_overlay_undo(&core->overlay);
    store_update_set(update, STORE_UPDATE_CODE, code);
    store_update_mark(update, STORE_UPDATE_WROTE, false);
    keep_message(core, update, sentence);
}

static enum fit keep_change(struct berth_store_core *core, struct berth_store_update *update)
{
    if (is_too_much(core)) {
        store_overlay_undo(&core->overlay);
        return TOO_MUCH;
    }
    store_overlay_keep(&core->overlay);
    store_update_set(update, STORE_UPDATE_CODE, BERTH_OK);
    store_update_set(update, STORE_UPDATE_MESSAGE, 0);
    store_update_mark(update, STORE_UPDATE_WROTE, core->overlay.own.count > 0);
    return FITS;
}

static enum fit run_one(struct berth_store_core *core, struct berth_store_update *update)
{
    struct berth_store_txn view = {.core = core, .is_change = true};
    struct berth_error err;
    enum berth_code code;

    err.message[0] = '\0';
    core->damaged.key_length = 0;
    store_overlay_begin(&core->overlay);
    code = update->change(update, &view, &err);
    store_update_mark(update, STORE_UPDATE_FAILED, view.failure != BERTH_OK);
    if (view.failure != BERTH_OK)
        refuse(core, update, view.failure, core->sentence.message);
    else if (code != BERTH_OK)
        refuse(core, update, code, err.message);
    else
        return keep_change(core, update);
    return FITS;
}

static bool may_join(const struct berth_store_core *core, uint64_t started_ns)
{
    const struct berth_store_update *update = core->waiting.first;

    if (update == NULL)
        return false;
    if (core->running.count == 0)
        return true;
    return !store_update_is(update, STORE_UPDATE_ALONE) &&
           !store_update_is(core->running.last, STORE_UPDATE_ALONE) && core->running.count < MAX_CHANGES &&
           uv_hrtime() - started_ns < MAX_NANOSECONDS;
}

static void run_waiting(struct berth_store_core *core)
{
    uint64_t started_ns = uv_hrtime();

    while (may_join(core, started_ns)) {
        struct berth_store_update *update = store_queue_take(&core->waiting);
        struct store_queue back = {0};

        if (run_one(core, update) == FITS) {
            store_queue_append(&core->running, update);
            continue;
        }
        store_queue_append(&back, update);
        store_queue_put_back(&core->waiting, &back);
        return;
    }
}

static bool collect_writes(struct berth_store_core *core)
{
    struct store_overlay *overlay = &core->overlay;
    struct berth_store_write *writes =
        berth_arena_take(&overlay->arena, (size_t)overlay->all.count * sizeof(*writes));
    size_t count = 0;

    if (writes == NULL && overlay->all.count > 0)
        return false;
    for (struct store_overlay_entry *entry = store_overlay_first(overlay); entry != NULL;
         entry = store_overlay_following(entry))
        writes[count++] = (struct berth_store_write){entry->name.bucket, entry->name.key, entry->value};
    core->batch = (struct berth_store_batch){writes, count, overlay->all.bytes, core->running.count};
    return true;
}

/* What the view failed needs nobody's word. */
static bool needs_commit(const struct berth_store_core *core)
{
    const struct berth_store_update *update = core->running.first;

    while (update != NULL && store_update_is(update, STORE_UPDATE_FAILED))
        update = update->reserved[STORE_UPDATE_NEXT];
    return update != NULL;
}

void store_batch_run(struct berth_store_core *core)
{
    enum berth_code code = store_bracket_open(core, &core->sentence);

    if (code != BERTH_OK) {
        struct berth_error err = core->sentence;

        store_batch_fail_waiting(core, code, err.message);
        return;
    }
    run_waiting(core);
    store_bracket_close(core);
    if (!needs_commit(core)) {
        store_batch_end(core, BERTH_OK, NULL);
        return;
    }
    if (!collect_writes(core)) {
        store_batch_end(core, BERTH_RESOURCE_EXHAUSTED, "no memory for what is written");
        return;
    }
    core->is_committing = true;
    core->engine->commit(core->self, &core->batch);
}

/* A change that wrote nothing cannot have happened. */
static enum berth_code failure_of(const struct berth_store_update *update, enum berth_code code)
{
    return code == BERTH_UNKNOWN && !store_update_is(update, STORE_UPDATE_WROTE) ? BERTH_UNAVAILABLE : code;
}

static void end_one(struct berth_store_update *update, enum berth_code code, const char *message)
{
    if (code != BERTH_OK && !store_update_is(update, STORE_UPDATE_FAILED)) {
        update->done(update, failure_of(update, code), message);
        return;
    }
    update->done(update, (enum berth_code)store_update_get(update, STORE_UPDATE_CODE),
                 (const char *)store_update_get(update, STORE_UPDATE_MESSAGE));
}

static bool runs_again(struct berth_store_update *update, enum berth_code code, bool was_joined)
{
    uintptr_t attempts = store_update_get(update, STORE_UPDATE_ATTEMPTS) + 1;

    if (code == BERTH_RESOURCE_EXHAUSTED && was_joined) {
        store_update_mark(update, STORE_UPDATE_ALONE, true);
        return true;
    }
    if (code != BERTH_ABORTED)
        return false;
    store_update_set(update, STORE_UPDATE_ATTEMPTS, attempts);
    return attempts < MAX_ATTEMPTS;
}

void store_batch_end(struct berth_store_core *core, enum berth_code code, const char *message)
{
    struct store_queue again = {0};
    struct berth_store_update *update;
    bool was_joined = core->running.count > 1;

    core->is_committing = false;
    while ((update = store_queue_take(&core->running)) != NULL) {
        if (runs_again(update, code, was_joined))
            store_queue_append(&again, update);
        else
            end_one(update, code, message);
    }
    store_queue_put_back(&core->waiting, &again);
    store_overlay_clear(&core->overlay);
    if (core->waiting.count > 0 || core->is_closing)
        store_core_wake(core);
}

void store_batch_fail_waiting(struct berth_store_core *core, enum berth_code code, const char *message)
{
    struct store_queue ended = core->waiting;
    struct berth_store_update *update;

    core->waiting = (struct store_queue){0};
    while ((update = store_queue_take(&ended)) != NULL)
        update->done(update, code, message);
}
