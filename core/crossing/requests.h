/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that an isolated plugin makes: the daemon makes them for it, as its own. */
#ifndef CORE_CROSSING_REQUESTS_H
#define CORE_CROSSING_REQUESTS_H

#include <sys/queue.h>

#include <berth/plugin.h>

#include <core/wire/channel.h>
#include <core/wire/numbers.h>

/** What one worker may have on its way to other plugins and not taken by them yet, over all calls. */
#define REQUESTS_BYTES_MAX (64u << 20)

struct request;

/** All such calls of one plugin. Zero-initialise, and set the first part. */
struct requests {
    struct channel *channel;
    /** The plugin's in its worker. */
    uint16_t number;
    /** NULL where no call may be made. */
    const struct berth_host *host;
    /** Each a `struct request`, by the number that the worker gave it. */
    struct numbers calls;
    /** Of messages that have not been taken yet. */
    uint64_t bytes;
    /** Those of a worker that is gone: their ends are still to come. */
    LIST_HEAD(, request) orphans;
};

/** A packet with PACKET_OUTGOING. One that no worker may send breaks the channel. */
void requests_take(struct requests *requests, const struct packet *packet);
/** The worker is gone: its calls are cancelled. */
void requests_end(struct requests *requests);
/** The plugin's host makes no calls any more. */
void requests_finish(struct requests *requests);

#endif
