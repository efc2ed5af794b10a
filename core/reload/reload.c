/* SPDX-License-Identifier: Apache-2.0 */
/* Takes requests for changes one after the other, and keeps their reports for whoever asks. */
#include "reload.h"

#include <stdlib.h>
#include <string.h>

#include <config/tree/load.h>

#include <core/base/log.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "answer.h"
#include "asked.h"
#include "compare.h"
#include "listing.h"
#include "look.h"
#include "pins.h"

/* Requests that wait for their turn, and reports that are kept. */
#define WAITING_MAX 64
#define KEPT_MAX 16
#define SUBJECTS_MAX 1024
/* A call that waits for the report may be what the change waits for, so that it is sent away meanwhile. */
#define PATIENCE_MS 250

/* Whoever waits for a report. */
struct berth_change_wait {
    LIST_ENTRY(berth_change_wait) link;
    void (*on_report)(void *context, const struct berth_change_report *report);
    void *context;
};

static void on_turn(uv_idle_t *turn);

struct survey *reload_newest(const struct reload *reload)
{
    return surveys_newest(&reload->surveys);
}

struct change *reload_compare(const struct reload *reload, const struct change_request *request)
{
    const struct survey *newest = reload_newest(reload);

    return compare_with(reload, newest->settings, newest, request);
}

static void adopt(struct reload *reload, struct survey *survey)
{
    surveys_add(&reload->surveys, survey);
    reload->options.on_adopt(reload->options.context, survey);
}

static const struct settings *settings_of(const struct inspect *inspect, const char *uri)
{
    const struct reload *reload = inspect->reload;
    const struct generation *generation = listing_find(reload, uri);
    const struct survey *survey =
        generation != NULL ? surveys_of(&reload->surveys, generation->source.entry) : NULL;

    return survey != NULL ? survey->settings : reload_newest(reload)->settings;
}

/* Who stays stopped once this is done; in the memory of `asked`. */
static void find_stopped(const struct reload *reload, struct asked *asked)
{
    bool stops = asked->request.kind == BERTH_CHANGE_STOP;
    bool starts = asked->request.kind == BERTH_CHANGE_START || asked->request.kind == BERTH_CHANGE_RESTART;
    const char **before = config_arena_allocate(&asked->arena, (reload->stopped_count + 1) * sizeof(*before));
    const char **stopped = config_arena_allocate(
        &asked->arena, (reload->stopped_count + asked->request.subjects.count) * sizeof(*stopped));
    size_t count = 0;

    for (size_t i = 0; i < reload->stopped_count; i++) {
        before[i] = asked_copy_text(asked, reload->stopped[i]);
        if (!(starts || stops) || !asked_has_subject(asked, before[i]))
            stopped[count++] = before[i];
    }
    for (size_t i = 0; stops && i < asked->request.subjects.count; i++)
        stopped[count++] = asked->request.subjects.items[i];
    asked->stopped = (struct berth_strings){stopped, count};
    asked->stopped_before = (struct berth_strings){before, reload->stopped_count};
}

static void remember_stopped(struct reload *reload, const struct berth_strings *stopped)
{
    for (size_t i = 0; i < reload->stopped_count; i++)
        free(reload->stopped[i]);
    free(reload->stopped);
    reload->stopped = memory_allocate(stopped->count, sizeof(*reload->stopped));
    reload->stopped_count = stopped->count;
    for (size_t i = 0; i < stopped->count; i++)
        reload->stopped[i] = memory_copy(stopped->items[i]);
}

static bool is_any_idle(const struct plan *plan)
{
    for (size_t i = 0; i < plan->run_count; i++)
        if (plan->entries[i].starts_on_call)
            return true;
    return false;
}

static bool is_same_text(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

/* Of as many files and entries: what listings say of those that do not run. */
static bool has_same_reasons(const struct survey *before, const struct survey *after)
{
    bool is_same = true;

    for (size_t i = 0; i < after->scan.count && is_same; i++)
        is_same = is_same_text(before->scan.files[i].path, after->scan.files[i].path) &&
                  is_same_text(before->scan.files[i].reason, after->scan.files[i].reason);
    for (size_t i = after->plan->run_count; i < after->plan->count && is_same; i++)
        is_same = is_same_text(before->plan->entries[i].reason, after->plan->entries[i].reason);
    return is_same;
}

/* Only what listings show may differ, if anything. What is idle or stopped may start from another file, or
 * with other settings. */
static bool is_the_same(const struct reload *reload, const struct survey *before, const struct survey *after,
                        const struct change *change)
{
    return change->work_count == 0 && !is_any_idle(after->plan) && reload->stopped_count == 0 &&
           change->daemon_count == 0 && before->plan->count == after->plan->count &&
           before->plan->run_count == after->plan->run_count && before->scan.count == after->scan.count &&
           before->rejected_count == after->rejected_count && has_same_reasons(before, after);
}

static enum berth_code refuse_for_problems(struct asked *asked, struct berth_error *err)
{
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s; nothing was changed",
                           asked->survey->diagnostics.error_count > 0 ? "the configuration has errors"
                                                                      : "the configuration cannot be read");
}

/* What cannot be done as a whole is not begun. */
static enum berth_code refuse_part(const struct change *change, struct berth_error *err)
{
    for (size_t i = 0; i < change->group_count; i++)
        if (change->groups[i].code != BERTH_OK)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s; nothing was changed",
                                   change->groups[i].reason);
    return BERTH_OK;
}

/* Its turn has come. @return does it go on reading files? */
static bool gather(struct perform_request *request)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, perform);
    struct reload *reload = asked->reload;

    asked->begun_ns = uv_hrtime();
    asked->before = survey_hold(reload_newest(reload));
    find_stopped(reload, asked);
    asked->code = pins_find(reload, asked, &asked->err);
    if (asked->code != BERTH_OK)
        return false;
    if (asked_reads_files(asked))
        return look_begin(reload, asked);
    asked->survey = survey_derive(asked->before, asked->stopped.items, asked->stopped.count);
    asked->is_good = true;
    return false;
}

/* It has a survey; or plugins would not take their settings in place. */
static enum berth_code begin(struct perform_request *request, const char *const *unwilling,
                             size_t unwilling_count, struct perform_work *ret_work, struct berth_error *err)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, perform);
    struct reload *reload = asked->reload;
    enum berth_code code;

    if (asked->code != BERTH_OK) {
        *err = asked->err;
        return asked->code;
    }
    if (!asked->is_good)
        return refuse_for_problems(asked, err);
    if (asked->refusal != NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "cannot roll back: %s", asked->refusal);
    change_destroy(asked->change);
    asked->change = compare_asked(reload, asked, unwilling, unwilling_count);
    answer_change(asked, asked->change);
    if (asked->change->code != BERTH_OK)
        return berth_error_set(err, asked->change->code, "%s", asked->change->refusal);
    if (asked->request.is_dry_run)
        return berth_error_set(err, BERTH_CANCELLED, "a dry run");
    code = asked_is_all_or_nothing(asked) ? refuse_part(asked->change, err) : BERTH_OK;
    if (code != BERTH_OK)
        return code;
    remember_stopped(reload, &asked->stopped);
    if (asked->replaced == NULL)
        pins_note_replaced(reload, asked);
    if (reload_newest(reload) != asked->survey &&
        !is_the_same(reload, asked->before, asked->survey, asked->change))
        adopt(reload, asked->survey);
    *ret_work = (struct perform_work){
        .plan = reload_newest(reload)->plan,
        .change = asked->change,
        .drain_ns = reload_newest(reload)->settings->upgrade.drain_ns,
        .is_forced = asked->request.is_forced,
        .is_atomic = asked_is_all_or_nothing(asked),
    };
    return BERTH_OK;
}

/* Back to the plan that all ran by when its turn had come, and to who was stopped then. */
static enum berth_code undo(struct perform_request *request, const char *const *done, size_t done_count,
                            struct perform_work *ret_work, struct berth_error *err)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, perform);
    struct reload *reload = asked->reload;

    if (reload_newest(reload) != asked->before)
        adopt(reload, asked->before);
    remember_stopped(reload, &asked->stopped_before);
    asked->report.applied.count = 0;
    asked->back = compare_back(reload, asked, done, done_count);
    if (asked->back->code != BERTH_OK)
        return berth_error_set(err, asked->back->code, "%s", asked->back->refusal);
    *ret_work = (struct perform_work){
        .plan = asked->before->plan,
        .change = asked->back,
        .drain_ns = asked->before->settings->upgrade.drain_ns,
        .is_forced = asked->request.is_forced,
    };
    return BERTH_OK;
}

/* What came of it */

static void tell(struct asked *asked, const struct berth_change_report *report)
{
    struct berth_change_wait *wait;

    while ((wait = LIST_FIRST(&asked->waits)) != NULL) {
        inspect_end(asked->reload->options.inspect, wait);
        LIST_REMOVE(wait, link);
        wait->on_report(wait->context, report);
        free(wait);
    }
}

static void on_patience_over(uv_timer_t *timer)
{
    struct reload *reload = CONTAINER_OF(timer, struct reload, patience);
    struct asked *asked;

    TAILQ_FOREACH(asked, &reload->all, link)
    tell(asked, asked->is_done ? &asked->report : NULL);
}

static void forget(struct reload *reload, struct asked *asked)
{
    TAILQ_REMOVE(&reload->all, asked, link);
    berth_arena_finish(&asked->arena);
    free(asked);
}

/* What has stopped is listed with the plan's reason. */
static void explain_stops(const struct reload *reload, const struct asked *asked)
{
    for (size_t i = 0; i < asked->change->step_count; i++) {
        const struct change_step *step = &asked->change->steps[i];
        struct registry_plugin *plugin = registry_find(reload->options.registry, step->uri);

        if (step->action == CHANGE_STOP && plugin != NULL && plugin->state == BERTH_STATE_STOPPED)
            registry_blame(reload->options.registry, plugin, BERTH_STATE_STOPPED, BERTH_SKIP,
                           plugin->planned != NULL && plugin->planned->reason != NULL
                               ? plugin->planned->reason
                               : step->reason,
                           NULL);
    }
}

static void on_done(struct perform_request *request, const struct perform_report *report)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, perform);
    struct reload *reload = asked->reload;
    size_t done;

    look_cancel(reload, asked);
    answer_outcome(asked, report, &done);
    answer_log(asked, done);
    if (asked->change != NULL && !asked->request.is_dry_run)
        explain_stops(reload, asked);
    pins_keep(reload, asked);
    change_destroy(asked->change);
    change_destroy(asked->back);
    asked->change = asked->back = NULL;
    survey_drop(asked->survey);
    survey_drop(asked->before);
    asked->is_done = true;
    asked->survey = asked->before = NULL;
    if (reload->perform != NULL)
        surveys_drop_unused(&reload->surveys, reload->perform);
    if (--reload->waiting == 0)
        reload->options.on_work(reload->options.context, false);
    if (++reload->kept > KEPT_MAX) {
        tell(TAILQ_FIRST(&reload->all), &TAILQ_FIRST(&reload->all)->report);
        forget(reload, TAILQ_FIRST(&reload->all));
        reload->kept--;
    }
    uv_idle_start(&reload->turn, on_turn);
}

/* Whoever waits is told at the top of the loop. */
static void on_turn(uv_idle_t *turn)
{
    struct reload *reload = CONTAINER_OF(turn, struct reload, turn);
    struct asked *asked, *next;

    uv_idle_stop(turn);
    for (asked = TAILQ_FIRST(&reload->all); asked != NULL; asked = next) {
        next = TAILQ_NEXT(asked, link);
        if (asked->is_done)
            tell(asked, &asked->report);
    }
}

/* Who asks */

static struct reload *of_table(const struct berth_inspect *table)
{
    return ((const struct inspect *)table->context)->reload;
}

static bool is_absolute(const char *path)
{
    return path == NULL || *path == '/';
}

/* The daemon has a working directory and a standard input of its own. */
static enum berth_code check_start(const struct berth_change_request *request, struct berth_error *err)
{
    const struct berth_change_start *start = request->start;
    const char *relative = !is_absolute(start->config)  ? start->config
                           : !is_absolute(start->root)  ? start->root
                           : !is_absolute(start->state) ? start->state
                                                        : NULL;

    if (request->kind != BERTH_CHANGE_RELOAD || !request->is_dry_run)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "another configuration is only compared, by a dry run of a reload; restart "
                               "berthd with it to use it");
    if (start->config != NULL && config_load_is_stream(start->config))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%.200s\" is a descriptor, and the daemon has others of the same number; "
                               "write the configuration to a file",
                               start->config);
    if (start->plugin_dirs.count > SUBJECTS_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%zu plugin directories are too many (at most %d)", start->plugin_dirs.count,
                               SUBJECTS_MAX);
    for (size_t i = 0; i < start->plugin_dirs.count && relative == NULL; i++)
        if (!is_absolute(start->plugin_dirs.items[i]))
            relative = start->plugin_dirs.items[i];
    return relative == NULL
               ? BERTH_OK
               : berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%.200s\" is not an absolute path", relative);
}

static enum berth_code check_request(const struct berth_change_request *request, struct berth_error *err)
{
    if ((unsigned)request->kind > BERTH_CHANGE_ROLLBACK)
        return berth_error_set(err, BERTH_UNIMPLEMENTED, "this berthd does not know this kind of change");
    if (BERTH_HAS(request, keeps) && request->keeps && request->kind != BERTH_CHANGE_ROLLBACK)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "only a rollback can be kept");
    if ((request->kind == BERTH_CHANGE_RELOAD) != (request->subjects.count == 0))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s",
                               request->subjects.count == 0
                                   ? "name the plugins to change"
                                   : "a reload applies to the whole daemon; do not name plugins");
    if (request->subjects.count > SUBJECTS_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%zu plugins are too many for one request (at most %d)",
                               request->subjects.count, SUBJECTS_MAX);
    return BERTH_HAS(request, start) && request->start != NULL ? check_start(request, err) : BERTH_OK;
}

/* Before everything has started, requests wait for that. */
static uint64_t ask(struct reload *reload, const struct berth_change_request *request)
{
    struct asked *asked = memory_allocate(1, sizeof(*asked));

    asked->reload = reload;
    asked_copy_request(asked, request);
    asked->report = (struct berth_change_report){
        .size = sizeof(asked->report), .number = ++reload->last_number, .is_dry_run = request->is_dry_run};
    asked->perform =
        (struct perform_request){.gather = gather, .begin = begin, .undo = undo, .on_done = on_done};
    TAILQ_INSERT_TAIL(&reload->all, asked, link);
    if (reload->waiting++ == 0 && !request->is_dry_run)
        reload->options.on_work(reload->options.context, true);
    if (reload->perform != NULL)
        perform_ask(reload->perform, &asked->perform);
    else if (reload->is_stopping)
        on_done(&asked->perform, &(struct perform_report){.code = BERTH_UNAVAILABLE,
                                                          .message = "the daemon is shutting down"});
    return asked->report.number;
}

static uint64_t request_change(const struct berth_inspect *table, const struct berth_change_request *request,
                               enum berth_code *ret_code, struct berth_error *err)
{
    struct reload *reload = of_table(table);

    if (!inspect_is_on_loop(table, "inspect->request_change", __builtin_return_address(0))) {
        *ret_code = berth_error_set(err, BERTH_FAILED_PRECONDITION,
                                    "request_change must be called from the loop's thread");
        return 0;
    }
    *ret_code = check_request(request, err);
    if (*ret_code == BERTH_OK && reload->waiting >= WAITING_MAX)
        *ret_code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                                    "%d changes are queued; try again when some are done", WAITING_MAX);
    return *ret_code == BERTH_OK ? ask(reload, request) : 0;
}

void reload_ask(struct reload *reload, const char *why)
{
    const struct berth_change_request request = {.size = sizeof(request), .kind = BERTH_CHANGE_RELOAD};

    if (reload == NULL || reload->waiting >= WAITING_MAX) {
        log_line(BERTH_LOG_WARN, "%s, not reloading: %s", why,
                 reload == NULL ? "nothing has started" : "too many changes are queued");
        return;
    }
    log_line(BERTH_LOG_INFO, "%s, reloading", why);
    ask(reload, &request);
}

static void revoke_wait(void *context)
{
    struct berth_change_wait *wait = context;

    LIST_REMOVE(wait, link);
    free(wait);
}

static struct berth_change_wait *await_change(const struct berth_inspect *table, uint64_t number,
                                              void (*on_report)(void *context,
                                                                const struct berth_change_report *report),
                                              void *context)
{
    struct reload *reload = of_table(table);
    struct berth_change_wait *wait;
    struct asked *asked;

    if (!inspect_is_on_loop(table, "inspect->await_change", __builtin_return_address(0)))
        return NULL;
    TAILQ_FOREACH(asked, &reload->all, link)
    if (asked->report.number == number)
        break;
    wait = asked != NULL ? calloc(1, sizeof(*wait)) : NULL;
    if (wait == NULL)
        return NULL;
    wait->on_report = on_report;
    wait->context = context;
    LIST_INSERT_HEAD(&asked->waits, wait, link);
    inspect_note(table->context, "the report of a change", (const void *)(uintptr_t)on_report, revoke_wait,
                 wait);
    uv_timer_start(&reload->patience, on_patience_over, PATIENCE_MS, 0);
    uv_idle_start(&reload->turn, on_turn);
    return wait;
}

static void leave_change(const struct berth_inspect *table, struct berth_change_wait *wait)
{
    if (inspect_is_on_loop(table, "inspect->leave_change", __builtin_return_address(0)) &&
        inspect_end(table->context, wait))
        revoke_wait(wait);
}

struct reload *reload_create(const struct reload_options *options)
{
    struct reload *reload = memory_allocate(1, sizeof(*reload));

    reload->options = *options;
    TAILQ_INIT(&reload->all);
    uv_idle_init(options->loop, &reload->turn);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_idle_start(&reload->turn, on_turn);
    uv_idle_stop(&reload->turn);
    uv_timer_init(options->loop, &reload->patience);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_timer_start(&reload->patience, on_patience_over, 0, 0);
    uv_timer_stop(&reload->patience);
    look_init(reload);
    surveys_add(&reload->surveys, options->survey);
    reload->root = memory_copy(options->survey->settings->root);
    options->inspect->reload = reload;
    options->inspect->settings_of = settings_of;
    options->inspect->table.request_change = request_change;
    options->inspect->table.await_change = await_change;
    options->inspect->table.leave_change = leave_change;
    return reload;
}

void reload_restore(struct reload *reload, struct originals *originals)
{
    struct survey *survey = reload->options.survey;

    rollback_restore(&reload->rollback, &survey->kept, originals);
    held_finish(&survey->kept);
}

void reload_begin(struct reload *reload, struct perform *perform)
{
    struct berth_error err;
    struct asked *asked;

    reload->perform = perform;
    pins_save(reload, &err);
    TAILQ_FOREACH(asked, &reload->all, link)
    if (!asked->is_done)
        perform_ask(perform, &asked->perform);
}

void reload_stop(struct reload *reload)
{
    static const struct perform_report stopping = {.code = BERTH_UNAVAILABLE,
                                                   .message = "the daemon is shutting down"};
    struct asked *asked, *next;

    if (reload == NULL || reload->is_stopping)
        return;
    reload->is_stopping = true;
    for (asked = TAILQ_FIRST(&reload->all); asked != NULL && reload->perform == NULL; asked = next) {
        next = TAILQ_NEXT(asked, link);
        if (!asked->is_done)
            on_done(&asked->perform, &stopping);
    }
}

void reload_close(struct reload *reload)
{
    uv_close((uv_handle_t *)&reload->turn, NULL);
    uv_close((uv_handle_t *)&reload->patience, NULL);
    look_close(reload);
}

static void leave_all(struct asked *asked)
{
    struct berth_change_wait *wait;

    while ((wait = LIST_FIRST(&asked->waits)) != NULL) {
        LIST_REMOVE(wait, link);
        free(wait);
    }
}

void reload_destroy(struct reload *reload)
{
    struct asked *asked;

    if (reload == NULL)
        return;
    while ((asked = TAILQ_FIRST(&reload->all)) != NULL) {
        leave_all(asked);
        forget(reload, asked);
    }
    surveys_finish(&reload->surveys);
    for (size_t i = 0; i < reload->stopped_count; i++)
        free(reload->stopped[i]);
    rollback_finish(&reload->rollback);
    free(reload->root);
    free(reload->stopped);
    free(reload);
}
