/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removes expired leases: finds the next one to expire, and removes a limited number in one change. It
 * remembers nothing but the time it waits for, so a daemon that starts continues where another stopped. If
 * several daemons share a store, each change looks again: the first one removes, and the others find nothing.
 */
#ifndef LEASES_SWEEPER_H
#define LEASES_SWEEPER_H

#include <uv.h>

#include <berth/plugin.h>
#include <berth/types/store.h>

#include "expiry.h"

struct sweeper {
    struct berth_store_update update;
    const struct berth_host *host;
    const struct berth_store *store;
    void *store_instance;
    struct berth_store_watch *watch;
    /** A timerfd, and its handle. */
    uv_poll_t alarm;
    int alarm_fd;
    /** Maximum number of leases in one change. */
    size_t batch;
    int64_t retry_ns;

    /** A change is in flight: it removes leases whose time is not after `until`. */
    bool sweeps;
    struct expiry until;
    size_t removed;
    /** Of these. */
    size_t damaged;

    bool waits;
    struct expiry next;
    bool is_closing;
    bool alarm_is_closed;
    void (*on_closed)(struct sweeper *sweeper);
};

struct sweeper_settings {
    const struct berth_host *host;
    const struct berth_store *store;
    void *store_instance;
    int64_t batch;
    int64_t retry_ns;
};

/** Starts it. @param sweeper  zero-initialised. */
enum berth_code sweeper_start(struct sweeper *sweeper, const struct sweeper_settings *settings,
                              struct berth_error *err);
/** Changes how many it removes at once, and when it tries again; for the next change and failure. */
void sweeper_set(struct sweeper *sweeper, int64_t batch, int64_t retry_ns);
/** A lease with this expiry was created. No-op if the sweeper was never started. */
void sweeper_hear(struct sweeper *sweeper, const struct expiry *expiry);
/** `on_closed` is called from the top level of the loop. */
void sweeper_close(struct sweeper *sweeper, void (*on_closed)(struct sweeper *sweeper));

#endif
