/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one plugin inside its worker: the host table it is handed, and its steps as the daemon asks for
 * them. */
#ifndef CORE_INSIDE_INSIDE_H
#define CORE_INSIDE_INSIDE_H

#include "process.h"

/**
 * Loads a plugin and begins its init; how it ends, the daemon is told.
 *
 * @param packet        PACKET_PLUGIN. One that cannot be read breaks the channel.
 * @param ret_plugin    set before any code of the plugin runs, unless the channel is broken; never freed.
 */
void inside_start(struct process *process, const struct packet *packet, struct inside **ret_plugin);
/** Takes a packet for the plugin. One that the daemon does not send breaks the channel. */
void inside_take(struct inside *inside, const struct packet *packet);

#endif
