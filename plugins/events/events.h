/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of both services find in `call->instance`. */
#ifndef EVENTS_H
#define EVENTS_H

#include <sys/queue.h>

#include <berth/types/events.h>

#include "events-plugin.h"

struct subscriber;

struct events {
    const struct berth_host *host;
    struct events_config config;
    const struct berth_exchange *exchange;
    void *exchange_instance;
    TAILQ_HEAD(, subscriber) subscribers;
    size_t subscriber_count;
    /** What all of them are behind. */
    size_t queued_events;
    /** Runs while a server has no memory for what its callers would read. */
    uv_timer_t retry;
    bool is_draining;
};

#endif
