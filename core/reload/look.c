/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a survey for a change. What runs stands in for files that have become bad. */
#include "look.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

#include "answer.h"
#include "pins.h"

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
    if (standby->entry == NULL || (from = surveys_of(&standby->reload->surveys, standby->entry)) == NULL)
        return NULL;
    manifest = standby->entry->plugin->manifest;
    if (manifest->file == NULL || stat(file->path, &status) != 0 ||
        verify_is_same_content(&status, &manifest->file->status))
        return NULL;
    standby->items = memory_grow(standby->items, standby->count, sizeof(*standby->items));
    standby->items[standby->count++] = (struct borrowed){from, manifest};
    return manifest;
}

/* How the daemon was started, or could have been. Borrows from `asked`. */
static struct settings_options find_options(const struct reload *reload, const struct asked *asked)
{
    const struct berth_change_start *start = asked->request.start;
    struct settings_options options = *reload->options.settings;

    if (start == NULL)
        return options;
    options.path = start->config != NULL ? start->config : options.path;
    options.root = start->root != NULL ? start->root : options.root;
    options.state = start->state != NULL ? start->state : options.state;
    options.lenient = start->is_lenient || options.lenient;
    if (start->plugin_dirs.count > 0) {
        options.plugin_dirs = start->plugin_dirs.items;
        options.plugin_dir_count = start->plugin_dirs.count;
    }
    return options;
}

static struct survey *take_survey(const struct reload *reload, const struct asked *asked,
                                  struct scan_pin *pins, size_t pin_count, bool *ret_is_readable)
{
    const struct settings_options options = find_options(reload, asked);
    struct standby standby = {.reload = reload};
    const struct catalog_fallback fallback = {reload->perform != NULL ? find_standby : NULL, &standby, pins,
                                              pin_count};
    struct survey *survey = survey_create(&options, &fallback, ret_is_readable);

    for (size_t i = 0; i < standby.count; i++)
        survey_borrow(survey, standby.items[i].from, standby.items[i].manifest);
    free(standby.items);
    return survey;
}

static struct survey *take_pinned_survey(const struct reload *reload, struct asked *asked,
                                         bool *ret_is_readable)
{
    size_t count = asked->pins.count;
    struct scan_pin *pins = rollback_pins_for_scan(&asked->pins), *rest;
    struct survey *survey = take_survey(reload, asked, pins, count, ret_is_readable);

    if (pins_judge(asked, pins, count)) {
        survey_drop(survey);
        rest = rollback_pins_for_scan(&asked->pins);
        survey = take_survey(reload, asked, rest, asked->pins.count, ret_is_readable);
        for (size_t i = 0; i < asked->pins.count; i++)
            free(rest[i].objection);
        free(rest);
    }
    catalog_warn_of_pins(&survey->scan, pins, asked->refusal == NULL ? count : 0);
    for (size_t i = 0; i < count; i++)
        free(pins[i].objection);
    free(pins);
    return survey;
}

bool look_again(struct reload *reload, struct asked *asked)
{
    bool is_good;
    struct survey *survey = take_pinned_survey(reload, asked, &is_good);

    asked->survey = survey;
    is_good = is_good && survey_check(survey);
    if (is_good) {
        survey_plan_without(survey, asked->stopped.items, asked->stopped.count);
        is_good = survey_would_start(survey);
    }
    answer_problems(asked, survey);
    return is_good;
}
