/* SPDX-License-Identifier: Apache-2.0 */
/* The folders that the daemon writes in: its root and state, and one of each for a plugin that asks. */
#ifndef CORE_STATE_FOLDER_H
#define CORE_STATE_FOLDER_H

#include <sys/types.h>

#include <berth/error.h>

/**
 * Makes a folder and what is missing above it, and refuses one that others could tamper with.
 *
 * @param what  "root" or "state", for messages: the key of the configuration that set it.
 * @return BERTH_OK; BERTH_PERMISSION_DENIED where others own it or may write to it; else what the system
 * says.
 */
enum berth_code folder_prepare(const char *what, const char *path, mode_t mode, struct berth_error *err);
/**
 * Says of a folder, without making it, what folder_prepare would refuse whoever runs it: that it is something
 * else, or that others may write to it. What may not be looked at is let pass.
 */
enum berth_code folder_check(const char *what, const char *path, struct berth_error *err);
/**
 * Proves that a folder can be written to, for one that is there.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION for a read-only file system; BERTH_RESOURCE_EXHAUSTED for a
 * full one: what is there can be read all the same; else what the system says.
 */
enum berth_code folder_try(const char *what, const char *path, struct berth_error *err);

/** One folder of a plugin, made on first ask. Any one thread at a time. */
struct folder {
    /** Both borrowed. */
    const char *base;
    const char *name;
    /** NULL until it was asked for. */
    char *path;
};

/** @param ret_path  `base`/`name`, its mode 0700 and ours; lives until folder_finish. */
enum berth_code folder_get(struct folder *folder, const char **ret_path, struct berth_error *err);
void folder_finish(struct folder *folder);

#endif
