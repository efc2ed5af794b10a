/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of generations that start: each in its turn, once all that it requires and wants has settled, and
 * only if enough of that is ready. Those that are not in the set stand as they are listed.
 */
#ifndef CORE_CHANGE_WAVE_H
#define CORE_CHANGE_WAVE_H

#include <core/life/generation.h>

struct wave;

/** @param generations  of the registry's newest plan; borrowed. Aborts when out of memory. */
struct wave *wave_create(const struct registry *registry, struct generation *const *generations,
                         size_t count);
void wave_destroy(struct wave *wave);

/** A generation's state has changed; it need not be one of the set. */
void wave_note(struct wave *wave, const struct generation *generation);
/** Its turn is over. Ignores one that is not in the set. */
void wave_end(struct wave *wave, const struct generation *generation);
/** Whose turn has come; NULL: nobody's now. */
struct generation *wave_next(struct wave *wave);
bool wave_is_over(const struct wave *wave);
/** Starts one whose turn has come, or says why it does not start. */
void wave_start(struct wave *wave, struct generation *generation);
/** Gives out turns once more, for another step. */
void wave_again(struct wave *wave);

#endif
