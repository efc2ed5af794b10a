/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's folders belong to whoever runs it: the user of its worker, or the daemon. */
#ifndef CORE_WORKER_OWNERSHIP_H
#define CORE_WORKER_OWNERSHIP_H

#include <stdbool.h>
#include <sys/types.h>

#include <berth/error.h>

/**
 * Gives a folder, with everything in it, to a user and group. Follows no link and leaves the file system of
 * the folder never. A folder that has the right owner already is not walked.
 *
 * @param creates  make it, with mode 0700, if it does not exist; else that is fine.
 * @return BERTH_OK; else with the path that could not be changed.
 */
enum berth_code ownership_give(const char *path, uid_t user, gid_t group, bool creates,
                               struct berth_error *err);

/**
 * Do all folders in `base` belong to this user and group? Then ownership_give has nothing to do for any of
 * them. What cannot be read may belong to anybody; a `base` that does not exist has no folders.
 */
bool ownership_is_uniform(const char *base, uid_t user, gid_t group);

#endif
