/* SPDX-License-Identifier: Apache-2.0 */
/* All surveys that generations are from: a generation keeps an entry of a plan, and this is whose it is. */
#ifndef CORE_RELOAD_SURVEYS_H
#define CORE_RELOAD_SURVEYS_H

#include <core/perform/perform.h>
#include <core/survey/survey.h>

/** Embedded by the owner. Zero-initialise. */
struct surveys {
    /** Held; the newest last. */
    struct survey **items;
    size_t count;
};

/** Holds it: from here on it is the newest. Aborts when out of memory. */
void surveys_add(struct surveys *surveys, struct survey *survey);
/** At least one was added. */
struct survey *surveys_newest(const struct surveys *surveys);
/** Whose plan has this entry, as an address; borrowed. NULL if it is of none. */
struct survey *surveys_of(const struct surveys *surveys, const struct plan_entry *entry);
/**
 * Drops all from which nothing runs, except the newest. A generation whose module could not be loaded keeps
 * no survey by itself.
 */
void surveys_drop_unused(struct surveys *surveys, struct perform *perform);
void surveys_finish(struct surveys *surveys);

#endif
