/* SPDX-License-Identifier: Apache-2.0 */
/* Who starts, when, and who does not because of whom: the plan's turns and verdicts for a set of generations.
 */
#include "wave.h"

#include <stdlib.h>

#include <core/base/log.h>
#include <sdk/base/memory.h>

#include "turns.h"

struct wave {
    const struct registry *registry;
    const struct plan *plan;
    /* By the plan's entries. */
    struct generation **members;
    struct turns *turns;
    struct verdicts *verdicts;
};

static void note_record(struct wave *wave, size_t entry, const struct registry_plugin *plugin)
{
    verdicts_set(wave->verdicts, entry, plugin->state, plugin->reason,
                 plugin->cause != NULL ? plugin->cause->index : PLAN_NONE);
}

/* One that is not among those that start, and was not tried yet either, does not wait: it does not run. */
static void note_other(struct wave *wave, size_t entry, const struct registry_plugin *plugin)
{
    if (plugin->state == BERTH_STATE_WAITING)
        verdicts_set(wave->verdicts, entry, BERTH_STATE_BLOCKED, "it was not started", PLAN_NONE);
    else
        note_record(wave, entry, plugin);
}

static void begin_turns(struct wave *wave)
{
    wave->turns = turns_create(wave->plan);
    for (size_t i = 0; i < wave->plan->run_count; i++)
        if (wave->members[i] == NULL)
            turns_end(wave->turns, i);
}

struct wave *wave_create(const struct registry *registry, struct generation *const *generations, size_t count)
{
    struct wave *wave = memory_allocate(1, sizeof(*wave));

    wave->registry = registry;
    wave->plan = registry_plan(registry);
    wave->members = memory_allocate(wave->plan->run_count + 1, sizeof(struct generation *));
    wave->verdicts = verdicts_create(wave->plan);
    for (size_t i = 0; i < count; i++)
        if (generations[i]->entry < wave->plan->run_count)
            wave->members[generations[i]->entry] = generations[i];
    for (size_t i = 0; i < wave->plan->run_count; i++)
        if (wave->members[i] == NULL)
            note_other(wave, i, registry_get(registry, i));
        else if (wave->members[i]->plugin->state != BERTH_STATE_WAITING)
            note_record(wave, i, wave->members[i]->plugin);
    begin_turns(wave);
    return wave;
}

void wave_destroy(struct wave *wave)
{
    if (wave == NULL)
        return;
    turns_destroy(wave->turns);
    verdicts_destroy(wave->verdicts);
    free(wave->members);
    free(wave);
}

static bool is_member(const struct wave *wave, const struct generation *generation)
{
    return generation->entry < wave->plan->run_count && wave->members[generation->entry] == generation;
}

void wave_note(struct wave *wave, const struct generation *generation)
{
    size_t entry = generation->entry;

    if (is_member(wave, generation) ||
        (entry < wave->plan->run_count && wave->members[entry] == NULL && generation->plugin->index == entry))
        note_record(wave, entry, generation->plugin);
}

void wave_end(struct wave *wave, const struct generation *generation)
{
    if (is_member(wave, generation))
        turns_end(wave->turns, generation->entry);
}

struct generation *wave_next(struct wave *wave)
{
    size_t entry = turns_next(wave->turns);

    return entry != PLAN_NONE ? wave->members[entry] : NULL;
}

bool wave_is_over(const struct wave *wave)
{
    return turns_are_over(wave->turns);
}

void wave_start(struct wave *wave, struct generation *generation)
{
    const struct verdict verdict = verdicts_decide(wave->verdicts, generation->entry);
    char *reason = verdicts_explain(wave->verdicts, &verdict);

    if (verdict.code != BERTH_OK) {
        generation_block(generation, verdict.state, verdict.code, reason,
                         verdict.cause != PLAN_NONE ? registry_get(wave->registry, verdict.cause) : NULL);
    } else {
        /* The providers that it starts without have log lines of their own. */
        if (reason != NULL)
            log_plugin(BERTH_LOG_DEBUG, generation_uri(generation), "%s", reason);
        generation_start(generation);
    }
    free(reason);
}

void wave_again(struct wave *wave)
{
    turns_destroy(wave->turns);
    begin_turns(wave);
}
