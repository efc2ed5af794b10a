/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other settings in place, and the state that one generation hands to the next. A plugin in the daemon
 * answers at once; one in a process of its own may be pending, as in any step, and then its owner asks again.
 */
#include "handover.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

/* What the last of these steps was given, and what it came to. */
struct handover {
    /* The result has not been taken yet. */
    bool has_begun;
    const struct berth_settings *before;
    struct berth_state_writer writer;
    struct generation_state saved, loaded;
    uint32_t version;
    enum berth_code code;
    char message[BERTH_ERROR_MAX];
};

static struct generation *of_steps(struct steps *steps)
{
    return CONTAINER_OF(steps, struct generation, steps);
}

/* Only a plugin in a process of its own may answer later. */
static enum berth_code settle(const struct generation *generation, enum berth_code code)
{
    return (int)code == BERTH_PENDING && !generation->source.is_isolated ? BERTH_UNKNOWN : code;
}

enum berth_code handover_reconfigure(struct steps *steps, void **ret_result, struct berth_error *err)
{
    struct generation *generation = of_steps(steps);

    return settle(generation,
                  generation->source.table->reconfigure(&generation->host.table, generation->plugin->instance,
                                                        generation->handover->before, err));
}

static enum berth_code write_state(const struct berth_state_writer *table, const void *bytes, size_t length,
                                   struct berth_error *err)
{
    struct generation_state *state = &CONTAINER_OF(table, struct handover, writer)->saved;
    size_t wanted = state->length + length;

    if (length > BERTH_STATE_MAX - state->length)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "the state has more than %u bytes",
                               BERTH_STATE_MAX);
    if (wanted > state->capacity) {
        size_t capacity = wanted * 2 < 4096 ? 4096 : wanted * 2;
        unsigned char *grown = realloc(state->bytes, capacity);

        if (grown == NULL)
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the state");
        state->bytes = grown;
        state->capacity = capacity;
    }
    if (length > 0)
        memcpy(state->bytes + state->length, bytes, length);
    state->length = wanted;
    return BERTH_OK;
}

enum berth_code handover_save(struct steps *steps, void **ret_result, struct berth_error *err)
{
    struct generation *generation = of_steps(steps);

    return settle(generation,
                  generation->source.table->save_state(&generation->host.table, generation->plugin->instance,
                                                       &generation->handover->writer, err));
}

enum berth_code handover_load(struct steps *steps, void **ret_result, struct berth_error *err)
{
    struct generation *generation = of_steps(steps);
    const struct handover *handover = generation->handover;

    return settle(generation, generation->source.table->load_state(
                                  &generation->host.table, generation->plugin->instance, handover->version,
                                  handover->loaded.bytes, handover->loaded.length, err));
}

void handover_on_ended(struct steps *steps, const struct step_outcome *outcome)
{
    struct generation *generation = of_steps(steps);

    generation->handover->code = outcome->code;
    snprintf(generation->handover->message, sizeof(generation->handover->message), "%s", outcome->message);
    generation->ground->in_flight--;
    generation->ground->events->on_progress(generation);
}

/* Its process is busy no more. */
void handover_on_late(struct steps *steps, const struct step_outcome *outcome)
{
    struct generation *generation = of_steps(steps);

    generation->ground->events->on_progress(generation);
}

void generation_state_finish(struct generation_state *state)
{
    free(state->bytes);
    *state = (struct generation_state){0};
}

void handover_finish(struct generation *generation)
{
    if (generation->handover == NULL)
        return;
    generation_state_finish(&generation->handover->saved);
    generation_state_finish(&generation->handover->loaded);
    free(generation->handover);
    generation->handover = NULL;
}

static struct handover *handover_of(struct generation *generation)
{
    if (generation->handover == NULL) {
        generation->handover = memory_allocate(1, sizeof(*generation->handover));
        generation->handover->writer =
            (struct berth_state_writer){.size = sizeof(generation->handover->writer), .write = write_state};
    }
    return generation->handover;
}

/* @return BERTH_PENDING while it is under way; its result once. */
static enum berth_code ask(struct generation *generation, enum step step, struct berth_error *err)
{
    struct handover *handover = generation->handover;
    enum step_status *status = &generation->steps.records[step].status;

    if (!handover->has_begun && *status == STEP_LATE)
        return berth_error_set(err, BERTH_UNAVAILABLE, "its previous %s is still running",
                               generation->steps.kinds[step].name);
    if (!handover->has_begun) {
        handover->has_begun = true;
        generation->ground->in_flight++;
        steps_begin(&generation->steps, step);
    }
    if (*status == STEP_PENDING)
        return BERTH_PENDING;
    handover->has_begun = false;
    /* It may be taken again. */
    if (*status == STEP_ENDED)
        *status = STEP_NONE;
    snprintf(err->message, sizeof(err->message), "%s", handover->message);
    if (handover->code != BERTH_OK && err->message[0] == '\0')
        berth_error_set(err, handover->code, "%s gave no reason", generation->steps.kinds[step].name);
    return (int)handover->code == BERTH_SKIP ? BERTH_UNKNOWN : handover->code;
}

enum berth_code generation_reconfigure(struct generation *generation, const struct generation_source *source,
                                       struct berth_error *err)
{
    enum berth_code code;

    if (!generation->is_open || !BERTH_HAS(generation->source.table, reconfigure))
        return berth_error_set(err, BERTH_RESTART, "it does not take settings in place");
    if (!handover_of(generation)->has_begun) {
        generation->handover->before = generation->source.settings;
        generation->host.table.settings = source->settings;
    }
    code = ask(generation, STEP_RECONFIGURE, err);
    if (code != BERTH_OK && (int)code != BERTH_PENDING)
        generation_keep_settings(generation);
    return code;
}

void generation_keep_settings(struct generation *generation)
{
    generation->host.table.settings = generation->source.settings;
}

enum berth_code generation_save(struct generation *generation, struct generation_state *ret_state,
                                struct berth_error *err)
{
    enum berth_code code;

    if (!generation->is_open || !BERTH_HAS(generation->source.table, save_state))
        return BERTH_OK;
    if (!handover_of(generation)->has_begun)
        generation_state_finish(&generation->handover->saved);
    code = ask(generation, STEP_SAVE, err);
    if ((int)code == BERTH_PENDING)
        return code;
    *ret_state = generation->handover->saved;
    generation->handover->saved = (struct generation_state){0};
    return code;
}

/* Its owner reads from what it was given until the step has ended, and a process that is late has not. */
static struct generation_state take_loaded(struct generation *generation)
{
    struct generation_state *loaded = &generation->handover->loaded, taken = *loaded;

    if (generation->steps.records[STEP_LOAD].status == STEP_LATE && loaded->length > 0) {
        taken.bytes = memory_allocate(loaded->length, 1);
        taken.capacity = loaded->length;
        memcpy(taken.bytes, loaded->bytes, loaded->length);
        return taken;
    }
    *loaded = (struct generation_state){0};
    return taken;
}

enum berth_code generation_load(struct generation *generation, uint32_t version,
                                struct generation_state *state, struct berth_error *err)
{
    struct handover *handover;
    enum berth_code code;

    if (!generation->is_open || !BERTH_HAS(generation->source.table, load_state))
        return BERTH_OK;
    handover = handover_of(generation);
    /* It is refused, and the state stays with the caller. */
    if (!handover->has_begun && generation->steps.records[STEP_LOAD].status == STEP_LATE)
        return ask(generation, STEP_LOAD, err);
    if (!handover->has_begun) {
        handover->version = version;
        handover->loaded = *state;
        *state = (struct generation_state){0};
    }
    code = ask(generation, STEP_LOAD, err);
    if ((int)code == BERTH_PENDING)
        return code;
    *state = take_loaded(generation);
    return code;
}
