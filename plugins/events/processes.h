/* SPDX-License-Identifier: Apache-2.0 */
/* Events about the processes of isolated plugins: that one ended, and that another was started. */
#ifndef EVENTS_PROCESSES_H
#define EVENTS_PROCESSES_H

#include <berth/plugin.h>
#include <berth/types/events.h>

struct processes;

/**
 * Publishes from here on what happens to them, from the loop's thread.
 *
 * @param exchange  where; borrowed with its instance until processes_destroy, as is the host.
 * @return NULL if the host is too old, or without memory.
 */
struct processes *processes_create(const struct berth_host *host, const struct berth_exchange *exchange,
                                   void *instance);
/** Accepts NULL. */
void processes_destroy(struct processes *processes);

#endif
