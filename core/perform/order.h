/* SPDX-License-Identifier: Apache-2.0 */
/* In which order what runs may be closed: the plan's, and against it where somebody has another's interface.
 */
#ifndef CORE_PERFORM_ORDER_H
#define CORE_PERFORM_ORDER_H

#include <core/life/generation.h>

/**
 * Puts each after those whose interfaces it has, and otherwise in the order of the newest plan that has it:
 * closed in reverse. Of those that have each other's, any may come first. Aborts when out of memory.
 */
void order_by_use(const struct generation **list, size_t count, const struct ledger *ledger);

#endif
