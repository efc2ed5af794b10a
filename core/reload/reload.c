/* SPDX-License-Identifier: Apache-2.0 */
/* Takes requests for changes one after the other, and keeps their reports for whoever asks. */
#include "reload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/queue.h>

#include <config/tree/arena.h>
#include <core/base/log.h>
#include <core/change/change.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "rollback.h"
#include "users.h"

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

/* A change that was asked for, until its report is forgotten. */
struct asked {
    TAILQ_ENTRY(asked) link;
    struct reload *reload;
    struct perform_request perform;
    struct berth_change_request request;
    struct berth_change_report report;
    bool is_done;
    /* Once its turn has come: what is wanted, what the daemon ran by, and the comparison. */
    struct survey *survey, *before;
    struct change *change;
    /* What undoes it, where it is atomic and has failed. */
    struct change *back;
    /* When its turn came, on the clock of uv_hrtime(). */
    uint64_t begun_ns;
    /* Who stays stopped once it is done. */
    const char *const *stopped;
    size_t stopped_count;
    /* The files that are held back once it is done. */
    struct rollback_pins pins;
    /* What ran of each plugin that gets another file. */
    struct replaced {
        const char *uri;
        struct original *original;
    } * replaced;
    size_t replaced_count;
    /* Why the content to go back to may not run; or NULL. */
    const char *refusal;
    /* Of the subjects and the report. */
    struct berth_arena arena;
    LIST_HEAD(, berth_change_wait) waits;
};

TAILQ_HEAD(asked_list, asked);

struct reload {
    struct reload_options options;
    /* Runs at the top of the loop. */
    uv_idle_t turn;
    /* Active while somebody waits. */
    uv_timer_t patience;
    uint64_t last_number;
    /* In the order of their numbers: those that are done, the oldest first, then the others. */
    struct asked_list all;
    size_t waiting, kept;
    /* NULL until all has served, and once it stops. */
    struct perform *perform;
    bool is_stopping;
    /* All that generations are from, the newest last. */
    struct survey **surveys;
    size_t survey_count;
    /* Plugins that stay stopped until somebody starts them. */
    char **stopped;
    size_t stopped_count;
    struct rollback rollback;
};

static void on_turn(uv_idle_t *turn);

static const char *copy_text(struct asked *asked, const char *text)
{
    return text == NULL ? NULL : config_arena_copy(&asked->arena, text, strlen(text));
}

static struct berth_strings copy_texts(struct asked *asked, const char *const *texts, size_t count)
{
    const char **copies = config_arena_allocate(&asked->arena, count * sizeof(*copies));

    for (size_t i = 0; i < count; i++)
        copies[i] = copy_text(asked, texts[i]);
    return (struct berth_strings){copies, count};
}

/* What the comparison says */

static const char *version_of(const struct plan_entry *entry)
{
    return entry == NULL ? NULL : entry->plugin->manifest->version;
}

static bool is_replacement(enum change_action action)
{
    return action == CHANGE_RESTART || action == CHANGE_UPGRADE;
}

static void copy_step(struct asked *asked, const struct change *change, size_t i,
                      struct berth_change_step *ret_step)
{
    const struct change_step *step = &change->steps[i];
    const struct change_group *group = &change->groups[step->group];

    *ret_step = (struct berth_change_step){
        .size = sizeof(*ret_step),
        .uri = copy_text(asked, step->uri),
        .action = change_action_name(step->action),
        .reason = copy_text(asked, step->reason),
        .cause = step->cause == CHANGE_NONE ? NULL : copy_text(asked, change->steps[step->cause].uri),
        .from_version = copy_text(asked, version_of(step->from)),
        .to_version = copy_text(asked, version_of(step->to)),
        .group = step->group + 1,
        .mode = is_replacement(step->action) ? manifest_upgrade_name(group->mode) : NULL,
        .expected_pause_ns = step->expected_pause_ns,
        .code = group->code,
        .message = copy_text(asked, group->reason),
    };
}

static void copy_steps(struct asked *asked, const struct change *change)
{
    struct berth_change_step *steps =
        config_arena_allocate(&asked->arena, change->work_count * sizeof(*steps));
    size_t count = 0;

    for (size_t g = 0; g < change->group_count; g++) {
        const struct change_group *group = &change->groups[g];

        for (size_t i = 0; i < group->end_count; i++)
            if (change->steps[group->ends[i]].action == CHANGE_STOP)
                copy_step(asked, change, group->ends[i], &steps[count++]);
        for (size_t i = 0; i < group->begin_count; i++)
            copy_step(asked, change, group->begins[i], &steps[count++]);
    }
    asked->report.steps = steps;
    asked->report.step_count = count;
    asked->report.plugin_count = change->step_count;
}

/* Becomes one idle that was not, or is one new? */
static bool will_newly_wait_for_a_call(const struct asked *asked, const struct plan_entry *entry)
{
    const struct plan *before = asked->before->plan;
    size_t place = plan_find(before, entry->plugin->uri);

    return entry->starts_on_call && (place == PLAN_NONE || !before->entries[place].starts_on_call);
}

static void copy_applied(struct asked *asked, const struct change *change)
{
    const struct plan *plan = asked->survey->plan;
    const char **lines =
        config_arena_allocate(&asked->arena, (change->daemon_count + plan->run_count) * sizeof(*lines));
    size_t count = 0;

    for (size_t i = 0; i < plan->run_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        char *line;

        if (!will_newly_wait_for_a_call(asked, entry))
            continue;
        line = memory_format("%s %s", entry->plugin->uri, entry->activation);
        lines[count++] = copy_text(asked, line);
        free(line);
    }

    for (size_t i = 0; i < change->daemon_count; i++) {
        char *line = settings_difference_explain(&change->daemon[i]);

        if (!change->daemon[i].needs_restart)
            lines[count++] = copy_text(asked, line);
        free(line);
    }
    asked->report.applied = (struct berth_strings){lines, count};
}

static void copy_change(struct asked *asked, const struct change *change)
{
    asked->report.code = change->code;
    asked->report.message = copy_text(asked, change->refusal);
    asked->report.plugin_count = change->step_count;
    asked->report.warnings = copy_texts(asked, change->warnings, change->warning_count);
    if (change->code != BERTH_OK)
        return;
    copy_steps(asked, change);
    copy_applied(asked, change);
}

/* Which survey a generation is from */

static bool has_entry(const struct survey *survey, const struct plan_entry *entry)
{
    uintptr_t first = (uintptr_t)survey->plan->entries, at = (uintptr_t)entry;

    return at >= first && at < first + survey->plan->count * sizeof(*entry);
}

static struct survey *survey_of(const struct reload *reload, const struct plan_entry *entry)
{
    for (size_t i = reload->survey_count; i-- > 0;)
        if (has_entry(reload->surveys[i], entry))
            return reload->surveys[i];
    return NULL;
}

struct survey *reload_newest(const struct reload *reload)
{
    return reload->surveys[reload->survey_count - 1];
}

struct use {
    const struct survey *survey;
    bool is_found;
};

static bool look_for_use(void *context, const struct generation *generation)
{
    struct use *use = context;

    use->is_found = has_entry(use->survey, generation->source.entry);
    return !use->is_found;
}

/* A generation whose module could not be loaded keeps no survey by itself. */
static void drop_unused(struct reload *reload)
{
    size_t kept = 0;

    for (size_t i = 0; i < reload->survey_count; i++) {
        struct use use = {.survey = reload->surveys[i], .is_found = i + 1 == reload->survey_count};

        if (!use.is_found)
            perform_each(reload->perform, look_for_use, &use);
        if (use.is_found)
            reload->surveys[kept++] = reload->surveys[i];
        else
            survey_drop(reload->surveys[i]);
    }
    reload->survey_count = kept;
}

static void adopt(struct reload *reload, struct survey *survey)
{
    reload->surveys = memory_grow(reload->surveys, reload->survey_count, sizeof(struct survey *));
    reload->surveys[reload->survey_count++] = survey_hold(survey);
    reload->options.on_adopt(reload->options.context, survey);
}

/* What runs */

struct listing {
    struct change_running *items;
    /* As the ledger knows them. */
    const void **owners;
    size_t count;
    struct users users;
};

static struct change_running describe(const struct reload *reload, const struct generation *generation)
{
    const struct registry_plugin *plugin = generation->plugin;
    const struct survey *survey = survey_of(reload, generation->source.entry);

    return (struct change_running){
        .entry = generation->source.entry,
        .settings = survey != NULL ? survey->settings : NULL,
        .generation = plugin->generation,
        .is_ready = registry_plugin_is_ready(plugin),
        .is_left_open = generation->is_open && !registry_plugin_is_ready(plugin),
        .has_interface = plugin->table != NULL && BERTH_HAS(plugin->table, interface),
        .start_ns = plugin->times.prepare_ns + plugin->times.init_ns + plugin->times.serve_ns,
    };
}

static void list_running(struct listing *listing, const struct reload *reload)
{
    const struct generation **generations = perform_list(reload->perform, &listing->count);

    listing->items = memory_allocate(listing->count + 1, sizeof(*listing->items));
    listing->owners = memory_allocate(listing->count + 1, sizeof(*listing->owners));
    for (size_t i = 0; i < listing->count; i++) {
        listing->items[i] = describe(reload, generations[i]);
        listing->owners[i] = &generations[i]->host;
    }
    users_find(&listing->users, registry_ledger(reload->options.registry), listing->items, listing->owners,
               listing->count);
    free(generations);
}

static void listing_finish(struct listing *listing)
{
    users_finish(&listing->users);
    free(listing->owners);
    free(listing->items);
}

struct search {
    const char *uri;
    const struct generation *found;
};

static bool match_uri(void *context, const struct generation *generation)
{
    struct search *search = context;

    if (strcmp(generation_uri(generation), search->uri) == 0)
        search->found = generation;
    return search->found == NULL;
}

static const struct generation *find_generation(const struct reload *reload, const char *uri)
{
    struct search search = {.uri = uri};

    if (reload->perform != NULL)
        perform_each(reload->perform, match_uri, &search);
    return search.found;
}

static const struct settings *settings_of(const struct inspect *inspect, const char *uri)
{
    const struct reload *reload = inspect->reload;
    const struct generation *generation = find_generation(reload, uri);
    const struct survey *survey = generation != NULL ? survey_of(reload, generation->source.entry) : NULL;

    return survey != NULL ? survey->settings : reload_newest(reload)->settings;
}

/* What is wanted */

static void copy_problems(struct asked *asked, struct survey *survey)
{
    const struct config_diagnostics *diagnostics = &survey->diagnostics;
    size_t total = diagnostics->count + survey->scan.warning_count, count = 0;
    const char **lines = config_arena_allocate(&asked->arena, total * sizeof(*lines));

    config_diagnostics_sort(&survey->diagnostics);
    for (size_t i = 0; i < diagnostics->count; i++) {
        char *line = config_diagnostic_format(&diagnostics->items[i]);

        lines[count++] = copy_text(asked, line);
        free(line);
    }
    for (size_t i = 0; i < survey->scan.warning_count; i++)
        lines[count++] = copy_text(asked, survey->scan.warnings[i]);
    asked->report.problems = (struct berth_strings){lines, count};
}

static bool is_subject(const struct asked *asked, const char *uri)
{
    for (size_t i = 0; i < asked->request.subjects.count; i++)
        if (strcmp(asked->request.subjects.items[i], uri) == 0)
            return true;
    return false;
}

/* Who stays stopped once this is done; in the memory of `asked`. */
static void find_stopped(const struct reload *reload, struct asked *asked)
{
    bool stops = asked->request.kind == BERTH_CHANGE_STOP;
    bool starts = asked->request.kind == BERTH_CHANGE_START || asked->request.kind == BERTH_CHANGE_RESTART;
    const char **stopped = config_arena_allocate(
        &asked->arena, (reload->stopped_count + asked->request.subjects.count) * sizeof(*stopped));

    for (size_t i = 0; i < reload->stopped_count; i++)
        if (!(starts || stops) || !is_subject(asked, reload->stopped[i]))
            stopped[asked->stopped_count++] = copy_text(asked, reload->stopped[i]);
    for (size_t i = 0; stops && i < asked->request.subjects.count; i++)
        stopped[asked->stopped_count++] = asked->request.subjects.items[i];
    asked->stopped = stopped;
}

static void remember_stopped(struct reload *reload, const struct asked *asked)
{
    for (size_t i = 0; i < reload->stopped_count; i++)
        free(reload->stopped[i]);
    free(reload->stopped);
    reload->stopped = memory_allocate(asked->stopped_count, sizeof(*reload->stopped));
    reload->stopped_count = asked->stopped_count;
    for (size_t i = 0; i < asked->stopped_count; i++)
        reload->stopped[i] = memory_copy(asked->stopped[i]);
}

/* What runs, for files that have become bad */

struct standby {
    const struct reload *reload;
    /* The file that was rejected, and what runs of it. */
    const struct scan_file *file;
    const struct plan_entry *entry;
    struct borrowed {
        struct survey *from;
        const struct manifest *manifest;
    } * items;
    size_t count;
};

static bool match_file(void *context, const struct generation *generation)
{
    struct standby *standby = context;

    if (registry_plugin_is_ready(generation->plugin) &&
        strcmp(generation->source.entry->plugin->manifest->path, standby->file->shown) == 0)
        standby->entry = generation->source.entry;
    return standby->entry == NULL;
}

/*
 * A file that took the place of a module which runs, and cannot. The file that runs may itself be rejected,
 * because it has been revoked or others may write to it since: then it stops.
 */
static const struct manifest *find_standby(void *context, const struct scan_file *file)
{
    struct standby *standby = context;
    const struct manifest *manifest;
    struct survey *from;
    struct stat status;

    standby->file = file;
    standby->entry = NULL;
    perform_each(standby->reload->perform, match_file, standby);
    if (standby->entry == NULL || (from = survey_of(standby->reload, standby->entry)) == NULL)
        return NULL;
    manifest = standby->entry->plugin->manifest;
    if (manifest->file == NULL || stat(file->path, &status) != 0 ||
        verify_is_same_content(&status, &manifest->file->status))
        return NULL;
    standby->items = memory_grow(standby->items, standby->count, sizeof(*standby->items));
    standby->items[standby->count++] = (struct borrowed){from, manifest};
    return manifest;
}

/* @param pins  of `asked`. */
static struct survey *take_survey(const struct reload *reload, struct scan_pin *pins, size_t pin_count,
                                  bool *ret_is_readable)
{
    struct standby standby = {.reload = reload};
    const struct catalog_fallback fallback = {reload->perform != NULL ? find_standby : NULL, &standby, pins,
                                              pin_count};
    struct survey *survey = survey_create(reload->options.settings, &fallback, ret_is_readable);

    for (size_t i = 0; i < standby.count; i++)
        survey_borrow(survey, standby.items[i].from, standby.items[i].manifest);
    free(standby.items);
    return survey;
}

/* What may not run any more is not gone back to; of what is held back already, the file is used. */
static void judge_pins(struct asked *asked, struct survey *survey, struct scan_pin *pins)
{
    for (size_t i = asked->pins.count; i-- > 0;) {
        if (pins[i].objection != NULL && asked->request.kind == BERTH_CHANGE_ROLLBACK &&
            is_subject(asked, pins[i].path) && asked->refusal == NULL)
            asked->refusal = copy_text(asked, pins[i].objection);
        else if (pins[i].objection != NULL)
            scan_warn(&survey->scan, "%s; so the installed file is used, which was held back by a rollback",
                      pins[i].objection);
        if (pins[i].objection != NULL)
            rollback_pins_remove(&asked->pins, pins[i].path);
        free(pins[i].objection);
    }
}

/* @return could the daemon start with what it finds? If not, the problems say why. */
static bool look(struct reload *reload, struct asked *asked)
{
    struct scan_pin *pins = rollback_pins_for_scan(&asked->pins);
    bool is_good;
    struct survey *survey = take_survey(reload, pins, asked->pins.count, &is_good);

    judge_pins(asked, survey, pins);
    free(pins);

    asked->survey = survey;
    is_good = is_good && survey_check(survey);
    if (is_good) {
        survey_plan_without(survey, asked->stopped, asked->stopped_count);
        is_good = survey_would_start(survey);
    }
    copy_problems(asked, survey);
    return is_good;
}

static bool reads_files(const struct asked *asked)
{
    return asked->request.kind == BERTH_CHANGE_RELOAD || asked->request.kind == BERTH_CHANGE_UPGRADE ||
           asked->request.kind == BERTH_CHANGE_ROLLBACK;
}

/* Which files are held back if all goes well */

static const char *find_path(const struct reload *reload, const char *uri)
{
    const struct generation *generation = find_generation(reload, uri);

    return generation != NULL && generation->source.entry->plugin->manifest->file != NULL
               ? generation->source.entry->plugin->manifest->file->path
               : NULL;
}

/* From here on, the subjects of a rollback are files: whatever each had, goes back together. */
static enum berth_code go_back(struct reload *reload, struct asked *asked, struct berth_error *err)
{
    const struct berth_strings *subjects = &asked->request.subjects;
    const char **paths = config_arena_allocate(&asked->arena, subjects->count * sizeof(*paths));
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < subjects->count && code == BERTH_OK; i++) {
        const char *path = find_path(reload, subjects->items[i]);

        if (path == NULL)
            return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" does not run",
                                   subjects->items[i]);
        paths[i] = copy_text(asked, path);
        code = rollback_pins_add(&asked->pins, &reload->rollback, path, err);
    }
    if (code == BERTH_OK)
        asked->request.subjects.items = paths;
    return code;
}

static void take_installed(const struct reload *reload, struct asked *asked)
{
    for (size_t i = 0; i < asked->request.subjects.count; i++) {
        const char *subject = asked->request.subjects.items[i];
        bool is_path = strchr(subject, '/') != NULL;
        const char *path = is_path ? subject : find_path(reload, subject);

        if (path != NULL)
            rollback_pins_remove(&asked->pins, path);
    }
}

static enum berth_code find_pins(struct reload *reload, struct asked *asked, struct berth_error *err)
{
    if (!asked->request.is_dry_run)
        rollback_review(&reload->rollback);
    asked->pins = rollback_pins_copy(&reload->rollback);
    if (asked->request.kind == BERTH_CHANGE_UPGRADE)
        take_installed(reload, asked);
    return asked->request.kind == BERTH_CHANGE_ROLLBACK ? go_back(reload, asked, err) : BERTH_OK;
}

static void note_replaced(struct reload *reload, struct asked *asked)
{
    const struct change *change = asked->change;

    asked->replaced = config_arena_allocate(&asked->arena, change->work_count * sizeof(*asked->replaced));
    for (size_t i = 0; i < change->step_count; i++) {
        const struct change_step *step = &change->steps[i];
        const struct generation *generation =
            step->action == CHANGE_UPGRADE || step->action == CHANGE_START || step->action == CHANGE_STOP
                ? find_generation(reload, step->uri)
                : NULL;
        struct original *original =
            generation != NULL ? reload->options.original_of(&generation->source) : NULL;

        if (original != NULL &&
            (step->to == NULL || !original_is_of(original, step->to->plugin->manifest->file)))
            asked->replaced[asked->replaced_count++] =
                (struct replaced){copy_text(asked, step->uri), original_hold(original)};
    }
}

/* What was upgraded can go back; where all was done, so do the files that are held back take effect. */
static void keep_ways_back(struct reload *reload, struct asked *asked)
{
    for (size_t i = 0; i < asked->replaced_count; i++) {
        const struct generation *generation = find_generation(reload, asked->replaced[i].uri);
        const struct original *runs =
            generation != NULL ? reload->options.original_of(&generation->source) : NULL;

        if (runs != NULL && registry_plugin_is_ready(generation->plugin) &&
            strcmp(runs->path, asked->replaced[i].original->path) == 0 &&
            !verify_is_same_content(&runs->status, &asked->replaced[i].original->status))
            rollback_note(&reload->rollback, asked->replaced[i].original);
        original_drop(asked->replaced[i].original);
    }
    asked->replaced_count = 0;
    if (asked->report.code == BERTH_OK && !asked->request.is_dry_run && reads_files(asked))
        rollback_adopt(&reload->rollback, &asked->pins);
    rollback_pins_finish(&asked->pins);
}

/* A module's path stands for its plugins. */
static void resolve_path(struct asked *asked, const char *path, const char **subjects, size_t *count,
                         size_t most)
{
    char *real = realpath(path, NULL);
    const struct plan *plan = asked->survey->plan;
    size_t before = *count;

    for (size_t i = 0; i < plan->count && *count < most; i++)
        if (plan->entries[i].plugin->manifest->file != NULL &&
            strcmp(plan->entries[i].plugin->manifest->file->path, real != NULL ? real : path) == 0)
            subjects[(*count)++] = plan->entries[i].plugin->uri;
    if (*count == before && *count < most)
        subjects[(*count)++] = path;
    free(real);
}

static struct berth_strings resolve_subjects(struct asked *asked)
{
    size_t most = asked->request.subjects.count + asked->survey->plan->count, count = 0;
    const char **subjects = config_arena_allocate(&asked->arena, most * sizeof(*subjects));

    for (size_t i = 0; i < asked->request.subjects.count && count < most; i++)
        if (strchr(asked->request.subjects.items[i], '/') != NULL)
            resolve_path(asked, asked->request.subjects.items[i], subjects, &count, most);
        else
            subjects[count++] = asked->request.subjects.items[i];
    return (struct berth_strings){subjects, count};
}

static struct change *compare_with(const struct reload *reload, const struct survey *before,
                                   const struct survey *survey, const struct change_request *request)
{
    struct listing listing;
    struct change *change;

    list_running(&listing, reload);
    change = change_create(listing.items, listing.count, before->settings, survey->plan, survey->settings,
                           request);
    listing_finish(&listing);
    return change;
}

struct change *reload_compare(const struct reload *reload, const struct change_request *request)
{
    return compare_with(reload, reload_newest(reload), reload_newest(reload), request);
}

static struct change *compare(struct reload *reload, struct asked *asked, const char *const *unwilling,
                              size_t unwilling_count)
{
    static const enum change_kind kinds[] = {
        [BERTH_CHANGE_RELOAD] = CHANGE_RELOAD,           [BERTH_CHANGE_START] = CHANGE_START_PLUGINS,
        [BERTH_CHANGE_STOP] = CHANGE_STOP_PLUGINS,       [BERTH_CHANGE_RESTART] = CHANGE_RESTART_PLUGINS,
        [BERTH_CHANGE_UPGRADE] = CHANGE_UPGRADE_PLUGINS, [BERTH_CHANGE_ROLLBACK] = CHANGE_ROLLBACK_PLUGINS,
    };
    const struct berth_strings subjects = resolve_subjects(asked);
    const struct change_request request = {
        .kind = kinds[asked->request.kind],
        .subjects = subjects.items,
        .subject_count = subjects.count,
        .unwilling = unwilling,
        .unwilling_count = unwilling_count,
        .cascade = asked->request.cascades,
        .force = asked->request.is_forced,
    };

    return compare_with(reload, asked->before, asked->survey, &request);
}

static bool is_any_idle(const struct plan *plan)
{
    for (size_t i = 0; i < plan->run_count; i++)
        if (plan->entries[i].starts_on_call)
            return true;
    return false;
}

/* Only what listings show may differ, if anything. What is idle may start from another file, or with other
 * settings. */
static bool is_the_same(const struct survey *before, const struct survey *after, const struct change *change)
{
    return change->work_count == 0 && !is_any_idle(after->plan) && change->daemon_count == 0 &&
           before->plan->count == after->plan->count && before->plan->run_count == after->plan->run_count &&
           before->scan.count == after->scan.count && before->rejected_count == after->rejected_count;
}

static enum berth_code refuse_for_problems(struct asked *asked, struct berth_error *err)
{
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s; nothing was changed",
                           asked->survey->diagnostics.error_count > 0 ? "the configuration has errors"
                                                                      : "the configuration cannot be read");
}

static bool is_all_or_nothing(const struct asked *asked)
{
    return asked->request.is_atomic || asked->request.kind == BERTH_CHANGE_ROLLBACK;
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

/* Its turn has come; or plugins would not take their settings in place. */
static enum berth_code begin(struct perform_request *request, const char *const *unwilling,
                             size_t unwilling_count, struct perform_work *ret_work, struct berth_error *err)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, perform);
    struct reload *reload = asked->reload;
    enum berth_code code;

    if (asked->survey == NULL) {
        asked->begun_ns = uv_hrtime();
        asked->before = survey_hold(reload_newest(reload));
        find_stopped(reload, asked);
        code = find_pins(reload, asked, err);
        if (code != BERTH_OK)
            return code;
        if (!reads_files(asked))
            asked->survey = survey_derive(asked->before, asked->stopped, asked->stopped_count);
        else if (!look(reload, asked))
            return refuse_for_problems(asked, err);
        if (asked->refusal != NULL)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "cannot roll back: %s", asked->refusal);
    }
    change_destroy(asked->change);
    asked->change = compare(reload, asked, unwilling, unwilling_count);
    copy_change(asked, asked->change);
    if (asked->change->code != BERTH_OK)
        return berth_error_set(err, asked->change->code, "%s", asked->change->refusal);
    if (asked->request.is_dry_run)
        return berth_error_set(err, BERTH_CANCELLED, "a dry run");
    code = is_all_or_nothing(asked) ? refuse_part(asked->change, err) : BERTH_OK;
    if (code != BERTH_OK)
        return code;
    remember_stopped(reload, asked);
    if (asked->replaced == NULL)
        note_replaced(reload, asked);
    if (reload_newest(reload) != asked->survey && !is_the_same(asked->before, asked->survey, asked->change))
        adopt(reload, asked->survey);
    *ret_work = (struct perform_work){
        .plan = reload_newest(reload)->plan,
        .change = asked->change,
        .drain_ns = reload_newest(reload)->settings->upgrade.drain_ns,
        .is_forced = asked->request.is_forced,
        .is_atomic = is_all_or_nothing(asked),
    };
    return BERTH_OK;
}

/* Those that were restarted for their settings would not take the earlier ones in place either. */
static struct berth_strings find_restarted(struct asked *asked)
{
    const char **uris = config_arena_allocate(&asked->arena, asked->change->step_count * sizeof(*uris));
    size_t count = 0;

    for (size_t i = 0; i < asked->change->step_count; i++)
        if (asked->change->steps[i].action == CHANGE_RESTART)
            uris[count++] = asked->change->steps[i].uri;
    return (struct berth_strings){uris, count};
}

/* Back to the plan that all ran by when its turn had come. */
static enum berth_code undo(struct perform_request *request, const char *const *done, size_t done_count,
                            struct perform_work *ret_work, struct berth_error *err)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, perform);
    struct reload *reload = asked->reload;
    const struct berth_strings restarted = find_restarted(asked);
    const struct change_request back = {
        .kind = CHANGE_UNDO,
        .subjects = done,
        .subject_count = done_count,
        .unwilling = restarted.items,
        .unwilling_count = restarted.count,
        .force = asked->request.is_forced,
    };
    struct listing listing;

    if (reload_newest(reload) != asked->before)
        adopt(reload, asked->before);
    asked->report.applied.count = 0;
    list_running(&listing, reload);
    asked->back = change_create(listing.items, listing.count, NULL, asked->before->plan,
                                asked->before->settings, &back);
    listing_finish(&listing);
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

static const struct perform_result *find_result(const struct perform_report *report, const char *uri)
{
    for (size_t i = 0; i < report->result_count; i++)
        if (strcmp(report->results[i].uri, uri) == 0)
            return &report->results[i];
    return NULL;
}

/* @return how many steps have been done. */
static size_t copy_results(struct asked *asked, const struct perform_report *report)
{
    struct berth_change_step *steps = (struct berth_change_step *)(uintptr_t)asked->report.steps;
    size_t done = 0;

    for (size_t i = 0; i < asked->report.step_count; i++) {
        const struct perform_result *result = find_result(report, steps[i].uri);

        if (result == NULL && steps[i].code != BERTH_OK)
            continue;
        if (result == NULL) {
            steps[i].code = BERTH_CANCELLED;
            steps[i].message = "not tried";
            continue;
        }
        steps[i].code = result->code;
        steps[i].message = copy_text(asked, result->message);
        steps[i].generation = result->generation;
        steps[i].pause_ns = result->pause_ns;
        done += result->code == BERTH_OK;
    }
    return done;
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

static const char *name_of(enum berth_change_kind kind)
{
    static const char *const names[] = {"reload", "start", "stop", "restart", "upgrade", "rollback"};

    return names[kind];
}

static void log_problems(const struct asked *asked)
{
    for (size_t i = 0; i < asked->report.problems.count; i++)
        log_line(asked->report.code == BERTH_INVALID_ARGUMENT ? BERTH_LOG_ERROR : BERTH_LOG_WARN, "%s",
                 asked->report.problems.items[i]);
}

static void log_end(const struct asked *asked, size_t done)
{
    const struct berth_change_report *report = &asked->report;

    if (report->is_dry_run)
        return;
    log_problems(asked);
    for (size_t i = 0; i < report->applied.count; i++)
        log_line(BERTH_LOG_INFO, "%s", report->applied.items[i]);
    for (size_t i = 0; i < report->warnings.count; i++)
        log_line(BERTH_LOG_WARN, "%s", report->warnings.items[i]);
    if (report->code == BERTH_OK)
        log_line(BERTH_LOG_INFO, "%s done change=%" PRIu64 " plugins=%zu took_ms=%.1f",
                 name_of(asked->request.kind), report->number, done,
                 (double)(uv_hrtime() - asked->begun_ns) / 1e6);
    else
        log_line(BERTH_LOG_ERROR, "%s not done change=%" PRIu64 ": %s", name_of(asked->request.kind),
                 report->number, report->message);
}

static void copy_report(struct asked *asked, const struct perform_report *report, size_t *ret_done)
{
    asked->report.code = report->code;
    asked->report.message = report->code == BERTH_OK ? NULL : copy_text(asked, report->message);
    *ret_done = 0;
    if (asked->request.is_dry_run && report->code == BERTH_CANCELLED) {
        asked->report.code = BERTH_OK;
        asked->report.message = NULL;
        return;
    }
    if (asked->request.is_dry_run || asked->change == NULL || asked->change->code != BERTH_OK)
        return;
    *ret_done = copy_results(asked, report);
    if (report->code == BERTH_OK)
        return;
    asked->report.code = report->result_count == 0 && (report->code == BERTH_UNAVAILABLE ||
                                                       report->code == BERTH_FAILED_PRECONDITION)
                             ? report->code
                             : BERTH_ABORTED;
    asked->report.message = copy_text(asked, report->message);
}

static void on_done(struct perform_request *request, const struct perform_report *report)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, perform);
    struct reload *reload = asked->reload;
    size_t done;

    copy_report(asked, report, &done);
    log_end(asked, done);
    if (asked->change != NULL && !asked->request.is_dry_run)
        explain_stops(reload, asked);
    keep_ways_back(reload, asked);
    change_destroy(asked->change);
    change_destroy(asked->back);
    asked->change = asked->back = NULL;
    survey_drop(asked->survey);
    survey_drop(asked->before);
    asked->is_done = true;
    asked->survey = asked->before = NULL;
    if (reload->perform != NULL)
        drop_unused(reload);
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

static enum berth_code check_request(const struct berth_change_request *request, struct berth_error *err)
{
    if ((unsigned)request->kind > BERTH_CHANGE_ROLLBACK)
        return berth_error_set(err, BERTH_UNIMPLEMENTED, "this berthd does not know this kind of change");
    if ((request->kind == BERTH_CHANGE_RELOAD) != (request->subjects.count == 0))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s",
                               request->subjects.count == 0
                                   ? "name the plugins to change"
                                   : "a reload applies to the whole daemon; do not name plugins");
    if (request->subjects.count > SUBJECTS_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%zu plugins are too many for one request (at most %d)",
                               request->subjects.count, SUBJECTS_MAX);
    return BERTH_OK;
}

/* Before everything has started, requests wait for that. */
static uint64_t ask(struct reload *reload, const struct berth_change_request *request)
{
    struct asked *asked = memory_allocate(1, sizeof(*asked));

    asked->reload = reload;
    asked->request = *request;
    asked->request.subjects = copy_texts(asked, request->subjects.items, request->subjects.count);
    asked->report = (struct berth_change_report){
        .size = sizeof(asked->report), .number = ++reload->last_number, .is_dry_run = request->is_dry_run};
    asked->perform = (struct perform_request){.begin = begin, .undo = undo, .on_done = on_done};
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
    reload->surveys = memory_grow(NULL, 0, sizeof(struct survey *));
    reload->surveys[reload->survey_count++] = survey_hold(options->survey);
    options->inspect->reload = reload;
    options->inspect->settings_of = settings_of;
    options->inspect->table.request_change = request_change;
    options->inspect->table.await_change = await_change;
    options->inspect->table.leave_change = leave_change;
    return reload;
}

void reload_begin(struct reload *reload, struct perform *perform)
{
    struct asked *asked;

    reload->perform = perform;
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
    for (size_t i = 0; i < reload->survey_count; i++)
        survey_drop(reload->surveys[i]);
    for (size_t i = 0; i < reload->stopped_count; i++)
        free(reload->stopped[i]);
    rollback_finish(&reload->rollback);
    free(reload->surveys);
    free(reload->stopped);
    free(reload);
}
