/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what runs with what a change wants. */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

#include "listing.h"

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

struct change *compare_with(const struct reload *reload, const struct settings *before,
                            const struct survey *survey, const struct change_request *request)
{
    struct listing listing;
    struct change *change;

    listing_take(&listing, reload);
    change = change_create(listing.items, listing.count, before, survey->plan, survey->settings, request);
    listing_finish(&listing);
    return change;
}

struct change *compare_asked(struct reload *reload, struct asked *asked, const char *const *unwilling,
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

    return compare_with(reload, asked->before->settings, asked->survey, &request);
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

struct change *compare_back(struct reload *reload, struct asked *asked, const char *const *done,
                            size_t done_count)
{
    const struct berth_strings restarted = find_restarted(asked);
    const struct change_request back = {
        .kind = CHANGE_UNDO,
        .subjects = done,
        .subject_count = done_count,
        .unwilling = restarted.items,
        .unwilling_count = restarted.count,
        .force = asked->request.is_forced,
    };

    return compare_with(reload, NULL, asked->before, &back);
}
