/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the plugins of a plan through their lives, concurrently and with deadlines. */
#ifndef CORE_LIFE_LIFECYCLE_H
#define CORE_LIFE_LIFECYCLE_H

#include "host.h"
#include <core/settings/settings.h>

struct lifecycle;

/** One for each entry of the plan that runs, in its order. All borrowed. */
struct lifecycle_part {
    /** NULL where the module could not be loaded; then the registry says why. */
    const struct berth_plugin *table;
    const struct berth_settings *settings;
    /** 0: no deadline. */
    struct settings_timeouts timeouts;
};

/** What the owner hears, each once, from the top of the loop. */
struct lifecycle_events {
    /** All have settled, and none serves: lifecycle_serve or lifecycle_stop is due. */
    void (*on_settled)(void *context);
    /** Every serve has ended, well or badly. */
    void (*on_served)(void *context);
    /** No readiness hold is kept. After on_served. */
    void (*on_ready)(void *context);
    /** All is closed that could be, and so are the lifecycle's handles. */
    void (*on_stopped)(void *context);
};

struct lifecycle_options {
    struct host_options host;
    const struct lifecycle_part *parts;
    unsigned prepare_threads;
    struct lifecycle_events events;
    void *context;
};

/** Starts nothing yet. Aborts when memory is out. */
struct lifecycle *lifecycle_create(const struct lifecycle_options *options);
void lifecycle_start(struct lifecycle *lifecycle);
/** In on_settled. */
void lifecycle_serve(struct lifecycle *lifecycle);
/**
 * At any time after lifecycle_start: starts nothing more, waits for what is under way, drains, closes. Safe
 * to repeat.
 */
void lifecycle_stop(struct lifecycle *lifecycle);

/** What is waited for: each prepare that runs and each step that is pending, within its deadline. */
void lifecycle_each_pending(const struct lifecycle *lifecycle,
                            void (*on_pending)(void *context, const char *uri, const char *step),
                            void *context);

/**
 * After on_stopped: may code of this plugin still run, because its prepare never returned or a step of its
 * was never completed? Then the lifecycle is not destroyed.
 */
bool lifecycle_is_busy(const struct lifecycle *lifecycle, size_t index);
bool lifecycle_is_any_busy(const struct lifecycle *lifecycle);
/** After on_stopped. */
void lifecycle_destroy(struct lifecycle *lifecycle);

#endif
