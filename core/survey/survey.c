/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at configuration and files without loading anything. */
#include "survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/text/utf8.h>

#include <core/crash/crash.h>
#include <core/module/module.h>
#include <core/state/state.h>
#include <sdk/base/memory.h>

/* An ordinary library in the directory is not a rejected module. */
static void judge_files(struct survey *survey)
{
    for (size_t i = 0; i < survey->scan.count; i++)
        survey->rejected_count +=
            survey->scan.files[i].reason != NULL && survey->scan.files[i].code != BERTH_NOT_FOUND;
}

/* A configured directory must exist; the built-in ones need not. */
static void judge_directories(struct survey *survey)
{
    for (size_t i = 0; i < survey->scan.rejection_count; i++) {
        const struct scan_rejection *rejection = &survey->scan.rejections[i];
        const struct config_mark *mark = &survey->settings->plugin_dir_marks[rejection->directory];
        bool is_default = mark->file == NULL;

        if (is_default && rejection->is_missing)
            continue;
        config_diagnostics_add(&survey->diagnostics, is_default ? CONFIG_WARNING : CONFIG_ERROR, mark,
                               "plugin_dirs: %s", rejection->reason);
        survey->rejected_count++;
    }
}

/* What later starts keep to since a rollback. */
static void take_kept(struct survey *survey)
{
    struct berth_error err;

    if (held_read(survey->settings->root, &survey->kept, &err) != BERTH_OK)
        config_diagnostics_add(&survey->diagnostics, CONFIG_WARNING, NULL,
                               "%s; installed files that a rollback held back may be used", err.message);
}

/* What may not run any more is not held to. @return has the scan left out a file for it? */
static bool judge_kept(struct held_files *kept, const struct scan_pin *pins, size_t count)
{
    bool has_hidden = false;

    for (size_t i = count; i-- > 0;) {
        if (pins[i].objection == NULL)
            continue;
        has_hidden = has_hidden || pins[i].instead != NULL;
        held_drop(kept, pins[i].path);
    }
    return has_hidden;
}

static void read_catalog(struct survey *survey, struct scan_pin *pins, size_t pin_count,
                         const struct catalog_fallback *fallback)
{
    const struct settings *settings = survey->settings;
    const struct catalog_fallback kept = {.pins = pins, .pin_count = pin_count};

    catalog_read(settings->plugin_dirs, settings->plugin_dir_count, survey->trust,
                 fallback != NULL ? fallback : &kept, &survey->scan, &survey->catalog);
}

static void read_kept_catalog(struct survey *survey)
{
    size_t count = survey->kept.count;
    struct scan_pin *pins = held_pins(&survey->kept), *rest;

    read_catalog(survey, pins, count, NULL);
    if (judge_kept(&survey->kept, pins, count)) {
        catalog_finish(&survey->catalog);
        scan_finish(&survey->scan);
        rest = held_pins(&survey->kept);
        read_catalog(survey, rest, survey->kept.count, NULL);
        for (size_t i = 0; i < survey->kept.count; i++)
            free(rest[i].objection);
        free(rest);
    }
    catalog_warn_of_pins(&survey->scan, pins, count);
    for (size_t i = 0; i < count; i++)
        free(pins[i].objection);
    free(pins);
}

bool survey_take(const struct settings_options *options, const struct catalog_fallback *fallback,
                 struct survey *ret_survey)
{
    struct settings_options patient = *options;

    patient.keep_going = true;
    *ret_survey = (struct survey){0};
    ret_survey->settings = settings_load(&patient, &ret_survey->diagnostics);
    if (ret_survey->settings == NULL)
        return false;
    ret_survey->settings->trust.is_locking = options->is_locking;
    ret_survey->trust = trust_create(&ret_survey->settings->trust, &ret_survey->diagnostics);
    if (fallback != NULL) {
        read_catalog(ret_survey, NULL, 0, fallback);
    } else {
        take_kept(ret_survey);
        read_kept_catalog(ret_survey);
    }
    trust_report_missing(ret_survey->trust, &ret_survey->diagnostics);
    judge_files(ret_survey);
    judge_directories(ret_survey);
    settings_make_plugins(ret_survey->settings, &ret_survey->catalog, ret_survey->rejected_count > 0,
                          &ret_survey->diagnostics);
    return true;
}

bool survey_is_good(const struct survey *survey)
{
    return survey->settings != NULL && survey->diagnostics.error_count == 0;
}

bool survey_check(struct survey *survey)
{
    settings_check_plugins(survey->settings, &survey->catalog, survey->rejected_count > 0,
                           &survey->diagnostics);
    return survey_is_good(survey);
}

static bool is_required(const struct settings *settings, const char *uri)
{
    for (size_t i = 0; i < settings->required_count; i++)
        if (strcmp(settings->required[i].uri, uri) == 0)
            return true;
    return false;
}

static void take_quarantine(struct survey *survey)
{
    const struct settings_on_crash *on_crash = &survey->settings->on_crash;
    struct settings_plan *plan = &survey->settings->plan;
    char others[BERTH_ERROR_MAX];
    struct berth_error error;
    struct deaths deaths;

    if (on_crash->quarantine_after == 0)
        return;
    if (deaths_read(survey->settings->state, &deaths, &error) != BERTH_OK)
        config_diagnostics_add(&survey->diagnostics, CONFIG_WARNING, NULL, "%s", error.message);
    else if (deaths_describe_others(&deaths, survey->settings->state, others))
        config_diagnostics_add(&survey->diagnostics, CONFIG_WARNING, NULL, "%s", others);
    survey->quarantined = memory_allocate(deaths.count, sizeof(*survey->quarantined));
    for (size_t i = 0; i < deaths.count; i++) {
        const struct death *death = &deaths.items[i];

        if (!death->is_quarantine || (is_required(survey->settings, death->uri) && !on_crash->required))
            continue;
        survey->quarantined[plan->quarantined_count++] = (struct settings_quarantine){
            .uri = memory_copy(death->uri),
            .reason = memory_format("%s; run `berthd quarantine clear %s`, then `berthctl reload`",
                                    death->what, death->uri),
        };
    }
    plan->quarantined = survey->quarantined;
    deaths_finish(&deaths);
}

static void make_plan(struct survey *survey, const char *const *stopped, size_t stopped_count)
{
    struct settings_plan settings = survey->settings->plan;

    settings.stopped = stopped;
    settings.stopped_count = stopped_count;
    survey->plan = plan_create(&survey->catalog, &settings);
}

void survey_plan_without(struct survey *survey, const char *const *stopped, size_t stopped_count)
{
    take_quarantine(survey);
    make_plan(survey, stopped, stopped_count);
}

void survey_plan(struct survey *survey)
{
    survey_plan_without(survey, NULL, 0);
}

struct survey *survey_derive(struct survey *survey, const char *const *stopped, size_t stopped_count)
{
    struct survey *base = survey->base != NULL ? survey->base : survey;
    struct survey *derived = memory_allocate(1, sizeof(*derived));

    *derived = (struct survey){
        .settings = base->settings,
        .scan = base->scan,
        .catalog = base->catalog,
        .rejected_count = base->rejected_count,
        .holders = 1,
        .base = survey_hold(base),
    };
    make_plan(derived, stopped, stopped_count);
    return derived;
}

/* Only what the manifest lists: other callbacks cannot be known without running plugin code. */
static size_t count_servers(const struct plan *plan)
{
    size_t count = 0;

    for (size_t i = 0; i < plan->run_count; i++)
        count += (plan->entries[i].plugin->callbacks & MANIFEST_CALLBACK_SERVE) != 0;
    return count;
}

static void refuse_required(const struct plan *plan, const struct settings_uri *required,
                            struct config_diagnostics *diagnostics)
{
    size_t entry = plan_find(plan, required->uri);

    if (entry == PLAN_NONE)
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &required->mark,
                               "required plugin %s: no such plugin", required->uri);
    else if (!plan_entry_will_run(&plan->entries[entry]))
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &required->mark, "required plugin %s is %s: %s",
                               required->uri, berth_state_name(plan->entries[entry].state),
                               plan->entries[entry].reason);
}

static void refuse_folder(const char *what, const char *path, struct config_diagnostics *diagnostics)
{
    struct berth_error err;

    if (folder_check(what, path, &err) != BERTH_OK)
        config_diagnostics_add(diagnostics, CONFIG_ERROR, NULL, "%s", err.message);
}

static void refuse_noexec(const char *root, struct config_diagnostics *diagnostics)
{
    struct berth_error err;

    if (module_copies_check(root, &err) != BERTH_OK)
        config_diagnostics_add(diagnostics, CONFIG_ERROR, NULL, "%s", err.message);
}

bool survey_would_start(struct survey *survey)
{
    const struct settings *settings = survey->settings;
    size_t errors = survey->diagnostics.error_count;

    refuse_folder("root", settings->root, &survey->diagnostics);
    refuse_folder("state", settings->state, &survey->diagnostics);
    refuse_noexec(settings->root, &survey->diagnostics);
    for (size_t i = 0; i < settings->required_count; i++)
        refuse_required(survey->plan, &settings->required[i], &survey->diagnostics);
    if (count_servers(survey->plan) == 0)
        config_diagnostics_add(
            &survey->diagnostics, CONFIG_ERROR, NULL,
            "no server: of the %zu plugins that would run, none names serve under callbacks",
            survey->plan->run_count);
    return survey->diagnostics.error_count == errors;
}

/* One line, whatever file names contain. */
static void print_warning(const char *warning)
{
    fputs("warning: ", stderr);
    utf8_write_line(stderr, warning);
    fputc('\n', stderr);
}

void survey_print_diagnostics(struct survey *survey)
{
    config_diagnostics_sort(&survey->diagnostics);
    for (size_t i = 0; i < survey->diagnostics.count; i++) {
        const struct config_diagnostic *diagnostic = &survey->diagnostics.items[i];
        char *line = config_diagnostic_format(diagnostic);

        fputs(diagnostic->severity == CONFIG_WARNING ? "warning: " : "", stderr);
        utf8_write_line(stderr, line);
        fputc('\n', stderr);
        free(line);
    }
    if (survey->diagnostics.dropped > 0)
        fprintf(stderr, "and %zu more\n", survey->diagnostics.dropped);
    for (size_t i = 0; i < survey->scan.warning_count; i++)
        print_warning(survey->scan.warnings[i]);
    for (size_t i = 0; survey->plan != NULL && i < survey->plan->warning_count; i++)
        print_warning(survey->plan->warnings[i]);
}

void survey_finish(struct survey *survey)
{
    plan_destroy(survey->plan);
    for (size_t i = 0; survey->quarantined != NULL && i < survey->settings->plan.quarantined_count; i++) {
        free((char *)survey->quarantined[i].uri);
        free((char *)survey->quarantined[i].reason);
    }
    free(survey->quarantined);
    trust_destroy(survey->trust);
    settings_destroy(survey->settings);
    catalog_finish(&survey->catalog);
    scan_finish(&survey->scan);
    held_finish(&survey->kept);
    config_diagnostics_finish(&survey->diagnostics);
    for (size_t i = 0; i < survey->lender_count; i++)
        survey_drop(survey->lenders[i]);
    free(survey->lenders);
}

struct survey *survey_create(const struct settings_options *options, const struct catalog_fallback *fallback,
                             bool *ret_is_readable)
{
    struct survey *survey = memory_allocate(1, sizeof(*survey));

    *ret_is_readable = survey_take(options, fallback, survey);
    return survey_hold(survey);
}

static bool owns(const struct survey *survey, const struct manifest *manifest)
{
    for (size_t i = 0; i < survey->catalog.manifest_count; i++)
        if (survey->catalog.manifests[i] == manifest)
            return true;
    return false;
}

/* From its owner, so that no chain of surveys grows where a file stays bad. */
void survey_borrow(struct survey *survey, struct survey *from, const struct manifest *manifest)
{
    struct survey *owner = from->base != NULL ? from->base : from;

    for (size_t i = 0; i < owner->lender_count && !owns(owner, manifest); i++)
        if (owns(owner->lenders[i], manifest))
            owner = owner->lenders[i];
    survey->lenders = memory_grow(survey->lenders, survey->lender_count, sizeof(struct survey *));
    survey->lenders[survey->lender_count++] = survey_hold(owner);
}

struct survey *survey_hold(struct survey *survey)
{
    survey->holders++;
    return survey;
}

void survey_drop(struct survey *survey)
{
    if (survey == NULL || --survey->holders > 0)
        return;
    if (survey->base != NULL) {
        plan_destroy(survey->plan);
        survey_drop(survey->base);
    } else {
        survey_finish(survey);
    }
    free(survey);
}
