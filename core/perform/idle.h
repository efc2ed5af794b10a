/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services of plugins that have no generation: calls of those that start on call wait, which starts them;
 * calls of those that will not run learn why.
 */
#ifndef CORE_PERFORM_IDLE_H
#define CORE_PERFORM_IDLE_H

#include <core/state/state.h>
#include <sdk/calls/router.h>

/** By the registry's newest plan. Removes services that no plan has any more and nobody serves. */
void idle_declare(struct router *router, const struct registry *registry);
/**
 * Has calls of one plugin wait, from now on, until it is ready or has failed; each within its own deadline.
 *
 * @param entry  of the plan; borrowed until this returns.
 */
void idle_hold(struct router *router, const struct plan *plan, const struct plan_entry *entry);
/**
 * Refuses calls of one plugin that does not run, and those that wait, with BERTH_UNAVAILABLE.
 *
 * @param reason  copied.
 */
void idle_refuse(struct router *router, const struct plan_entry *entry, const char *reason);

#endif
