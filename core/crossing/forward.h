/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's side of calls to an isolated plugin: handlers that send bytes on, and bytes that answer calls.
 */
#ifndef CORE_CROSSING_FORWARD_H
#define CORE_CROSSING_FORWARD_H

#include <berth/call.h>

#include <core/manifest/manifest.h>
#include <core/wire/channel.h>
#include <core/wire/numbers.h>

/** How much new calls may have waiting while a worker restarts. */
#define FORWARD_HELD_CALLS 1024u
#define FORWARD_HELD_BYTES (16u << 20)

/** All calls in flight at one plugin. Embedded by the owner, who keeps `state` up to date. */
struct forward {
    enum forward_state {
        /** Calls are refused with `reason`. */
        FORWARD_CLOSED,
        /** New calls wait. */
        FORWARD_HELD,
        FORWARD_OPEN,
    } state;
    struct channel *channel;
    /** The plugin's in its worker. */
    uint16_t number;
    const char *uri;
    char reason[BERTH_ERROR_MAX];
    /** Each a `struct remote`. */
    struct numbers remotes;
    size_t held_calls, held_bytes;
    /** The first call of an idle plugin has begun; may be NULL. */
    void (*on_busy)(struct forward *forward);
    /** After a change of `state`; may be NULL. */
    void (*on_change)(struct forward *forward);
};

/**
 * Makes a service whose handlers forward to the `struct forward` that is the instance of its calls.
 * @return to be freed with forward_free_service; NULL without memory. Borrows the manifest.
 */
struct berth_service *forward_create_service(const struct manifest_service *service);
void forward_free_service(struct berth_service *service);

/** The worker is ready: sends what waited. */
void forward_open(struct forward *forward);
/** Calls that begin from here on wait; those that the worker has are ended with UNAVAILABLE and the reason.
 */
void forward_hold(struct forward *forward, const char *reason);
/** No more calls: all end with UNAVAILABLE and the reason. */
void forward_close(struct forward *forward, const char *reason);
/** Takes a packet that belongs to a call. */
void forward_take(struct forward *forward, const struct packet *packet);
/** No call is in flight. */
void forward_finish(struct forward *forward);

#endif
