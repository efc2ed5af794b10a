/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins that start when they are called. An activation is a change like any other: it starts a set of
 * plugins, waits its turn in the queue of changes, and is never dropped.
 *
 *     idle ──call──▶ wanted ──its turn──▶ starting ──▶ ready ──idle_after──▶ idle
 *                                            └──▶ failed ──back-off, call──▶ wanted
 *
 * What is idle is planned and listed, and none of it is in memory; its services are held, so calls wait, each
 * within its own deadline. The first one wants the plugin. All that are wanted when the turn comes start in
 * one change, with whatever they require or want. How this meets the rest:
 *
 * - A reload leaves what is idle so, and refuses its waiting calls only if it will not run any more. What has
 *   failed may be tried at once after a reload.
 * - A plugin that an operator stops is not idle: calls are refused until it is started.
 * - A plugin that fails to start refuses calls with its reason, for a second at first and twice as long each
 *   time, up to a minute; the first call after that tries again.
 * - It becomes idle again if no call has reached it for idle_after, none is in flight, and nothing that runs
 *   holds or needs it; then it is drained and closed like one that is replaced, and calls that arrive
 * meanwhile wait. Plugins that need each other become idle together. One with `state` in its manifest does
 * not, because its state would be lost.
 * - When the daemon stops, waiting calls are refused at once.
 *
 * Everything here belongs to the loop's thread.
 */
#ifndef CORE_RELOAD_ACTIVATION_H
#define CORE_RELOAD_ACTIVATION_H

#include <core/perform/perform.h>
#include <core/state/state.h>
#include <sdk/calls/router.h>

#include "reload.h"

struct activation;

/** All borrowed. */
struct activation_options {
    uv_loop_t *loop;
    struct inspect *inspect;
    struct registry *registry;
    struct router *router;
    /** What runs is compared by it. */
    struct reload *reload;
};

/** Adds its function to the inspect table. Aborts when out of memory. */
struct activation *activation_create(const struct activation_options *options);
/** Before anything can be called. */
void activation_begin(struct activation *activation, struct perform *perform);
/** All plugins that start with the daemon have been created: from here on calls of idle ones wait. */
void activation_open(struct activation *activation);
/** A call waits for a plugin. Only takes note; plugins that do not start on call are ignored. */
void activation_note(struct activation *activation, const char *uri);
/** The daemon stops: refuses the calls that wait for what is idle. NULL: does nothing. */
void activation_stop(struct activation *activation);
/** Closes its handles, which takes one more turn of the loop; then activation_destroy. */
void activation_close(struct activation *activation);
void activation_destroy(struct activation *activation);

#endif
