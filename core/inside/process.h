/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process of a worker: one loop and one connection to the daemon, for all plugins that it is told to run.
 * Each of them has a host table of its own (table.h); what they share is here. Code of a plugin that is
 * closed stays in memory until the process ends, as nothing tells when it could be unloaded.
 */
#ifndef CORE_INSIDE_PROCESS_H
#define CORE_INSIDE_PROCESS_H

#include <pthread.h>

#include <berth/inspect.h>

#include <core/life/mailbox.h>
#include <core/wire/channel.h>
#include <core/wire/start.h>

struct inside;

/** It belongs to the thread of its loop. */
struct process {
    const struct worker_start *start;
    /** The loop's. */
    pthread_t thread;
    uv_loop_t loop;
    struct channel channel;
    struct mailroom mailroom;
    struct berth_inspect inspect;
    struct berth_daemon_info daemon;
    /** By their numbers less one; NULL: not started yet. They stay when they are over. */
    struct inside *plugins[PACKET_PLUGINS_MAX];
};

/**
 * Runs plugins as the daemon asks for, until it asks the process to end or is gone. Ends the process.
 *
 * @param fd     the connection to the daemon.
 * @param start  lives as long as the process, which is confined as it says.
 */
_Noreturn void process_run(int fd, const struct worker_start *start);

/** Says that the process cannot be confined, and why. Ends it. */
_Noreturn void process_refuse(int fd, enum berth_code code, const char *reason);

#endif
