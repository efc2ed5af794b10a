/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What confines the program of a plugin that itself runs in the daemon, such as a proxy's: the same sandbox
 * as that of a worker, closed by berth-worker before it becomes the program.
 */
#ifndef CORE_WORKER_LAUNCHED_H
#define CORE_WORKER_LAUNCHED_H

#include "isolated.h"

struct launched;

/**
 * Starts nothing. Of several of one URI the newest is shown.
 *
 * @param options  are not used after this.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION for a user that does not exist, or if the sandbox is required
 * and cannot be enforced; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code launched_create(const struct isolated_options *options, struct launched **ret_launched,
                                struct berth_error *err);
/** The user that its program runs as, and that its folders belong to. */
uid_t launched_user(const struct launched *launched);
/** Its program is gone, or it was never started. Accepts NULL. */
void launched_destroy(struct launched *launched);
/** @return borrowed; NULL: no program of this plugin is confined. */
const struct berth_isolation *launched_show(const char *uri);

#endif
