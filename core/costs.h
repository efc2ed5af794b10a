/* SPDX-License-Identifier: Apache-2.0 */
/* The costs of each plugin, gathered on request from the rooms that count them. */
#ifndef CORE_COSTS_H
#define CORE_COSTS_H

#include <core/state/state.h>
#include <core/watch/watch.h>
#include <sdk/calls/router.h>

/** All borrowed. */
struct costs {
    uv_loop_t *loop;
    const struct registry *registry;
    const struct router *router;
    struct watch_clock *clock;
};

/** From here on the table of `inspect` reports what plugins and the daemon cost. */
void costs_show(const struct costs *costs, struct inspect *inspect);

#endif
