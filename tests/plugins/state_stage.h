/* SPDX-License-Identifier: Apache-2.0 */
/* State on its way from one instance of a plugin to another, whole and damaged. */
#ifndef STATE_STAGE_H
#define STATE_STAGE_H

#include "plugin_stage.h"

struct saved_state {
    uint8_t *bytes;
    size_t length;
};

/** The copy outlives the fake host; to be freed with saved_state_finish. */
static inline struct saved_state state_save(struct berth_testing *testing)
{
    struct saved_state state = {NULL, 0};
    struct berth_error err = {""};
    const void *bytes;

    if (berth_testing_save_state(testing, &bytes, &state.length, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    state.bytes = malloc(state.length + 1);
    if (state.length > 0)
        memcpy(state.bytes, bytes, state.length);
    return state;
}

static inline void saved_state_finish(struct saved_state *state)
{
    free(state->bytes);
}

static inline void state_load(struct berth_testing *testing, const struct saved_state *state)
{
    struct berth_error err = {""};

    if (berth_testing_load_state(testing, 1, state->bytes, state->length, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

/** A version that the plugin does not read is refused with words. */
static inline void state_refuse_version(struct berth_testing *testing, const struct saved_state *state)
{
    struct berth_error err = {""};

    assert_int_equal(BERTH_INVALID_ARGUMENT,
                     berth_testing_load_state(testing, 2, state->bytes, state->length, &err));
    assert_string_equal("state of version 2; expected 1", err.message);
}

/**
 * Every bit turned, and every beginning: each is taken or refused with words, by an instance of its own.
 * Copied to memory of its exact length, so that a sanitizer sees what reads beyond it.
 * @return how many were refused.
 */
static inline size_t state_damage(const char *uri, const char *settings, const struct saved_state *state)
{
    size_t refused = 0;

    for (size_t i = 0; i < state->length * 9; i++) {
        size_t length = i < state->length * 8 ? state->length : i - state->length * 8;
        uint8_t *bytes = malloc(length > 0 ? length : 1);
        struct berth_testing *testing = plugin_run(uri, settings);
        struct berth_error err = {""};
        enum berth_code code;

        memcpy(bytes, state->bytes, length);
        if (i < state->length * 8)
            bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        code = berth_testing_load_state(testing, 1, bytes, length, &err);
        if (code != BERTH_OK && (code != BERTH_DATA_LOSS || strlen(err.message) < 10))
            fail_msg("%s: \"%s\"", berth_code_name(code), err.message);
        refused += code != BERTH_OK;
        free(bytes);
        plugin_destroy(testing);
    }
    return refused;
}

#endif
