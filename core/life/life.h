/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the plugins of a plan through their lives, concurrently and with deadlines. The door of this room. */
#ifndef CORE_LIFE_LIFE_H
#define CORE_LIFE_LIFE_H

#include <core/settings/settings.h>

#include "host.h"
#include "service_routes.h"

struct life;

/** One for each entry of the plan that runs, in its order. All borrowed. */
struct life_part {
    /** NULL if the module could not be loaded; then the registry says why. */
    const struct berth_plugin *table;
    const struct berth_settings *settings;
    /** 0: no deadline. */
    struct settings_timeouts timeouts;
};

/** The events of a life, each once, from the top of the loop. */
struct life_events {
    /** All have settled, and none serves: life_serve or life_stop is due. */
    void (*on_settled)(void *context);
    /** Every serve has ended, well or badly. */
    void (*on_served)(void *context);
    /** No readiness hold is kept. After on_served. */
    void (*on_ready)(void *context);
    /** All is closed that could be, and so are the handles of the room. */
    void (*on_stopped)(void *context);
};

struct life_options {
    struct host_options host;
    const struct life_part *parts;
    unsigned prepare_threads;
    struct life_events events;
    void *context;
};

/** Starts nothing yet. Aborts when out of memory. */
struct life *life_create(const struct life_options *options);
void life_start(struct life *life);
/** In on_settled. */
void life_serve(struct life *life);
/** Any time after life_start: starts nothing more, waits for pending steps, drains, closes. Idempotent. */
void life_stop(struct life *life);

/** Names each prepare that runs and each step that is pending, within its deadline. */
void life_each_pending(const struct life *life,
                       void (*on_pending)(void *context, const char *uri, const char *step), void *context);

/**
 * After on_stopped: may code of this plugin still run, because its prepare never returned or a step of it
 * never completed? Then the life is not destroyed.
 */
bool life_is_busy(const struct life *life, size_t index);
bool life_is_any_busy(const struct life *life);
/** After on_stopped. */
void life_destroy(struct life *life);

#endif
