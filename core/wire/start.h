/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first packets: all that a worker needs to know to confine itself, and to load a module and start one of
 * its plugins. A worker is confined once, for all of its plugins.
 */
#ifndef CORE_WIRE_START_H
#define CORE_WIRE_START_H

#include <sys/stat.h>

#include <core/sandbox/sandbox.h>

#include "carried.h"

struct worker_start {
    /** What a plugin may read about the daemon. */
    const char *daemon_version, *daemon_revision, *daemon_root, *daemon_state;
    int64_t daemon_pid;
    /** What the daemon found that can be enforced here. */
    struct sandbox_kernel kernel;
    struct sandbox_wanted sandbox;
    /** A control group to enter first; NULL: it has been put into one, or there is none. */
    const char *group;
};

struct plugin_start {
    const char *uri, *type, *id;
    /** The module, and the file that was checked. */
    const char *path;
    struct stat status;
    /** The plugin's own folders, which exist. */
    const char *root, *state;
    /** Of its HTTP handler; NULL: its interface, if it has one, is another. */
    const char *http_prefix;
    /** As enum berth_log_level. */
    int log_level;
};

/** Appends PACKET_START. */
void worker_start_write(struct packet_writer *writer, const struct worker_start *start);
/**
 * Reads it. Text is borrowed from the packet.
 *
 * @return false if it is of another version or no such packet; nothing is to be freed then.
 */
bool worker_start_read(const struct packet *packet, struct worker_start *ret_start);
/** Frees the lists of a sandbox that was read. */
void worker_start_finish(struct worker_start *start);

/** Appends PACKET_PLUGIN. */
void plugin_start_write(struct packet_writer *writer, const struct plugin_start *start,
                        const struct berth_settings *settings);
/**
 * Reads it behind its head. Text is borrowed from the packet.
 *
 * @param ret_settings  to be destroyed.
 * @return false if it cannot be read; nothing is to be freed then.
 */
bool plugin_start_read(struct packet_reader *reader, struct plugin_start *ret_start,
                       struct carried **ret_settings);

#endif
