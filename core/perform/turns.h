/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is: each plugin comes after all that it requires and wants; those that wait for nothing come
 * at once. Pure; linear in plugins and requirements, since a type counts for its members.
 */
#ifndef CORE_PERFORM_TURNS_H
#define CORE_PERFORM_TURNS_H

#include <core/plan/plan.h>

struct turns;

/** Entries that do not run are over from the start. @param plan  borrowed. */
struct turns *turns_create(const struct plan *plan);
void turns_destroy(struct turns *turns);

/** The first entry in the plan's order whose turn has come and was not given out; PLAN_NONE: none now. */
size_t turns_next(struct turns *turns);
/** Ends an entry's turn, whether or not it was given out; once for each entry that runs. */
void turns_end(struct turns *turns, size_t entry);
/** Is every entry's turn over? */
bool turns_are_over(const struct turns *turns);

#endif
