/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One group of a change, from its first step to its last or back to where it began. It moves in stages, each
 * from the top of the loop; until its switch whatever ran before goes on as if nothing had happened.
 */
#ifndef CORE_CHANGE_EXCHANGE_H
#define CORE_CHANGE_EXCHANGE_H

#include "crew.h"
#include "wave.h"

struct exchange;

/** What a member of the group came to. `message` is never NULL. */
struct exchange_outcome {
    size_t step;
    enum berth_code code;
    const char *message;
    uint64_t generation, pause_ns;
};

/**
 * @param first, count  which of the change's groups: several only if nothing ends in them.
 * @param on_wake       something has ended: exchange_advance is due from the top of the loop.
 */
struct exchange *exchange_create(struct crew *crew, const struct perform_work *work, size_t first,
                                 size_t count, void (*on_wake)(void *context), void *context);
/** Over or not: what it has made stays with the crew, held calls are let go. */
void exchange_destroy(struct exchange *exchange);

/** Goes on as far as it can. @return is it over? */
bool exchange_advance(struct exchange *exchange);
void exchange_note(struct exchange *exchange, const struct generation *generation);
void exchange_end_turn(struct exchange *exchange, const struct generation *generation);

/** Once it is over: one for each step of the group. */
size_t exchange_outcome_count(const struct exchange *exchange);
struct exchange_outcome exchange_outcome(const struct exchange *exchange, size_t i);

#endif
