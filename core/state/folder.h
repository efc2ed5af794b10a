/* SPDX-License-Identifier: Apache-2.0 */
/* The folders that the daemon writes to: its root and state, and one in each for every plugin that asks. */
#ifndef CORE_STATE_FOLDER_H
#define CORE_STATE_FOLDER_H

#include <sys/types.h>

#include <berth/error.h>

/**
 * Creates a folder and missing parents; refuses a folder that others could tamper with.
 *
 * @param what  "root" or "state", for messages: the key of the configuration that set it.
 * @return BERTH_OK; BERTH_PERMISSION_DENIED if another user owns it or may write to it; else the system's
 * error.
 */
enum berth_code folder_prepare(const char *what, const char *path, mode_t mode, struct berth_error *err);
/**
 * Reports, without creating anything, what folder_prepare would refuse for any user: not a folder, or
 * writable by others. A path that this user may not access passes.
 */
enum berth_code folder_check(const char *what, const char *path, struct berth_error *err);
/**
 * Tries to write to an existing folder.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION for a read-only file system and BERTH_RESOURCE_EXHAUSTED for a
 * full one, both of which can still be read; else the system's error.
 */
enum berth_code folder_try(const char *what, const char *path, struct berth_error *err);

/** One folder of a plugin, created on first use. Any thread, one at a time. */
struct folder {
    /** Both borrowed. */
    const char *base;
    const char *name;
    /** NULL until folder_get. */
    char *path;
};

/** @param ret_path  `base`/`name`, mode 0700, owned by this user; valid until folder_finish. */
enum berth_code folder_get(struct folder *folder, const char **ret_path, struct berth_error *err);
void folder_finish(struct folder *folder);

#endif
