/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a store that is independent of the engine: joins waiting changes into a batch at the end of the
 * loop's turn, completes them in the order requested, notifies watchers, and closes. Also the table.
 */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#define CLOSING "the store is closing"
#define MAX_CHANGES 256
#define MAX_NANOSECONDS 2000000
#define MAX_ATTEMPTS 64

/* Watches may be added and removed while they are notified. */

struct berth_store_watch {
    struct berth_store_watch *next;
    struct berth_store_core *core;
    struct berth_holding *holding;
    void (*on_change)(void *context, const struct berth_store_change *change);
    void *context;
    bool is_over;
    size_t prefix_length;
    char prefix[];
};

static struct berth_store_watch *add_watch(struct store_watches *watches, const char *prefix,
                                           void (*on_change)(void *context,
                                                             const struct berth_store_change *change),
                                           void *context)
{
    size_t length = strlen(prefix);
    struct berth_store_watch *watch = malloc(sizeof(*watch) + length);

    if (watch == NULL)
        return NULL;
    *watch = (struct berth_store_watch){.on_change = on_change, .context = context, .prefix_length = length};
    memcpy(watch->prefix, prefix, length);
    if (watches->last == NULL)
        watches->first = watch;
    else
        watches->last->next = watch;
    watches->last = watch;
    return watch;
}

static void sweep(struct store_watches *watches)
{
    struct berth_store_watch **link = &watches->first;

    watches->last = NULL;
    while (*link != NULL) {
        struct berth_store_watch *watch = *link;

        if (watch->is_over) {
            *link = watch->next;
            free(watch);
        } else {
            watches->last = watch;
            link = &watch->next;
        }
    }
}

static void remove_watch(struct store_watches *watches, struct berth_store_watch *watch)
{
    if (watch == NULL)
        return;
    watch->is_over = true;
    if (watches->depth == 0)
        sweep(watches);
}

static bool is_meant(const struct berth_store_watch *watch, const struct berth_store_change *change)
{
    return !watch->is_over && strncmp(change->bucket, watch->prefix, watch->prefix_length) == 0;
}

static void tell_watches(struct store_watches *watches, const struct berth_store_change *change)
{
    /* Watches added from here on began after the change. */
    struct berth_store_watch *last = watches->last;
    struct berth_store_watch *watch = watches->first;

    watches->depth++;
    for (bool is_more = watch != NULL; is_more; watch = watch->next) {
        if (is_meant(watch, change))
            watch->on_change(watch->context, change);
        is_more = watch != last;
    }
    if (--watches->depth == 0)
        sweep(watches);
}

static void finish_watches(struct store_watches *watches)
{
    for (struct berth_store_watch *watch = watches->first; watch != NULL; watch = watch->next)
        watch->is_over = true;
    sweep(watches);
}

/* Batches. */

static void wake(struct berth_store_core *core);

enum fit {
    FITS,
    TOO_MUCH,
};

static void keep_message(struct berth_store_core *core, struct berth_store_update *update,
                         const char *sentence)
{
    const char *message = berth_arena_copy(&core->overlay.arena, sentence, strlen(sentence) + 1);

    if (message == NULL)
        message = "refused (no memory for the reason)";
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
    core->is_outdated |= view.failure == BERTH_ABORTED;
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
    struct berth_store_write *writes = NULL;
    size_t count = 0;

    if (overlay->all.count > 0)
        writes = berth_arena_take(&overlay->arena, (size_t)overlay->all.count * sizeof(*writes));
    if (writes == NULL && overlay->all.count > 0)
        return false;
    for (struct store_overlay_entry *entry = store_overlay_first(overlay); entry != NULL;
         entry = store_overlay_following(entry))
        writes[count++] = (struct berth_store_write){entry->name.bucket, entry->name.key, entry->value};
    core->batch = (struct berth_store_batch){writes, count, overlay->all.bytes, core->running.count};
    return true;
}

/* Updates whose view failed need no confirmation by the engine. */
static bool needs_commit(const struct berth_store_core *core)
{
    const struct berth_store_update *update = core->running.first;

    while (update != NULL && store_update_is(update, STORE_UPDATE_FAILED))
        update = update->reserved[STORE_UPDATE_NEXT];
    return update != NULL;
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

/* The batch has ended with this result: completes its updates, or requeues them. */
static void end_batch(struct berth_store_core *core, enum berth_code code, const char *message)
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
        wake(core);
}

/* Ends all updates waiting now. */
static void fail_waiting(struct berth_store_core *core, enum berth_code code, const char *message)
{
    struct store_queue ended = core->waiting;
    struct berth_store_update *update;

    core->waiting = (struct store_queue){0};
    while ((update = store_queue_take(&ended)) != NULL)
        update->done(update, code, message);
}

/* Runs waiting updates, as many as fit, and passes their writes to the engine. */
static void run_batch(struct berth_store_core *core)
{
    enum berth_code code = store_bracket_open(core, &core->sentence);

    if (code != BERTH_OK) {
        struct berth_error err = core->sentence;

        fail_waiting(core, code, err.message);
        return;
    }
    run_waiting(core);
    store_bracket_close(core);
    if (core->is_outdated) {
        core->is_outdated = false;
        end_batch(core, BERTH_ABORTED, "what was read has changed");
        return;
    }
    if (!needs_commit(core)) {
        end_batch(core, BERTH_OK, NULL);
        return;
    }
    if (!collect_writes(core)) {
        end_batch(core, BERTH_RESOURCE_EXHAUSTED, "no memory for the writes of a batch");
        return;
    }
    core->is_committing = true;
    core->commit_began_ns = uv_hrtime();
    core->engine->commit(core->self, &core->batch);
}

/* The loop's turns, and closing. */

static void stay_awake(uv_idle_t *awake)
{
}

static void on_awake_closed(uv_handle_t *handle)
{
    struct berth_store_core *core = handle->data;
    void (*on_closed)(void *self) = core->on_closed;
    void *self = core->self;

    while (core->waiting.count > 0)
        fail_waiting(core, BERTH_UNAVAILABLE, CLOSING);
    finish_watches(&core->watches);
    store_snapshots_finish(core);
    store_overlay_finish(&core->overlay);
    free(core);
    on_closed(self);
}

static void on_turn_closed(uv_handle_t *handle)
{
    struct berth_store_core *core = handle->data;

    uv_close((uv_handle_t *)&core->awake, on_awake_closed);
}

static void on_turn_end_closed(uv_handle_t *handle)
{
    struct berth_store_core *core = handle->data;

    if (core->host != NULL)
        store_snapshots_close(core);
    uv_close((uv_handle_t *)&core->turn, on_turn_closed);
}

static void end_waiting(struct berth_store_core *core)
{
    fail_waiting(core, BERTH_UNAVAILABLE, CLOSING);
    if (core->waiting.count > 0) {
        wake(core);
        return;
    }
    core->is_ending = true;
    uv_close((uv_handle_t *)&core->turn_end, on_turn_end_closed);
}

static void on_turn(uv_check_t *turn)
{
    struct berth_store_core *core = turn->data;

    uv_check_stop(&core->turn);
    uv_idle_stop(&core->awake);
    if (core->is_committing)
        return;
    if (core->is_closing)
        end_waiting(core);
    else if (core->waiting.count > 0)
        run_batch(core);
}

/* Runs waiting updates at the end of this turn of the loop, or the next one. */
static void wake(struct berth_store_core *core)
{
    if (core->is_ending || core->is_committing)
        return;
    uv_check_start(&core->turn, on_turn);
    uv_idle_start(&core->awake, stay_awake);
}

void store_core_end_batch(struct berth_store_core *core, enum berth_code code, const char *message)
{
    end_batch(core, code, message != NULL ? message : "no reason given");
}

struct berth_store_core *berth_store_core_create(uv_loop_t *loop, const struct berth_store_engine *engine,
                                                 void *self, const struct berth_store_limits *limits)
{
    struct berth_store_core *core = calloc(1, sizeof(*core));

    if (core == NULL)
        return NULL;
    core->engine = engine;
    core->self = self;
    core->limits = *limits;
    core->on_committed = store_core_end_batch;
    uv_check_init(loop, &core->turn);
    uv_check_start(&core->turn, on_turn);
    uv_check_stop(&core->turn);
    uv_idle_init(loop, &core->awake);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_idle_start(&core->awake, stay_awake);
    uv_idle_stop(&core->awake);
    store_snapshots_init(core, loop);
    core->turn.data = core;
    core->awake.data = core;
    return core;
}

void berth_store_core_watch_snapshots(struct berth_store_core *core, const struct berth_host *host)
{
    core->host = host;
}

void berth_store_core_close(struct berth_store_core *core, void (*on_closed)(void *self))
{
    core->is_closing = true;
    core->on_closed = on_closed;
    wake(core);
}

static void collect(void *context)
{
    const struct berth_store_core *core = context;

    berth_series_set(core->waiting_updates, (double)(core->waiting.count + core->running.count));
}

void berth_store_core_measure(struct berth_store_core *core, const struct berth_host *host)
{
    core->commits =
        berth_metrics_counter(host, "berth_store_commits_total", "Batches of changes that were committed.");
    core->failures = berth_metrics_counter(host, "berth_store_failed_commits_total",
                                           "Batches of changes that could not be committed.");
    core->commit_seconds = berth_metrics_histogram(host, "berth_store_commit_seconds",
                                                   "Duration of commits, until they are durable.");
    core->waiting_updates =
        berth_metrics_gauge(host, "berth_store_waiting_changes", "Changes waiting or being committed.");
    if (core->waiting_updates != NULL)
        berth_metrics_collect(host, collect, core);
}

void berth_store_committed(struct berth_store_core *core, enum berth_code code, const char *message)
{
    berth_series_add(code == BERTH_OK ? core->commits : core->failures, 1);
    berth_series_observe(core->commit_seconds, (double)(uv_hrtime() - core->commit_began_ns) / 1e9);
    core->on_committed(core, code, message);
}

void berth_store_core_tell(struct berth_store_core *core, const struct berth_store_change *change)
{
    tell_watches(&core->watches, change);
}

size_t berth_store_core_waiting(const struct berth_store_core *core)
{
    return core->waiting.count + core->running.count;
}

static struct berth_store_core *core_of(void *instance)
{
    return *(struct berth_store_core **)instance;
}

void berth_store_core_update(void *instance, struct berth_store_update *update)
{
    struct berth_store_core *core = core_of(instance);

    store_queue_add(&core->waiting, update);
    wake(core);
}

static void end_watch(struct berth_store_core *core, struct berth_store_watch *watch)
{
    if (watch != NULL && core->host != NULL)
        berth_end_holding(core->host, watch->holding);
    remove_watch(&core->watches, watch);
}

static void revoke_watch(void *context)
{
    struct berth_store_watch *watch = context;

    end_watch(watch->core, watch);
}

struct berth_store_watch *berth_store_core_watch(void *instance, const char *prefix,
                                                 void (*on_change)(void *context,
                                                                   const struct berth_store_change *change),
                                                 void *context)
{
    struct berth_store_core *core = core_of(instance);
    struct berth_store_watch *watch = add_watch(&core->watches, prefix, on_change, context);
    char what[BERTH_STORE_BUCKET_MAX + 64];

    if (watch == NULL || core->host == NULL)
        return watch;
    snprintf(what, sizeof(what), "a watch of the store below \"%.*s\"", BERTH_STORE_BUCKET_MAX, prefix);
    watch->core = core;
    watch->holding =
        berth_note_revocable(core->host, what, (const void *)(uintptr_t)on_change, revoke_watch, watch);
    return watch;
}

void berth_store_core_unwatch(void *instance, struct berth_store_watch *watch)
{
    end_watch(core_of(instance), watch);
}

const struct berth_store_limits *berth_store_core_limits(void *instance)
{
    return &core_of(instance)->limits;
}

const struct berth_store berth_store_interface = BERTH_STORE_INTERFACE;
