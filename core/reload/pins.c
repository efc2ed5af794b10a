/* SPDX-License-Identifier: Apache-2.0 */
/* Decides which files are held back while a change is done, and what a rollback can go back to after it. */
#include "pins.h"

#include <stdlib.h>
#include <string.h>

#include "listing.h"

static const char *find_path(const struct reload *reload, const char *uri)
{
    const struct generation *generation = listing_find(reload, uri);

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
            return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" is not running",
                                   subjects->items[i]);
        paths[i] = asked_copy_text(asked, path);
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

enum berth_code pins_find(struct reload *reload, struct asked *asked, struct berth_error *err)
{
    if (!asked->request.is_dry_run)
        rollback_review(&reload->rollback);
    asked->pins = rollback_pins_copy(&reload->rollback);
    if (asked->request.kind == BERTH_CHANGE_UPGRADE)
        take_installed(reload, asked);
    return asked->request.kind == BERTH_CHANGE_ROLLBACK ? go_back(reload, asked, err) : BERTH_OK;
}

void pins_judge(struct asked *asked, struct survey *survey, struct scan_pin *pins)
{
    for (size_t i = asked->pins.count; i-- > 0;) {
        if (pins[i].objection != NULL && asked->request.kind == BERTH_CHANGE_ROLLBACK &&
            asked_has_subject(asked, pins[i].path) && asked->refusal == NULL)
            asked->refusal = asked_copy_text(asked, pins[i].objection);
        else if (pins[i].objection != NULL)
            scan_warn(&survey->scan, "%s; using the installed file, which was held back by a rollback",
                      pins[i].objection);
        if (pins[i].objection != NULL)
            rollback_pins_remove(&asked->pins, pins[i].path);
        free(pins[i].objection);
    }
}

void pins_note_replaced(struct reload *reload, struct asked *asked)
{
    const struct change *change = asked->change;

    asked->replaced = config_arena_allocate(&asked->arena, change->work_count * sizeof(*asked->replaced));
    for (size_t i = 0; i < change->step_count; i++) {
        const struct change_step *step = &change->steps[i];
        const struct generation *generation =
            step->action == CHANGE_UPGRADE || step->action == CHANGE_START || step->action == CHANGE_STOP
                ? listing_find(reload, step->uri)
                : NULL;
        struct original *original =
            generation != NULL ? reload->options.original_of(&generation->source) : NULL;

        if (original != NULL &&
            (step->to == NULL || !original_is_of(original, step->to->plugin->manifest->file)))
            asked->replaced[asked->replaced_count++] =
                (struct asked_replaced){asked_copy_text(asked, step->uri), original_hold(original)};
    }
}

void pins_keep(struct reload *reload, struct asked *asked)
{
    for (size_t i = 0; i < asked->replaced_count; i++) {
        const struct generation *generation = listing_find(reload, asked->replaced[i].uri);
        const struct original *runs =
            generation != NULL ? reload->options.original_of(&generation->source) : NULL;

        if (runs != NULL && registry_plugin_is_ready(generation->plugin) &&
            strcmp(runs->path, asked->replaced[i].original->path) == 0 &&
            !verify_is_same_content(&runs->status, &asked->replaced[i].original->status))
            rollback_note(&reload->rollback, asked->replaced[i].original);
        original_drop(asked->replaced[i].original);
    }
    asked->replaced_count = 0;
    if (asked->report.code == BERTH_OK && !asked->request.is_dry_run && asked_reads_files(asked))
        rollback_adopt(&reload->rollback, &asked->pins);
    rollback_pins_finish(&asked->pins);
}
