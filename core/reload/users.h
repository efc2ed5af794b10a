/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses whose interface, as the ledger knows it, for the comparison of what runs with a plan. */
#ifndef CORE_RELOAD_USERS_H
#define CORE_RELOAD_USERS_H

#include <core/change/change.h>
#include <core/state/state.h>

/** The names that `change_running.users` point at. */
struct users {
    const char **names;
};

/**
 * Fills in `users` of each that runs, and `users_are_known` of those that have an interface: no other plugin
 * gets it but by the host, which notes that. Linear in what runs and what is held.
 *
 * @param ledger     borrowed by the names until users_finish; it must not change meanwhile.
 * @param owners     of the items, as the ledger knows them.
 * @param ret_users  to be finished after the last use of the items. Aborts when out of memory.
 */
void users_find(struct users *ret_users, const struct ledger *ledger, struct change_running *items,
                const void *const *owners, size_t count);
void users_finish(struct users *users);

#endif
