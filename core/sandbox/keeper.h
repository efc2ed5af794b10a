/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PID namespace for a process that may create others, so that none outlives it. The first process of such a
 * namespace is an init: signals that it sends to itself do not end it. So there are three:
 *
 *     keeper, outside: ends as the third ends, for whoever waits for it ── init: reaps ── the process itself
 */
#ifndef CORE_SANDBOX_KEEPER_H
#define CORE_SANDBOX_KEEPER_H

#include <sys/types.h>

#include <berth/error.h>

/** What getppid(2) says in the namespace. */
#define KEEPER_INIT 1

/**
 * After unshare(2) with CLONE_NEWPID; returns in the process itself, the third.
 *
 * @param parent  the process that the keeper dies with. All in the namespace die with the keeper.
 * @param weaken  takes rights from the keeper and from init, which run nothing of a plugin.
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED: nothing has been created.
 */
enum berth_code keeper_enter(pid_t parent,
                             enum berth_code (*weaken)(const void *context, struct berth_error *err),
                             const void *context, struct berth_error *err);

#endif
