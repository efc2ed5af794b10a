/* SPDX-License-Identifier: Apache-2.0 */
/* May this file's bytes be read and loaded at all? Owner and mode of the file, its folder and every parent.
 */
#ifndef CORE_SCAN_VERIFY_H
#define CORE_SCAN_VERIFY_H

#include <sys/stat.h>

#include <berth/error.h>

/** Is the directory, with every parent, root's or ours, and writable by nobody else? `path` is a real path.
 */
enum berth_code verify_directory(const char *path, struct berth_error *err);

/**
 * Opens a file of a verified directory: regular, root's or ours, writable by nobody else, not through a
 * symlink that leads out of the directory.
 *
 * @param ret_path    its real path, malloced.
 * @param ret_status  of the open descriptor.
 * @return BERTH_OK and an open descriptor; BERTH_PERMISSION_DENIED; BERTH_NOT_FOUND; BERTH_INVALID_ARGUMENT.
 */
enum berth_code verify_open(const char *directory, const char *name, int *ret_fd, char **ret_path,
                            struct stat *ret_status, struct berth_error *err);

/**
 * May something be loaded by this path, now and later? Each folder on the way, behind each symlink too, and
 * what the path leads to must be root's or ours, and writable by nobody else. What is not there is fine:
 * nobody else can put it there.
 *
 * @param path  absolute; need not be a real path.
 */
enum berth_code verify_way(const char *path, struct berth_error *err);

/**
 * Does a path go only through symlinks that root or we made, wherever others can make some? What a stranger's
 * symlink in /tmp leads to is the stranger's choice.
 */
enum berth_code verify_links(const char *path, struct berth_error *err);

/** Is what stands at the path still the file that was checked? */
enum berth_code verify_same(const char *path, const struct stat *status, struct berth_error *err);

#endif
