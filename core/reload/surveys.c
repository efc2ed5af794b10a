/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps each survey that a generation is from. */
#include "surveys.h"

#include <stdint.h>
#include <stdlib.h>

#include <sdk/base/memory.h>

static bool has_entry(const struct survey *survey, const struct plan_entry *entry)
{
    uintptr_t first = (uintptr_t)survey->plan->entries, at = (uintptr_t)entry;

    return at >= first && at < first + survey->plan->count * sizeof(*entry);
}

struct survey *surveys_of(const struct surveys *surveys, const struct plan_entry *entry)
{
    for (size_t i = surveys->count; i-- > 0;)
        if (has_entry(surveys->items[i], entry))
            return surveys->items[i];
    return NULL;
}

struct survey *surveys_newest(const struct surveys *surveys)
{
    return surveys->items[surveys->count - 1];
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

void surveys_drop_unused(struct surveys *surveys, struct perform *perform)
{
    size_t kept = 0;

    for (size_t i = 0; i < surveys->count; i++) {
        struct use use = {.survey = surveys->items[i], .is_found = i + 1 == surveys->count};

        if (!use.is_found)
            perform_each(perform, look_for_use, &use);
        if (use.is_found)
            surveys->items[kept++] = surveys->items[i];
        else
            survey_drop(surveys->items[i]);
    }
    surveys->count = kept;
}

void surveys_add(struct surveys *surveys, struct survey *survey)
{
    surveys->items = memory_grow(surveys->items, surveys->count, sizeof(struct survey *));
    surveys->items[surveys->count++] = survey_hold(survey);
}

void surveys_finish(struct surveys *surveys)
{
    for (size_t i = 0; i < surveys->count; i++)
        survey_drop(surveys->items[i]);
    free(surveys->items);
    *surveys = (struct surveys){0};
}
