/* SPDX-License-Identifier: Apache-2.0 */
/* Decides which files are held back while a change is done, and what a rollback can go back to after it. */
#include "pins.h"

#include <stdlib.h>
#include <string.h>

#include <core/base/log.h>
#include <sdk/base/memory.h>

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
    const char **kept = config_arena_allocate(&asked->arena, subjects->count * sizeof(*kept));
    size_t count = 0, kept_count = 0;
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < subjects->count && code == BERTH_OK; i++) {
        const char *path = find_path(reload, subjects->items[i]);

        if (path == NULL)
            return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" is not running",
                                   subjects->items[i]);
        /* An earlier rollback is only kept. */
        if (asked->request.keeps && rollback_pins_hold(&asked->pins, path)) {
            kept[kept_count++] = asked_copy_text(asked, path);
            continue;
        }
        code = rollback_pins_add(&asked->pins, &reload->rollback, path, &path, err);
        if (code == BERTH_OK)
            kept[kept_count++] = paths[count++] = asked_copy_text(asked, path);
    }
    asked->request.subjects = (struct berth_strings){paths, count};
    asked->kept = (struct berth_strings){kept, asked->request.keeps ? kept_count : 0};
    if (code == BERTH_OK && asked->kept.count > 0 && !asked->request.is_dry_run)
        code = rollback_pins_keep(&asked->pins, reload->root, &asked->kept, err);
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

bool pins_judge(struct asked *asked, const struct scan_pin *pins, size_t count)
{
    bool has_hidden = false;

    for (size_t i = count; i-- > 0;) {
        if (pins[i].objection == NULL)
            continue;
        if (asked->request.kind == BERTH_CHANGE_ROLLBACK && asked_has_subject(asked, pins[i].path) &&
            asked->refusal == NULL)
            asked->refusal = asked_copy_text(asked, pins[i].objection);
        has_hidden = has_hidden || pins[i].instead != NULL;
        rollback_pins_remove(&asked->pins, pins[i].path);
    }
    return has_hidden && asked->refusal == NULL;
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

static const char *describe_kept(struct asked *asked, const struct rollback_pin *pin)
{
    char *line = memory_format("%s: later starts of berthd keep to %s, until another file is installed or "
                               "`berthctl plugins upgrade` is run",
                               pin->path, pin->original != NULL ? pin->original->name : pin->instead);
    const char *copy = asked_copy_text(asked, line);

    free(line);
    return copy;
}

/* What later starts keep to is said where somebody asked for it. */
static void tell_kept(struct asked *asked, const struct rollback_pins *pins)
{
    const struct berth_strings *applied = &asked->report.applied;
    const char **lines =
        config_arena_allocate(&asked->arena, (applied->count + asked->kept.count) * sizeof(*lines));
    size_t count = 0;

    for (size_t i = 0; i < applied->count; i++)
        lines[count++] = applied->items[i];
    for (size_t i = 0; i < asked->kept.count; i++) {
        const struct rollback_pin *pin = rollback_pins_find(pins, asked->kept.items[i]);

        if (pin != NULL)
            lines[count++] = describe_kept(asked, pin);
    }
    asked->report.applied = (struct berth_strings){lines, count};
}

static void save(struct reload *reload, struct asked *asked)
{
    struct berth_error err;
    enum berth_code code = pins_save(reload, &err);

    if (asked->kept.count == 0 || asked->request.is_dry_run || asked->report.code != BERTH_OK)
        return;
    if (code == BERTH_OK) {
        tell_kept(asked, &reload->rollback.pins);
        return;
    }
    asked->report.code = BERTH_ABORTED;
    asked->report.message = asked_copy_text(asked, err.message);
}

enum berth_code pins_save(struct reload *reload, struct berth_error *err)
{
    enum berth_code code = rollback_save(&reload->rollback, reload->root, err);

    if (code != BERTH_OK)
        log_line(BERTH_LOG_ERROR, "%s; the next start of berthd may use files that a rollback held back",
                 err->message);
    return code;
}

void pins_keep(struct reload *reload, struct asked *asked)
{
    for (size_t i = 0; i < asked->replaced_count; i++) {
        const struct generation *generation = listing_find(reload, asked->replaced[i].uri);
        const struct original *runs =
            generation != NULL ? reload->options.original_of(&generation->source) : NULL;

        if (runs != NULL && registry_plugin_is_ready(generation->plugin) &&
            (strcmp(runs->path, asked->replaced[i].original->path) != 0 ||
             !verify_is_same_content(&runs->status, &asked->replaced[i].original->status)))
            rollback_note(&reload->rollback, asked->replaced[i].original, runs->path);
        original_drop(asked->replaced[i].original);
    }
    asked->replaced_count = 0;
    if (asked->report.code == BERTH_OK && !asked->request.is_dry_run && asked_reads_files(asked))
        rollback_adopt(&reload->rollback, &asked->pins);
    rollback_pins_finish(&asked->pins);
    save(reload, asked);
}
