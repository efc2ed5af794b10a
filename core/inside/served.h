/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of calls: packets of the daemon become calls at a router, as with any server. */
#ifndef CORE_INSIDE_SERVED_H
#define CORE_INSIDE_SERVED_H

#include <core/wire/channel.h>
#include <core/wire/numbers.h>
#include <sdk/calls/router.h>

/** Embedded by the owner. */
struct served {
    struct channel *channel;
    /** The plugin's in its worker. */
    uint16_t number;
    struct router *router;
    const struct berth_router *calls;
    /** Each a `struct berth_stream`, by the daemon's number of its call. */
    struct numbers streams;
    /** Of the call that is being opened, for the hook that puts them there. */
    struct packet_reader *annotations;
    const struct berth_trace *trace;
};

/** Both are borrowed. @return false without memory. */
bool served_init(struct served *served, struct channel *channel, uint16_t number, struct router *router);
/** Cancels what is open. */
void served_finish(struct served *served);
/** Takes a packet that belongs to a call. Breaks the channel where the daemon broke the protocol. */
void served_take(struct served *served, const struct packet *packet);

#endif
