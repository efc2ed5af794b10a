/* SPDX-License-Identifier: Apache-2.0 */
/* GetContainerEvents: streams that stay open until the caller, or the plugin, ends them. */
#ifndef CRI_EVENTS_H
#define CRI_EVENTS_H

#include <stdbool.h>
#include <sys/queue.h>

#include <berth/plugin.h>

struct event_stream;

struct event_streams {
    LIST_HEAD(, event_stream) open;
    bool is_draining;
};

void events_init(struct event_streams *streams);
/** From the method's on_message: finishes the call, or keeps it. */
void events_add(struct event_streams *streams, struct berth_call *call);
/** From the method's on_end. */
void events_remove(struct berth_call *call);
/** Ends all, and refuses those that come later if the daemon stops. */
void events_drain(struct event_streams *streams, const struct berth_host *host);

#endif
